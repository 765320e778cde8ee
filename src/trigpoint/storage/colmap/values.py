"""Cameras, poses and points as COLMAP has them, and back."""

from typing import Any

import numpy as np

from trigpoint.errors import SettingsError, TrigpointError
from trigpoint.storage.colmap.library import load, seeded
from trigpoint.types import Camera, Pose

pycolmap: Any = load()


def check_camera_model(name: str) -> None:
    """Refuse a name that is no camera model of COLMAP."""
    if name not in pycolmap.CameraModelId.__members__ or name == "INVALID":
        known = ", ".join(sorted(set(pycolmap.CameraModelId.__members__) - {"INVALID"}))
        raise SettingsError(f"camera_model: '{name}' is no camera model of COLMAP; known: {known}")


def to_colmap_camera(camera: Camera, camera_id: int = 1) -> Any:
    """A pycolmap.Camera.

    Raises:
        TrigpointError: unknown model, or a wrong number of parameters.
    """
    check_camera_model(camera.model)
    converted = pycolmap.Camera(
        model=camera.model,
        width=camera.width,
        height=camera.height,
        params=list(camera.params),
        camera_id=camera_id,
        has_prior_focal_length=camera.has_prior_focal_length,
    )
    if not converted.verify_params():
        raise TrigpointError(
            f"camera {camera.model} {camera.width}x{camera.height}: {len(camera.params)} parameters,"
            f" expected {converted.params_info}"
        )
    return converted


def from_colmap_camera(camera: Any) -> Camera:
    """The value of a pycolmap.Camera."""
    return Camera(
        model=camera.model_name,
        width=int(camera.width),
        height=int(camera.height),
        params=tuple(float(value) for value in camera.params),
        has_prior_focal_length=bool(camera.has_prior_focal_length),
    )


def guessed_camera(model: str, focal_length_px: float, size: tuple[int, int], *, has_prior: bool) -> Camera:
    """A camera to start from: principal point in the image centre, no distortion."""
    check_camera_model(model)
    model_id = pycolmap.CameraModelId.__members__[model]
    camera = pycolmap.Camera.create_from_model_id(1, model_id, focal_length_px, *size)
    camera.has_prior_focal_length = has_prior
    return from_colmap_camera(camera)


def focal_length_px(camera: Camera) -> float:
    """Mean of the focal lengths of a camera."""
    return float(to_colmap_camera(camera).mean_focal_length())


def normalized_points(camera: Any, xy: np.ndarray) -> np.ndarray:
    """(N, 2) points on the plane z = 1 of (N, 2) pixels in COLMAP's convention; NaN where there is no such ray."""
    points = camera.cam_from_img(np.asarray(xy, dtype=np.float64).reshape(-1, 2))
    return np.asarray(points, dtype=np.float64).reshape(-1, 2)


def to_rigid3d(pose: Pose) -> Any:
    """A pycolmap.Rigid3d, cam_from_world as here."""
    return pycolmap.Rigid3d(pycolmap.Rotation3d(np.asarray(pose.rotation, dtype=np.float64)), pose.translation)


def from_rigid3d(rigid: Any) -> Pose:
    """The pose of a pycolmap.Rigid3d."""
    return Pose(np.array(rigid.rotation.matrix()), np.array(rigid.translation, dtype=np.float64))


def absolute_pose(
    points2d: np.ndarray,
    points3d: np.ndarray,
    camera: Camera,
    estimation: dict[str, Any],
    refinement: dict[str, Any],
    seed: int,
) -> tuple[Pose, int, Camera] | None:
    """cam_from_world from (M, 2) pixels in COLMAP's convention and their (M, 3) points: LO-RANSAC, then refinement.

    Args:
        points2d: pixels.
        points3d: world positions.
        camera: of the image; its focal length is a start if `estimation` or `refinement` say so.
        estimation: as AbsolutePoseEstimationOptions takes it; one without a seed gets `seed`.
        refinement: as AbsolutePoseRefinementOptions takes it.
        seed: of RANSAC.

    Returns:
        Pose, number of inliers, camera; None if there is no pose.
    """
    own = to_colmap_camera(camera)
    options = seeded(pycolmap.AbsolutePoseEstimationOptions(estimation), seed, 1)
    refine = pycolmap.AbsolutePoseRefinementOptions(refinement)
    answer = pycolmap.estimate_and_refine_absolute_pose(points2d, points3d, own, options, refine)
    if answer is None:
        return None
    return from_rigid3d(answer["cam_from_world"]), int(answer["num_inliers"]), from_colmap_camera(own)
