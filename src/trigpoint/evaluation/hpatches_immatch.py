"""HPatches by the protocol of the image-matching toolbox: matching accuracy, and homographies from matches.

Errors are in pixels of the original images, or of images reduced to a side of `imsize` as the toolbox does for methods
that work on reduced images; the two cannot be compared.

Source: GrumpyZhou/image-matching-toolbox, of Zhou et al., Patch2Pix, CVPR 2021.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigpoint.evaluation.homographies import HomographySolver, estimate_homography
from trigpoint.evaluation.hpatches import MatchingAccuracy, SequenceErrors, counted
from trigpoint.evaluation.hpatches_pairs import PlanarPair
from trigpoint.evaluation.hpatches_settings import HpatchesSettings
from trigpoint.evaluation.run_matches import PairMatches, RunMatches
from trigpoint.geometry.homography import corner_error_px, image_corners, transfer_errors_px
from trigpoint.geometry.metrics import pose_auc, share_within
from trigpoint.log import progress

THRESHOLDS_PX = (1, 3, 5, 10)  # of homographies' corners
LEGACY_SEQUENCES = {"illumination": 52, "viewpoint": 56, "overall": 108}
PAIRS_OF_SEQUENCE = 5
Rows = list[dict[str, Any]]


def immatch_protocol(
    pairs: Sequence[PlanarPair], _: RunMatches, settings: HpatchesSettings
) -> tuple[dict[str, Any], Rows]:
    """Section `immatch` and, at the first score threshold, the rows of the pairs."""
    solver = HomographySolver(
        name=settings.solver,
        threshold_px=settings.ransac_threshold_px,
        confidence=settings.ransac_confidence,
        max_iterations=settings.ransac_iterations,
    )
    frame = "pixels of the originals"
    if settings.imsize is not None:
        frame = f"pixels of images whose {settings.imsize_side} side is {settings.imsize} px"
    sections: dict[str, Any] = {}
    rows: Rows = []
    for threshold in settings.score_thresholds:
        framed = [in_frame(above(pair, threshold), settings) for pair in pairs]
        sections[f"{threshold:g}"], found = evaluate_frame(framed, solver, settings.legacy)
        rows = rows or found
    return {"frame": frame, "solver": solver.describe(), "legacy": settings.legacy, "scores": sections}, rows


def above(pair: PlanarPair, threshold: float) -> PlanarPair:
    """The pair with the matches of at least this score; 0 is no threshold, whatever the scores."""
    return pair if threshold == 0 else replace(pair, matches=pair.matches.stronger_than(threshold))


def in_frame(pair: PlanarPair, settings: HpatchesSettings) -> PlanarPair:
    """The pair as if its images were reduced, their other side to whole pixels; never enlarged.

    With the factors s = original / reduced, a point becomes x / s and the homography S1^-1 H S0.
    """
    if settings.imsize is None or not pair.usable:
        return pair
    sizes = tuple(_reduced(size, settings.imsize, settings.imsize_side) for size in pair.sizes)
    factors = np.array(pair.sizes, dtype=np.float64) / np.array(sizes)
    S0, S1 = (np.diag([*factor, 1.0]) for factor in factors)
    matches = PairMatches(pair.matches.xy / factors.ravel(), pair.matches.scores)
    return replace(pair, sizes=(sizes[0], sizes[1]), matches=matches, H=np.linalg.inv(S1) @ pair.H @ S0)


def _reduced(size: tuple[int, int], side_px: int, side: str) -> tuple[int, int]:
    given = max(size) if side == "longer" else min(size)
    if given <= side_px:
        return size
    width, height = (max(round(length * side_px / given), 1) for length in size)
    return width, height


def evaluate_frame(pairs: Sequence[PlanarPair], solver: HomographySolver, legacy: bool) -> tuple[dict[str, Any], Rows]:
    """Both tasks on pairs whose matches, sizes and homographies are of one frame.

    Args:
        pairs: sorted by sequence.
        solver: of the homographies.
        legacy: accuracies are divided by the pairs of 52 and 56 sequences, whatever was evaluated.

    Returns:
        {"features", "matching": {split: ...}, "homography": {split: ...}} and a row for each pair.
    """
    accuracy = MatchingAccuracy(
        tuple(
            SequenceErrors(
                name,
                (),
                tuple(transfer_errors_px(pair.matches.xy[:, :2], pair.matches.xy[:, 2:], pair.H) for pair in group),
            )
            for name, group in groupby(pairs, key=lambda pair: pair.sequence)
        )
    )
    found = [homography_errors(pair, solver) for pair in progress(pairs, "homographies")]
    errors, inliers = np.array([error for error, _ in found]), [count for _, count in found]
    splits = {"overall": None, "illumination": "illumination", "viewpoint": "viewpoint"}
    chosen = {name: accuracy.pairs_of(split) for name, split in splits.items()}
    matching = {name: values for name, values in accuracy.summary().items() if name in splits}
    if legacy:
        matching = {name: _legacy(values, LEGACY_SEQUENCES[name]) for name, values in matching.items()}
    section = {
        **counted(np.array([count for pair in pairs for count in pair.feature_counts])),
        "matching": matching,
        "homography": {name: homography_accuracy(errors[mask]) for name, mask in chosen.items() if mask.any()},
    }
    rows = [
        {
            **{f"immatch_mma_{t}px": float(share[t - 1]) for t in THRESHOLDS_PX},
            "immatch_inliers": count,
            **({"immatch_corner_error_px": float(error)} if np.isfinite(error) else {}),
        }
        for share, error, count in zip(accuracy.shares, errors, inliers, strict=True)
    ]
    return section, rows


def homography_errors(pair: PlanarPair, solver: HomographySolver) -> tuple[float, int]:
    """Corner error in px, infinite for a failure, and inliers."""
    xy = pair.matches.xy
    found = estimate_homography(xy[:, :2], xy[:, 2:], solver, pair.matches.scores)
    return corner_error_px(found.H, pair.H, image_corners(pair.sizes[0])), found.inliers


def homography_accuracy(errors: NDArray[np.float64]) -> dict[str, Any]:
    """Share of corner errors (P,) within 1, 3, 5 and 10 px, and percent of the area under their recall up to there."""
    names = [str(threshold) for threshold in THRESHOLDS_PX]
    areas = [100 * area for area in pose_auc(errors, THRESHOLDS_PX, strictly_below=True)]
    return {
        "pairs": len(errors),
        "failed": int(np.isinf(errors).sum()),
        "accuracy": dict(zip(names, share_within(errors, THRESHOLDS_PX).tolist(), strict=True)),
        "auc_percent": dict(zip(names, areas, strict=True)),
    }


def _legacy(values: Any, sequences: int) -> dict[str, Any]:
    """Accuracies as the toolbox has them: sums by the full benchmark's number of pairs."""
    factor = values["pairs"] / (PAIRS_OF_SEQUENCE * sequences)
    accuracy = {key: share * factor for key, share in values["accuracy"].items()}
    return {**values, "accuracy": accuracy, "score": values["score"] * factor}
