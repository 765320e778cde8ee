"""What the 3D view draws: points, cameras and thumbnails of all runs in one frame."""

import base64
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from trigpoint.datasets.images import load_image
from trigpoint.errors import ImageError
from trigpoint.evaluation.alignment import world_from_map
from trigpoint.geometry.pose import Sim3, transform_points, transform_pose
from trigpoint.report.charts import split_colors
from trigpoint.storage.colmap import focal_length_px, model_cameras, model_poses, read_model
from trigpoint.storage.json_files import read_json
from trigpoint.storage.poses import read_poses
from trigpoint.types import Camera, Dataset, Pose

MAX_POINTS = 240_000  # of all runs together: 3.6 MB, 4.8 MB in the page
MAX_THUMBNAILS = 300  # 5 kB each
THUMBNAIL_PX = 200  # longer side
JPEG_QUALITY = 68
GUESSED_HALF_ANGLE = 0.5  # tangent of half the field of view of a camera without calibration
INNER_PERCENT = 90  # of the points decide the size of the scene; the rest may be far outliers
LEAST_SPREAD = 0.05  # of the cameras' x axes in their second direction, squared; below, they do not tell what is level
LEAST_AGREEMENT = 0.8  # cosine between two guesses of up
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunScene:
    """One run in its own world.

    Attributes:
        points: (N, 3) float64.
        colors: (N, 3) uint8 RGB.
        total_points: of the model; N may be less.
        poses: cam_from_world of map images and localized queries by name.
        cameras: calibration by name, where known.
        truth_from_run: takes the run's world into that of the ground truth; None if unknown.
    """

    points: np.ndarray
    colors: np.ndarray
    total_points: int
    poses: dict[str, Pose]
    cameras: dict[str, Camera]
    truth_from_run: Sim3 | None


def read_run_scene(folder: Path, dataset: Dataset, max_points: int) -> RunScene:
    """A run's model and query poses; of more than `max_points` points a seeded choice is kept.

    Raises:
        StorageError: the model or mapping.json is missing or damaged.
    """
    model = read_model(folder / "model")
    points = [model.points3D[point_id] for point_id in sorted(model.points3D)]
    if len(points) > max_points:
        chosen = np.random.default_rng(0).choice(len(points), max_points, replace=False)
        points = [points[row] for row in sorted(chosen)]
    poses = model_poses(model)
    aligned = bool(read_json(folder / "mapping.json", "mapping")["aligned_to_reference"])
    truth_from_run = world_from_map(poses, dataset.poses, is_aligned=aligned)
    if (folder / "poses.txt").is_file():
        poses = {**read_poses(folder / "poses.txt"), **poses}
    given = {image.name: image.camera for image in dataset.images if image.camera}
    return RunScene(
        points=np.array([point.xyz for point in points], dtype=np.float64).reshape(-1, 3),
        colors=np.array([point.color for point in points], dtype=np.uint8).reshape(-1, 3),
        total_points=len(model.points3D),
        poses=poses,
        cameras={**given, **model_cameras(model)},
        truth_from_run=truth_from_run,
    )


