"""PUMP's correspondence files: field, shapes, pixel convention, and what is refused."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from trigpoint.errors import ShapeError, StorageError
from trigpoint.export.pump_npz import (
    correspondences_from_rows,
    is_dense,
    read_corres,
    rows_from_correspondences,
    write_corres,
)
from trigpoint.types import Correspondences


@pytest.fixture
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.hstack([rng.uniform(0, 1600, (20, 4)), rng.random((20, 1)), rng.integers(-16, 23, (20, 1))])


@pytest.mark.parametrize("name", ["corres.npz", "img1.corres", "matches"])
def test_sparse_rows_come_back_whatever_the_file_is_called(tmp_path: Path, rows: np.ndarray, name: str) -> None:
    write_corres(tmp_path / name, rows)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    found = read_corres(tmp_path / name)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, rows.astype(np.float32))
    with zipfile.ZipFile(tmp_path / name) as archive:
        assert archive.namelist() == ["corres.npy"]


def test_dense_rows_keep_their_type(tmp_path: Path, rows: np.ndarray) -> None:
    write_corres(tmp_path / "dense.npz", rows[:, :4])
    found = read_corres(tmp_path / "dense.npz")
    assert found.dtype == np.float64
    assert is_dense(found)
    np.testing.assert_array_equal(found, rows[:, :4])


def test_pixel_centres_are_at_integers_in_file_and_package(tmp_path: Path) -> None:
    """The centre of the top-left pixel is (0, 0) on both sides: no half pixel is added or taken."""
    given = Correspondences(xy=np.array([[0, 0, 3.5, 7.25]], np.float32), scores=np.array([2.5], np.float32))
    write_corres(tmp_path / "c.npz", rows_from_correspondences(given))
    np.testing.assert_array_equal(np.load(tmp_path / "c.npz")["corres"], [[0, 0, 3.5, 7.25, 2.5, 0]])
    found = correspondences_from_rows(read_corres(tmp_path / "c.npz"))
    np.testing.assert_array_equal(found.xy, given.xy)
    np.testing.assert_array_equal(found.scores, given.scores)


def test_no_matches_are_a_value(tmp_path: Path) -> None:
    empty = Correspondences(xy=np.zeros((0, 4), np.float32), scores=np.zeros(0, np.float32))
    write_corres(tmp_path / "none.npz", rows_from_correspondences(empty))
    assert read_corres(tmp_path / "none.npz").shape == (0, 6)
    assert len(correspondences_from_rows(read_corres(tmp_path / "none.npz"))) == 0


def test_equal_rows_give_equal_bytes(tmp_path: Path, rows: np.ndarray) -> None:
    write_corres(tmp_path / "a", rows)
    write_corres(tmp_path / "b", rows)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("wrong", [np.zeros((3, 5)), np.zeros(6), np.full((2, 6), np.nan)])
def test_other_rows_are_not_written(tmp_path: Path, wrong: np.ndarray) -> None:
    with pytest.raises(ShapeError, match=r"a\.npz"):
        write_corres(tmp_path / "a.npz", wrong)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_correspondence_file_is_refused_in_one_line(tmp_path: Path) -> None:
    other, bare, pickled, text = (tmp_path / name for name in ("other.npz", "bare.npy", "pickled.npz", "text"))
    np.savez(other, matches=np.zeros((2, 6)))
    np.save(bare, np.zeros((2, 6)))
    np.savez(pickled, corres=np.array([{"x": 1}], dtype=object))
    text.write_text("x0 y0 x1 y1")
    for path in (other, bare, pickled, text, tmp_path / "missing"):
        with pytest.raises(StorageError, match=path.name):
            read_corres(path)
