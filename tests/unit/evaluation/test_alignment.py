"""A map's world in the ground truth's."""

import numpy as np
import pytest

from trigpoint.evaluation.alignment import IDENTITY, robust_similarity, world_from_map
from trigpoint.geometry.pose import Sim3, matrix_from_quaternion, transform_points
from trigpoint.types import Pose

TRUTH = Sim3(2.0, matrix_from_quaternion([1, 2, 3, 4]), np.array([1.0, 2.0, 3.0]))
POINTS = np.random.default_rng(1).normal(size=(12, 3))


def test_one_camera_that_is_wrong_moves_nothing():
    targets = transform_points(TRUTH, POINTS)
    targets += np.random.default_rng(2).normal(size=targets.shape) * 1e-3
    wrong = POINTS.copy()
    wrong[[3, 7]] += [5.0, -9.0, 4.0]
    found = robust_similarity(wrong, targets)
    assert found is not None
    assert found.scale == pytest.approx(TRUTH.scale, rel=3e-3)
    np.testing.assert_allclose(transform_points(found, POINTS), targets, atol=5e-3)


@pytest.mark.parametrize("count", [3, 4, 12])
def test_exact_points_give_the_exact_transform(count):
    found = robust_similarity(POINTS[:count], transform_points(TRUTH, POINTS[:count]))
    assert found is not None
    np.testing.assert_allclose(found.translation, TRUTH.translation, atol=1e-9)


def test_undetermined_transforms_are_none():
    assert robust_similarity(POINTS[:2], POINTS[:2]) is None
    line = np.arange(5.0)[:, None] * [1.0, 2.0, 3.0]
    assert robust_similarity(line, line) is None


def test_an_aligned_map_stays_where_it_is():
    poses = {"a": Pose(np.eye(3), np.zeros(3))}
    assert world_from_map(poses, {}, is_aligned=True) is IDENTITY
    assert world_from_map(poses, poses, is_aligned=False) is None
