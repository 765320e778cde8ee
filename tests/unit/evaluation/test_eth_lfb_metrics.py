"""The ETH local feature benchmark's metrics are what its definitions say, counted without COLMAP."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from benchmark_statistics import statistics
from trigpoint.cli import main
from trigpoint.storage.json_files import read_json
from trigpoint.storage.pairs import read_pairs, write_pairs

SIZES = ("images", "registered", "points3D", "observations", "inlier_pairs", "inlier_matches")
MEANS = ("mean_track_length", "mean_observations_per_image", "mean_reprojection_error_px")


@pytest.fixture(scope="module")
def incremental(finished_work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The noisy run again, mapped with estimated intrinsics from a database in which one image is cut off."""
    run, folder = finished_work / "noisy", tmp_path_factory.mktemp("incremental")
    common = {"dataset": finished_work / "dataset.json", "features": run / "features.h5", "matches": run / "matches.h5"}
    pairs = read_pairs(run / "pairs/map.txt")
    alone = max(name for pair in pairs for name in pair)
    write_pairs(folder / "map.txt", [pair for pair in pairs if alone not in pair])
    common["pairs"] = folder / "map.txt"
    database = folder / "database.db"
    model = {"model": folder / "model", "mapping": folder / "mapping.json"}
    commands = [
        ("import-database", {**common, "settings": '{"intrinsics": "estimate"}', "output": folder / "imported.db"}),
        ("verify-pairs", {"database": folder / "imported.db", "output": database}),
        (
            "map",
            {"dataset": common["dataset"], "database": database, "output": model["model"], "log": model["mapping"]},
        ),
        ("evaluate", {**common, **model, "run": "noisy", "database": database, "output": folder / "metrics.json"}),
    ]
    for command, options in commands:
        assert main([command, *(word for key, value in options.items() for word in (f"--{key}", str(value)))]) == 0
    (folder / "alone.txt").write_text(alone)
    return folder


def test_every_metric_equals_its_definition(incremental: Path) -> None:
    expected = statistics(incremental / "model", incremental / "database.db")
    found = read_json(incremental / "metrics.json", "metrics")["mapping"]
    assert {name: found[name] for name in SIZES} == {name: expected[name] for name in SIZES}
    for name in MEANS:
        assert found[name] == pytest.approx(expected[name], rel=1e-9)
    assert expected["registered"] == expected["images"] - 1
    assert expected["inlier_pairs"] > 10
    assert found["mean_reprojection_error_px"] > 0.5  # the noise is one pixel


def test_the_stored_errors_are_those_of_the_projections(incremental: Path) -> None:
    expected = statistics(incremental / "model", incremental / "database.db")
    assert expected["mean_reprojection_error_px"] == pytest.approx(expected["reprojected_px"], rel=1e-6)


def test_registrations_are_counted_by_image(incremental: Path) -> None:
    rows = {row["name"]: row for row in read_json(incremental / "metrics.json", "metrics")["details"]["images"]}
    expected = statistics(incremental / "model", incremental / "database.db")["registered_names"]
    assert {name: row["observations"] for name, row in rows.items() if row["registered"]} == expected
    alone = (incremental / "alone.txt").read_text()
    assert [name for name, row in rows.items() if not row["registered"]] == [alone]
    assert rows[alone]["reason"] == "no pairs"
    assert rows[alone]["keypoints"] > 0


def test_pairs_without_a_verified_match_do_not_count(incremental: Path, finished_work: Path, tmp_path: Path) -> None:
    database, output = tmp_path / "database.db", tmp_path / "metrics.json"
    shutil.copy(incremental / "database.db", database)
    with closing(sqlite3.connect(database)) as connection:
        first = "(SELECT MIN(pair_id) FROM two_view_geometries)"
        connection.execute(f"UPDATE two_view_geometries SET rows = 0 WHERE pair_id = {first}")
        connection.commit()
    run = finished_work / "noisy"
    files = {"features": run / "features.h5", "matches": run / "matches.h5", "pairs": incremental / "map.txt"}
    files |= {"database": database, "model": incremental / "model", "mapping": incremental / "mapping.json"}
    words = [word for key, value in files.items() for word in (f"--{key}", str(value))]
    head = ["evaluate", "--run", "noisy", "--dataset", str(finished_work / "dataset.json"), "--output", str(output)]
    assert main([*head, *words]) == 0
    found, expected = json.loads(output.read_text())["mapping"], statistics(incremental / "model", database)
    assert (found["inlier_pairs"], found["inlier_matches"]) == (expected["inlier_pairs"], expected["inlier_matches"])
    before = read_json(incremental / "metrics.json")["mapping"]
    assert found["inlier_pairs"] < before["inlier_pairs"]
