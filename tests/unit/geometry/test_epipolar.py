"""Epipolar distances by hand-computable numbers."""

import numpy as np
import pytest

from trigpoint.errors import ShapeError
from trigpoint.geometry.epipolar import epipolar_distance_px, essential_matrix, fundamental_matrix, sampson_distance_px
from trigpoint.geometry.pose import matrix_from_quaternion
from trigpoint.types import Pose

# Camera 1 moved along x: lines are rows, so the distance is the difference in y.
SIDEWAYS = essential_matrix(Pose(np.eye(3), np.array([1.0, 0.0, 0.0])))


def test_distance_of_a_sideways_move_is_the_difference_of_rows():
    xy0 = np.array([[0.0, 0.0], [5.0, 2.0]])
    xy1 = np.array([[9.0, 3.0], [1.0, 2.0]])
    np.testing.assert_allclose(epipolar_distance_px(xy0, xy1, SIDEWAYS), [3.0, 0.0])
    np.testing.assert_allclose(sampson_distance_px(xy0, xy1, SIDEWAYS), [3.0 / np.sqrt(2), 0.0])


def test_epipole_has_no_line():
    forward = essential_matrix(Pose(np.eye(3), np.array([0.0, 0.0, 1.0])))
    assert np.isnan(epipolar_distance_px(np.zeros((1, 2)), np.ones((1, 2)), forward)).all()


def test_projections_of_one_point_fulfil_the_constraint():
    K0, K1 = np.diag([500.0, 520.0, 1.0]), np.array([[450.0, 0, 320], [0, 460, 240], [0, 0, 1]])
    cam1_from_cam0 = Pose(matrix_from_quaternion([1, 0.1, -0.2, 0.05]), np.array([0.3, -0.1, 0.2]))
    x = np.random.default_rng(0).uniform([-1, -1, 4], [1, 1, 8], size=(10, 3))
    x1 = x @ cam1_from_cam0.rotation.T + cam1_from_cam0.translation
    xy0 = (x / x[:, 2:] @ K0.T)[:, :2]
    xy1 = (x1 / x1[:, 2:] @ K1.T)[:, :2]
    F = fundamental_matrix(cam1_from_cam0, K0, K1)
    np.testing.assert_allclose(epipolar_distance_px(xy0, xy1, F), 0, atol=1e-9)
    assert epipolar_distance_px(np.zeros((0, 2)), np.zeros((0, 2)), F).shape == (0,)


def test_different_lengths_are_refused():
    with pytest.raises(ShapeError):
        epipolar_distance_px(np.zeros((2, 2)), np.zeros((3, 2)), SIDEWAYS)
