"""Pose errors, recall and areas by hand-computable numbers."""

import numpy as np
import pytest

from trigpoint.errors import ShapeError
from trigpoint.geometry.metrics import (
    PoseError,
    absolute_pose_error,
    joint_recall,
    pose_auc,
    recall,
    recall_curve,
    relative_pose_error_deg,
)
from trigpoint.geometry.pose import matrix_from_quaternion
from trigpoint.types import Pose

FAR = PoseError(float("inf"), float("inf"))


def test_area_of_one_error():
    # (0, 0) to (2, 1) is a triangle of area 1, then level to 10: 8; together 9 of 10.
    assert pose_auc([2.0], [10.0]) == pytest.approx([0.9])


def test_area_of_two_errors_one_above_the_threshold():
    # (0, 0) to (1, 0.5): 0.25; level to 5: 2.0; together 2.25 of 5.
    assert pose_auc([1.0, 180.0], [5.0]) == pytest.approx([0.45])


def test_area_counts_an_error_at_the_threshold():
    # (0, 0) to (1, 0.5) to (5, 1): 0.25 + 3.
    assert pose_auc([5.0, 1.0], [5.0]) == pytest.approx([3.25 / 5])


def test_area_of_perfect_and_of_failed_poses():
    assert pose_auc([0.0, 0.0], [1.0, 3.0]) == pytest.approx([1.0, 1.0])
    assert pose_auc([np.inf, 180.0], [1.0, 10.0]) == pytest.approx([0.0, 0.0])
    assert np.isnan(pose_auc([], [1.0])).all()
    with pytest.raises(ShapeError):
        pose_auc([np.nan], [1.0])


def test_recall_includes_the_border_and_counts_failures():
    assert recall([0.25, 0.5, np.inf], 0.25) == pytest.approx(1 / 3)
    assert np.isnan(recall([], 1.0))
    assert joint_recall([PoseError(0.25, 2.0), PoseError(0.1, 3.0), FAR], 0.25, 2.0) == pytest.approx(1 / 3)


def test_recall_curve_ends_at_the_share_of_finite_errors():
    errors, shares = recall_curve([3.0, np.inf, 1.0, np.inf])
    assert errors.tolist() == [1.0, 3.0]
    assert shares.tolist() == [0.25, 0.5]


def test_absolute_error_compares_centres_not_translations():
    half_turn = np.diag([-1.0, -1.0, 1.0])
    truth = Pose(np.eye(3), np.array([-1.0, 0.0, 0.0]))  # centre (1, 0, 0)
    estimate = Pose(half_turn, half_turn @ np.array([-1.0, 0.0, 2.0]))  # centre (1, 0, -2)
    error = absolute_pose_error(estimate, truth)
    assert error.position == pytest.approx(2.0)
    assert error.rotation_deg == pytest.approx(180.0)


def test_relative_error_is_the_larger_one():
    ten = matrix_from_quaternion([np.cos(np.radians(5)), 0, np.sin(np.radians(5)), 0])
    truth = Pose(np.eye(3), np.array([1.0, 0.0, 0.0]))
    assert relative_pose_error_deg(Pose(ten, np.array([5.0, 0, 0])), truth) == pytest.approx(10)
    assert relative_pose_error_deg(Pose(ten, np.array([1.0, 1.0, 0])), truth) == pytest.approx(45)
    opposite = Pose(ten, np.array([-1.0, 0, 0]))
    assert relative_pose_error_deg(opposite, truth) == pytest.approx(180)
    assert relative_pose_error_deg(opposite, truth, ignore_sign=True) == pytest.approx(10)


def test_baseline_of_zero_counts_rotation_only_in_the_truth():
    still, moved = Pose(np.eye(3), np.zeros(3)), Pose(np.eye(3), np.array([0.0, 1.0, 0.0]))
    assert relative_pose_error_deg(moved, still) == 0
    assert relative_pose_error_deg(still, moved) == 180


def test_errors_equal_the_image_matching_benchmark(shared):
    golden = np.load(shared / "golden" / "disk" / "imw_metrics.npz", allow_pickle=False)
    for R_gt, t_gt, R, t, err_q, err_t in zip(
        *(golden[key] for key in ("R_gt", "t_gt", "R_est", "t_est", "err_q_rad", "err_t_rad")), strict=True
    ):
        error = relative_pose_error_deg(Pose(R, t), Pose(R_gt, t_gt), ignore_sign=True)
        # the benchmark floors 1 - cos^2 at 1e-15, which shows as 1e-7 rad at zero error
        assert np.radians(error) == pytest.approx(max(err_q, err_t), abs=2e-7)
