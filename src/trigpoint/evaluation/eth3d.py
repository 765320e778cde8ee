"""End-point errors of dense flow at sparse ground-truth points, averaged as ETH3D's dense matching results are.

Every mean is over the points of a pair, then over the pairs of a sequence at a rate, then over the sequences, each of
which counts the same.

Source: the evaluation of PUMP (naver/pump) after Truong et al., GLU-Net, CVPR 2020. It reports AEPE alone; PCK and Fl
are added here, Fl as KITTI 2015 has it (Menze and Geiger, CVPR 2015).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigpoint.errors import EmptyResultError, ShapeError
from trigpoint.geometry.metrics import share_within
from trigpoint.storage.flow import FlowPredictions, FlowTruth

PCK_THRESHOLDS_PX = (1, 3, 5)
FL_PX, FL_SHARE = 3.0, 0.05  # an outlier's error is above both this and this share of the flow's length


@dataclass(frozen=True)
class PairErrors:
    """Means over the points of one pair; a point without a flow counts with zero flow, and as wrong.

    Attributes:
        aepe_px: average end-point error.
        pck_percent: threshold px -> percent of the points with an error not above it.
        fl_percent: percent of outliers.
        answered: points that have a flow.
        points: all points.
    """

    aepe_px: float
    pck_percent: dict[str, float]
    fl_percent: float
    answered: int
    points: int


@dataclass
class _Group:
    """Pairs of one sequence at one rate."""

    pairs: list[PairErrors] = field(default_factory=list)

    def means(self) -> dict[str, Any]:
        return {
            "aepe_px": _mean([pair.aepe_px for pair in self.pairs]),
            "pck_percent": {
                key: _mean([pair.pck_percent[key] for pair in self.pairs]) for key in map(str, PCK_THRESHOLDS_PX)
            },
            "fl_percent": _mean([pair.fl_percent for pair in self.pairs]),
        }

    def counts(self) -> dict[str, int]:
        return {
            "pairs": len(self.pairs),
            "failed_pairs": sum(pair.answered == 0 for pair in self.pairs),
            "points": sum(pair.points for pair in self.pairs),
            "points_without_flow": sum(pair.points - pair.answered for pair in self.pairs),
        }


def pair_errors(
    places: NDArray[np.floating], source_xy: NDArray[np.floating], target_xy: NDArray[np.floating]
) -> PairErrors:
    """Errors of one pair.

    The flow at a target point is that of the nearest pixel, halves rounded to even: the predicted place less that
    pixel. It is compared with the true flow, the source point less the target point as they are.

    Args:
        places: (M, 2) in the source image, predicted for the rounded target points; NaN where there is none.
        source_xy: (M, 2) true places.
        target_xy: (M, 2).

    Raises:
        ShapeError: other shapes, or no points.
    """
    if not places.shape == source_xy.shape == target_xy.shape or places.ndim != 2 or places.shape[1] != 2:
        raise ShapeError(f"places {places.shape}, source {source_xy.shape}, target {target_xy.shape}: expected (M, 2)")
    if not len(places):
        raise ShapeError("a pair without ground-truth points has no error")
    answered = np.isfinite(places).all(axis=1)
    pixels = np.rint(target_xy)
    flow = np.where(answered[:, None], places.astype(np.float64) - pixels, 0.0)
    truth = np.asarray(source_xy, dtype=np.float64) - target_xy
    errors = np.linalg.norm(flow - truth, axis=1)
    within = share_within(np.where(answered, errors, np.inf), PCK_THRESHOLDS_PX)
    outliers = (errors > FL_PX) & (errors > FL_SHARE * np.linalg.norm(truth, axis=1))
    return PairErrors(
        aepe_px=float(errors.mean()),
        pck_percent=dict(zip(map(str, PCK_THRESHOLDS_PX), (100 * within).tolist(), strict=True)),
        fl_percent=100 * float((outliers | ~answered).mean()),
        answered=int(answered.sum()),
        points=len(places),
    )


def evaluate_flow(truth_path: Path, shards: Sequence[Path]) -> dict[str, Any]:
    """metrics.json's section `flow` of a run.

    Args:
        truth_path: file of `trigpoint read-flow`.
        shards: files of `trigpoint match-flow`, all of the run.

    Returns:
        {"mean": numbers over all rates, "rates": {rate: numbers}, "sequences": {sequence: numbers over its rates},
        "aepe_px": {sequence: {rate: px}}, counts}.

    Raises:
        EmptyResultError: no pairs.
        StorageError: a shard is missing, damaged or of another truth.
    """
    groups: dict[tuple[str, int], _Group] = {}
    with FlowTruth(truth_path) as truth:
        predictions = FlowPredictions(shards, truth)
        for number in range(len(truth)):
            pair = truth.read(number)
            errors = pair_errors(predictions[number].places, pair.source_xy, pair.target_xy)
            groups.setdefault((pair.sequence, pair.rate), _Group()).pairs.append(errors)
    if not groups:
        raise EmptyResultError(f"{truth_path}: holds no pairs; read the flow again")
    sequences = list(dict.fromkeys(sequence for sequence, _ in groups))
    rates = sorted({rate for _, rate in groups})
    by_rate = {rate: {name: group for (name, other), group in groups.items() if other == rate} for rate in rates}
    rate_means = {rate: _average([group.means() for group in found.values()]) for rate, found in by_rate.items()}
    everything = _Group([pair for group in groups.values() for pair in group.pairs])
    return {
        "mean": _average(list(rate_means.values())),
        "rates": {
            str(rate): rate_means[rate] | _Group([pair for group in found.values() for pair in group.pairs]).counts()
            for rate, found in by_rate.items()
        },
        "sequences": {
            name: _average([group.means() for (other, _), group in groups.items() if other == name])
            for name in sequences
        },
        "aepe_px": {
            name: {str(rate): by_rate[rate][name].means()["aepe_px"] for rate in rates if name in by_rate[rate]}
            for name in sequences
        },
        **everything.counts(),
        "made_with": predictions.settings,
        "kernel_backends": sorted(predictions.kernel_backends),
    }


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def _average(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Means of equal keys, nested ones too."""
    return {
        key: _average([part[key] for part in parts])
        if isinstance(value, dict)
        else _mean([part[key] for part in parts])
        for key, value in parts[0].items()
    }
