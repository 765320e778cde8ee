"""Results on HPatches that other tools keep as `<method>.npy`: D2-Net's and PoSFeat's, and the toolbox' alike.

An array of three objects: threshold px -> sum of the accuracies of the illumination pairs, the same of the viewpoint
pairs, and [`i` or `v` of each pair, numbers of features, numbers of matches]. Features are of each image once, or of
both images of each pair.
"""

from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.datasets.npz_files import read_npy
from trigpoint.errors import DataError
from trigpoint.evaluation.hpatches import SCORE_THRESHOLDS, SPLITS, counted, weighted_score


def read_cached(path: Path) -> dict[str, Any]:
    """Counts, accuracies and scores by split, as `MatchingAccuracy.summary` has them.

    Raises:
        DataError: the file is missing, damaged, or no such array.
    """
    values = read_npy(path)
    try:
        illumination, viewpoint, (kinds, features, matches) = values
        sums = {"illumination": _sums(illumination), "viewpoint": _sums(viewpoint)}
        letters = np.array([str(kind) for kind in kinds])
        num_matches, num_features = np.array(matches, dtype=np.int64), np.array(features, dtype=np.int64)
        thresholds = sorted(sums["illumination"])
        if thresholds != sorted(sums["viewpoint"]) or thresholds[:SCORE_THRESHOLDS] != [
            *range(1, SCORE_THRESHOLDS + 1)
        ]:
            raise ValueError(f"thresholds {thresholds}, expected 1, 2, ... px, the same of both kinds")
        if num_matches.shape != letters.shape or not set(letters) <= set(SPLITS.values()) or not len(letters):
            raise ValueError(f"{len(letters)} kinds of pairs with {len(num_matches)} numbers of matches")
    except (TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: no result of D2-Net's form ({error}); take it away or fetch it again") from error
    splits: dict[str, Any] = {}
    for name, chosen in {
        "overall": np.ones(len(letters), dtype=bool),
        **{name: letters == letter for name, letter in SPLITS.items()},
    }.items():
        if chosen.any():
            parts = sums.values() if name == "overall" else [sums[name]]
            accuracy = np.sum([[part[t] for t in thresholds] for part in parts], axis=0) / chosen.sum()
            splits[name] = {
                "pairs": int(chosen.sum()),
                "matches": float(num_matches[chosen].mean()),
                "accuracy": dict(zip(map(str, thresholds), accuracy.tolist(), strict=True)),
                "score": weighted_score(accuracy),
            }
    return {**counted(num_features), **splits}


def _sums(values: dict[Any, Any]) -> dict[int, float]:
    return {int(threshold): float(total) for threshold, total in values.items()}
