"""hloc's files, read by a reader of our own after hloc's public description."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from trigpoint.cli import main
from trigpoint.storage.features import FeatureReader, FeatureWriter
from trigpoint.storage.matches import MatchReader
from trigpoint.types import Features


def export(run: Path, output: Path, *options: str) -> int:
    return main(["export", "--to", "hloc", "--run", str(run), "--output", str(output), *options])


def hloc_names(path: Path) -> list[str]:
    """Names of all groups that hold an array."""
    found = set()
    with h5py.File(path) as file:
        file.visititems(lambda _, item: found.add(item.parent.name.strip("/")) if hasattr(item, "shape") else None)
    return sorted(found)


def hloc_matches(path: Path, name0: str, name1: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows (index in name0, index in name1) and scores, whichever way round the pair is stored."""
    with h5py.File(path) as file:
        key0, key1 = (name.replace("/", "-") for name in (name0, name1))
        swapped = f"{key0}/{key1}" not in file
        group = file[f"{key1}/{key0}" if swapped else f"{key0}/{key1}"]
        partner, scores = group["matches0"][()], group["matching_scores0"][()]
    rows = np.where(partner != -1)[0]
    pairs = np.stack([rows, partner[rows]], axis=-1)
    return (np.flip(pairs, -1) if swapped else pairs), scores[rows]


def test_hlocs_readers_find_what_was_stored(small_run, tmp_path: Path) -> None:
    assert export(small_run.folder, tmp_path / "hloc") == 0
    assert hloc_names(tmp_path / "hloc" / "features.h5") == sorted(small_run.features)
    with h5py.File(tmp_path / "hloc" / "features.h5") as file:
        for name, expected in small_run.features.items():
            np.testing.assert_array_equal(file[name]["keypoints"][()], expected.keypoints)
            assert file[name]["keypoints"].attrs["uncertainty"] == 1.0
            assert file[name]["descriptors"].shape == (128, len(expected))
            np.testing.assert_array_equal(file[name]["descriptors"][()].T.ravel(), expected.descriptors.ravel())
            assert tuple(file[name]["image_size"][()]) == expected.image_size
    for (name0, name1), expected_matches in small_run.matches.items():
        order = np.argsort(expected_matches.indices[:, 0])
        found, scores = hloc_matches(tmp_path / "hloc" / "matches.h5", name0, name1)
        np.testing.assert_array_equal(found, expected_matches.indices[order])
        np.testing.assert_array_equal(scores, expected_matches.scores[order])
        backwards, _ = hloc_matches(tmp_path / "hloc" / "matches.h5", name1, name0)
        np.testing.assert_array_equal(backwards, found[:, ::-1])
    lines = (tmp_path / "hloc" / "pairs.txt").read_text().splitlines()
    assert sorted(tuple(line.split()) for line in lines) == sorted(small_run.matches)


@pytest.mark.parametrize("listed", [False, True])
def test_what_is_written_reads_back_the_same(small_run, assert_same, tmp_path: Path, listed: bool) -> None:
    export(small_run.folder, tmp_path / "hloc")
    words = ["import-run", str(tmp_path / "hloc"), "--from", "hloc", "--output", str(tmp_path / "back")]
    assert main(words + (["--pairs", str(tmp_path / "hloc" / "pairs.txt")] if listed else [])) == 0
    assert_same(tmp_path / "back")


def test_of_several_matches_of_a_keypoint_the_best_is_kept(small_run, tmp_path: Path, capsys) -> None:
    from trigpoint.storage.matches import MatchWriter
    from trigpoint.types import Matches

    with MatchWriter(tmp_path / "matches.h5", {}) as writer:
        indices = np.array([[3, 1], [3, 2], [4, 2]], np.int32)
        writer.write("db/a.one.jpg", "d.jpg", Matches(indices, np.array([0.1, 0.9, 0.2], np.float32)))
    assert export(small_run.folder, tmp_path / "hloc", "--matches", str(tmp_path / "matches.h5")) == 0
    assert "1 matches left out" in capsys.readouterr().err
    found, _ = hloc_matches(tmp_path / "hloc" / "matches.h5", "db/a.one.jpg", "d.jpg")
    assert found.tolist() == [[3, 2], [4, 2]]


@pytest.mark.parametrize(
    ("names", "message"),
    [(["a b.jpg"], "cannot hold a name with a blank"), (["a/b.jpg", "a-b.jpg"], "would both be 'a-b.jpg'")],
)
def test_names_that_hloc_cannot_hold_are_refused(small_run, tmp_path: Path, capsys, names, message: str) -> None:
    with FeatureWriter(tmp_path / "features.h5", {}) as writer:
        for name in names:
            writer.write(name, Features(np.zeros((1, 2)), np.zeros((1, 4)), np.zeros(1), (10, 10)))
    assert export(small_run.folder, tmp_path / "hloc", "--features", str(tmp_path / "features.h5")) == 2
    assert message in capsys.readouterr().err


def test_files_that_hloc_wrote_itself_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """float16 everywhere, int16 partners, as hloc's defaults are."""
    with h5py.File(tmp_path / "features.h5", "w", libver="latest") as file:
        for name in ("db/1.jpg", "2.jpg"):
            group = file.create_group(name)
            group["keypoints"] = np.array([[1.5, 2.0], [3.0, 4.0]], np.float16)
            group["descriptors"] = np.eye(4, 2, dtype=np.float16)
            group["scores"] = np.array([1, 0.5], np.float16)
            group["image_size"] = np.array([64, 48])
    with h5py.File(tmp_path / "matches.h5", "w", libver="latest") as file:
        group = file.create_group("db-1.jpg/2.jpg")
        group["matches0"] = np.array([-1, 0], np.int16)
        group["matching_scores0"] = np.array([0, 0.75], np.float16)
    assert main(["import-run", str(tmp_path), "--from", "hloc", "--output", str(tmp_path / "run")]) == 0
    assert "float16 keypoints" in capsys.readouterr().err
    with FeatureReader(tmp_path / "run/features.h5") as reader, MatchReader(tmp_path / "run/matches.h5") as matches:
        found = reader.read("db/1.jpg")
        assert found.descriptors.dtype == np.float16 and found.descriptors.tolist() == np.eye(2, 4).tolist()
        assert found.keypoints.tolist() == [[1.5, 2.0], [3.0, 4.0]] and found.image_size == (64, 48)
        assert matches.read("db/1.jpg", "2.jpg").indices.tolist() == [[1, 0]]
        assert matches.read("db/1.jpg", "2.jpg").scores.tolist() == [0.75]
