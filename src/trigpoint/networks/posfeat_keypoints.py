"""Keypoints of PoSFeat's score map: suppression, threshold, the strongest, centre of gravity of 3x3 scores.

Departures from the authors' program, all off in the `_as_released` form: windows end at the image's border instead of
mirroring it, which lost peaks near the left and the top; fewer than 128 keypoints are possible.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trigpoint.networks.keypoints import local_maxima, strongest

RING = 1  # outermost pixels that hold no keypoint: a centre of gravity needs neighbours on all sides
FEWEST_RELEASED = 128  # a smaller limit is raised to it
SUPPRESSIONS = ("hard", "soft", "none")
THRESHOLD_MODES = ("abs", "mean", "max")


@dataclass(frozen=True, kw_only=True)
class DetectionOptions:
    """How keypoints are chosen; see `PosfeatSettings` for meanings and defaults."""

    limit: int | None
    nms: str
    nms_radius_px: int
    threshold: float | None
    threshold_mode: str
    cell_px: int | None = None


def detect(scores: Tensor, options: DetectionOptions) -> tuple[Tensor, Tensor]:
    """Positions and scores of an image's keypoints, strongest first.

    Args:
        scores: (H, W) positive.

    Returns:
        (N, 2) float32 pixels x, y, and (N,): the largest of the 3x3 scores around each.
    """
    xy = _inside(scores, options)
    if options.cell_px is not None:
        xy = xy[in_best_of_cells(scores, xy, options.cell_px)]
    threshold = _threshold(scores, options)
    rank = scores
    if options.nms == "soft":
        rank = scores * softness(scores, options.nms_radius_px)
    values = scores[xy[:, 1], xy[:, 0]]
    if threshold is not None:
        xy = xy[values > threshold]
    xy, _ = strongest(xy, rank[xy[:, 1], xy[:, 0]], options.limit)
    return centers_of_gravity(scores, xy)


def detect_as_released(scores: Tensor, options: DetectionOptions) -> tuple[Tensor, Tensor]:
    """As `detect`, by the authors' program, but for the arbitrary pixels that it adds up to 128.

    Source: PoSFeat's `generate_kpts_single`, with its 3x3 averaging.
    """
    height, width = scores.shape
    inner = scores[RING : height - RING, RING : width - RING]
    if min(inner.shape) <= options.nms_radius_px:  # nothing to mirror
        return centers_of_gravity(scores, torch.zeros(0, 2, dtype=torch.int64, device=scores.device))
    if options.nms == "hard":
        xy = local_maxima(inner, 2 * options.nms_radius_px + 1, mirror=True)
    else:
        xy = _all_pixels(inner)
    threshold = _threshold(inner, options)
    rank = inner
    if options.nms == "soft":
        rank = inner * softness(inner, options.nms_radius_px, mirror=True)
    if threshold is not None:
        xy = xy[inner[xy[:, 1], xy[:, 0]] > threshold]
    limit = None if options.limit is None else max(options.limit, FEWEST_RELEASED)
    xy, _ = strongest(xy, rank[xy[:, 1], xy[:, 0]], limit)
    return centers_of_gravity(scores, xy + RING)


def cell_maxima(scores: Tensor, cell_px: int) -> Tensor:
    """(N, 2) int64 pixels x, y of the largest score of each square cell, of equal ones the first; cells in rows.

    Cells begin at the top-left pixel; those at the right and at the bottom may be smaller.

    Args:
        scores: (H, W).
        cell_px: side of a cell.

    Source: PoSFeat's generator of a keypoint for each cell, by the largest score.
    """
    _, index = functional.max_pool2d(scores[None, None], cell_px, ceil_mode=True, return_indices=True)
    index, width = index.flatten(), scores.shape[1]
    return torch.stack([index % width, index // width], dim=1)


def in_best_of_cells(scores: Tensor, xy: Tensor, cell_px: int) -> Tensor:
    """(N,) which of the pixels (N, 2) are the largest of their cells, see `cell_maxima`."""
    best = torch.zeros_like(scores, dtype=torch.bool)
    x, y = cell_maxima(scores, cell_px).T
    best[y, x] = True
    return best[xy[:, 1], xy[:, 0]]


def softness(scores: Tensor, radius_px: int, *, mirror: bool = False) -> Tensor:
    """(H, W) softplus of what a score has above the mean of its window; windows are cut at the border, or mirrored."""
    window = 2 * radius_px + 1
    if mirror:
        mean = functional.avg_pool2d(functional.pad(scores[None, None], (radius_px,) * 4, mode="reflect"), window, 1)
    else:
        mean = functional.avg_pool2d(scores[None, None], window, 1, radius_px, count_include_pad=False)
    return functional.softplus(scores - mean[0, 0])


def centers_of_gravity(scores: Tensor, xy: Tensor) -> tuple[Tensor, Tensor]:
    """Score-weighted mean position of the 3x3 pixels around each, and the largest of their scores.

    Args:
        scores: (H, W) positive.
        xy: (N, 2) int64, not on the outermost pixels.

    Returns:
        (N, 2) float32 and (N,).
    """
    offsets = torch.arange(-1, 2, device=scores.device)
    x, y = xy[:, 0, None] + offsets, xy[:, 1, None] + offsets
    around = scores[y[:, :, None], x[:, None, :]]  # (N, 3, 3)
    total = around.sum(dim=(1, 2))
    moved = torch.stack([(around.sum(dim=1) * offsets).sum(dim=1), (around.sum(dim=2) * offsets).sum(dim=1)], dim=1)
    return xy.float() + moved / total[:, None], around.amax(dim=(1, 2))


def _inside(scores: Tensor, options: DetectionOptions) -> Tensor:
    """(N, 2) candidates in row-major order."""
    xy = local_maxima(scores, 2 * options.nms_radius_px + 1) if options.nms == "hard" else _all_pixels(scores)
    height, width = scores.shape
    far = torch.tensor([width, height], device=xy.device) - 1 - RING
    return xy[((xy >= RING) & (xy <= far)).all(dim=1)]


def _all_pixels(scores: Tensor) -> Tensor:
    y, x = torch.nonzero(torch.ones_like(scores, dtype=torch.bool), as_tuple=True)
    return torch.stack([x, y], dim=1)


def _threshold(scores: Tensor, options: DetectionOptions) -> Tensor | float | None:
    if not options.threshold:  # 0 and none: scores are positive
        return None
    if options.threshold_mode == "abs":
        return options.threshold
    return options.threshold * (scores.mean() if options.threshold_mode == "mean" else scores.max())
