"""Provenance names settings and weights, never places or people."""

from trigpoint.report.provenance import machine, weights_used, without_places


def test_folders_and_hosts_of_this_machine_are_left_out():
    value = {
        "root": "/data/x",
        "mirrors": ["http://inner.host/x"],
        "weights": "/home/somebody/net.pth",
        "windows": "C:\\Users\\somebody\\net.pth",
        "relative": "data/x",
        "list": ["~/y/z/", 3],
    }
    assert without_places(value) == {
        "weights": ".../net.pth",
        "windows": ".../net.pth",
        "relative": "data/x",
        "list": [".../z", 3],
    }


def test_weights_of_method_and_matcher_are_named_with_their_checksum():
    stages = {"a": {"features": {"method": "disk"}, "matches": {"matcher": "lightglue"}}}
    found = weights_used(stages)
    assert set(found) == {"disk-depth", "disk-lightglue"}
    assert all(len(row["sha256"]) == 64 for row in found.values())
    assert weights_used({"a": {"features": {"method": "sift"}, "matches": {"matcher": "mutual_nn"}}}) == {}


def test_machine_is_described_without_its_name():
    assert {"processor", "cores", "memory_gib", "system"} <= set(machine()) <= {
        "processor", "cores", "memory_gib", "system", "gpus"
    }  # fmt: skip
