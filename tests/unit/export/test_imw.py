"""Files of the Image Matching Benchmark: keys, completeness, round trip."""

import itertools
from pathlib import Path

import h5py
import numpy as np
import pytest

from trigpoint.cli import main
from trigpoint.storage.features import FeatureWriter
from trigpoint.types import Features


def export(run: Path, output: Path, *options: str) -> int:
    return main(["export", "--to", "imw", "--run", str(run), "--output", str(output), *options])


def test_what_is_written_reads_back_the_same(small_run, assert_same, tmp_path: Path) -> None:
    assert export(small_run.folder, tmp_path / "imw") == 0
    dataset = str(small_run.folder.parent / "dataset.json")
    words = ["import-run", str(tmp_path / "imw"), "--from", "imw", "--dataset", dataset]
    assert main([*words, "--output", str(tmp_path / "back")]) == 0
    assert_same(tmp_path / "back", match_scores=False)


def test_every_pair_is_there_with_the_larger_name_first(small_run, tmp_path: Path) -> None:
    export(small_run.folder, tmp_path / "imw", "--split")
    assert not (tmp_path / "imw" / "matches.h5").exists()
    for name in ("matches_multiview.h5", "matches_stereo.h5"):
        with h5py.File(tmp_path / "imw" / name) as file:
            stems = ["a.one", "b", "c", "d"]
            assert sorted(file) == sorted(f"{b}-{a}" for a, b in itertools.combinations(stems, 2))
            assert file["d-c"].shape == (2, 0)
            np.testing.assert_array_equal(file["d-a.one"][()], small_run.matches["d.jpg", "db/a.one.jpg"].indices.T)
            swapped = small_run.matches["db/a.one.jpg", "query/c.jpg"].indices.T[::-1]
            np.testing.assert_array_equal(file["c-a.one"][()], swapped)


def test_a_name_that_keys_could_not_hold_is_refused(small_run, tmp_path: Path, capsys) -> None:
    with FeatureWriter(tmp_path / "features.h5", {}) as writer:
        writer.write("old-town.jpg", Features(np.zeros((1, 2)), np.zeros((1, 4)), np.zeros(1), (10, 10)))
    assert export(small_run.folder, tmp_path / "imw", "--features", str(tmp_path / "features.h5")) == 2
    assert "'old-town.jpg': '-' divides the two names" in capsys.readouterr().err


def test_limits_of_the_benchmark_are_said(small_run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FeatureWriter(tmp_path / "features.h5", {}) as writer:
        for name in small_run.features:
            writer.write(name, Features(np.zeros((8001, 2)), np.zeros((8001, 4)), np.zeros(8001), (10, 10)))
    assert export(small_run.folder, tmp_path / "imw", "--features", str(tmp_path / "features.h5")) == 0
    logged = capsys.readouterr().err
    assert "one has 8001" in logged and "these have 4" in logged
