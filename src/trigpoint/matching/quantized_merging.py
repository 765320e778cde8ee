"""The image-matching toolbox's quantisation of whole runs, for parity with published numbers.

Pairs are taken one after the other, those of map images first, each kind sorted by name, and queries take part in the
map's keypoints, as published; `query_points` and the other schemes' distances have no meaning here.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trigpoint.log import progress
from trigpoint.matching.merge_counts import MapMergeCounts, MergeCounts
from trigpoint.matching.quantization import ImageQuantizer, QuantizationSettings, unique_matches
from trigpoint.matching.shared_keypoints import MergeSettings, SharedKeypoints
from trigpoint.storage.correspondences import CorrespondenceShards
from trigpoint.storage.matches import GroupWriter
from trigpoint.types import Matches

Pair = tuple[str, str]


def quantize_pairs(
    names: Sequence[str],
    pairs: Sequence[tuple[Sequence[Pair], MergeCounts]],
    shards: CorrespondenceShards,
    writer: GroupWriter,
    settings: MergeSettings,
) -> dict[str, SharedKeypoints]:
    """Keypoints of the images; the matches go to the writer.

    Args:
        names: all images, also those in no pair.
        pairs: lists in the order they are quantised, each with what counts their correspondences.
        shards: correspondences of all pairs.
        writer: of matches.
        settings: the `quantize_` ones, and `min_matches` for pairs of map images.

    Returns:
        Keypoints of every image, in the order they were founded; their scores are sums over their correspondences.
    """
    options = QuantizationSettings(
        cell_px=settings.quantize_cell_px,
        distance_px=settings.quantize_distance_px,
        score_threshold=settings.quantize_min_score,
    )
    quantizers = {name: ImageQuantizer(options) for name in names}
    numbers: dict[Pair, NDArray[np.int32]] = {}
    for listed, _ in pairs:
        for pair in progress(listed, "pairs quantized"):
            found = shards.read(*pair)
            ends = found.xy[found.scores >= options.score_threshold]
            columns = [quantizers[name].add(ends[:, side : side + 2]) for name, side in zip(pair, (0, 2), strict=True)]
            numbers[pair] = np.stack(columns, axis=1).astype(np.int32)
    positions = {name: quantizer.keypoints() for name, quantizer in quantizers.items()}
    sums = {name: np.zeros(len(xy)) for name, xy in positions.items()}
    for listed, counts in pairs:
        if isinstance(counts, MapMergeCounts):
            counts.matched_in = {name: np.zeros(len(xy), np.int32) for name, xy in positions.items()}
        for pair in listed:
            writer.write(*pair, _matches(pair, numbers[pair], positions, sums, shards, settings, counts))
    return {name: SharedKeypoints(xy, sums[name].astype(np.float32)) for name, xy in positions.items()}


def _matches(
    pair: Pair,
    indices: NDArray[np.int32],
    positions: dict[str, NDArray[np.float32]],
    sums: dict[str, NDArray[np.float64]],
    shards: CorrespondenceShards,
    settings: MergeSettings,
    counts: MergeCounts,
) -> Matches:
    """Unique matches of one pair; what became of its correspondences is counted, their scores are summed."""
    found = shards.read(*pair)
    kept = found.scores >= settings.quantize_min_score
    counts.weak += int((~kept).sum())
    ends, scores = found.xy[kept], found.scores[kept]
    for name, column in zip(pair, indices.T, strict=True):
        np.add.at(sums[name], column, scores.astype(np.float64))
    rows = unique_matches(indices, scores) if settings.quantize_cell_px > 0 else np.arange(len(indices))
    if isinstance(counts, MapMergeCounts) and len(rows) < settings.min_matches:
        counts.pairs += 1
        counts.pairs_dropped += 1
        counts.few += len(scores)
        rows = rows[:0]
    else:
        counts.add(indices[:, 0].astype(np.int64), indices[:, 1].astype(np.int64), rows)
        for side, name in enumerate(pair):
            own = indices[rows, side]
            counts.add_shift(ends[rows, 2 * side : 2 * side + 2], positions[name][own])
            if isinstance(counts, MapMergeCounts):
                counts.matched_in[name][own] += 1
    return Matches(indices[rows], scores[rows])
