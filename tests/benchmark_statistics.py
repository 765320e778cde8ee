"""The numbers of the ETH local feature benchmark from a model's bytes and a database's rows, without COLMAP or us."""

import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

SIMPLE_RADIAL, NUM_PARAMS = 2, {0: 3, 1: 4, 2: 4, 3: 5}


class Bytes:
    """A little-endian file, read from its start on."""

    def __init__(self, path: Path) -> None:
        self._data, self._place = path.read_bytes(), 0

    def take(self, code: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{code}", self._data, self._place)
        self._place += struct.calcsize(f"<{code}")
        return values

    def text(self) -> str:
        end = self._data.index(0, self._place)
        found = self._data[self._place : end].decode()
        self._place = end + 1
        return found


def images(path: Path) -> Iterator[tuple[int, str, np.ndarray, np.ndarray, int, np.ndarray]]:
    """Of images.bin: number, name, quaternion, translation, camera, rows x y point."""
    file = Bytes(path)
    for _ in range(file.take("Q")[0]):
        (number,), pose, (camera,) = file.take("I"), np.array(file.take("7d")), file.take("I")
        name = file.text()
        rows = np.array([file.take("ddq") for _ in range(file.take("Q")[0])], dtype=object).reshape(-1, 3)
        yield number, name, pose[:4], pose[4:], camera, rows


def points(path: Path) -> Iterator[tuple[np.ndarray, float, list[tuple[int, int]]]]:
    """Of points3D.bin: position, stored error, track of image and keypoint numbers."""
    file = Bytes(path)
    for _ in range(file.take("Q")[0]):
        _, xyz, _, (error,) = file.take("Q"), np.array(file.take("3d")), file.take("3B"), file.take("d")
        yield xyz, error, [file.take("II") for _ in range(file.take("Q")[0])]


def cameras(path: Path) -> dict[int, tuple[int, tuple[float, ...]]]:
    """Of cameras.bin: number -> model and parameters."""
    file, found = Bytes(path), {}
    for _ in range(file.take("Q")[0]):
        number, model, _, _ = file.take("IiQQ")
        found[number] = (model, file.take(f"{NUM_PARAMS[model]}d"))
    return found


def rotation(quaternion: np.ndarray) -> np.ndarray:
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def statistics(model: Path, database: Path) -> dict[str, Any]:
    """The benchmark's metrics by its definitions, under our names; `registered_names` and `reprojected_px` beside."""
    posed = {number: (rotation(q), t, camera, rows) for number, _, q, t, camera, rows in images(model / "images.bin")}
    intrinsics = cameras(model / "cameras.bin")
    tracks = list(points(model / "points3D.bin"))
    observations = sum(len(track) for _, _, track in tracks)
    with sqlite3.connect(f"file:{database}?immutable=1", uri=True) as connection:
        (rows,) = connection.execute("SELECT COUNT(*) FROM images").fetchone()
        query = "SELECT COUNT(*), SUM(rows) FROM two_view_geometries WHERE rows > 0"
        inlier_pairs, inlier_matches = connection.execute(query).fetchone()

    def distance(xyz: np.ndarray, image: int, keypoint: int) -> float:
        R, t, camera, seen = posed[image]
        x, y, z = R @ xyz + t
        kind, (f, cx, cy, k) = intrinsics[camera]
        assert kind == SIMPLE_RADIAL
        bent = f * (1 + k * (x * x + y * y) / (z * z)) / z
        return float(np.hypot(bent * x + cx - seen[keypoint, 0], bent * y + cy - seen[keypoint, 1]))

    return {
        "images": rows,
        "registered": len(posed),
        "points3D": len(tracks),
        "observations": observations,
        "mean_track_length": observations / len(tracks),
        "mean_observations_per_image": observations / len(posed),
        "mean_reprojection_error_px": float(np.mean([error for _, error, _ in tracks])),
        "inlier_pairs": inlier_pairs,
        "inlier_matches": inlier_matches,
        "registered_names": {
            name: int((rows[:, 2].astype(np.int64) >= 0).sum())
            for _, name, _, _, _, rows in images(model / "images.bin")
        },
        "reprojected_px": float(
            np.mean([np.mean([distance(xyz, *observation) for observation in track]) for xyz, _, track in tracks])
        ),
    }
