"""Dense rows as fields, of either image."""

import numpy as np
import pytest

from trigpoint.errors import SettingsError
from trigpoint.methods.dense_rows import dense_field

SIZE0, SIZE1 = (6, 4), (9, 7)


def grid_rows() -> np.ndarray:
    """Rows of image 0's pixels, each moved by (1.5, 2)."""
    x, y = np.meshgrid(np.arange(6.0), np.arange(4.0))
    return np.column_stack([x.ravel(), y.ravel(), x.ravel() + 1.5, y.ravel() + 2])


def test_dense_rows_become_a_field() -> None:
    field = dense_field(grid_rows(), SIZE0, SIZE1, "left")
    assert field.shape == (4, 6, 2)
    np.testing.assert_array_equal(field[3, 5], [6.5, 5])
    some = dense_field(grid_rows()[:7], SIZE0, SIZE1, "left")
    assert np.isnan(some[1, 1:]).all()
    np.testing.assert_array_equal(some[1, 0], [1.5, 3])


def test_matches_are_densified_for_either_side() -> None:
    corners = np.array([[0, 0], [5, 0], [0, 3], [5, 3]], dtype=np.float32)
    rows = np.column_stack([corners, corners + np.array([1, 2]), np.ones(4), np.zeros(4)])
    np.testing.assert_allclose(dense_field(rows, SIZE0, SIZE1, "left")[2, 4], [5, 4])
    np.testing.assert_allclose(dense_field(rows, SIZE0, SIZE1, "right")[4, 5], [4, 2])
    assert np.isnan(dense_field(rows[:3], SIZE0, SIZE1, "left")).all()


@pytest.mark.parametrize("side", ["right", "left"])
def test_rows_of_the_other_images_pixels_are_refused(side: str) -> None:
    rows = grid_rows() if side == "right" else grid_rows()[:, [2, 3, 0, 1]]
    with pytest.raises(SettingsError, match=f"set post_filter.dense_side to {side}"):
        dense_field(rows, SIZE0, SIZE1, side)