def scene_data(dataset: Dataset, work: Path, runs: Sequence[str], colors: Sequence[str]) -> dict[str, Any]:
    """What the page's script reads: for each run points (base64 of float32), colours (of uint8) and cameras.

    Runs that can be aligned to the ground truth share one frame with it, so that switching between them compares them;
    the others are centred on their own. Up in the view is the mean of the cameras' up directions.
    """
    scenes = {run: read_run_scene(work / run, dataset, MAX_POINTS // len(runs)) for run in runs}
    shared = next((_aligned(scene) for scene in scenes.values() if scene.truth_from_run), None)
    frame = display_frame(*shared) if shared else None
    splits = sorted({image.split for image in dataset.with_role("query")})
    data: dict[str, Any] = {"runs": [], "truth": [], "splits": split_colors(splits)}
    if frame:
        data["truth"] = camera_rows(dataset, dataset.poses, _given_cameras(dataset), frame)
    for run, color in zip(runs, colors, strict=True):
        data["runs"].append(_run_data(dataset, run, color, scenes[run], frame))
    data["thumbnails"] = thumbnails(dataset, _names_shown(data))
    return data


def _run_data(dataset: Dataset, run: str, color: str, scene: RunScene, frame: Sim3 | None) -> dict[str, Any]:
    if frame and scene.truth_from_run:
        points, poses = _aligned(scene)
    else:
        points, poses = scene.points, scene.poses
        frame = display_frame(points, poses)
    shown = transform_points(frame, points).astype("<f4")
    has_colors = bool(scene.colors.any())
    return {
        "name": run,
        "color": color,
        "aligned": scene.truth_from_run is not None,
        "total_points": scene.total_points,
        "num_points": len(shown),
        "points": base64.b64encode(shown.tobytes()).decode(),
        "colors": base64.b64encode(scene.colors.tobytes()).decode() if has_colors else "",
        "cameras": camera_rows(dataset, poses, scene.cameras, frame),
    }


def _aligned(scene: RunScene) -> tuple[np.ndarray, dict[str, Pose]]:
    assert scene.truth_from_run is not None
    moved = {name: transform_pose(scene.truth_from_run, pose) for name, pose in scene.poses.items()}
    return transform_points(scene.truth_from_run, scene.points), moved


def display_frame(points: np.ndarray, poses: dict[str, Pose]) -> Sim3:
    """view_from_world: y up, the middle of the points at zero, nine tenths of points and all cameras within about 1."""
    centers = np.array([pose.center for pose in poses.values()]).reshape(-1, 3)
    middle = np.median(points, axis=0) if len(points) else centers.mean(axis=0) if len(centers) else np.zeros(3)
    radii = np.linalg.norm(points - middle, axis=1)
    reach = [float(np.percentile(radii, INNER_PERCENT))] if len(radii) else []
    reach += [float(np.percentile(np.linalg.norm(centers - middle, axis=1), INNER_PERCENT))] if len(centers) else []
    scale = 1 / max([*reach, 1e-12])
    rotation = _upright(up_direction(poses))
    return Sim3(scale, rotation, -scale * rotation @ middle)


def up_direction(poses: dict[str, Pose]) -> np.ndarray:
    """(3,) up in the world, of any length; zero for no cameras.

    Photographs are rarely rolled, so up is the direction most at right angles to all cameras' x axes. Where these do
    not span a plane, or this is far from the mean of the cameras' own up directions, it is that mean.
    """
    if not poses:
        return np.zeros(3)
    mean = -np.mean([pose.rotation[1] for pose in poses.values()], axis=0)
    x_axes = np.array([pose.rotation[0] for pose in poses.values()])
    spread, directions = np.linalg.eigh(x_axes.T @ x_axes / len(x_axes))
    up = directions[:, 0] * (1 if directions[:, 0] @ mean > 0 else -1)
    is_plane = spread[1] > LEAST_SPREAD and spread[0] < LEAST_SPREAD * spread[1]
    return up if is_plane and up @ mean > LEAST_AGREEMENT * np.linalg.norm(mean) else mean


def _upright(up: np.ndarray) -> np.ndarray:
    """A rotation that takes `up` to +y; the identity where there is no direction."""
    length = float(np.linalg.norm(up))
    if length < 1e-9:
        return np.eye(3)
    y = up / length
    other = np.eye(3)[int(np.argmin(np.abs(y)))]
    x = np.cross(other, y) / np.linalg.norm(np.cross(other, y))
    return np.array([x, y, np.cross(x, y)])


def camera_rows(
    dataset: Dataset, poses: dict[str, Pose], cameras: dict[str, Camera], frame: Sim3
) -> list[dict[str, Any]]:
    """Centre, world_from_cam rotation (9 numbers, rows) and half angles (tangents) of cameras, in the view's frame."""
    rows = []
    for image in dataset.images:
        if image.name not in poses:
            continue
        pose = transform_pose(frame, poses[image.name])
        camera = cameras.get(image.name)
        width, height = image.size
        tangent = max(width, height) / 2 / focal_length_px(camera) if camera else GUESSED_HALF_ANGLE
        rows.append(
            {
                "name": image.name,
                "role": image.role,
                "split": image.split,
                "center": [round(float(value), 5) for value in pose.center],
                "rotation": [round(float(value), 5) for value in pose.rotation.T.ravel()],
                "half": [
                    round(tangent * width / max(width, height), 4),
                    round(tangent * height / max(width, height), 4),
                ],
            }
        )
    return rows


def _given_cameras(dataset: Dataset) -> dict[str, Camera]:
    return {image.name: image.camera for image in dataset.images if image.camera}


def _names_shown(data: dict[str, Any]) -> list[str]:
    rows = [row for run in data["runs"] for row in run["cameras"]] + data["truth"]
    return sorted({row["name"] for row in rows})


def thumbnails(dataset: Dataset, names: Sequence[str]) -> dict[str, str]:
    """Name -> data address of a small JPEG; of many names every n-th, and none for an image that is gone by now."""
    step = -(-len(names) // MAX_THUMBNAILS) or 1
    pictures = {}
    for name in names[::step]:
        pixels = read_pixels(dataset.image_root, name)
        if pixels is not None:
            pictures[name] = jpeg_address(pixels, THUMBNAIL_PX)
    return pictures


def read_pixels(root: str, name: str) -> np.ndarray | None:
    """(H, W, 3) uint8, or None, with a warning, for an image that can no longer be read: the report goes on without."""
    try:
        return load_image(root, name).pixels
    except ImageError as error:
        _logger.warning("no picture of it in the report: %s", error)
        return None


def jpeg_address(pixels: np.ndarray, longer_side: int, quality: int = JPEG_QUALITY) -> str:
    """A data address of a JPEG, reduced to a longer side; never enlarged."""
    image = PIL.Image.fromarray(pixels)
    image.thumbnail((longer_side, longer_side), PIL.Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
