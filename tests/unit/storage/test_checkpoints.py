"""Published checkpoints with a pickled Namespace: converted once, read back, and refused where they could run code."""

import argparse
import json
import os
import pickle
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from trigpoint.cli import main
from trigpoint.errors import WeightsError
from trigpoint.networks.patch2pix_net import Patch2PixNet, RegressorConfig, load_patch2pix
from trigpoint.storage.checkpoints import convert_checkpoint, is_safetensors, read_checkpoint
from trigpoint.storage.weights import WEIGHTS, fetch_weights

SMALL = {"conv_dims": [8, 4], "conv_kers": [3, 3], "conv_strs": [2, 1], "fc_dims": [6, 4], "feat_comb": "pre"}
SMALL |= {"psize": [16, 16], "pshift": 8, "panc": 8, "shared": False, "feat_dim": 259}


class Runs:
    """A pickle of this calls a function when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.fixture(scope="module")
def content() -> dict[str, object]:
    """What the release writes."""
    torch.manual_seed(0)
    config = RegressorConfig(conv_dims=(8, 4), fc_dims=(6, 4))
    return {
        "backbone": "ResNet34",
        "feat_idx": [0, 1, 2, 3],
        "state_dict": OrderedDict(Patch2PixNet(config).state_dict()),
        "regressor_config": argparse.Namespace(**SMALL),
        "last_epoch": 24,
        "best_vals": [np.inf, 0, np.float64(7.25), np.float32(0.5)],
        "change_stride": True,
        "optim": {"state": {}, "param_groups": [{"lr": 5e-4, "betas": (0.9, 0.999)}]},
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_the_published_form_is_converted_and_loads(content: dict, tmp_path: Path, zipped: bool) -> None:
    source, target = tmp_path / "patch2pix_pretrained.pth", tmp_path / "patch2pix.safetensors"
    torch.save(content, source, _use_new_zipfile_serialization=zipped)
    assert main(["convert-weights", str(source), str(target)]) == 0
    assert is_safetensors(target) and not is_safetensors(source)
    found = read_checkpoint(target)
    assert found["config"] == {**SMALL, "feat_idx": [0, 1, 2, 3]}
    assert found["state_dict"].keys() == content["state_dict"].keys()
    loaded = load_patch2pix(found, "x").state_dict()
    for key, value in content["state_dict"].items():
        assert torch.equal(loaded[key], value), key
    with pytest.raises(WeightsError, match=f"trigpoint convert-weights {source} patch2pix_pretrained.safetensors"):
        read_checkpoint(source)


def test_a_flat_state_dict_is_converted_too(content: dict, tmp_path: Path) -> None:
    state = OrderedDict((k, v) for k, v in content["state_dict"].items() if not k.startswith("regress_"))
    torch.save(state, tmp_path / "ncn_ivd_5ep.pth")
    num_tensors = convert_checkpoint(tmp_path / "ncn_ivd_5ep.pth", tmp_path / "ncnet.safetensors")
    found = read_checkpoint(tmp_path / "ncnet.safetensors")
    assert num_tensors == len(state) == len(found["state_dict"]) and found["config"] == {}
    load_patch2pix(found, "x", regressors=False)
    with pytest.raises(WeightsError, match="no checkpoint of Patch2Pix"):
        load_patch2pix(found, "x")
    again = tmp_path / "again.safetensors"
    assert convert_checkpoint(tmp_path / "ncnet.safetensors", again) == num_tensors


def test_fetching_converts(content: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIGPOINT_CACHE", str(tmp_path / "cache"))
    source, page = tmp_path / "patch2pix_pretrained.pth", tmp_path / "page.html"
    torch.save(content, source)
    page.write_text("<html>Google Drive cannot scan this file for viruses.</html>")
    entry = replace(WEIGHTS["patch2pix"], urls=(page.as_uri(), source.as_uri()))
    monkeypatch.setitem(WEIGHTS, "patch2pix", entry)
    path = fetch_weights("patch2pix")  # the first address has a web page
    assert is_safetensors(path) and len(read_checkpoint("patch2pix")["state_dict"]) == len(content["state_dict"])
    path.unlink()
    monkeypatch.setitem(WEIGHTS, "patch2pix", replace(entry, urls=(page.as_uri(),)))
    with pytest.raises(WeightsError, match=r"get patch2pix_pretrained\.pth by hand"):
        fetch_weights("patch2pix")
    assert main(["fetch-weights", "patch2pix", "--file", str(source)]) == 0
    assert is_safetensors(path)


@pytest.mark.parametrize("place", ["regressor_config", "state_dict", "best_vals"])
def test_a_pickle_that_would_run_code_is_refused(content: dict, tmp_path: Path, place: str, capsys) -> None:
    made = tmp_path / "made"
    held = {"regressor_config": argparse.Namespace(**SMALL, extra=Runs(made)), "best_vals": [Runs(made)]}
    held["state_dict"] = {**content["state_dict"], "extra": Runs(made)}
    torch.save({**content, place: held[place]}, tmp_path / "bad.pth")
    assert main(["convert-weights", str(tmp_path / "bad.pth"), str(tmp_path / "out.safetensors")]) == 2
    assert "bad.pth is no checkpoint, or one with more than tensors" in capsys.readouterr().err
    assert not made.exists() and not (tmp_path / "out.safetensors").exists()


def test_a_bare_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.pth").write_bytes(pickle.dumps(Runs(tmp_path / "made"), protocol=2))
    with pytest.raises(WeightsError, match=r"bad\.pth is no"):
        convert_checkpoint(tmp_path / "bad.pth", tmp_path / "out.safetensors")
    assert not (tmp_path / "made").exists()


def test_numbers_of_forged_types_are_refused(content: dict, tmp_path: Path) -> None:
    """Numpy's own function would take the bytes of an object for an address."""

    class Forged:
        def __reduce__(self) -> tuple[object, ...]:
            return np.float64(1).__reduce__()[0], (np.dtype("O"), b"\x01" * 8)

    torch.save({**content, "best_vals": [Forged()]}, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match=r"bad\.pth"):
        convert_checkpoint(tmp_path / "bad.pth", tmp_path / "out.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": "ResNet101"}, "backbone 'ResNet101', known: ResNet34"),
        ({"state_dict": {}}, "holds no tensors"),
        ({"state_dict": [1]}, "must be mappings"),
        ({"state_dict": {"a": 1}}, "'a' is a int, expected a tensor"),
        ({"regressor_config": argparse.Namespace(psize={"a": 1})}, "'psize' of the configuration is a dict"),
    ],
)
def test_other_contents_are_refused_in_a_line(content: dict, tmp_path: Path, change: dict, message: str) -> None:
    torch.save({**content, **change}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=message):
        convert_checkpoint(tmp_path / "x.pth", tmp_path / "out.safetensors")


@pytest.mark.parametrize(
    "raw", [b"", b"no checkpoint", b"\x10\0\0\0\0\0\0\0{broken json....", b"PK\x03\x04" + b"{" * 20]
)
def test_damaged_files_are_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x.pth").write_bytes(raw)
    with pytest.raises(WeightsError, match=r"x\.pth is no"):
        convert_checkpoint(tmp_path / "x.pth", tmp_path / "out.safetensors")
    with pytest.raises(WeightsError, match=r"x\.pth"):
        read_checkpoint(tmp_path / "x.pth")


def test_metadata_is_plain_json(content: dict, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pth")
    convert_checkpoint(tmp_path / "x.pth", tmp_path / "x.safetensors")
    raw = (tmp_path / "x.safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert json.loads(header["__metadata__"]["trigpoint"])["config"]["psize"] == [16, 16]
