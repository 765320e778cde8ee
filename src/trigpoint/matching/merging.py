"""From correspondences of pairs to features.h5 and matches.h5: a run of a pair method, in the files of any other.

Two passes over the pairs, one image's points in memory at a time: keypoints of the map images, then matches. Keypoints
of a map image come from pairs of map images alone, so queries never change the map; only the published quantisation,
which `quantized_merging` has, mixes them.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trigpoint.errors import DataError
from trigpoint.log import progress
from trigpoint.matching.merge_counts import MapMergeCounts, MergeCounts
from trigpoint.matching.quantized_merging import quantize_pairs
from trigpoint.matching.shared_keypoints import (
    MergeSettings,
    SharedKeypoints,
    elect_keypoints,
    nearest_keypoint,
    one_to_one,
)
from trigpoint.storage.correspondences import CorrespondenceShards
from trigpoint.storage.features import FeatureWriter
from trigpoint.storage.json_files import write_json
from trigpoint.storage.matches import GroupWriter
from trigpoint.types import Correspondences, Dataset, Features, Matches

Pair = tuple[str, str]
SAME_POINT_PX = 1e-3  # a query's point finds itself
_logger = logging.getLogger(__name__)


def merge_run(
    dataset: Dataset, shards: CorrespondenceShards, features: Path, matches: Path, log: Path, settings: MergeSettings
) -> None:
    """Write features.h5 (keypoints without descriptors), matches.h5 (groups) and merge.json.

    The result does not depend on the order of the pairs, nor on how they are sharded.

    Args:
        dataset: roles and sizes of the images; each gets an entry in the features.
        shards: correspondences of all pairs.
        features: file to write.
        matches: file to write; it holds every pair, one that lost all its matches with none.
        log: merge.json to write: how many correspondences were lost, and why.
        settings: see MergeSettings.

    Raises:
        DataError: a pair with an image that is not in the dataset, or of two queries.
    """
    roles = {image.name: image.role for image in dataset.images}
    of_map, of_query = _sorted_by_role(shards.pairs(), roles)
    origin = {**shards.settings, "merging": asdict(settings)}
    counts, query_counts = MapMergeCounts(), MergeCounts()
    settings_of = {image.name: settings.at_size(image.size) for image in dataset.images}
    with ExitStack() as stack:
        feature_writer = stack.enter_context(FeatureWriter(features, origin))
        match_writer = stack.enter_context(GroupWriter(matches, origin))
        for writer in (feature_writer, match_writer):
            writer.kernel_backends |= shards.kernel_backends
        output = _KeypointFile(feature_writer, {image.name: image.size for image in dataset.images}, shards.failed)
        if settings.scheme == "quantize":
            pairs = [(of_map, counts), ([pair for own in of_query.values() for pair in own], query_counts)]
            keypoints = quantize_pairs(list(roles), pairs, shards, match_writer, settings)
            for name, found in keypoints.items():
                output.write(name, found)
        else:
            keypoints = _map_keypoints(dataset, shards, of_map, output, settings_of)
            _write_matches(
                (of_map, counts), (of_query, query_counts), shards, keypoints, output, match_writer, settings_of
            )
    num_keypoints = sum(len(found) for name, found in keypoints.items() if roles[name] == "map")
    values = {"images": len(dataset.with_role("map")), "keypoints": num_keypoints, **counts.as_json()}
    if query_counts.pairs:
        values["queries"] = query_counts.as_json()
    write_json(log, {**values, "settings": origin}, kind="merge")
    _logger.info("%s", values)


def _write_matches(
    of_map: tuple[list[Pair], MapMergeCounts],
    of_query: tuple[dict[str, list[Pair]], MergeCounts],
    shards: CorrespondenceShards,
    keypoints: dict[str, SharedKeypoints],
    output: "_KeypointFile",
    writer: GroupWriter,
    settings_of: dict[str, MergeSettings],
) -> None:
    """The second pass: matches of pairs of map images, then keypoints and matches of each query."""
    pairs, counts = of_map
    counts.matched_in = {name: np.zeros(len(found), np.int32) for name, found in keypoints.items()}
    for name0, name1 in progress(pairs, "pairs merged"):
        found = shards.read(name0, name1)
        writer.write(name0, name1, _merge_pair(found, (name0, name1), keypoints, settings_of, counts))
    queries, query_counts = of_query
    for name, own in progress(queries.items(), "queries merged", len(queries)):
        query = _Query(name, own, shards, settings_of)
        found_matches = query.match(keypoints, query_counts)
        output.write(name, query.keypoints)
        for pair, pair_matches in found_matches.items():
            writer.write(*pair, pair_matches)


def _sorted_by_role(pairs: list[Pair], roles: dict[str, str]) -> tuple[list[Pair], dict[str, list[Pair]]]:
    """Pairs of map images, and for every query its pairs; all sorted."""
    of_map: list[Pair] = []
    of_query: dict[str, list[Pair]] = {name: [] for name in sorted(roles) if roles[name] == "query"}
    for pair in pairs:
        for name in pair:
            if name not in roles:
                raise DataError(
                    f"correspondences: '{name}' is no image of the dataset; run `trigpoint match-pairs` again"
                )
        queries = [name for name in pair if roles[name] == "query"]
        if len(queries) == 2:
            raise DataError(f"correspondences: '{pair[0]}' '{pair[1]}' are two queries; list the pairs again")
        (of_query[queries[0]] if queries else of_map).append(pair)
    return of_map, of_query


def _map_keypoints(
    dataset: Dataset,
    shards: CorrespondenceShards,
    pairs: list[Pair],
    output: "_KeypointFile",
    settings_of: dict[str, MergeSettings],
) -> dict[str, SharedKeypoints]:
    """Keypoints of each map image, written on the way; 12 bytes each stay in memory."""
    pairs_of: dict[str, list[Pair]] = {image.name: [] for image in dataset.with_role("map")}
    for pair in pairs:
        for name in pair:
            pairs_of[name].append(pair)
    keypoints = {}
    for name, own in progress(pairs_of.items(), "images merged", len(pairs_of)):
        points, scores = _points_of(name, own, shards)
        keypoints[name] = elect_keypoints(points, scores, settings_of[name])
        output.write(name, keypoints[name])
    return keypoints


def _points_of(name: str, pairs: list[Pair], shards: CorrespondenceShards) -> tuple[np.ndarray, np.ndarray]:
    """The ends (P, 2) that an image has in its pairs, and their scores (P,)."""
    points, scores = [np.zeros((0, 2), np.float32)], [np.zeros(0, np.float32)]
    for pair in pairs:
        found = shards.read(*pair)
        points.append(_ends(found, pair, name))
        scores.append(found.scores)
    return np.concatenate(points), np.concatenate(scores)


def _ends(found: Correspondences, pair: Pair, name: str) -> NDArray[np.float32]:
    return found.xy[:, :2] if pair[0] == name else found.xy[:, 2:]


@dataclass(frozen=True)
class _KeypointFile:
    """features.h5 while it is written; images that could not be used are marked in it."""

    writer: FeatureWriter
    sizes: dict[str, tuple[int, int]]
    failed: dict[str, str]

    def write(self, name: str, found: SharedKeypoints) -> None:
        if name in self.failed:
            self.writer.write_failed(name, self.sizes[name], self.failed[name])
        else:
            none = np.zeros((len(found), 0), np.float32)
            self.writer.write(name, Features(found.xy, none, found.scores, self.sizes[name]))


def _merge_pair(
    found: Correspondences,
    pair: Pair,
    keypoints: dict[str, SharedKeypoints],
    settings_of: dict[str, MergeSettings],
    counts: MapMergeCounts,
) -> Matches:
    """Matches between the keypoints of two map images; none if they are too few."""
    sides = [keypoints[name].xy for name in pair]
    index0, index1 = (
        nearest_keypoint(_ends(found, pair, name), xy, settings_of[name].reach_px)
        for name, xy in zip(pair, sides, strict=True)
    )
    rows = one_to_one(index0, index1, found.scores)
    if len(rows) < settings_of[pair[0]].min_matches:
        counts.pairs += 1
        counts.pairs_dropped += 1
        counts.few += len(found)
        rows = rows[:0]
    else:
        counts.add(index0, index1, rows)
        for index, xy, name in ((index0[rows], sides[0], pair[0]), (index1[rows], sides[1], pair[1])):
            counts.add_shift(_ends(found, pair, name)[rows], xy[index])
            counts.matched_in[name][index] += 1
    return Matches(np.stack([index0[rows], index1[rows]], axis=1).astype(np.int32), found.scores[rows])


class _Query:
    """One query: its own points, and how they meet the map's keypoints."""

    def __init__(
        self, name: str, pairs: list[Pair], shards: CorrespondenceShards, settings_of: dict[str, MergeSettings]
    ) -> None:
        self._name = name
        self._pairs = pairs
        self._shards = shards
        self._settings_of = settings_of
        self._merged = settings_of[name].query_points == "merged"
        points, scores = _points_of(name, pairs, shards)
        if self._merged:
            self.keypoints = elect_keypoints(points, scores, settings_of[name])
        else:
            unique, owner = np.unique(points, axis=0, return_inverse=True)
            sums = np.bincount(owner.reshape(-1), scores.astype(np.float64), len(unique))
            self.keypoints = SharedKeypoints(unique, sums.astype(np.float32))

    def match(self, keypoints: dict[str, SharedKeypoints], counts: MergeCounts) -> dict[Pair, Matches]:
        """Matches of each pair; `keypoints` of the query are then those that are in a match."""
        reach = self._settings_of[self._name].reach_px if self._merged else SAME_POINT_PX
        found = dict(self._indices(keypoints, reach, counts))
        used = np.unique(np.concatenate([np.zeros(0, np.int64), *(own for _, own, _, _ in found.values())]))
        self.keypoints = SharedKeypoints(self.keypoints.xy[used], self.keypoints.scores[used])
        matches = {}
        for pair, (column, own, other, scores) in found.items():
            columns = [np.searchsorted(used, own), other]
            order = np.stack(columns if column == 0 else columns[::-1], axis=1).astype(np.int32)
            matches[pair] = Matches(order, scores)
        return matches

    def _indices(
        self, keypoints: dict[str, SharedKeypoints], reach: float, counts: MergeCounts
    ) -> Iterator[tuple[Pair, tuple[int, np.ndarray, np.ndarray, np.ndarray]]]:
        """Pair -> the query's place in it, indices of the query and of the map image, scores."""
        for pair in self._pairs:
            found = self._shards.read(*pair)
            reference = pair[1] if pair[0] == self._name else pair[0]
            own = nearest_keypoint(_ends(found, pair, self._name), self.keypoints.xy, reach)
            other = nearest_keypoint(
                _ends(found, pair, reference), keypoints[reference].xy, self._settings_of[reference].reach_px
            )
            rows = one_to_one(own, other, found.scores)
            counts.add(own, other, rows)
            counts.add_shift(_ends(found, pair, reference)[rows], keypoints[reference].xy[other[rows]])
            yield pair, (pair.index(self._name), own[rows], other[rows], found.scores[rows])
