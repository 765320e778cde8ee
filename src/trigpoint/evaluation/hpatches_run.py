"""A run on HPatches' sequences by the protocols that methods are compared with.

Each protocol is a function of the pairs and their matches that gives a section of metrics.json, and numbers for the
row of each pair.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trigpoint.datasets.hpatches import sequence_of
from trigpoint.errors import DataError
from trigpoint.evaluation.hpatches import MatchingAccuracy, SequenceErrors, sequence_errors, strongest_features
from trigpoint.evaluation.hpatches_ime import ime_protocol
from trigpoint.evaluation.hpatches_immatch import immatch_protocol
from trigpoint.evaluation.hpatches_pairs import PlanarPair
from trigpoint.evaluation.hpatches_settings import HpatchesSettings
from trigpoint.evaluation.pair_benchmarks import PairEvaluation
from trigpoint.evaluation.run_matches import NO_MATCHES, Pair, RunMatches
from trigpoint.geometry.homography import transfer_errors_px
from trigpoint.kernels import mutual_nearest_neighbors
from trigpoint.log import progress
from trigpoint.types import Dataset, Features

Rows = list[dict[str, Any]]
Protocol = Callable[[Sequence[PlanarPair], RunMatches, HpatchesSettings], tuple[dict[str, Any], Rows]]


def evaluate(dataset: Dataset, settings: HpatchesSettings, pairs: list[Pair], matches: RunMatches) -> PairEvaluation:
    """metrics.json's section `hpatches` of a run, and a row for each pair.

    A pair of the dataset with an image that cannot be used has no matches and counts in every denominator.

    Raises:
        DataError: no pair, or one without a homography.
        StorageError: the run did not match a pair.
    """
    planar = list(read_pairs(dataset, pairs, matches))
    if not planar:
        raise DataError(f"dataset '{dataset.id}': no pair to evaluate")
    rows = [
        {"sequence": item.sequence, "name0": item.names[0], "name1": item.names[1], "matches": len(item.matches)}
        for item in planar
    ]
    sections: dict[str, Any] = {
        "sequences_evaluated": len({item.sequence for item in planar}),
        "pairs": len(planar),
        "unusable_pairs": sum(not item.usable for item in planar),
    }
    protocols: dict[str, Protocol] = {"d2net": d2net_protocol, "immatch": immatch_protocol, "ime": ime_protocol}
    for name in settings.protocols:
        sections[name], found = protocols[name](planar, matches, settings)
        rows = [{**row, **more} for row, more in zip(rows, found, strict=True)]
    return PairEvaluation(sections, rows)


def read_pairs(dataset: Dataset, pairs: list[Pair], matches: RunMatches) -> Iterator[PlanarPair]:
    """The pairs with their homographies and matches, by sequence and number; errors as `evaluate`."""
    unusable = {name for name, _ in dataset.unusable}
    lost = [pair for pair in dataset.pairs if unusable.intersection(pair)]
    order = {pair: number for number, pair in enumerate(dataset.pairs)}
    sizes = {image.name: image.size for image in dataset.images}
    for pair in [*pairs, *lost]:
        if pair not in dataset.homographies:
            raise DataError(f"dataset '{dataset.id}': the pair '{pair[0]}' '{pair[1]}' has no homography")
    due = sorted({*pairs, *lost}, key=lambda pair: (sequence_of(pair[0]), order[pair]))
    for pair in progress(due, "pairs read"):
        usable = not unusable.intersection(pair)
        counts = [(matches.num_features(name) or 0) if name in sizes else 0 for name in pair]
        yield PlanarPair(
            sequence=sequence_of(pair[0]),
            names=pair,
            H=dataset.homographies[pair],
            sizes=(sizes.get(pair[0], (0, 0)), sizes.get(pair[1], (0, 0))),
            matches=matches.read(*pair) if usable else NO_MATCHES,
            num_features=(counts[0], counts[1]) if matches.has_features else None,
            usable=usable,
        )


def d2net_protocol(
    pairs: Sequence[PlanarPair], matches: RunMatches, settings: HpatchesSettings
) -> tuple[dict[str, Any], Rows]:
    """Mean matching accuracy as D2-Net and PoSFeat measure it.

    Features are matched by mutual nearest neighbours without any test, as the protocol has it, unless the setting
    takes the run's own matches; a method of image pairs has no features to match anew.
    """
    matched_anew = settings.d2net_matching == "mutual_nn" and matches.has_features
    by_sequence = [(name, list(group)) for name, group in groupby(pairs, key=lambda pair: pair.sequence)]
    sequences = [
        _matched_anew(name, group, matches, settings.top_k) if matched_anew else _as_matched(name, group)
        for name, group in progress(by_sequence, "sequences of D2-Net's protocol")
    ]
    accuracy = MatchingAccuracy(tuple(sequences))
    section = {
        "matching": "mutual nearest neighbours" if matched_anew else "the run's",
        **({"top_k": settings.top_k} if matched_anew and settings.top_k else {}),
        **accuracy.summary(),
        "sequences": accuracy.by_sequence(),
    }
    counts = accuracy.num_matches().tolist()
    rows = [
        {"d2net_matches": count, **{f"d2net_mma_{t}px": float(share[t - 1]) for t in (1, 3, 5, 10)}}
        for count, share in zip(counts, accuracy.shares, strict=True)
    ]
    return section, rows


def _as_matched(name: str, pairs: list[PlanarPair]) -> SequenceErrors:
    """Errors of the run's own matches."""
    errors = tuple(transfer_errors_px(pair.matches.xy[:, :2], pair.matches.xy[:, 2:], pair.H) for pair in pairs)
    known = [pair.num_features for pair in pairs if pair.num_features]
    return SequenceErrors(name, (known[0][0], *(count for _, count in known)) if known else (), errors)


def _matched_anew(name: str, pairs: list[PlanarPair], matches: RunMatches, top_k: int | None) -> SequenceErrors:
    """Errors of mutual nearest neighbours among the features, or the strongest of them."""

    def read(image: str) -> Features:
        features = matches.features(image)
        assert features is not None
        return features if top_k is None else strongest_features(features, top_k)

    usable = {image: read(image) for pair in pairs if pair.usable for image in pair.names}
    names = [pairs[0].names[0], *(pair.names[1] for pair in pairs)]
    features = [usable.get(image, _NO_FEATURES) for image in names]
    return sequence_errors(name, features, [pair.H for pair in pairs], _mutual)


_NO_FEATURES = Features(np.zeros((0, 2), np.float32), np.zeros((0, 1), np.float32), np.zeros(0, np.float32), (0, 0))


def _mutual(features0: Features, features1: Features) -> NDArray[np.integer]:
    if not len(features0) or not len(features1):
        return np.zeros((0, 2), dtype=np.int64)
    descriptors = (torch.from_numpy(np.asarray(item.descriptors, np.float32)) for item in (features0, features1))
    indices: NDArray[np.integer] = mutual_nearest_neighbors(*descriptors).indices.numpy()
    return indices
