"""Merging points into keypoints: what holds for any points, and a few that can be worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from trigpoint.errors import SettingsError
from trigpoint.matching import shared_keypoints
from trigpoint.matching.shared_keypoints import (
    SLACK_PX,
    MergeSettings,
    elect_keypoints,
    nearest_keypoint,
    one_to_one,
    spread_out,
)

POINTS = st.integers(0, 60).flatmap(
    lambda num: st.tuples(
        arrays(np.float32, (num, 2), elements=st.floats(-4, 40, width=32)),
        arrays(np.float32, (num,), elements=st.floats(0, 10, width=32)),
    )
)
CHOICES = st.builds(
    MergeSettings,
    scheme=st.sampled_from(["radius", "bins"]),
    radius_px=st.sampled_from([0.5, 3.0, 9.5]),
    cell_px=st.sampled_from([0.0, 1.0, 4.0, 9.5]),
    bin_px=st.sampled_from([0.5, 1.0]),
    max_error_px=st.sampled_from([1.0, 2.0, 6.0]),
    max_keypoints=st.sampled_from([None, 1, 5, 8192]),
)
QUICK = settings(max_examples=60, deadline=None)


@QUICK
@given(POINTS, CHOICES, st.randoms(use_true_random=False))
def test_the_order_of_the_points_does_not_matter(points, chosen, random) -> None:
    xy, scores = points
    order = list(range(len(xy)))
    random.shuffle(order)
    first, second = elect_keypoints(xy, scores, chosen), elect_keypoints(xy[order], scores[order], chosen)
    np.testing.assert_array_equal(first.xy, second.xy)
    np.testing.assert_array_equal(first.scores, second.scores)


@QUICK
@given(POINTS, CHOICES)
def test_scores_are_those_of_the_points_in_reach_and_all_are_finite(points, chosen) -> None:
    xy, scores = points
    found = elect_keypoints(xy, scores, chosen)
    assert (found.xy.dtype, found.scores.dtype) == (np.float32, np.float32)
    assert np.isfinite(found.xy).all()
    assert len(found) <= (chosen.max_keypoints or len(xy))
    assert len(found) > 0 or len(xy) == 0
    owner = nearest_keypoint(xy, found.xy, chosen.reach_px)
    sums = np.bincount(owner[owner >= 0], scores[owner >= 0].astype(np.float64), len(found))
    np.testing.assert_allclose(found.scores, sums, rtol=1e-5)


@QUICK
@given(POINTS, st.sampled_from([0.5, 2.0, 8.0]))
def test_a_point_goes_to_the_nearest_keypoint_and_never_further_than_allowed(points, reach) -> None:
    xy, _ = points
    keypoints = xy[::3]
    index = nearest_keypoint(xy, keypoints, reach)
    if len(keypoints):
        distances = cdist(xy.astype(np.float64), keypoints.astype(np.float64))
        np.testing.assert_array_equal(index >= 0, distances.min(axis=1) <= reach)
        moved = index >= 0
        np.testing.assert_allclose(distances[moved, index[moved]], distances[moved].min(axis=1))
    else:
        assert (index == -1).all()


@QUICK
@given(POINTS, st.floats(0.1, 20), st.sampled_from([None, 1, 4]), st.sampled_from([1, 7, 1000]))
def test_suppression_is_the_greedy_one(points, distance, maximum, at_once) -> None:
    xy = points[0].astype(np.float64)
    expected: list[int] = []
    for index, point in enumerate(xy):
        if all(np.hypot(*(point - xy[other])) > distance - SLACK_PX for other in expected):
            expected.append(index)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_keypoints, "BINS_AT_ONCE", at_once)
        found = spread_out(xy, distance, maximum).tolist()
    assert found == expected[:maximum]


@QUICK
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40), st.data())
def test_keypoints_that_are_shared_already_stay(places, data) -> None:
    """Merging what is merged changes nothing: each place, far from the others, holds any number of points."""
    keypoints = np.array(sorted(set(places)), dtype=np.float32).reshape(-1, 2) * 4 + np.float32(0.3)
    counts = data.draw(st.lists(st.integers(1, 4), min_size=len(keypoints), max_size=len(keypoints)))
    xy = np.repeat(keypoints, np.array(counts, dtype=int), axis=0)
    scores = np.linspace(0.1, 3, len(xy), dtype=np.float32)
    once = elect_keypoints(xy, scores, MergeSettings())
    assert {tuple(row) for row in once.xy.tolist()} == {tuple(row) for row in keypoints.tolist()}
    twice = elect_keypoints(once.xy, once.scores, MergeSettings())
    assert {tuple(row) for row in twice.xy.tolist()} == {tuple(row) for row in keypoints.tolist()}


@QUICK
@given(st.lists(st.tuples(st.integers(-1, 6), st.integers(-1, 6), st.sampled_from([0.0, 0.5, 1.0])), max_size=40))
def test_matches_share_no_keypoint_and_the_best_is_taken_first(rows) -> None:
    index0, index1 = (np.array([row[side] for row in rows], dtype=np.int64) for side in (0, 1))
    scores = np.array([row[2] for row in rows], dtype=np.float32)
    found = [(int(index0[row]), int(index1[row])) for row in one_to_one(index0, index1, scores)]
    expected: list[tuple[int, int]] = []
    for _, first, second in sorted((-score, first, second) for first, second, score in rows):
        if min(first, second) >= 0 and all(first != a and second != b for a, b in expected):
            expected.append((first, second))
    assert found == sorted(expected)


def test_noisy_points_of_one_place_become_its_weighted_mean() -> None:
    xy = np.array([[10, 10], [11, 10], [10.5, 11], [30, 30]], dtype=np.float32)
    found = elect_keypoints(xy, np.array([1, 1, 2, 1], dtype=np.float32), MergeSettings())
    np.testing.assert_allclose(found.xy, [[10.5, 10.5], [30, 30]], atol=1e-6)
    np.testing.assert_allclose(found.scores, [4, 1])


def test_the_best_point_absorbs_those_around_it_first() -> None:
    """Three in a row, 3 px apart: the best one in the middle takes both; the best at an end leaves the other end."""
    xy = np.array([[0, 0], [3, 0], [6, 0]], dtype=np.float32)
    middle = elect_keypoints(xy, np.array([1, 2, 1], dtype=np.float32), MergeSettings(radius_px=4))
    np.testing.assert_allclose(middle.xy, [[3, 0]])
    np.testing.assert_allclose(middle.scores, [4])
    end = elect_keypoints(xy, np.array([3, 1, 2], dtype=np.float32), MergeSettings(radius_px=4))
    assert len(end.xy) == 2 and end.scores.sum() == 6  # every point is in reach of one


@pytest.mark.parametrize("scheme", ["radius", "bins"])
def test_the_most_supported_keypoints_survive_a_limit(scheme: str) -> None:
    xy = np.array([[0, 0], [20, 0], [20, 0], [40, 0]], dtype=np.float32)
    chosen = MergeSettings(scheme=scheme, max_keypoints=2)
    found = elect_keypoints(xy, np.array([1, 2, 2, 3], dtype=np.float32), chosen)
    np.testing.assert_array_equal(found.xy, [[20, 0], [40, 0]])


def test_distances_grow_with_images_that_the_method_shrinks() -> None:
    chosen = MergeSettings(radius_px=5, cell_px=4, bin_px=1, max_error_px=2, longer_side_px=500)
    large = chosen.at_size((1000, 1500))
    assert (large.radius_px, large.cell_px, large.bin_px, large.max_error_px) == (15, 12, 3, 6)
    assert large.at_size((3000, 3000)) == large
    small = chosen.at_size((400, 300))  # seen as it is
    assert (small.cell_px, small.bin_px, small.max_error_px) == (4, 1, 2)
    xy, scores = np.random.default_rng(0).random((300, 2), np.float32) * 100, np.ones(300, np.float32)
    found, tripled = elect_keypoints(xy, scores, small), elect_keypoints(xy * 3, scores, large)
    assert len(found) == len(tripled) > 50
    np.testing.assert_allclose(tripled.xy, found.xy * 3, rtol=1e-5)


def test_no_points_give_no_keypoints() -> None:
    found = elect_keypoints(np.zeros((0, 2), np.float32), np.zeros(0, np.float32), MergeSettings())
    assert (found.xy.shape, found.scores.shape) == ((0, 2), (0,))
    none = np.zeros(0, dtype=np.int64)
    assert len(one_to_one(none, none, np.zeros(0, np.float32))) == 0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"scheme": "cells"}, "radius, bins, quantize"),
        ({"radius_px": 0}, "radius_px"),
        ({"quantize_cell_px": -1}, "quantize_cell_px"),
        ({"bin_px": 3.0}, "bin_px 3 is more than max_error_px 2"),
        ({"max_error_px": 0}, "max_error_px must be a number"),
        ({"max_keypoints": 0}, "max_keypoints"),
        ({"query_points": "all"}, "raw, merged"),
        ({"cell_px": -1}, "cell_px"),
        ({"min_matches": -1}, "min_matches"),
        ({"longer_side_px": 0}, "longer_side_px"),
    ],
)
def test_impossible_settings_are_refused(values, words) -> None:
    with pytest.raises(SettingsError, match=words):
        MergeSettings(**values)
