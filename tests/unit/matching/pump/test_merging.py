"""Joining records of several views: against the plain rule cell by cell, in any order."""

import itertools

import numpy as np
import pytest

from trigpoint.matching.pump.merging import Accumulator, View


def random_view(order: int, scale: float, angle_deg: float, shape: tuple[int, int] = (5, 6)) -> View:
    """Records of a view that is turned and reduced, whose scores have ties with other views'."""
    rng = np.random.default_rng(order)
    angle = np.radians(angle_deg)
    transform = np.array([[np.cos(angle), -np.sin(angle), 6], [np.sin(angle), np.cos(angle), 3], [0, 0, 1]])
    transform[:2, :2] /= scale
    y, x = np.indices(shape)
    places = np.stack([4 * x + 2, 4 * y + 2], axis=-1) @ transform[:2, :2].T + transform[:2, 2]
    scores = rng.integers(1, 6, (*shape, 1)) / 4
    rows = np.concatenate([places, rng.random((*shape, 2)) * 40, scores, np.full((*shape, 1), order)], axis=-1)
    ids = 1000 * order + np.arange(y.size).reshape(shape)
    return View(rows, np.where(rng.random(shape) < 0.2, -1, ids), transform, order)


VIEWS = [random_view(0, 1.0, 0), random_view(1, 0.5, 0), random_view(2, 0.7, 45), random_view(3, 1.0, -90)]
SIZE = (30, 23)


def best_by_hand(views: list[View], image: int, x: int, y: int) -> int:
    """Id of the cell's record by the rule as it is written; -1 if there is none."""
    best = (0.0, 0, -1)
    for view in views:
        inverse = np.linalg.inv(view.transform)
        u, v = (int(value) for value in 0.5 + (inverse @ [x, y, 1])[:2] / 4)
        around = [(v + dv, u + du) for dv in (-1, 0, 1) for du in (-1, 0, 1)]
        height, width = view.ids.shape
        around = [(b, a) for b, a in around if 0 <= b < height and 0 <= a < width and view.ids[b, a] >= 0]
        squares = [((view.rows[at][2 * image : 2 * image + 2] - [x, y]) ** 2).sum() for at in around]
        limit = min([64 * np.linalg.det(view.transform), *squares])
        for at, square in zip(around, squares, strict=True):
            if square <= 4 * limit and view.rows[at][4] > best[0]:
                best = (view.rows[at][4], view.order, int(view.ids[at]))
    return best[2]


def test_cells_hold_the_best_record_near_them() -> None:
    cells = Accumulator(SIZE, 0)
    for view in VIEWS:
        cells.add(view)
    assert cells.ids.shape == (11, 15)
    for i, j in itertools.product(range(11), range(15)):
        assert cells.ids[i, j] == best_by_hand(VIEWS, 0, 2 * j + 1, 2 * i + 1), (i, j)
    filled = cells.ids >= 0
    assert filled.any() and not cells.rows[~filled].any()


@pytest.mark.parametrize("rule", ["bins", "nearest"])
@pytest.mark.parametrize("image", [0, 1])
def test_order_of_views_does_not_matter(rule: str, image: int) -> None:
    results = []
    for views in itertools.permutations(VIEWS):
        cells = Accumulator(SIZE, image, rule)
        for view in views:
            cells.add(view)
        results.append(cells)
    for cells in results[1:]:
        np.testing.assert_array_equal(cells.ids, results[0].ids)
        np.testing.assert_array_equal(cells.rows, results[0].rows)


def test_nearest_rule_takes_the_best_of_four() -> None:
    view = VIEWS[0]
    cells = Accumulator(SIZE, 0, "nearest")
    cells.add(view)
    known = np.flatnonzero(view.ids.reshape(-1) >= 0)
    rows = view.rows.reshape(-1, 6)[known]
    for i, j in itertools.product(range(11), range(15)):
        distances = np.hypot(*(rows[:, :2] - [2 * j + 1, 2 * i + 1]).T)
        nearest = np.sort(distances)[:4]
        near = distances <= min(2 * nearest[0], nearest[3])
        near &= distances <= 8 - 1e-7
        expected = rows[near, 4].max() if near.any() else 0
        assert cells.rows[i, j, 4] == expected, (i, j)


@pytest.mark.parametrize("size", [(1, 30), (30, 1), (0, 0)])
def test_images_below_a_cell_have_none(size: tuple[int, int]) -> None:
    cells = Accumulator(size, 0)
    cells.add(VIEWS[0])
    assert cells.ids.size == 0
