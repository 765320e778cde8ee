"""Scenes with known truth, made by pycolmap: what tests of every later stage start from, without downloads."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.geometry.pixels import from_colmap
from trigpoint.storage.colmap import load
from trigpoint.storage.dataset import write_dataset
from trigpoint.storage.features import FeatureWriter
from trigpoint.storage.matches import MatchWriter, gather_matches
from trigpoint.storage.pairs import write_pairs
from trigpoint.types import Camera, Dataset, DatasetImage, Features, Matches, Pose

DESCRIPTOR_SIZE = 128
DESCRIPTOR_NOISE = 0.02  # standard deviation of each component; a unit vector's components have 0.09
STRAY_KEYPOINTS = 20  # of each image, belonging to no point


@dataclass(frozen=True)
class SyntheticRun:
    """Files of a synthetic scene up to the matches, and its truth.

    Attributes:
        dataset: dataset.json; `features`, `matches`: HDF5 files; `map_pairs`, `query_pairs`: pair lists.
        images: the image folder; absent if no images were asked for.
        truth: the same dataset as a value, with the poses of map images and queries.
        points: point number -> (3,) position in the world.
        point_of_keypoint: image name -> (N,) point number of each keypoint, -1 for strays.
    """

    dataset: Path
    features: Path
    matches: Path
    map_pairs: Path
    query_pairs: Path
    images: Path
    truth: Dataset
    points: dict[int, np.ndarray]
    point_of_keypoint: dict[str, np.ndarray]


def write_synthetic_run(
    directory: Path,
    num_images: int = 12,
    num_queries: int = 2,
    seed: int = 0,
    *,
    num_points: int = 300,
    with_images: bool = False,
    given_camera: bool = True,
    reference_poses: bool = False,
    noise_px: float = 0.0,
) -> SyntheticRun:
    """Write dataset.json, features.h5, matches.h5 and the pair lists of a scene whose truth is known.

    Cameras stand on a sphere of 5 m around points within a metre and see all of them; every pair of images is listed,
    and matched without an error. Names contain a folder and a blank.

    Args:
        directory: folder to write into; made if absent.
        num_images: map images; `num_queries`: images that are not to be mapped but localized.
        seed: of everything drawn.
        num_points: points of the scene.
        with_images: also draw the images (bright blobs that SIFT finds), 0.05 s each; otherwise there are none.
        given_camera: the dataset gives the calibration; otherwise it has to be estimated.
        reference_poses: the poses of map images may be used, not only evaluated against.
        noise_px: standard deviation of Gaussian noise on the keypoints.
    """
    directory.mkdir(parents=True, exist_ok=True)
    truth = _synthesize(num_images + num_queries, num_points, seed, noise_px)
    names = _rename(truth, num_images)
    run = _describe(directory, truth, names, num_images, given_camera, reference_poses)
    if with_images:
        _draw(truth, run.images)
    write_dataset(run.dataset, run.truth)
    _write_features(run, truth, seed)
    map_names, query_names = names[:num_images], names[num_images:]
    map_pairs = list(itertools.combinations(map_names, 2))
    query_pairs = list(itertools.product(query_names, map_names))
    write_pairs(run.map_pairs, map_pairs)
    write_pairs(run.query_pairs, query_pairs)
    _write_matches(run, [*map_pairs, *query_pairs])
    return run


def _synthesize(num_images: int, num_points: int, seed: int, noise_px: float) -> Any:
    """A pycolmap Reconstruction of one shared camera."""
    pycolmap = load()
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs = 1
    options.num_cameras_per_rig = 1
    options.num_frames_per_rig = num_images
    options.num_points3D = num_points
    options.num_points2D_without_point3D = STRAY_KEYPOINTS
    pycolmap.set_random_seed(seed)
    truth = pycolmap.synthesize_dataset(options)
    if noise_px > 0:
        noise = pycolmap.SyntheticNoiseOptions()
        noise.point2D_stddev = noise_px
        noise.point3D_stddev = 0.0
        noise.rig_from_world_rotation_stddev = 0.0
        noise.rig_from_world_translation_stddev = 0.0
        pycolmap.synthesize_noise(noise, truth)
    return truth


def _rename(truth: Any, num_images: int) -> list[str]:
    """Names with a folder and a blank, in the order of the image numbers; the first `num_images` are map images."""
    names = []
    for index, image_id in enumerate(sorted(truth.images)):
        number = index if index < num_images else index - num_images
        folder = "map" if index < num_images else "query"
        truth.images[image_id].name = f"{folder}/view {number:03d}.png"
        names.append(truth.images[image_id].name)
    return names


def _describe(
    directory: Path, truth: Any, names: list[str], num_images: int, given_camera: bool, reference_poses: bool
) -> SyntheticRun:
    by_name = {image.name: image for image in truth.images.values()}
    (colmap_camera,) = truth.cameras.values()
    size = (int(colmap_camera.width), int(colmap_camera.height))
    camera = Camera(colmap_camera.model_name, *size, tuple(float(value) for value in colmap_camera.params), True)
    images = [
        DatasetImage(
            name=name,
            role="map" if index < num_images else "query",
            size=size,
            split="" if index < num_images else "synthetic",
            camera=camera if given_camera else None,
            camera_group="synthetic",
        )
        for index, name in enumerate(names)
    ]
    poses = {
        name: Pose(image.cam_from_world().rotation.matrix(), np.array(image.cam_from_world().translation))
        for name, image in by_name.items()
    }
    dataset = Dataset(
        id="synthetic",
        layout="photos",
        image_root=str(directory / "images"),
        images=tuple(sorted(images, key=lambda image: image.name)),
        poses=poses,
        pose_unit="metre",
        reference_images=tuple(names[:num_images]) if reference_poses else (),
    )
    point_of_keypoint = {
        name: np.array([point.point3D_id if point.has_point3D() else -1 for point in image.points2D], dtype=np.int64)
        for name, image in by_name.items()
    }
    return SyntheticRun(
        dataset=directory / "dataset.json",
        features=directory / "features.h5",
        matches=directory / "matches.h5",
        map_pairs=directory / "map.txt",
        query_pairs=directory / "query.txt",
        images=directory / "images",
        truth=dataset,
        points={point_id: np.array(point.xyz) for point_id, point in truth.points3D.items()},
        point_of_keypoint=point_of_keypoint,
    )


def _draw(truth: Any, folder: Path) -> None:
    pycolmap = load()
    folder.mkdir(exist_ok=True)
    truth.create_image_dirs(folder)
    pycolmap.synthesize_images(pycolmap.SyntheticImageOptions(), truth, folder)


def _write_features(run: SyntheticRun, truth: Any, seed: int) -> None:
    """Keypoints in our convention; keypoints of one point have descriptors that differ by little."""
    rng = np.random.default_rng(seed)
    of_point = {point_id: _unit(rng.normal(size=DESCRIPTOR_SIZE)) for point_id in sorted(run.points)}
    with FeatureWriter(run.features, {"method": "synthetic", "seed": seed}) as writer:
        for image in sorted(truth.images.values(), key=lambda image: image.name):
            point_ids = run.point_of_keypoint[image.name]
            xy = np.array([point.xy for point in image.points2D], dtype=np.float64)
            descriptors = [
                of_point[point_id] if point_id >= 0 else _unit(rng.normal(size=DESCRIPTOR_SIZE))
                for point_id in point_ids.tolist()
            ]
            noisy = np.array(descriptors) + DESCRIPTOR_NOISE * rng.normal(size=(len(xy), DESCRIPTOR_SIZE))
            features = Features(
                keypoints=from_colmap(xy).astype(np.float32),
                descriptors=(noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32),
                scores=rng.uniform(size=len(xy)).astype(np.float32),
                image_size=(int(image.camera.width), int(image.camera.height)),
            )
            writer.write(image.name, features)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _write_matches(run: SyntheticRun, pairs: list[tuple[str, str]]) -> None:
    """Two keypoints match if they belong to the same point."""
    shard = run.matches.with_name("matches-1-of-1.h5")
    with MatchWriter(shard, {"matcher": "synthetic"}) as writer:
        for name0, name1 in pairs:
            points0, points1 = run.point_of_keypoint[name0], run.point_of_keypoint[name1]
            shared, indices0, indices1 = np.intersect1d(points0, points1, return_indices=True)
            indices = np.stack([indices0, indices1], axis=1)[shared >= 0].astype(np.int32)
            writer.write(name0, name1, Matches(indices, np.ones(len(indices), dtype=np.float32)))
    gather_matches([shard], run.matches)
    shard.unlink()
