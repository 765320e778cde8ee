"""Checkpoints whose checksum nobody publishes, such as DISK's second one: fetched, or refused in one line."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from trigpoint.cli import main
from trigpoint.methods.base import create_method
from trigpoint.networks.disk_unet import DiskUNet
from trigpoint.storage.weights import WEIGHTS, fetch_weights
from trigpoint.types import Image

NAME = "save-epipolar"


@pytest.fixture
def checkpoint_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint with random weights; the cache is an empty folder."""
    monkeypatch.setenv("TRIGPOINT_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    torch.save({"extractor": DiskUNet().state_dict()}, tmp_path / "epipolar-save.pth")
    return tmp_path / "epipolar-save.pth"


def test_what_the_address_delivers_is_used(checkpoint_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WEIGHTS, NAME, replace(WEIGHTS[NAME], urls=(checkpoint_file.as_uri(),)))
    fetch_weights(NAME)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    method = create_method("disk", {"weights": NAME, "score_threshold": None})
    assert len(method.extract(Image("noise.png", pixels, (64, 48)))) > 0


def test_a_users_own_copy_is_taken(checkpoint_file: Path) -> None:
    assert main(["fetch-weights", NAME, "--file", str(checkpoint_file)]) == 0
    assert create_method("disk", {"weights": NAME}).weights_sha256


def test_a_file_of_something_else_is_refused(checkpoint_file: Path) -> None:
    from trigpoint.errors import WeightsError

    torch.save({"model": {}}, checkpoint_file)
    fetch_weights(NAME, checkpoint_file)
    with pytest.raises(WeightsError, match="is no DISK checkpoint: expected a section 'extractor' or 'disk'"):
        create_method("disk", {"weights": NAME})


def test_without_a_source_one_line_says_how_to_go_on(checkpoint_file: Path, monkeypatch, capsys) -> None:
    nowhere = (checkpoint_file.parent / "gone.pth").as_uri()
    monkeypatch.setitem(WEIGHTS, NAME, replace(WEIGHTS[NAME], urls=(nowhere,)))
    assert main(["fetch-weights", NAME]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"trigpoint fetch-weights {NAME} --file PATH" in line and "sha256" not in line and "gone.pth" in line
