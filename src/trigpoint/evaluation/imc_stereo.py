"""Stereo task of the Image Matching Challenge: one pose a pair, from the matches of a run and the true intrinsics.

Source: Jin et al., "Image Matching across Wide Baselines", IJCV 2021, Sections 3.2 and 3.3; measures in `imw.py`.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigpoint.datasets.imc import covisible_pairs, read_depth, scene_of
from trigpoint.evaluation.imc_settings import ImcSettings
from trigpoint.evaluation.imw import (
    FAILED_RAD,
    REPEATABILITY_PX,
    mean_average_accuracy,
    pose_error_rad,
    repeatability,
    transfer_by_depth,
)
from trigpoint.evaluation.run_matches import Pair, RunMatches
from trigpoint.evaluation.two_view import ESTIMATORS, Ransac, View, estimate_two_view
from trigpoint.geometry.pixels import HALF_PIXEL
from trigpoint.geometry.pose import inverse_pose, relative_pose
from trigpoint.log import progress
from trigpoint.storage import colmap
from trigpoint.types import Camera, Dataset, Pose

DEPTH_MAPS_KEPT = 16  # of one scene, some 4 MB each
Row = dict[str, Any]


def stereo_metrics(
    dataset: Dataset, scenes: Sequence[str], settings: ImcSettings, matches: RunMatches
) -> tuple[dict[str, Any], list[Row]]:
    """mAA over the pairs with enough co-visibility, by scene, and its mean; a row for each pair.

    A pair without a pose, or with an image that cannot be used, counts with an infinite error. Where there are depth
    maps: `repeatability_percent` of the keypoints, mean of both directions, and `matching_score_percent`, the share of
    matches whose true position in the first image is nearer than each number of pixels.
    """
    rows: list[Row] = []
    found: dict[str, Any] = {}
    for scene in scenes:
        pairs = covisible_pairs(Path(dataset.image_root), scene, settings.covisibility)
        measured = _Scene(dataset, settings, matches)
        own = [measured.row(pair) for pair in progress(pairs, f"pairs of {scene}")]
        found[scene] = _summary(own, settings.repetitions)
        rows += own
    head = {
        "estimator": ESTIMATORS[settings.estimator].label,
        "model": ESTIMATORS[settings.estimator].model,
        "threshold_px": settings.threshold_px,
        "confidence": settings.confidence,
        "max_iterations": settings.max_iterations,
        "seed": settings.seed,
        "repetitions": settings.repetitions,
        "covisibility": settings.covisibility,
        "intrinsics": "given",
    }
    return {**head, "scenes": found}, rows


class _Scene:
    """Measures pairs; keeps the depth maps it read last."""

    def __init__(self, dataset: Dataset, settings: ImcSettings, matches: RunMatches) -> None:
        self.settings, self.matches, self.poses = settings, matches, dataset.poses
        self.cameras = {image.name: image.camera for image in dataset.images if image.camera is not None}
        root = Path(dataset.image_root)
        self.depth = lru_cache(maxsize=DEPTH_MAPS_KEPT)(lambda name: read_depth(root, name))

    def row(self, pair: Pair) -> Row:
        """Errors, radians, of the repetitions, and what else is known of a pair."""
        row: Row = {"scene": scene_of(pair[0]), "image0": pair[0], "image1": pair[1]}
        if any(name not in self.cameras for name in pair):  # an image that cannot be used
            return row | {"matches": 0, "errors_rad": [FAILED_RAD] * self.settings.repetitions}
        truth = relative_pose(self.poses[pair[0]], self.poses[pair[1]])
        xy = self.matches.read(*pair).xy
        views = View(xy[:, :2], self.cameras[pair[0]]), View(xy[:, 2:], self.cameras[pair[1]])
        estimates = [
            estimate_two_view(self.settings.estimator, *views, self._ransac(number))
            for number in range(self.settings.repetitions)
        ]
        row |= {
            "matches": len(xy),
            "inliers": float(np.mean([found.num_inliers if found else 0 for found in estimates])),
            "errors_rad": [pose_error_rad(found.pose, truth) if found else FAILED_RAD for found in estimates],
            "failed": sum(found is None for found in estimates) / len(estimates),
        }
        counts = [count for name in pair if (count := self.matches.num_features(name)) is not None]
        row |= {"keypoints": float(np.mean(counts))} if counts else {}
        return row | self._by_depth(pair, xy, truth)

    def _ransac(self, repetition: int) -> Ransac:
        return Ransac(
            threshold_px=self.settings.threshold_px,
            confidence=self.settings.confidence,
            max_iterations=self.settings.max_iterations,
            seed=self.settings.seed + repetition,
        )

    def _by_depth(self, pair: Pair, xy: NDArray[np.float64], truth: Pose) -> Row:
        """Repeatability and matching score; empty without depth maps."""
        depths = [self.depth(name) for name in pair]
        if any(depth is None for depth in depths):
            return {}
        both = zip(depths, (xy[:, :2], xy[:, 2:]), strict=True)
        known = [sample_depth(depth, points) for depth, points in both if depth is not None]
        usable = (known[0] > 0) & (known[1] > 0)
        row: Row = {"matches_with_depth": int(usable.sum())}
        if usable.any():
            K = [calibration(self.cameras[name]) for name in pair]
            back = transfer_by_depth(xy[usable, 2:], known[1][usable], K[1], K[0], inverse_pose(truth))
            errors = np.linalg.norm(back - xy[usable, :2], axis=1)
            row["matching_score"] = [float(np.mean(errors < limit)) for limit in REPEATABILITY_PX]
        features = [self.matches.features(name) for name in pair]
        if features[0] is not None and features[1] is not None:
            keypoints = [item.keypoints.astype(np.float64) for item in features if item is not None]
            shares = [
                self._repeated(pair, keypoints, truth),
                self._repeated(pair[::-1], keypoints[::-1], inverse_pose(truth)),
            ]
            if not np.isnan(shares).all():
                row["repeatability"] = np.nanmean(shares, axis=0).tolist()
        return row

    def _repeated(self, pair: Pair, keypoints: list[NDArray[np.float64]], truth: Pose) -> NDArray[np.float64]:
        """Share of the first image's keypoints of known depth, seen in the second, with one of its keypoints near."""
        depth = self.depth(pair[0])
        assert depth is not None
        known = sample_depth(depth, keypoints[0])
        K = [calibration(self.cameras[name]) for name in pair]
        there = transfer_by_depth(keypoints[0][known > 0], known[known > 0], K[0], K[1], truth)
        camera = self.cameras[pair[1]]
        inside = ((there >= 0) & (there < (camera.width - 1, camera.height - 1))).all(axis=1)
        return repeatability(there[inside], keypoints[1])


