"""HPatches by IME's protocol, which DFM and GCM report: rows of twelve numbers a pair, and their means.

Source: Efe et al., "Effect of Parameter Optimization on Classical and Learning-based Image Matching Methods", ICCV
Workshops 2021 (ufukefe/IME).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigpoint.evaluation.homographies import HomographySolver, estimate_homography
from trigpoint.evaluation.hpatches import SPLITS
from trigpoint.evaluation.hpatches_pairs import PlanarPair
from trigpoint.evaluation.hpatches_settings import HpatchesSettings
from trigpoint.evaluation.run_matches import RunMatches
from trigpoint.geometry.homography import corner_error_px, image_corners, transfer_errors_px
from trigpoint.geometry.metrics import share_within
from trigpoint.log import progress

THRESHOLDS_PX = tuple(range(1, 11))
SOLVER = HomographySolver(name="usac_magsac", threshold_px=3.0, confidence=0.9999, max_iterations=5000)
COUNTS = {"mma": ("features", "matches"), "homography": ("matches", "inliers")}  # columns 11 and 12 of a row
GROUPS = ("illumination", "viewpoint", "overall")  # in the order of the text table
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class ImeRows:
    """Rows (P, 12) of both tables, pairs of illumination first; `kinds` (P,) is `i` or `v`."""

    mma: NDArray[np.float64]
    homography: NDArray[np.float64]
    kinds: NDArray[np.str_]


def ime_protocol(pairs: Sequence[PlanarPair], _: RunMatches, settings: HpatchesSettings) -> tuple[dict[str, Any], Rows]:
    """Section `ime`, and both rows of each pair, less the matches that the table of pairs has already."""
    rows = ime_rows(pairs, settings.legacy)
    section = {
        "legacy": settings.legacy,
        "solver": SOLVER.describe(),
        **{table: summarize(getattr(rows, table), rows.kinds, table, settings.legacy) for table in COUNTS},
    }
    order = np.argsort(np.argsort([pair.sequence[0] for pair in pairs], kind="stable"), kind="stable")
    found = [
        {
            **{f"ime_mma_{t}px": mma[t - 1] for t in THRESHOLDS_PX},
            "ime_features": mma[10],
            **{f"ime_homography_{t}px": int(homography[t - 1]) for t in THRESHOLDS_PX},
            "ime_inliers": int(homography[11]),
        }
        for mma, homography in zip(rows.mma[order].tolist(), rows.homography[order].tolist(), strict=True)
    ]
    return section, found


def ime_rows(pairs: Sequence[PlanarPair], legacy: bool = False) -> ImeRows:
    """The rows of all pairs, those of illumination first.

    Args:
        pairs: in any order.
        legacy: x and y of the corners are exchanged, as in the published evaluation.
    """
    ordered = sorted(pairs, key=lambda pair: pair.sequence[0])  # stable: i before v
    return ImeRows(
        np.array([mma_row(pair) for pair in ordered]),
        np.array([homography_row(pair, legacy) for pair in progress(ordered, "homographies")]),
        np.array([pair.sequence[0] for pair in ordered]),
    )


def mma_row(pair: PlanarPair) -> list[float]:
    """Share of matches within 1 to 10 px to three decimals, mean features of both images, matches."""
    xy = pair.matches.xy
    shares = share_within(transfer_errors_px(xy[:, :2], xy[:, 2:], pair.H), THRESHOLDS_PX)
    return [*np.round(shares, 3).tolist(), sum(pair.feature_counts) / 2, float(len(xy))]


def homography_row(pair: PlanarPair, legacy: bool) -> list[float]:
    """Whether the corner error is within 1 to 10 px, matches, inliers; a failure is within none and has no inliers."""
    xy = pair.matches.xy
    found = estimate_homography(xy[:, :2], xy[:, 2:], SOLVER, pair.matches.scores)
    width, height = pair.sizes[0]
    corners = image_corners((height, width) if legacy else (width, height))
    error = corner_error_px(found.H, pair.H, corners)
    return [*(float(error <= threshold) for threshold in THRESHOLDS_PX), float(len(xy)), float(found.inliers)]


def summarize(
    rows: NDArray[np.float64], kinds: NDArray[np.str_], table: str, legacy: bool = False
) -> dict[str, dict[str, Any]]:
    """Means of rows by split, a split without rows being absent.

    Args:
        rows: (P, 12), pairs of illumination first.
        kinds: (P,) `i` or `v`.
        table: a key of COUNTS.
        legacy: the last pair of the list is left out, as in the published evaluation.
    """
    if legacy:
        rows, kinds = rows[:-1], kinds[:-1]
    found: dict[str, dict[str, Any]] = {}
    for group in GROUPS:
        chosen = rows if group == "overall" else rows[kinds == SPLITS[group]]
        if len(chosen):
            means = chosen.mean(axis=0).tolist()
            accuracy = dict(zip(map(str, THRESHOLDS_PX), means, strict=False))
            # the area under the curve from 1 to 10 px
            area = float(np.trapezoid(means[: len(THRESHOLDS_PX)]) * 100 / (len(THRESHOLDS_PX) - 1))
            counts = dict(zip(COUNTS[table], means[len(THRESHOLDS_PX) :], strict=True))
            found[group] = {"pairs": len(chosen), "accuracy": accuracy, "auc_percent": area, **counts}
    return found


def text_table(runs: dict[str, dict[str, dict[str, Any]]], table: str) -> str:
    """The file `overall_results_<table>.csv` of several runs; an absent split has empty cells.

    Args:
        runs: run -> what `summarize` gives.
        table: a key of COUNTS.
    """
    labels = {"mma": ("#Features", "#Matches"), "homography": ("#Matches", "#Inliers")}[table]
    groups = ("illumination_all", "viewpoint_all", "all")
    head = ",".join(" " if column != 5 else group for group in groups for column in range(12))
    columns = ",".join([*(f'"{threshold},"' for threshold in THRESHOLDS_PX), *labels] * len(GROUPS))
    lines = [f"Algorithms,{head}", f" ,{columns}"]
    for run, splits in runs.items():
        cells = [cell for group in GROUPS for cell in _cells(splits.get(group), table)]
        lines.append(",".join([run, *cells]))
    return "".join(f"{line}\n" for line in lines)


def _cells(values: dict[str, Any] | None, table: str) -> list[str]:
    """Twelve cells: accuracies to two decimals, counts cut to whole numbers and written so too."""
    if values is None:
        return [""] * 12
    return [
        *(f"{share:.2f}" for share in values["accuracy"].values()),
        *(f"{int(values[key]):.2f}" for key in COUNTS[table]),
    ]
