"""COLMAP models (pycolmap.Reconstruction): reading, making, moving, counting."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.errors import StorageError
from trigpoint.storage.colmap.library import UNSET, load, seeded
from trigpoint.storage.colmap.values import from_colmap_camera, from_rigid3d, to_colmap_camera, to_rigid3d
from trigpoint.types import Camera, Pose

pycolmap: Any = load()


def read_model(path: str | os.PathLike[str]) -> Any:
    """The pycolmap.Reconstruction of a directory with a COLMAP model, binary or text.

    Raises:
        StorageError: there is none, or it is damaged.
    """
    folder = Path(path)
    if not any((folder / f"images{suffix}").is_file() for suffix in (".bin", ".txt")):
        raise StorageError(f"{folder}: no COLMAP model (images.bin or images.txt); `trigpoint map` writes one")
    try:
        return pycolmap.Reconstruction(folder)
    except (RuntimeError, ValueError) as error:
        raise StorageError(f"{folder}: damaged COLMAP model ({error}); run `trigpoint map` again") from error


def posed_model(images: list[tuple[int, str, Camera, Pose]]) -> Any:
    """A pycolmap.Reconstruction without points from rows of image number, name, camera and pose."""
    model = pycolmap.Reconstruction()
    camera_ids: dict[Camera, int] = {}
    for image_id, name, camera, pose in images:
        if camera not in camera_ids:
            camera_ids[camera] = len(camera_ids) + 1
            model.add_camera_with_trivial_rig(to_colmap_camera(camera, camera_ids[camera]))
        image = pycolmap.Image(name=name, camera_id=camera_ids[camera], image_id=image_id)
        model.add_image_with_trivial_frame(image, to_rigid3d(pose))
    return model


def align_to_centers(model: Any, names: list[str], centers: np.ndarray, max_error: float, seed: int) -> bool:
    """Move a model by the similarity that takes most images within `max_error` of their (N, 3) centres; RANSAC."""
    ransac = seeded(pycolmap.RANSACOptions(max_error=max_error), seed, 1)
    similarity = pycolmap.align_reconstruction_to_locations(model, names, centers, 3, ransac)
    if similarity is None:
        return False
    model.transform(similarity)
    return True


def registered_images(model: Any) -> dict[str, Any]:
    """Name -> pycolmap.Image of the images with a pose, in the order of their names."""
    images = [model.images[image_id] for image_id in model.reg_image_ids()]
    return {image.name: image for image in sorted(images, key=lambda image: image.name)}


def model_poses(model: Any) -> dict[str, Pose]:
    """cam_from_world of the registered images, by name."""
    return {name: from_rigid3d(image.cam_from_world()) for name, image in registered_images(model).items()}


def model_cameras(model: Any) -> dict[str, Camera]:
    """Cameras of the registered images, by image name."""
    return {name: from_colmap_camera(image.camera) for name, image in registered_images(model).items()}


def observed_points(image: Any) -> np.ndarray:
    """(N,) int64 point number of each keypoint of a model's image, -1 where it observes none."""
    return np.array(
        [point.point3D_id if point.has_point3D() else UNSET for point in image.points2D], dtype=np.int64
    ).reshape(-1)


@dataclass(frozen=True)
class ModelStatistics:
    """Size and fit of a model, as COLMAP counts them; the error is absent where there is no observation."""

    images: int
    points3D: int  # noqa: N815 (COLMAP's word)
    observations: int
    mean_track_length: float
    mean_reprojection_error_px: float | None


def model_statistics(model: Any) -> ModelStatistics:
    """Registered images, points, observations, mean track length and mean reprojection error."""
    observations = int(model.compute_num_observations())
    return ModelStatistics(
        images=int(model.num_reg_images()),
        points3D=int(model.num_points3D()),
        observations=observations,
        mean_track_length=float(model.compute_mean_track_length()) if observations else 0.0,
        mean_reprojection_error_px=float(model.compute_mean_reprojection_error()) if observations else None,
    )