def sample_depth(depth: NDArray[np.float32], xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) depth at the pixel of each point (N, 2); 0 where it is unknown or the point lies outside."""
    columns, rows = np.round(xy).astype(np.int64).T
    inside = (rows >= 0) & (rows < depth.shape[0]) & (columns >= 0) & (columns < depth.shape[1])
    found = np.zeros(len(xy))
    found[inside] = depth[rows[inside], columns[inside]]
    return np.where(np.isfinite(found), found, 0.0)


def calibration(camera: Camera) -> NDArray[np.float64]:
    """K (3, 3) for pixels whose centres are at integers."""
    K = np.array(colmap.to_colmap_camera(camera).calibration_matrix(), dtype=np.float64)
    K[:2, 2] -= HALF_PIXEL
    return K


def _summary(rows: Sequence[Row], repetitions: int) -> dict[str, Any]:
    """Numbers of a scene from the rows of its pairs."""
    accuracies = [
        mean_average_accuracy(np.array([row["errors_rad"][number] for row in rows])) for number in range(repetitions)
    ]
    summary: dict[str, Any] = {
        "pairs": len(rows),
        "failed_pairs": round(sum(row.get("failed", 1.0) for row in rows)),
        "maa_5_percent": 100 * float(np.mean([accuracy.at_5 for accuracy in accuracies])),
        "maa_10_percent": 100 * float(np.mean([accuracy.at_10 for accuracy in accuracies])),
        "within_deg_percent": (100 * np.mean([np.cumsum(item.shares) for item in accuracies], axis=0)).tolist(),
        "mean_matches": float(np.mean([row["matches"] for row in rows])),
    }
    for key, name in (("keypoints", "mean_keypoints"), ("inliers", "mean_inliers")):
        if any(key in row for row in rows):
            summary[name] = float(np.mean([row[key] for row in rows if key in row]))
    for key in ("repeatability", "matching_score"):
        if any(key in row for row in rows):
            shares = 100 * np.mean([row[key] for row in rows if key in row], axis=0)
            summary[f"{key}_percent"] = {str(px): float(v) for px, v in zip(REPEATABILITY_PX, shares, strict=True)}
    return summary
