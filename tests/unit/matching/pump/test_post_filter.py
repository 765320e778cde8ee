"""The post-filter and densification on motions known by construction."""

import numpy as np
import pytest

from trigpoint.geometry.scale_rotation import encode_scale_rot
from trigpoint.matching.pump.densify import densify
from trigpoint.matching.pump.post_filter import component_sizes, edges, post_filter


def grid_rows(scale: float, angle_deg: float, side: int = 9) -> np.ndarray:
    """Matches of a 4 px grid under a similarity, with its code: image 1 is turned by minus the angle."""
    y, x = np.indices((side, side)) * 4.0 + 2
    turn = np.radians(angle_deg)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    xy0 = np.stack([x.ravel(), y.ravel()], axis=1)
    xy1 = xy0 @ rotation.T * scale + 200
    codes = np.full(len(xy0), encode_scale_rot(scale, angle_deg))
    return np.column_stack([xy0, xy1, np.ones(len(xy0)), codes])


@pytest.mark.parametrize("angle", [0, 45, 90, 135, 180, -135])
@pytest.mark.parametrize("scale", [0.5, 1, 2])
def test_a_similarity_is_one_group(scale: float, angle: float) -> None:
    found = post_filter(grid_rows(scale, angle), min_cc_size=80)
    assert len(found.rows) == 81 and set(found.component_sizes) == {81}
    np.testing.assert_array_equal(found.rows[:, 4], 1)


def test_strays_and_small_groups_go() -> None:
    rows = np.concatenate([grid_rows(1, 0), np.array([[10, 10, 500, 7, 9, 0.0]]), grid_rows(1, 0, side=3) + 1000])
    found = post_filter(rows, min_cc_size=9)
    np.testing.assert_array_equal(found.index, np.arange(81))
    assert len(post_filter(rows, min_cc_size=8).index) == 90


def test_rotations_are_averaged_on_the_circle() -> None:
    """Half the matches say 180 degrees, half -135: neighbours that move by -157.5 agree."""
    rows = grid_rows(1, -157.5)
    rows[:, 5] = np.where(np.arange(81) % 2, encode_scale_rot(1, 180), encode_scale_rot(1, -135))
    assert len(post_filter(rows).rows) == 81
    mixed = edges(rows, 2, legacy=True)
    assert not (mixed.sum(axis=1) % 2 == 1).any() and ((edges(rows, 2).sum(axis=1)) % 2 == 1).any()


def test_edges_are_the_pairs_within_reach() -> None:
    rows = grid_rows(1, 0, side=4)
    distances = np.linalg.norm(rows[:, None, :2] - rows[None, :, :2], axis=-1)
    expected = np.argwhere(np.triu(distances <= 8, 1))
    np.testing.assert_array_equal(edges(rows, 2), expected)


@pytest.mark.parametrize("num_rows", [0, 1])
def test_too_few_rows_have_no_edges(num_rows: int) -> None:
    rows = np.zeros((num_rows, 6))
    assert edges(rows, 2).shape == (0, 2)
    assert component_sizes(num_rows, edges(rows, 2)).tolist() == [1] * num_rows
    assert post_filter(rows).rows.shape == (0, 6)


@pytest.mark.parametrize("side", ["left", "right"])
def test_dense_rows_follow_an_affine_motion(side: str) -> None:
    rng = np.random.default_rng(0)
    xy0 = rng.uniform(0, 40, (200, 2))
    xy1 = xy0 @ np.array([[1.1, 0.2], [-0.1, 0.9]]).T + [3, 5]
    inverse = np.linalg.inv(np.array([[1.1, 0.2], [-0.1, 0.9]]))
    rows = densify(np.column_stack([xy0, xy1]), (41, 31), (50, 44), mode="convex", side=side)
    known, found = (rows[:, :2], rows[:, 2:]) if side == "left" else (rows[:, 2:], rows[:, :2])
    if side == "left":
        expected = known @ np.array([[1.1, 0.2], [-0.1, 0.9]]).T + [3, 5]
    else:
        expected = (known - [3, 5]) @ inverse.T
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.array_equal(known, np.round(known)) and len(rows) > 800
    full = densify(np.column_stack([xy0, xy1]), (41, 31), (50, 44), side=side)
    assert len(full) == (41 * 31 if side == "left" else 50 * 44) and np.isfinite(full).all()
    np.testing.assert_array_equal(full[1, :2] if side == "left" else full[1, 2:], [1, 0])


@pytest.mark.parametrize("rows", [np.zeros((0, 6)), np.ones((3, 6)), np.arange(24.0).reshape(6, 4)])
def test_rows_that_span_no_area_give_no_dense_ones(rows: np.ndarray) -> None:
    assert densify(rows, (10, 10), (10, 10)).shape == (0, 4)
