"""DISK's files: layout, round trip, refusals."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from trigpoint.cli import main
from trigpoint.storage.features import FeatureWriter
from trigpoint.types import Features


def export(run: Path, output: Path, *options: str) -> int:
    return main(["export", "--to", "disk", "--run", str(run), "--output", str(output), *options])


def test_what_is_written_reads_back_the_same(small_run, assert_same, tmp_path: Path) -> None:
    assert export(small_run.folder, tmp_path / "disk") == 0
    dataset = str(small_run.folder.parent / "dataset.json")
    words = ["import-run", str(tmp_path / "disk"), "--from", "disk", "--dataset", dataset]
    assert main([*words, "--output", str(tmp_path / "back")]) == 0
    assert_same(tmp_path / "back", match_scores=False)


def test_pairs_stand_in_ascending_order_with_the_rows_exchanged(small_run, tmp_path: Path) -> None:
    export(small_run.folder, tmp_path / "disk", "--u16", "--f16")
    with h5py.File(tmp_path / "disk" / "matches.h5") as file, h5py.File(tmp_path / "disk" / "descriptors.h5") as rows:
        assert {key: sorted(file[key]) for key in file} == {"a.one": ["b", "c", "d"], "b": [], "c": [], "d": []}
        stored = file["a.one/d"][()]
        expected = small_run.matches["d.jpg", "db/a.one.jpg"].indices
        assert stored.dtype == np.uint16 and rows["a.one"].dtype == np.float16
        np.testing.assert_array_equal(stored, expected.T[::-1])
        assert rows["b"].shape == (0, 128)


def test_pairs_below_the_threshold_are_left_out(small_run, tmp_path: Path) -> None:
    export(small_run.folder, tmp_path / "disk", "--save-threshold", "13")
    with h5py.File(tmp_path / "disk" / "matches.h5") as file:
        assert {key: sorted(file[key]) for key in file} == {"a.one": ["d"], "b": [], "c": [], "d": []}


def test_an_existing_folder_is_never_replaced(small_run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "disk" / "mine.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    assert export(small_run.folder, tmp_path / "disk") == 2
    assert "exists; remove it" in capsys.readouterr().err
    assert kept.read_text() == "mine"


def test_equal_stems_are_refused(small_run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nothing = Features(np.zeros((0, 2), np.float32), np.zeros((0, 0)), np.zeros(0), (10, 10))
    with FeatureWriter(tmp_path / "features.h5", {}) as writer:
        for name in ("a/1.jpg", "b/1.png"):
            writer.write(name, nothing)
    assert export(small_run.folder, tmp_path / "disk", "--features", str(tmp_path / "features.h5")) == 2
    assert "'a/1.jpg' and 'b/1.png' would both be called '1'" in capsys.readouterr().err
    assert not (tmp_path / "disk").exists()


def test_indices_that_uint16_cannot_hold_are_refused(small_run, tmp_path: Path, capsys) -> None:
    many = Features(np.zeros((65537, 2), np.float32), np.zeros((65537, 0)), np.zeros(65537), (10, 10))
    with FeatureWriter(tmp_path / "features.h5", {}) as writer:
        writer.write("many.jpg", many)
    assert export(small_run.folder, tmp_path / "disk", "--features", str(tmp_path / "features.h5"), "--u16") == 2
    assert "'many.jpg' has 65537 keypoints" in capsys.readouterr().err


def test_matches_of_another_run_are_refused(small_run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FeatureWriter(tmp_path / "features.h5", {}) as writer:
        for name in small_run.features:
            writer.write(name, Features(np.zeros((3, 2), np.float32), np.zeros((3, 4)), np.zeros(3), (10, 10)))
    assert export(small_run.folder, tmp_path / "disk", "--features", str(tmp_path / "features.h5")) == 2
    assert "has 3 keypoints; features and matches are of different runs" in capsys.readouterr().err


def test_an_image_that_the_dataset_lacks_is_refused(small_run, tmp_path: Path, capsys) -> None:
    export(small_run.folder, tmp_path / "disk")
    with h5py.File(tmp_path / "disk" / "keypoints.h5", "a") as file:
        file["stranger"] = np.zeros((1, 2), np.float32)
    dataset = str(small_run.folder.parent / "dataset.json")
    words = ["import-run", str(tmp_path / "disk"), "--from", "disk", "--output", str(tmp_path / "back")]
    assert main([*words, "--dataset", dataset]) == 2
    assert "'stranger' is no image of the dataset" in capsys.readouterr().err
    assert main(words) == 2
    assert "give --dataset" in capsys.readouterr().err
    assert not (tmp_path / "back").exists()
