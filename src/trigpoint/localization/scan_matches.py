"""2D-3D matches of queries with scans: each cutout's points are read once, for all queries it is matched with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trigpoint.datasets.inloc import world_points
from trigpoint.datasets.scan_points import points_at
from trigpoint.geometry.pixels import resize_points
from trigpoint.localization.dense_settings import DenseLocalizationSettings
from trigpoint.log import progress
from trigpoint.types import Dataset

Pair = tuple[str, str]


class FoundMatches(Protocol):
    """What a method found in a pair: `xy` (N, 4) x0, y0, x1, y1 in pixels of the originals, `scores` (N,)."""

    @property
    def xy(self) -> NDArray[np.float64]: ...

    @property
    def scores(self) -> NDArray[np.floating]: ...


class MatchSource(Protocol):
    """Where matches of pairs are read from."""

    def read(self, name0: str, name1: str) -> FoundMatches:
        """Matches of a pair, `name0` first."""
        ...


@dataclass(frozen=True)
class ScanMatches:
    """2D-3D matches of a query with one cutout.

    Attributes:
        cutout: name.
        xy: (M, 2) pixels of the query.
        points: (M, 3) on the floor, metres.
        num_found: what the method found, before points without depth were dropped.
    """

    cutout: str
    xy: NDArray[np.float32]
    points: NDArray[np.float32]
    num_found: int

    def __len__(self) -> int:
        return len(self.xy)


def scan_matches(
    dataset: Dataset, pairs: Sequence[Pair], source: MatchSource, settings: DenseLocalizationSettings
) -> dict[str, list[ScanMatches]]:
    """Query -> its matches with every cutout it is listed with, in the order of the list.

    Args:
        dataset: sizes of the images, and where they lie.
        pairs: query and cutout.
        source: matches of the pairs.
        settings: lookup, min_score, legacy.

    Raises:
        DataError: points or alignment of a cutout are missing or damaged.
        StorageError: a pair was not matched.
    """
    root, sizes = Path(dataset.image_root), {image.name: image.size for image in dataset.images}
    queries_of: dict[str, list[str]] = {}
    for query, cutout in pairs:
        queries_of.setdefault(cutout, []).append(query)
    found: dict[Pair, ScanMatches] = {}
    for cutout, queries in progress(sorted(queries_of.items()), "cutouts"):
        points = world_points(root, cutout)
        for query in queries:
            found[query, cutout] = _lift(source.read(query, cutout), cutout, sizes[cutout], points, settings)
    matches: dict[str, list[ScanMatches]] = {}
    for query, cutout in pairs:
        matches.setdefault(query, []).append(found[query, cutout])
    return matches


def _lift(
    found: FoundMatches,
    cutout: str,
    size: tuple[int, int],
    points: NDArray[np.float64],
    settings: DenseLocalizationSettings,
) -> ScanMatches:
    """Matches whose end in the cutout has a 3D point."""
    xy = found.xy[found.scores >= settings.min_score]
    own = (points.shape[1], points.shape[0])
    ends = xy[:, 2:] if own == size else resize_points(xy[:, 2:], size, own)
    if settings.legacy and not ((ends > 0) & (ends < np.array(own) - 1)).all():
        none = np.zeros((0, 2), np.float32), np.zeros((0, 3), np.float32)
        return ScanMatches(cutout, *none, 0)  # as published: the lookup refuses the whole pair
    lifted = points_at(points, ends, settings.lookup)
    valid = np.isfinite(lifted).all(axis=1)
    return ScanMatches(cutout, xy[valid, :2].astype(np.float32), lifted[valid].astype(np.float32), len(xy))
