"""The matcher around the kernel."""

import numpy as np
import pytest

from trigpoint.errors import SettingsError
from trigpoint.matching.base import create_matcher
from trigpoint.types import Features


def features(descriptors: np.ndarray) -> Features:
    num = len(descriptors)
    return Features(np.zeros((num, 2), np.float32), descriptors, np.zeros(num, np.float32), (10, 10))


def unit(num: int, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal((num, 32)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_permuted_descriptors_find_each_other(dtype: type) -> None:
    order = np.random.default_rng(1).permutation(50)
    descriptors = unit(50, 0)
    matches = create_matcher("mutual_nn", {"ratio": 0.8}).match(
        features(descriptors.astype(dtype)), features(descriptors[order].astype(dtype))
    )
    np.testing.assert_array_equal(order[matches.indices[:, 1]], matches.indices[:, 0])
    assert len(matches) == 50 and matches.indices.dtype == np.int32
    np.testing.assert_allclose(matches.scores, 1, atol=1e-2)


def test_settings_reach_the_tests() -> None:
    first, second = features(unit(40, 0)), features(unit(60, 1))
    everything = len(create_matcher("mutual_nn", {}).match(first, second))
    assert 0 < len(create_matcher("mutual_nn", {"ratio": 0.95}).match(first, second)) < everything
    assert (
        0
        < len(create_matcher("mutual_nn", {"distance": "angle", "max_distance": 1.0}).match(first, second))
        < everything
    )


def test_the_ratio_of_the_first_side_alone_is_the_one_of_the_eth_benchmark() -> None:
    desc0, desc1 = unit(40, 0), np.concatenate([unit(40, 0) + 0.08 * unit(40, 7), unit(20, 8)]).astype(np.float32)
    desc1 /= np.linalg.norm(desc1, axis=1, keepdims=True)
    rivals = desc1[:10] + 0.09 * unit(10, 9)  # in image 0: they spoil the ratio of side 1 only
    desc0 = np.concatenate([desc0, rivals / np.linalg.norm(rivals, axis=1, keepdims=True)])
    distances = np.linalg.norm(desc0[:, None] - desc1[None], axis=2)
    nearest0, nearest1 = distances.argmin(axis=1), distances.argmin(axis=0)
    two = np.sort(distances, axis=1)[:, :2]
    expected = [
        (row, int(column))
        for row, column in enumerate(nearest0)
        if nearest1[column] == row and two[row, 0] / two[row, 1] < 0.8
    ]
    settings = {"ratio": 0.8, "ratio_sides": "first"}
    found = create_matcher("mutual_nn", settings).match(features(desc0), features(desc1)).indices
    assert found.tolist() == [list(pair) for pair in expected]
    both = create_matcher("mutual_nn", {"ratio": 0.8}).match(features(desc0), features(desc1)).indices
    assert {tuple(pair) for pair in both.tolist()} < set(expected)
    least = {**settings, "min_matches": len(expected)}
    assert len(create_matcher("mutual_nn", least).match(features(desc0), features(desc1))) == len(expected)
    least["min_matches"] += 1
    assert len(create_matcher("mutual_nn", least).match(features(desc0), features(desc1))) == 0


@pytest.mark.parametrize(
    "values",
    [
        {"ratio": 0.8, "ratio_sides": "second"},
        {"ratio": 0.8, "ratio_sides": "first", "mutual": False},
        {"min_matches": -1},
    ],
)
def test_settings_of_the_ratio_that_make_no_sense_are_refused(values: dict) -> None:
    with pytest.raises(SettingsError, match="mutual_nn: "):
        create_matcher("mutual_nn", values)


def test_without_mutuality_several_keypoints_share_one() -> None:
    ends = unit(2, 2)
    first, second = features(np.repeat(ends[:1], 3, axis=0)), features(ends)
    assert create_matcher("mutual_nn", {"ratio": 0.9}).match(first, second).indices.tolist() == []  # the three tie
    other = features(np.stack([ends[0], unit(1, 3)[0], ends[1]]))
    alone = create_matcher("mutual_nn", {"ratio": 0.9, "mutual": False}).match(features(ends), other)
    assert alone.indices.tolist() == [[0, 0], [1, 2]]
    near = ends[0] + 0.3 * unit(1, 4)[0]
    both = features(np.stack([ends[0], near / np.linalg.norm(near)]))
    alone = create_matcher("mutual_nn", {"ratio": 0.95, "mutual": False}).match(both, second)
    assert alone.indices.tolist() == [[0, 0], [1, 0]]
    assert create_matcher("mutual_nn", {"ratio": 0.95}).match(both, second).indices.tolist() == [[0, 0]]


def test_chunks_matter_only_beyond_the_limit() -> None:
    first, second = features(unit(20, 0)), features(unit(30, 1))
    expected = create_matcher("mutual_nn", {"ratio": 1.0}).match(first, second).indices
    whole = create_matcher("mutual_nn", {"ratio": 1.0, "max_full_matrix": 600}).match(first, second).indices
    np.testing.assert_array_equal(whole, expected)
    assert len(create_matcher("mutual_nn", {"ratio": 1.0, "max_full_matrix": 200}).match(first, second)) > len(expected)


def test_empty_sides_of_any_width_give_no_matches() -> None:
    nothing = features(np.zeros((0, 2), np.float32))
    for pair in ((nothing, features(unit(3, 0))), (features(unit(3, 0)), nothing), (nothing, nothing)):
        matches = create_matcher("mutual_nn", {}).match(*pair)
        assert matches.indices.shape == (0, 2) and matches.scores.shape == (0,)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ratio": 1.2}, "ratio"),
        ({"distance": "cosine"}, "angle"),
        ({"max_distance": -1}, "max_distance"),
        ({"mutual": False}, "there is no ratio"),
        ({"mutual": "no"}, "true or false"),
        ({"max_full_matrix": 0}, "at least 1"),
        ({"max_full_matrix": 10, "mutual": False, "ratio": 0.9}, "DISK's"),
        ({"r": 1}, "known"),
    ],
)
def test_wrong_settings_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        create_matcher("mutual_nn", values)


def test_unknown_matcher_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean 'mutual_nn'"):
        create_matcher("mutual_n", {})


def test_many_pairs_on_several_threads_are_those_of_one_after_the_other() -> None:
    images = {str(seed): features(unit(100 + seed, seed)) for seed in range(6)}
    pairs = [(first, second) for first in images for second in images if first < second]
    matcher = create_matcher("mutual_nn", {"ratio": 0.95}, num_threads=3)
    together = list(matcher.match_pairs(images.__getitem__, pairs))
    assert len(together) == len(pairs)
    for (first, second), matches in zip(pairs, together, strict=True):
        np.testing.assert_array_equal(matches.indices, matcher.match(images[first], images[second]).indices)
