"""Registration of further images in a fixed model by COLMAP's incremental mapper."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.storage.colmap.databases import open_database, transaction, write_camera, write_image
from trigpoint.storage.colmap.library import load, seeded
from trigpoint.storage.colmap.values import from_rigid3d, to_colmap_camera
from trigpoint.types import Camera, Pose

pycolmap: Any = load()


@dataclass(frozen=True)
class NewImage:
    """An image to register.

    Attributes:
        name, camera: of the image.
        xy: (N, 2) keypoints in COLMAP's convention.
        matches: name of an image of the model -> (M, 2) verified matches, keypoint here and keypoint there.
        refine: its focal length is only a start, which is estimated and refined with the distortion.
    """

    name: str
    camera: Camera
    xy: np.ndarray
    matches: dict[str, np.ndarray]
    refine: bool = False


def verified_matches(
    cameras: tuple[Any, Any], xy: tuple[np.ndarray, np.ndarray], matches: np.ndarray, options: dict[str, Any], seed: int
) -> np.ndarray:
    """(K, 2) uint32 of (M, 2) matches that fit one two-view geometry, by RANSAC; none if COLMAP finds no geometry.

    Args:
        cameras: pycolmap cameras; those with a known focal length give an essential matrix.
        xy: (N, 2) keypoints of both images in COLMAP's convention.
        matches: keypoint indices.
        options: as TwoViewGeometryOptions takes them.
        seed: of RANSAC.
    """
    chosen = seeded(pycolmap.TwoViewGeometryOptions(options), seed, 1)
    pairs = np.ascontiguousarray(matches, dtype=np.uint32)
    geometry = pycolmap.estimate_two_view_geometry(cameras[0], xy[0], cameras[1], xy[1], pairs, chosen)
    return np.asarray(geometry.inlier_matches, dtype=np.uint32).reshape(-1, 2)


def register_images(
    model: Any, images: Sequence[NewImage], options: dict[str, Any], seed: int
) -> dict[str, tuple[Pose, int]]:
    """Poses and numbers of inliers of the images that could be registered; poses and points of the model stay.

    New images have matches with the model only, never with one another, so their order does not matter.

    Args:
        model: pycolmap.Reconstruction; the new images are added to it.
        images: to register.
        options: as IncrementalMapperOptions takes them.
        seed: of RANSAC.

    Source: COLMAP's image_registrator, which loads a model and calls RegisterNextImage for each image outside of it.
    """
    chosen = seeded(pycolmap.IncrementalMapperOptions(options), seed, 1)
    refinement = {"abs_pose_refine_focal_length": True, "abs_pose_refine_extra_params": True}
    refining = seeded(pycolmap.IncrementalMapperOptions({**options, **refinement}), seed, 1)
    with tempfile.TemporaryDirectory(prefix="trigpoint-register-") as folder:
        path = Path(folder) / "database.db"
        with open_database(path) as database, transaction(database):
            ids = _write_model(database, model)
            first = 1 + max([*model.images, *model.cameras, *model.frames, *model.rigs])
            numbers = {image.name: first + index for index, image in enumerate(images)}
            for image in images:
                _write_new(database, image, numbers[image.name], ids)
        with open_database(path) as database:
            cache = pycolmap.DatabaseCache.create(database, pycolmap.DatabaseCacheOptions(load_all_images=True))
        mapper = pycolmap.IncrementalMapper(cache)
        mapper.begin_reconstruction(model)
        found = {}
        for image in images:
            number = numbers[image.name]
            if mapper.register_next_image(refining if image.refine else chosen, number):
                registered = model.images[number]
                found[image.name] = from_rigid3d(registered.cam_from_world()), int(registered.num_points3D)
        mapper.end_reconstruction(False)
    return found


def _write_model(database: Any, model: Any) -> dict[str, int]:
    """Write cameras, images and keypoints of a model under its own numbers; returns image name -> number.

    The mapper takes the keypoints' places from the model and their number alone from the database. They are zeros here:
    pycolmap has the places one by one, 5 us each, minutes for Aachen.
    """
    for camera in model.cameras.values():
        database.write_camera(camera, use_camera_id=True)
    for rig in model.rigs.values():
        database.write_rig(rig, use_rig_id=True)
    for frame in model.frames.values():
        database.write_frame(frame, use_frame_id=True)
    for image in model.images.values():
        database.write_image(image, use_image_id=True)
        database.write_keypoints(image.image_id, np.zeros((image.num_points2D(), 2), dtype=np.float32))
    return {image.name: image.image_id for image in model.images.values()}


def _write_new(database: Any, image: NewImage, number: int, ids: dict[str, int]) -> None:
    write_camera(database, to_colmap_camera(image.camera, camera_id=number))
    write_image(database, number, image.name, number)
    database.write_keypoints(number, image.xy.astype(np.float32).reshape(-1, 2))
    for name, matches in image.matches.items():
        geometry = pycolmap.TwoViewGeometry(
            config=pycolmap.TwoViewGeometryConfiguration.CALIBRATED,
            inlier_matches=np.ascontiguousarray(matches, dtype=np.uint32),
        )
        database.write_two_view_geometry(number, ids[name], geometry)
