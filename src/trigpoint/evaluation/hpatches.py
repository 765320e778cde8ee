"""Matching accuracy on HPatches' sequences: D2-Net's protocol, which PoSFeat, DISK and others report.

Each sequence is image 0 against five others with known homographies. A protocol is what gives the errors of a pair's
matches; what is made of the errors is the same for all of them.

Source: Dusmanu et al., "D2-Net", CVPR 2019, Section 5.1, and its evaluation; the weighted score is PoSFeat's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trigpoint.errors import EmptyResultError, ShapeError
from trigpoint.geometry.homography import transfer_errors_px
from trigpoint.geometry.metrics import share_within
from trigpoint.types import Features

THRESHOLDS_PX = tuple(range(1, 16))
SCORE_THRESHOLDS = 10  # of the weighted score: 1 to 10 px
SPLITS = {"illumination": "i", "viewpoint": "v"}  # first letter of a sequence's name
MatchFunction = Callable[[Features, Features], NDArray[np.integer]]  # (M, 2) indices
ErrorFunction = Callable[[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]], NDArray[np.float64]]


@dataclass(frozen=True)
class SequenceErrors:
    """What one sequence gives.

    Attributes:
        name: `i_...` or `v_...`.
        num_features: of each image; empty for a method that looks at pairs.
        errors_px: of each pair, (M,) in pixels; M may be 0.
    """

    name: str
    num_features: tuple[int, ...]
    errors_px: tuple[NDArray[np.float64], ...]


def sequence_errors(
    name: str,
    features: Sequence[Features],
    homographies: Sequence[NDArray[np.floating]],
    match: MatchFunction,
    error: ErrorFunction = transfer_errors_px,
) -> SequenceErrors:
    """Errors of the matches of image 0 with each other image of a sequence.

    Args:
        features: of image 0 and of the others.
        homographies: other image from image 0, one for each other image.
        match: D2-Net's protocol has mutual nearest neighbours without any test.
        error: of a pair's matches; D2-Net's protocol has the one-way transfer error.

    Raises:
        ShapeError: the numbers of images and homographies do not fit.
    """
    first, *others = features
    if len(others) != len(homographies):
        raise ShapeError(
            f"{name}: {len(features)} images need {len(features) - 1} homographies, not {len(homographies)}"
        )
    errors = []
    for other, H in zip(others, homographies, strict=True):
        indices = match(first, other)
        errors.append(error(first.keypoints[indices[:, 0]], other.keypoints[indices[:, 1]], H))
    return SequenceErrors(name, tuple(len(item) for item in features), tuple(errors))


@dataclass(frozen=True)
class MatchingAccuracy:
    """Mean matching accuracy: for each threshold the mean, over pairs, of the share of matches within it.

    A pair without matches counts as 0. Splits are named as in SPLITS; None is all pairs.
    """

    sequences: tuple[SequenceErrors, ...]
    thresholds_px: tuple[float, ...] = THRESHOLDS_PX

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """(P, T) share of each pair's matches within each threshold."""
        rows = [share_within(errors, self.thresholds_px) for item in self.sequences for errors in item.errors_px]
        return np.array(rows).reshape(-1, len(self.thresholds_px))

    def pairs_of(self, split: str | None = None) -> NDArray[np.bool_]:
        """(P,) which pairs belong to a split."""
        kinds = np.array([item.name[0] for item in self.sequences for _ in item.errors_px])
        return np.ones(len(kinds), dtype=bool) if split is None else kinds == SPLITS[split]

    def mean(self, split: str | None = None) -> NDArray[np.float64]:
        """(T,) accuracy.

        Raises:
            EmptyResultError: the split has no pair.
        """
        chosen = self.shares[self.pairs_of(split)]
        if len(chosen) == 0:
            raise EmptyResultError(f"hpatches: no pair{f' of the split {split}' if split else ''} was evaluated")
        return chosen.mean(axis=0)

    def score(self, split: str | None = None) -> float:
        """PoSFeat's weighted score of the accuracy at 1 to 10 px."""
        return weighted_score(self.mean(split))

    def num_matches(self, split: str | None = None) -> NDArray[np.int64]:
        """(P,) matches of each pair of a split."""
        counts = np.array([len(errors) for item in self.sequences for errors in item.errors_px], dtype=np.int64)
        return counts[self.pairs_of(split)]

    def num_features(self) -> NDArray[np.int64]:
        """Features of each image, every image once."""
        return np.array([count for item in self.sequences for count in item.num_features], dtype=np.int64)

    def summary(self) -> dict[str, object]:
        """Counts, accuracies and scores by split, for tables; a split without pairs is absent, features if unknown."""
        splits = [split for split in (None, *SPLITS) if self.pairs_of(split).any()]
        return {
            **counted(self.num_features()),
            **{
                split or "overall": {
                    "pairs": int(self.pairs_of(split).sum()),
                    "matches": float(self.num_matches(split).mean()),
                    "accuracy": self._by_threshold(self.mean(split)),
                    "score": self.score(split),
                }
                for split in splits
            },
        }

    def by_sequence(self) -> dict[str, dict[str, object]]:
        """Sequence -> its pairs, matches and accuracies."""
        rows = zip(self.sequences, np.split(self.shares, np.cumsum(self._pair_counts())[:-1]), strict=True)
        return {
            item.name: {
                "pairs": len(item.errors_px),
                "matches": float(np.mean([len(errors) for errors in item.errors_px])),
                "accuracy": self._by_threshold(shares.mean(axis=0)),
            }
            for item, shares in rows
        }

    def _pair_counts(self) -> list[int]:
        return [len(item.errors_px) for item in self.sequences]

    def _by_threshold(self, values: NDArray[np.float64]) -> dict[str, float]:
        return dict(zip((f"{value:g}" for value in self.thresholds_px), values.tolist(), strict=True))


def counted(features: NDArray[np.integer]) -> dict[str, object]:
    """{"features": mean, min and max} of images' numbers of features; empty for a method that has none."""
    if not len(features):
        return {}
    return {"features": {"mean": float(features.mean()), "min": int(features.min()), "max": int(features.max())}}


def weighted_score(accuracy: NDArray[np.floating]) -> float:
    """Sum of (2 - t/10) accuracy(t) over t = 1 to 10 px by the sum of the weights, 14.5.

    Args:
        accuracy: (T,), T >= 10, at 1, 2, ... px.
    """
    weights = 2 - np.arange(1, SCORE_THRESHOLDS + 1) / 10
    return float(weights @ accuracy[:SCORE_THRESHOLDS] / weights.sum())


def strongest_features(features: Features, limit: int) -> Features:
    """The `limit` features of largest score, in the order of the scores; D2-Net's top-K mode.

    PoSFeat's cut of 60,000 rows keeps the first ones; its files are sorted by score.
    """
    order = np.argsort(-features.scores, kind="stable")[:limit]
    return replace(
        features,
        keypoints=features.keypoints[order],
        descriptors=features.descriptors[order],
        scores=features.scores[order],
    )


def root_descriptors(descriptors: NDArray[np.floating]) -> NDArray[np.float32]:
    """RootSIFT of the Hessian-affine baseline's raw descriptors (N, D): root of each over its row's sum.

    Source: Arandjelovic and Zisserman, CVPR 2012; the addend of D2-Net's evaluation.
    """
    values = np.asarray(descriptors, dtype=np.float32)
    sums = np.abs(values).sum(axis=1, keepdims=True)
    return np.sqrt(values / np.where(sums == 0, 1, sums) + 1e-16).astype(np.float32)
