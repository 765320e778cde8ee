"""A few image pairs with the keypoints and matches of every run drawn over them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.geometry.pixels import from_colmap
from trigpoint.report.scene import jpeg_address, read_pixels
from trigpoint.storage.colmap import open_database_copy, summarize_database
from trigpoint.types import Dataset

PICTURE_PX = 720  # longer side of a picture in the page
VIEW_HEIGHT = 480.0  # both pictures are drawn with this height
GAP = 8.0  # between them
MAX_LINES = 200  # drawn of each kind of match; the counts beside the picture are of all
MAX_KEYPOINTS = 1500  # drawn of each image

Pair = tuple[str, str]


def choose_pairs(inliers: dict[str, dict[Pair, int]]) -> list[tuple[str, Pair]]:
    """The best, the median and the worst pair by verified matches, averaged over the runs.

    Args:
        inliers: run -> pair -> verified matches, more than zero.

    Returns:
        Up to three different ("best" | "median" | "worst", pair); ties go to the first name.
    """
    totals: dict[Pair, int] = {}
    for counts in inliers.values():
        for (name0, name1), count in counts.items():
            pair = (min(name0, name1), max(name0, name1))
            totals[pair] = totals.get(pair, 0) + count
    ranked = sorted(totals, key=lambda pair: (-totals[pair], pair))
    if not ranked:
        return []
    places = {"best": 0, "median": len(ranked) // 2, "worst": len(ranked) - 1}
    chosen: list[tuple[str, Pair]] = []
    for title, place in places.items():
        if ranked[place] not in [pair for _, pair in chosen]:
            chosen.append((title, ranked[place]))
    return chosen


def pair_views(dataset: Dataset, work: Path, runs: Sequence[str]) -> list[dict[str, Any]]:
    """What the page draws: for each chosen pair both pictures, and for each run counts and SVG paths.

    Raises:
        StorageError: a database is missing or damaged.
    """
    databases = {run: work / run / "database.db" for run in runs}
    pairs = choose_pairs({run: summarize_database(path).inliers for run, path in databases.items()})
    sizes = {image.name: image.size for image in dataset.images}
    views = []
    for title, (name0, name1) in pairs:
        pixels = [read_pixels(dataset.image_root, name) for name in (name0, name1)]
        if pixels[0] is None or pixels[1] is None:
            continue
        scales = [VIEW_HEIGHT / sizes[name][1] for name in (name0, name1)]
        widths = [sizes[name][0] * scale for name, scale in zip((name0, name1), scales, strict=True)]
        views.append(
            {
                "title": title,
                "names": [name0, name1],
                "pictures": [jpeg_address(picture, PICTURE_PX, 78) for picture in pixels if picture is not None],
                "widths": [round(width, 1) for width in widths],
                "width": round(sum(widths) + GAP, 1),
                "height": VIEW_HEIGHT,
                "offset": round(widths[0] + GAP, 1),
                "runs": {
                    run: _drawing(path, (name0, name1), scales, widths[0] + GAP) for run, path in databases.items()
                },
            }
        )
    return views


def _drawing(path: Path, pair: Pair, scales: list[float], offset: float) -> dict[str, Any]:
    """Counts of a pair in one run, and the paths of its keypoints, verified and refused matches."""
    keypoints, matches, verified = read_pair(path, pair)
    points = [xy * scale + [shift, 0] for xy, scale, shift in zip(keypoints, scales, (0.0, offset), strict=True)]
    refused = _without(matches, verified)
    return {
        "keypoints": [len(xy) for xy in keypoints],
        "matches": len(matches),
        "inliers": len(verified),
        "keypoint_path": "".join(_dots(_evenly(xy, MAX_KEYPOINTS)) for xy in points),
        "inlier_path": _lines(points, _evenly(verified, MAX_LINES)),
        "outlier_path": _lines(points, _evenly(refused, MAX_LINES)),
    }


def read_pair(path: Path, pair: Pair) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Keypoints (N, 2) of both images in our convention, matches (M, 2) and verified matches (K, 2) of a pair.

    A run that does not know one of the images has no keypoints in it.
    """
    with open_database_copy(path) as database:
        images = {image.name: image.image_id for image in database.read_all_images() if image.name in pair}
        if len(images) < len(pair):
            return [np.zeros((0, 2))] * 2, np.zeros((0, 2), dtype=int), np.zeros((0, 2), dtype=int)
        ids = [images[name] for name in pair]
        keypoints = [from_colmap(np.array(database.read_keypoints(i), dtype=np.float64)[:, :2]) for i in ids]
        matches = np.array(database.read_matches(*ids), dtype=np.int64).reshape(-1, 2)
        geometry = database.read_two_view_geometry(*ids) if database.exists_two_view_geometry(*ids) else None
        inliers = geometry.inlier_matches if geometry is not None else np.zeros((0, 2))
        return keypoints, matches, np.array(inliers, dtype=np.int64).reshape(-1, 2)


def _without(matches: np.ndarray, removed: np.ndarray) -> np.ndarray:
    gone = set(map(tuple, removed.tolist()))
    return np.array([row for row in matches.tolist() if tuple(row) not in gone], dtype=np.int64).reshape(-1, 2)


def _evenly(rows: np.ndarray, maximum: int) -> np.ndarray:
    """At most so many rows, evenly spread over the array."""
    if len(rows) <= maximum:
        return rows
    return rows[np.linspace(0, len(rows) - 1, maximum).round().astype(int)]


def _dots(xy: np.ndarray) -> str:
    return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in xy)


def _lines(points: list[np.ndarray], rows: np.ndarray) -> str:
    ends = np.concatenate([points[0][rows[:, 0]], points[1][rows[:, 1]]], axis=1)
    return "".join(f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" for x0, y0, x1, y1 in ends)
