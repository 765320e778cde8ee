"""Matching accuracy by numbers one can count."""

import numpy as np
import pytest

from trigpoint.errors import EmptyResultError, ShapeError
from trigpoint.evaluation.hpatches import (
    MatchingAccuracy,
    SequenceErrors,
    root_descriptors,
    sequence_errors,
    strongest_features,
    weighted_score,
)
from trigpoint.geometry.homography import apply_homography, transfer_errors_px
from trigpoint.geometry.metrics import share_within
from trigpoint.types import Features

SHIFT = np.array([[1.0, 0, 10], [0, 1, 5], [0, 0, 1]])


def features(xy: list[list[float]]) -> Features:
    keypoints = np.array(xy, dtype=np.float32).reshape(-1, 2)
    scores = np.arange(len(keypoints), dtype=np.float32)
    return Features(keypoints, np.ones((len(keypoints), 4), dtype=np.float32), scores, (100, 80))


def in_order(features0: Features, features1: Features) -> np.ndarray:
    count = min(len(features0), len(features1))
    return np.stack([np.arange(count)] * 2, axis=1)


def test_points_go_through_a_homography() -> None:
    perspective = np.array([[1, 0, 0], [0, 1, 0], [0.1, 0, 1]])
    mapped = apply_homography(np.array([[10.0, 4.0], [-10.0, 4.0]]), perspective)
    np.testing.assert_allclose(mapped[0], [5, 2])
    assert np.isinf(mapped[1]).all()
    assert transfer_errors_px(np.array([[1.0, 1.0]]), np.array([[14.0, 10.0]]), SHIFT).tolist() == [5.0]
    with pytest.raises(ShapeError):
        transfer_errors_px(np.zeros((2, 2)), np.zeros((3, 2)), SHIFT)


def test_share_counts_the_threshold_itself() -> None:
    assert share_within(np.array([1.0, 2.0, 2.5, 9.0]), (1, 2, 3)).tolist() == [0.25, 0.5, 0.75]
    assert share_within(np.zeros(0), (1, 2)).tolist() == [0, 0]


def test_means_are_over_pairs_and_empty_pairs_count_as_nothing() -> None:
    sequences = (
        SequenceErrors("i_a", (3, 4, 5), (np.array([0.5, 0.5, 0.5, 20.0]), np.zeros(0))),
        SequenceErrors("v_b", (1, 1), (np.array([1.5]),)),
    )
    accuracy = MatchingAccuracy(sequences)
    assert accuracy.mean()[:2] == pytest.approx([0.25, 1.75 / 3])
    assert accuracy.mean("illumination")[0] == pytest.approx(0.375)
    assert accuracy.num_matches("illumination").tolist() == [4, 0]
    summary = accuracy.summary()
    assert summary["features"] == {"mean": pytest.approx(2.8), "min": 1, "max": 5}
    assert summary["viewpoint"]["pairs"] == 1  # type: ignore[index]
    with pytest.raises(EmptyResultError, match="viewpoint"):
        MatchingAccuracy(sequences[:1]).mean("viewpoint")
    assert "viewpoint" not in MatchingAccuracy(sequences[:1]).summary()


def test_errors_of_a_sequence() -> None:
    first, moved = features([[0, 0], [20, 20]]), features([[10, 5], [30, 28]])
    errors = sequence_errors("v_x", [first, moved, features([])], [SHIFT, SHIFT], in_order)
    assert errors.num_features == (2, 2, 0)
    assert [values.tolist() for values in errors.errors_px] == [[0, 3], []]
    with pytest.raises(ShapeError, match="v_x: 2 images need 1 homographies"):
        sequence_errors("v_x", [first, moved], [SHIFT, SHIFT], in_order)


def test_score_weighs_small_thresholds_more() -> None:
    assert weighted_score(np.ones(15)) == pytest.approx(1)
    only = np.zeros(15)
    only[0] = 1
    assert weighted_score(only) == pytest.approx(1.9 / 14.5)


def test_strongest_features_and_root() -> None:
    best = strongest_features(features([[0, 0], [1, 1], [2, 2]]), 2)
    assert best.keypoints.tolist() == [[2, 2], [1, 1]] and len(best.descriptors) == 2
    np.testing.assert_allclose(root_descriptors(np.array([[1.0, 3.0], [0, 0]])), [[0.5, 0.75**0.5], [0, 0]], atol=1e-7)
