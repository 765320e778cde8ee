"""Camera poses of queries in scans: matches with cutouts, the 3D points behind them, absolute pose, verification.

Source: Taira et al., InLoc, CVPR 2018; the settings and files are those of the image-matching toolbox that came with
Patch2Pix. Departures, off under `legacy`: half a pixel is added for COLMAP as everywhere, only matches without a 3D
point are dropped and not their whole pair, and only those that are left count.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.datasets.inloc import scan_of
from trigpoint.errors import DataError
from trigpoint.geometry.pixels import to_colmap
from trigpoint.localization.dense_settings import DenseLocalizationSettings
from trigpoint.localization.pose_verification import Verifier
from trigpoint.localization.query import Outcome
from trigpoint.localization.scan_matches import MatchSource, ScanMatches, scan_matches
from trigpoint.log import progress
from trigpoint.storage import colmap
from trigpoint.storage.json_files import write_json
from trigpoint.storage.poses import write_poses
from trigpoint.types import Camera, Dataset, DatasetImage, Pose

ALL = "all cutouts"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """A pose, what it was estimated from (a cutout or ALL), and how many matches there were and agree."""

    source: str
    pose: Pose
    num_matches: int
    num_inliers: int


def localize_dense(
    dataset: Dataset,
    pairs: Sequence[tuple[str, str]],
    source: MatchSource,
    poses: Path,
    log: Path,
    settings: DenseLocalizationSettings,
    num_threads: int = 1,
) -> None:
    """Write the pose of each query that has one, and the outcome of all.

    Args:
        dataset: of layout `inloc`, with queries and their cameras.
        pairs: query and cutout, in either order.
        source: matches of these pairs.
        poses: text file to write, cam_from_world.
        log: localization.json to write.
        settings: see DenseLocalizationSettings.
        num_threads: queries at once; the result is the same.

    Raises:
        DataError: a pair without exactly one query, or points or an alignment that are missing or damaged.
        StorageError: a pair was not matched.
    """
    colmap.set_log_level()
    matches = scan_matches(dataset, _query_first(dataset, pairs), source, settings)
    verifier = Verifier(Path(dataset.image_root), settings.verification_px) if settings.verification else None

    def localize(image: DatasetImage) -> Outcome:
        return localize_query(image, matches.get(image.name, []), settings, verifier)

    images = dataset.with_role("query")
    with ThreadPoolExecutor(num_threads) as pool:
        outcomes = list(progress(pool.map(localize, images), "queries", len(images)))
    located = {outcome.row["name"]: outcome.pose for outcome in outcomes if outcome.pose is not None}
    write_poses(poses, located)
    rows = [outcome.row for outcome in outcomes]
    write_json(log, {"settings": asdict(settings), "queries": rows}, kind="localization")
    _logger.info("%d of %d queries localized", len(located), len(images))


def localize_query(
    image: DatasetImage,
    matches: Sequence[ScanMatches],
    settings: DenseLocalizationSettings,
    verifier: Verifier | None = None,
) -> Outcome:
    """Pose of one query, from all cutouts with enough matches or from one of them."""
    row: dict[str, Any] = {"name": image.name, "split": image.split, "num_inliers": 0}
    row["num_found"] = sum(found.num_found for found in matches)
    used = [found for found in matches if _count(found, settings) >= settings.min_matches and len(found) > 0]
    row |= {"num_matches": sum(map(len, used)), "references": [found.cutout for found in used or matches]}
    if not matches:
        return Outcome({**row, "status": "no pairs"})
    if image.camera is None:
        return Outcome({**row, "status": "failed", "reason": "no calibration in the dataset"})
    if not used:
        reason = f"no cutout with {settings.min_matches} matches that have a 3D point"
        return Outcome({**row, "status": "too few matches", "reason": reason})
    candidates = _candidates(image.camera, used, settings, several=verifier is not None)
    if not candidates:
        return Outcome({**row, "status": "failed", "reason": f"no pose with {settings.min_num_inliers} inliers"})
    best = candidates[0]
    if verifier is not None:
        listed = [found.cutout for found in matches]
        distances = [verifier.distance(image, found.pose, _seen(found, used, listed)) for found in candidates]
        best = candidates[int(np.argmin(distances))]  # infinite where nothing of the scan is in view
        row["candidates"] = [
            {"source": found.source, "num_inliers": found.num_inliers}
            | ({"distance": round(distance, 5)} if np.isfinite(distance) else {})
            for found, distance in zip(candidates, distances, strict=True)
        ]
    row |= {"status": "localized", "from": best.source, "num_matches": best.num_matches}
    return Outcome({**row, "num_inliers": best.num_inliers}, best.pose)


def _count(found: ScanMatches, settings: DenseLocalizationSettings) -> int:
    return found.num_found if settings.legacy else len(found)


def _candidates(
    camera: Camera, used: Sequence[ScanMatches], settings: DenseLocalizationSettings, *, several: bool
) -> list[Candidate]:
    """Poses, the one to take without verification first: that of all cutouts, or those with most inliers."""
    together = _estimate(camera, ALL, used, settings) if settings.combine == "all" else None
    if settings.combine == "all" and not several:
        return [together] if together else []
    single = [_estimate(camera, found.cutout, [found], settings) for found in used]
    ranked = sorted((found for found in single if found), key=lambda found: -found.num_inliers)
    return [*([together] if together else []), *ranked][: settings.num_candidates]


def _estimate(
    camera: Camera, source: str, used: Sequence[ScanMatches], settings: DenseLocalizationSettings
) -> Candidate | None:
    xy = np.concatenate([found.xy for found in used]).astype(np.float64)
    points = np.concatenate([found.points for found in used]).astype(np.float64)
    if len(xy) < settings.min_num_inliers:
        return None
    ransac = {
        "max_error": settings.max_error_px,
        "min_inlier_ratio": settings.min_inlier_ratio,
        "confidence": settings.confidence,
        "min_num_trials": settings.min_num_trials,
        "max_num_trials": settings.max_num_trials,
    }
    options = {"estimate_focal_length": False, "ransac": ransac}
    refinement = {"refine_focal_length": False, "refine_extra_params": False}
    pixels = xy if settings.legacy else to_colmap(xy)
    estimate = colmap.absolute_pose(pixels, points, camera, options, refinement, settings.seed)
    if estimate is None or estimate[1] < settings.min_num_inliers:
        return None
    return Candidate(source, estimate[0], len(xy), estimate[1])


def _seen(candidate: Candidate, used: Sequence[ScanMatches], listed: Sequence[str]) -> list[str]:
    """Cutouts to look at from a pose: the listed ones of the scan it is from, or of the scan with most matches."""
    home = candidate.source if candidate.source != ALL else max(used, key=len).cutout
    return [cutout for cutout in listed if scan_of(cutout) == scan_of(home)]


def _query_first(dataset: Dataset, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    roles = {image.name: image.role for image in dataset.images}
    ordered = []
    for name0, name1 in pairs:
        if sorted((roles.get(name0, "unknown"), roles.get(name1, "unknown"))) != ["map", "query"]:
            raise DataError(f"pair list: '{name0}' '{name1}' are not a query and a cutout of dataset '{dataset.id}'")
        ordered.append((name0, name1) if roles[name0] == "query" else (name1, name0))
    return ordered
