"""The Image Matching Benchmark's measures against its own code's numbers."""

from pathlib import Path

import numpy as np
import pytest

from trigpoint.errors import ShapeError
from trigpoint.evaluation.imw import (
    FAILED_RAD,
    REPEATABILITY_PX,
    essential_error_rad,
    mean_average_accuracy,
    pose_error_rad,
    repeatability,
    symmetric_epipolar_error,
    transfer_by_depth,
)
from trigpoint.geometry.pose import inverse_pose
from trigpoint.types import Pose

EXACT = {"rtol": 1e-6, "atol": 1e-6}  # of the acceptance list


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, np.ndarray]:
    return dict(np.load(shared / "golden/disk/imw_metrics.npz"))


@pytest.fixture(scope="module")
def pose(golden: dict[str, np.ndarray]) -> Pose:
    return Pose(golden["dR"], golden["dT"][:, 0])


def normalized(xy: np.ndarray, K: np.ndarray) -> np.ndarray:
    return (xy - K[:2, 2]) / [K[0, 0], K[1, 1]]


def test_pose_errors_agree(golden: dict[str, np.ndarray]) -> None:
    rows = zip(*(golden[key] for key in ("R_est", "t_est", "R_gt", "t_gt")), strict=True)
    errors = np.array([pose_error_rad(Pose(R, t), Pose(R_gt, t_gt)) for R, t, R_gt, t_gt in rows])
    np.testing.assert_allclose(errors[:, 0], golden["err_q_rad"], **EXACT)
    np.testing.assert_allclose(errors[:, 1], golden["err_t_rad"], **EXACT)


def test_mean_average_accuracy_agrees_and_counts_failures(golden: dict[str, np.ndarray]) -> None:
    found = mean_average_accuracy(golden["pair_err_rad"])
    np.testing.assert_allclose(found.shares, golden["qt_01_10"], **EXACT)
    np.testing.assert_allclose([found.at_5, found.at_10], [golden["qt_auc_05"], golden["qt_auc_10"]], **EXACT)
    assert np.isinf(golden["pair_err_rad"]).any()


def test_an_error_of_ten_degrees_counts_and_more_does_not() -> None:
    errors = np.radians([[10.0, 0], [0, 10.0001], [0.5, 0.2], [np.inf, np.inf]])
    errors[0] = np.radians(10.0)
    assert mean_average_accuracy(errors).shares.tolist() == [0.25, 0, 0, 0, 0, 0, 0, 0, 0, 0.25]
    with pytest.raises(ShapeError, match="N > 0"):
        mean_average_accuracy(np.zeros((0, 2)))


def test_transfer_and_distances_agree(golden: dict[str, np.ndarray], pose: Pose) -> None:
    K0, K1 = golden["K1"], golden["K2"]
    there = transfer_by_depth(golden["kp1"], golden["depth1"][:, 0], K0, K1, pose)
    back = transfer_by_depth(golden["kp2"], golden["depth2"][:, 0], K1, K0, inverse_pose(pose))
    np.testing.assert_allclose(there, golden["kp1_in_2"], **EXACT)
    np.testing.assert_allclose(back, golden["kp2_in_1"], **EXACT)
    # the benchmark's "true symmetric" error is the one in the first image alone
    np.testing.assert_allclose(np.linalg.norm(back - golden["kp1"], axis=1), golden["truesym"], **EXACT)
    assert list(REPEATABILITY_PX) == golden["repeat_th"].tolist()
    np.testing.assert_allclose(repeatability(there, golden["kp2"]), golden["repeatability"], **EXACT)


def test_epipolar_errors_agree(golden: dict[str, np.ndarray]) -> None:
    x0, x1 = normalized(golden["kp1"], golden["K1"]), normalized(golden["kp2"], golden["K2"])
    from trigpoint.geometry.epipolar import essential_matrix

    E = essential_matrix(Pose(golden["dR"], golden["dT"][:, 0]))
    np.testing.assert_allclose(symmetric_epipolar_error(x0, x1, E), golden["episym"], **EXACT)


def test_the_essential_matrix_gives_the_pose_back(golden: dict[str, np.ndarray], pose: Pose) -> None:
    x0, x1 = normalized(golden["kp1"], golden["K1"]), normalized(golden["kp2"], golden["K2"])
    np.testing.assert_allclose(essential_error_rad(golden["E"], x0, x1, pose), golden["E_err"], **EXACT)
    assert essential_error_rad(golden["E"], x0[:4], x1[:4], pose) == FAILED_RAD


def test_no_points_and_no_detections() -> None:
    assert np.isnan(repeatability(np.zeros((0, 2)), np.zeros((3, 2)), [1, 2])).all()
    assert repeatability(np.zeros((3, 2)), np.zeros((0, 2)), [1, 2]).tolist() == [0, 0]
