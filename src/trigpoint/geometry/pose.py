"""Rotations, poses and similarity transforms."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigpoint.errors import ShapeError
from trigpoint.types import Pose

# Centres whose spread in their second direction is below this share of the first lie on a line.
COLLINEAR_SHARE = 1e-6


@dataclass(frozen=True)
class Sim3:
    """Similarity `x_to = scale * rotation @ x_from + translation`.

    Attributes:
        scale: positive.
        rotation: (3, 3) float64, determinant 1.
        translation: (3,) float64, in the unit of the target.
    """

    scale: float
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]


def matrix_from_quaternion(quaternion: ArrayLike) -> NDArray[np.float64]:
    """Rotation matrix of a quaternion.

    Args:
        quaternion: (4,) w, x, y, z (Hamilton, COLMAP's order in text files); any length but zero.

    Returns:
        (3, 3) float64.

    Raises:
        ShapeError: not four numbers, or all of them zero or not finite.
    """
    values = np.asarray(quaternion, dtype=np.float64)
    if values.shape != (4,):
        raise ShapeError(f"a quaternion has shape (4,), got {values.shape}")
    length = float(np.linalg.norm(values))
    if not np.isfinite(length) or length == 0:
        raise ShapeError(f"quaternion {values.tolist()} has no direction")
    w, x, y, z = values / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_from_matrix(rotation: ArrayLike) -> NDArray[np.float64]:
    """Unit quaternion (4,) w, x, y, z with w >= 0 of a rotation matrix (3, 3).

    Source: Shepperd, "Quaternion from rotation matrix", 1978: the largest component is found first, so no angle is
    unstable.

    Raises:
        ShapeError: not (3, 3).
    """
    R = np.asarray(rotation, dtype=np.float64)
    if R.shape != (3, 3):
        raise ShapeError(f"a rotation matrix has shape (3, 3), got {R.shape}")
    squares = np.array([1 + np.trace(R), *(1 - np.trace(R) + 2 * np.diag(R))])  # 4 w^2, 4 x^2, 4 y^2, 4 z^2
    products = np.array(  # 4 times the product of components i and j, off the diagonal
        [
            [squares[0], R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]],
            [R[2, 1] - R[1, 2], squares[1], R[0, 1] + R[1, 0], R[0, 2] + R[2, 0]],
            [R[0, 2] - R[2, 0], R[0, 1] + R[1, 0], squares[2], R[1, 2] + R[2, 1]],
            [R[1, 0] - R[0, 1], R[0, 2] + R[2, 0], R[1, 2] + R[2, 1], squares[3]],
        ]
    )
    row = products[int(np.argmax(squares))]
    quaternion = row / np.linalg.norm(row)
    return -quaternion if quaternion[0] < 0 else quaternion


def inverse_pose(pose: Pose) -> Pose:
    """The transform in the other direction: world_from_cam of a cam_from_world."""
    return Pose(pose.rotation.T, -pose.rotation.T @ pose.translation)


def relative_pose(cam0_from_world: Pose, cam1_from_world: Pose) -> Pose:
    """cam1_from_cam0 of two poses in one world."""
    rotation = cam1_from_world.rotation @ cam0_from_world.rotation.T
    return Pose(rotation, cam1_from_world.translation - rotation @ cam0_from_world.translation)


def rotation_angle_deg(rotation0: ArrayLike, rotation1: ArrayLike | None = None) -> float:
    """Angle between two rotations (3, 3), or of one; 0 to 180 degrees, exact for small angles too.

    `2 asin(|R0 - R1|_F / (2 sqrt 2))` instead of the arc cosine of the trace, which loses half the digits near zero.
    """
    other = np.eye(3) if rotation1 is None else np.asarray(rotation1, dtype=np.float64)
    chord = np.linalg.norm(np.asarray(rotation0, dtype=np.float64) - other) / (2 * np.sqrt(2))
    return float(np.degrees(2 * np.arcsin(np.clip(chord, 0.0, 1.0))))


def direction_angle_deg(direction0: ArrayLike, direction1: ArrayLike, *, ignore_sign: bool = False) -> float:
    """Angle between two directions (3,), degrees.

    Args:
        direction0: any length.
        direction1: any length.
        ignore_sign: the sign of a translation from an essential matrix is not known before cheirality; then 0 to 90.

    Returns:
        0 to 180 (0 to 90 without sign); NaN if one of them is zero and has no direction.
    """
    a = np.asarray(direction0, dtype=np.float64)
    b = np.asarray(direction1, dtype=np.float64)
    if not a.any() or not b.any():
        return float("nan")
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    cosine = float(a @ b)
    sine = float(np.linalg.norm(np.cross(a, b)))
    return float(np.degrees(np.arctan2(sine, abs(cosine) if ignore_sign else cosine)))


def umeyama(points_from: ArrayLike, points_to: ArrayLike, *, with_scale: bool = True) -> Sim3 | None:
    """Similarity that takes one point set onto another with the least sum of squared distances.

    Args:
        points_from: (N, 3).
        points_to: (N, 3), row i is the partner of row i.
        with_scale: estimate the scale too; otherwise it is 1.

    Returns:
        The transform, or None where it is not determined: fewer than 3 points, or all on one line.

    Raises:
        ShapeError: shapes differ or are not (N, 3).

    Source: Umeyama, PAMI 1991, equations 40 to 42.
    """
    x, y = np.asarray(points_from, dtype=np.float64), np.asarray(points_to, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 2 or x.shape[1] != 3:
        raise ShapeError(f"expected two (N, 3) point sets of one length, got {x.shape} and {y.shape}")
    if len(x) < 3:
        return None
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    U, singular, Vt = np.linalg.svd((y - y_mean).T @ (x - x_mean) / len(x))
    if singular[1] <= COLLINEAR_SHARE * singular[0]:
        return None
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(U) * np.linalg.det(Vt))])
    rotation = U @ np.diag(signs) @ Vt
    variance = np.mean(np.sum((x - x_mean) ** 2, axis=1))
    scale = float((singular * signs).sum() / variance) if with_scale else 1.0
    return Sim3(scale, rotation, y_mean - scale * rotation @ x_mean)


def transform_points(target_from_source: Sim3, points: ArrayLike) -> NDArray[np.float64]:
    """Points (..., 3) of the source world in the target world."""
    moved = target_from_source.scale * np.asarray(points, dtype=np.float64) @ target_from_source.rotation.T
    return moved + target_from_source.translation


def transform_pose(target_from_source: Sim3, cam_from_source: Pose) -> Pose:
    """cam_from_target of a camera whose centre and axes move with the world; its frame takes the target's unit."""
    rotation = cam_from_source.rotation @ target_from_source.rotation.T
    return Pose(rotation, -rotation @ transform_points(target_from_source, cam_from_source.center))


def align_poses(poses: dict[str, Pose], target_poses: dict[str, Pose]) -> Sim3 | None:
    """target_from_source from the camera centres of the names that both hold, sorted; None as in `umeyama`."""
    names = sorted(poses.keys() & target_poses.keys())
    centers = np.array([poses[name].center for name in names]).reshape(-1, 3)
    targets = np.array([target_poses[name].center for name in names]).reshape(-1, 3)
    return umeyama(centers, targets)
