"""The frame of the 3D view."""

import numpy as np
import pytest

from trigpoint.geometry.pose import matrix_from_quaternion, transform_points
from trigpoint.report.scene import display_frame, jpeg_address, up_direction
from trigpoint.types import Pose

UP = np.array([0.0, 0.6, 0.8])


def level_camera(degrees: float, tilt: float) -> Pose:
    """A camera without roll in a world whose up is UP: turned about UP, tilted about its own x axis."""
    side = np.array([1.0, 0.0, 0.0])
    ahead = np.cross(UP, side)
    angle = np.radians(degrees)
    x = np.cos(angle) * side + np.sin(angle) * ahead
    level = np.array([x, -UP, np.cross(x, -UP)])
    half = np.radians(tilt) / 2
    rotation = matrix_from_quaternion([np.cos(half), np.sin(half), 0, 0]) @ level
    return Pose(rotation, -rotation @ (3 * x))


def test_up_is_level_although_all_cameras_look_down():
    poses = {str(i): level_camera(40.0 * i, 25.0) for i in range(4)}
    up = up_direction(poses)
    assert up @ UP / np.linalg.norm(up) == pytest.approx(1)


def test_parallel_cameras_take_the_mean_of_their_own_up():
    up = up_direction({"a": level_camera(0, 0), "b": level_camera(0, 0)})
    np.testing.assert_allclose(up, UP, atol=1e-12)
    assert not up_direction({}).any()


def test_frame_puts_up_along_y_and_scales_to_one():
    poses = {str(i): level_camera(40.0 * i, 10.0) for i in range(9)}
    points = np.random.default_rng(0).normal(size=(50, 3)) * 0.2
    frame = display_frame(points, poses)
    np.testing.assert_allclose(frame.rotation @ UP, [0, 1, 0], atol=1e-9)
    centers = transform_points(frame, np.array([pose.center for pose in poses.values()]))
    assert 0.8 < np.linalg.norm(centers, axis=1).max() < 1.2
    assert display_frame(np.zeros((0, 3)), {}).scale > 0


def test_pictures_are_reduced_and_never_enlarged():
    small = jpeg_address(np.zeros((10, 10, 3), dtype=np.uint8), 200)
    large = jpeg_address(np.random.default_rng(0).integers(0, 255, (900, 900, 3), dtype=np.uint8), 200)
    assert small.startswith("data:image/jpeg;base64,")
    assert len(small) < len(large) < 60_000
