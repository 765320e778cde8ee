"""Rotations, poses and similarities by hand-computable numbers."""

import numpy as np
import pytest

from trigpoint.errors import ShapeError
from trigpoint.geometry.pose import (
    Sim3,
    align_poses,
    direction_angle_deg,
    inverse_pose,
    matrix_from_quaternion,
    quaternion_from_matrix,
    relative_pose,
    rotation_angle_deg,
    transform_points,
    transform_pose,
    umeyama,
)
from trigpoint.types import Pose


def about_z(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    return matrix_from_quaternion(rng.normal(size=4))


def test_quaternion_is_w_first():
    half = np.sqrt(0.5)
    np.testing.assert_allclose(matrix_from_quaternion([half, 0, 0, half]), about_z(90), atol=1e-15)
    np.testing.assert_allclose(quaternion_from_matrix(about_z(90)), [half, 0, 0, half], atol=1e-15)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_half_turns_survive_the_round_trip(axis):
    rotation = -np.eye(3)
    rotation[axis, axis] = 1
    np.testing.assert_allclose(matrix_from_quaternion(quaternion_from_matrix(rotation)), rotation, atol=1e-15)


def test_quaternions_survive_the_round_trip():
    rng = np.random.default_rng(0)
    for _ in range(100):
        quaternion = rng.normal(size=4)
        unit = quaternion / np.linalg.norm(quaternion) * (1 if quaternion[0] >= 0 else -1)
        np.testing.assert_allclose(quaternion_from_matrix(matrix_from_quaternion(quaternion)), unit, atol=1e-14)


@pytest.mark.parametrize("bad", [[0, 0, 0, 0], [1, 0, 0], [np.nan, 0, 0, 0]])
def test_quaternion_without_direction_is_refused(bad):
    with pytest.raises(ShapeError):
        matrix_from_quaternion(bad)


def test_rotation_angle_is_exact_near_zero_and_at_half_turn():
    assert rotation_angle_deg(about_z(1e-7)) == pytest.approx(1e-7, rel=1e-6)
    assert rotation_angle_deg(about_z(30), about_z(-15)) == pytest.approx(45)
    assert rotation_angle_deg(about_z(180)) == pytest.approx(180)


def test_direction_angle_with_and_without_sign():
    assert direction_angle_deg([1, 0, 0], [0, 3, 0]) == pytest.approx(90)
    assert direction_angle_deg([1, 0, 0], [-2, 0, 0]) == pytest.approx(180)
    assert direction_angle_deg([1, 0, 0], [-2, 0, 0], ignore_sign=True) == pytest.approx(0)
    assert np.isnan(direction_angle_deg([0, 0, 0], [1, 0, 0]))


def test_relative_pose_takes_camera_0_to_camera_1():
    rng = np.random.default_rng(1)
    pose0 = Pose(random_rotation(rng), rng.normal(size=3))
    pose1 = Pose(random_rotation(rng), rng.normal(size=3))
    x = rng.normal(size=3)
    in_cam0, in_cam1 = pose0.rotation @ x + pose0.translation, pose1.rotation @ x + pose1.translation
    cam1_from_cam0 = relative_pose(pose0, pose1)
    np.testing.assert_allclose(cam1_from_cam0.rotation @ in_cam0 + cam1_from_cam0.translation, in_cam1)
    world = inverse_pose(pose0)
    np.testing.assert_allclose(world.rotation @ in_cam0 + world.translation, x)


def test_umeyama_finds_a_known_similarity():
    rng = np.random.default_rng(2)
    truth = Sim3(2.5, random_rotation(rng), np.array([3.0, -4.0, 5.0]))
    points = rng.normal(size=(7, 3))
    found = umeyama(points, transform_points(truth, points))
    assert found is not None
    assert found.scale == pytest.approx(2.5)
    np.testing.assert_allclose(found.rotation, truth.rotation, atol=1e-12)
    np.testing.assert_allclose(found.translation, truth.translation, atol=1e-12)


def test_umeyama_never_mirrors():
    points = np.random.default_rng(3).normal(size=(20, 3))
    found = umeyama(points, points * [1, 1, -1])
    assert found is not None
    assert np.linalg.det(found.rotation) == pytest.approx(1)


def test_umeyama_of_a_plane_is_determined_and_of_a_line_is_not():
    plane = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0.0]])
    found = umeyama(plane, 2 * plane + 1)
    assert found is not None
    assert found.scale == pytest.approx(2)
    assert umeyama(plane[:2], plane[:2]) is None
    line = np.arange(4)[:, None] * np.array([1.0, 2.0, 3.0])
    assert umeyama(line, line) is None
    with pytest.raises(ShapeError):
        umeyama(plane, plane[:3])


def test_pose_moves_with_its_world():
    rng = np.random.default_rng(4)
    poses = {str(i): Pose(random_rotation(rng), rng.normal(size=3)) for i in range(5)}
    sim3 = Sim3(0.5, random_rotation(rng), rng.normal(size=3))
    moved = {name: transform_pose(sim3, pose) for name, pose in poses.items()}
    x = rng.normal(size=3)
    for name, pose in poses.items():
        np.testing.assert_allclose(moved[name].center, transform_points(sim3, pose.center), atol=1e-12)
        before = pose.rotation @ x + pose.translation
        after = moved[name].rotation @ transform_points(sim3, x) + moved[name].translation
        np.testing.assert_allclose(after, 0.5 * before, atol=1e-12)
    found = align_poses(poses, {**moved, "absent": moved["0"]})
    assert found is not None
    np.testing.assert_allclose(found.translation, sim3.translation, atol=1e-12)
