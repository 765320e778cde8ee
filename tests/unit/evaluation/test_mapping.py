"""Mapping metrics by hand-computable numbers."""

import itertools

import numpy as np
import pytest

from trigpoint.evaluation.mapping import mapping_metrics, pair_errors_deg, pose_metrics
from trigpoint.geometry.metrics import relative_pose_error_deg
from trigpoint.geometry.pose import Sim3, matrix_from_quaternion, relative_pose, transform_pose
from trigpoint.storage.colmap import DatabaseSummary, ModelStatistics
from trigpoint.types import Dataset, DatasetImage, Pose

NAMES = ("a", "b", "c", "d")
CENTERS = ([0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1])
TRUTH = {name: Pose(np.eye(3), -np.array(center, dtype=float)) for name, center in zip(NAMES, CENTERS, strict=True)}
MAP_WORLD = Sim3(3.0, matrix_from_quaternion([1, 2, 3, 4]), np.array([5.0, 6.0, 7.0]))


def dataset(unit: str = "metre", truth: dict[str, Pose] = TRUTH) -> Dataset:
    images = tuple(DatasetImage(name=name, role="map", size=(640, 480)) for name in NAMES)
    return Dataset(id="x", layout="photos", image_root="", images=images, poses=truth, pose_unit=unit)


def in_map(names: str) -> dict[str, Pose]:
    return {name: transform_pose(MAP_WORLD, TRUTH[name]) for name in names}


def turned(pose: Pose, degrees: float) -> Pose:
    half = np.radians(degrees) / 2
    rotation = matrix_from_quaternion([np.cos(half), 0, 0, np.sin(half)]) @ pose.rotation
    return Pose(rotation, -rotation @ pose.center)


def test_a_perfect_map_in_another_world_has_no_error():
    metrics = pose_metrics(dataset(), in_map("abcd"))
    assert metrics["center_rmse_m"] == pytest.approx(0, abs=1e-9)
    assert metrics["rotation_median_deg"] == pytest.approx(0, abs=1e-6)
    assert metrics["auc_percent"]["1"] == pytest.approx(100, abs=1e-4)


def test_an_unregistered_image_fails_each_of_its_pairs():
    errors = pair_errors_deg(NAMES, in_map("abc"), TRUTH)
    assert sorted(errors)[:3] == pytest.approx([0, 0, 0], abs=1e-5)
    assert sorted(errors)[3:] == [180, 180, 180]
    assert pose_metrics(dataset(), in_map("abc"))["auc_percent"]["10"] == pytest.approx(50, abs=1e-4)


def test_a_turned_camera_spoils_its_pairs_by_its_angle():
    poses = in_map("abcd")
    poses["d"] = turned(poses["d"], 2.0)
    errors = sorted(pair_errors_deg(NAMES, poses, TRUTH))
    assert errors[:3] == pytest.approx([0, 0, 0], abs=1e-5)
    # the direction seen from the turned camera turns at most as far as the camera
    assert errors[3:] == pytest.approx([2, 2, 2], abs=1e-5)


def test_an_opposite_translation_is_not_right_in_a_map():
    poses = {"a": TRUTH["a"], "b": Pose(np.eye(3), np.array([1.0, 0.0, 0.0]))}
    assert pair_errors_deg(("a", "b"), poses, TRUTH) == pytest.approx([180])


def test_all_pairs_at_once_are_each_pair_alone():
    rng = np.random.default_rng(0)
    names = [str(i) for i in range(7)]
    truth = {name: Pose(matrix_from_quaternion(rng.normal(size=4)), rng.normal(size=3)) for name in names}
    truth["6"] = Pose(truth["5"].rotation, truth["5"].translation)  # no baseline between these two
    poses = {name: turned(truth[name], rng.uniform(0, 30)) for name in names if name != "3"}
    alone = [
        relative_pose_error_deg(relative_pose(poses[a], poses[b]), relative_pose(truth[a], truth[b]))
        if "3" not in (a, b)
        else 180
        for a, b in itertools.combinations(names, 2)
    ]
    np.testing.assert_allclose(pair_errors_deg(names, poses, truth), alone, atol=1e-9)
    assert pair_errors_deg([], {}, {}).shape == (0,)


def test_what_is_unknown_is_absent():
    assert "center_rmse_m" not in pose_metrics(dataset("arbitrary"), in_map("abcd"))
    assert "center_rmse_units" in pose_metrics(dataset("arbitrary"), in_map("abcd"))
    assert "center_rmse_m" not in pose_metrics(dataset(), in_map("ab"))
    assert pose_metrics(dataset(truth={}), in_map("abcd")) == {}


@pytest.mark.parametrize(("mapper", "has_errors"), [("incremental", True), ("triangulate", False)])
def test_given_poses_are_no_measurement(mapper, has_errors):
    statistics = ModelStatistics(4, 0, 0, 0.0, None)
    counts = {("a", "b"): 20, ("a", "c"): 0}
    database = DatabaseSummary({}, {}, counts, {("a", "b"): 17})
    metrics = mapping_metrics(dataset(), statistics, in_map("abcd"), {"mapper": mapper}, database)
    assert ("auc_percent" in metrics) == has_errors
    assert (metrics["matched_pairs"], metrics["matches"]) == (1, 20)
    assert (metrics["inlier_pairs"], metrics["inlier_matches"]) == (1, 17)
    assert "mean_track_length" not in metrics
    assert "mean_reprojection_error_px" not in metrics
