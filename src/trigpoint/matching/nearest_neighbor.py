"""Mutual nearest neighbours, with an optional ratio test on both sides or on the first."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trigpoint.errors import SettingsError
from trigpoint.kernels import BACKENDS, DISTANCES, RATIO_SIDES, mutual_nearest_neighbors
from trigpoint.kernels.nearest_neighbors import MutualMatches, accepted, two_nearest
from trigpoint.matching.base import Matcher
from trigpoint.settings import check_choice, check_flag, check_number
from trigpoint.types import Features, Matches


@dataclass(frozen=True, kw_only=True)
class MutualNearestNeighborSettings:
    """For DISK: no ratio test, or 0.95 as its authors; for SIFT as COLMAP: angle, ratio 0.8, max_distance 0.7.

    The matchers of the visual localization benchmark, which PoSFeat's scripts offer too: mutual nearest neighbours (no
    ratio), the symmetric ratio test (ratio 0.8, PoSFeat's 0.95, mutual off), and both (ratio, mutual on). That of the
    ETH local feature benchmark: ratio 0.8 of the first side, at least 15 matches.
    """

    ratio: float | None = None  # nearest to second nearest, to stay below; null: no test
    ratio_sides: str = "both"  # whose ratio is tested: both images', or that of the first one of a pair
    min_matches: int = 0  # a pair with fewer has none
    distance: str = "euclidean"  # of unit descriptors, or angle in radians: what ratio and max_distance are about
    max_distance: float | None = None  # of a match; null: none
    mutual: bool = True  # off: only the ratio test, in both directions; keypoints of image 1 can have several matches
    max_full_matrix: int | None = None  # as DISK's program, mistake included: products of a chunk, compared by itself
    backend: str = "auto"  # of the kernel

    def __post_init__(self) -> None:
        if self.ratio is not None and not 0 < self.ratio <= 1:
            raise SettingsError(f"mutual_nn: ratio must be in (0, 1] or null, got {self.ratio}")
        if self.max_distance is not None and self.max_distance < 0:
            raise SettingsError(f"mutual_nn: max_distance must not be negative, got {self.max_distance}")
        check_flag("mutual_nn", "mutual", self.mutual)
        if not self.mutual and self.ratio is None:
            raise SettingsError("mutual_nn: mutual is off and there is no ratio: every keypoint would have a match")
        self._check_full_matrix()
        check_choice("mutual_nn", "ratio_sides", self.ratio_sides, RATIO_SIDES)
        if self.ratio_sides == "first" and (not self.mutual or self.max_full_matrix is not None):
            raise SettingsError("mutual_nn: ratio_sides first needs mutual, and no max_full_matrix")
        check_number("mutual_nn", "min_matches", self.min_matches, 0)
        if self.distance not in DISTANCES:
            raise SettingsError(f"mutual_nn: distance must be one of {', '.join(DISTANCES)}, got '{self.distance}'")
        if self.backend not in BACKENDS:
            raise SettingsError(f"mutual_nn: backend must be one of {', '.join(BACKENDS)}, got '{self.backend}'")

    def _check_full_matrix(self) -> None:
        if self.max_full_matrix is None:
            return
        check_number("mutual_nn", "max_full_matrix", self.max_full_matrix, 1)
        if not self.mutual or self.distance != "euclidean" or self.max_distance is not None:
            raise SettingsError("mutual_nn: max_full_matrix is DISK's: mutual, euclidean, without max_distance")


class MutualNearestNeighbor(Matcher):
    """Pairs of unit descriptors that are nearest to each other; the score is their dot product."""

    name = "mutual_nn"
    Settings = MutualNearestNeighborSettings

    @torch.inference_mode()
    def match(self, features0: Features, features1: Features) -> Matches:
        """Matches sorted by the first index, none of them sharing a keypoint if mutual; an empty side gives none."""
        desc0, desc1 = (
            torch.from_numpy(np.asarray(item.descriptors, dtype=np.float32)).to(self.device)
            for item in (features0, features1)
        )
        if len(desc0) == 0 or len(desc1) == 0:  # of unknown width, perhaps
            return Matches(np.zeros((0, 2), dtype=np.int32), np.zeros(0, dtype=np.float32))
        settings = self.settings
        if settings.max_full_matrix is not None and len(desc0) * len(desc1) > settings.max_full_matrix:
            found = matches_by_chunk(desc0, desc1, settings.ratio or 1.0, settings.max_full_matrix)
        else:
            found = mutual_nearest_neighbors(
                desc0,
                desc1,
                ratio=settings.ratio,
                ratio_sides=settings.ratio_sides,
                distance=settings.distance,
                max_distance=settings.max_distance,
                mutual=settings.mutual,
                backend=settings.backend,
            )
        indices, similarity = found.indices.cpu().numpy().astype(np.int32), found.similarity.cpu().numpy()
        count = len(indices) if len(indices) >= settings.min_matches else 0
        return Matches(indices[:count], similarity[:count])

    def match_pairs(self, read: Callable[[str], Features], pairs: Sequence[tuple[str, str]]) -> Iterator[Matches]:
        """As `match` pair by pair; on the CPU several pairs at once, each on one thread.

        Threads that share one small product wait for each other: on a busy machine two of them took 20 times the CPU
        time of one, for 14,000 descriptors on each side.
        """
        if self.device != "cpu" or self.num_threads == 1:
            yield from super().match_pairs(read, pairs)
            return
        threads_before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with ThreadPoolExecutor(self.num_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                waiting: deque[Future[Matches]] = deque()
                for name0, name1 in pairs:
                    waiting.append(pool.submit(self.match, read(name0), read(name1)))
                    if len(waiting) > 2 * self.num_threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
        finally:
            torch.set_num_threads(threads_before)


def matches_by_chunk(desc0: Tensor, desc1: Tensor, ratio: float, max_full_matrix: int) -> MutualMatches:
    """DISK's matches of more products than it compares at once: each chunk has its own nearest and its own ratio test.

    That is a mistake, kept to compare with its files: there are too many, and keypoints are in several of them.

    Args:
        desc0: (N, D) float32 unit rows; `desc1`: (M, D).
        ratio: 1 refuses ties only.
        max_full_matrix: products of a chunk, at least those of one row with all of the other side.

    Source: cvlab-epfl/disk, `match.py`.
    """
    there = one_sided_by_chunk(desc0, desc1, ratio, max_full_matrix)
    back = one_sided_by_chunk(desc1, desc0, ratio, max_full_matrix).flip(1)
    both = torch.cat([there.unique(dim=0), back.unique(dim=0)])
    pairs, counts = both.unique(dim=0, return_counts=True)
    pairs = pairs[counts == 2]
    return MutualMatches(pairs, (desc0[pairs[:, 0]] * desc1[pairs[:, 1]]).sum(dim=1))


def one_sided_by_chunk(desc0: Tensor, desc1: Tensor, ratio: float, max_full_matrix: int) -> Tensor:
    """(K, 2) rows of `desc0` with their nearest in each chunk of `desc1`, where the ratio test is passed."""
    rows = torch.arange(len(desc0), device=desc0.device)
    found, start = [], 0
    for chunk in desc1.split(max(1, max_full_matrix // len(desc0))):
        nearest = two_nearest(desc0, chunk)[0]
        passes = accepted(nearest, ratio, "euclidean", None)
        found.append(torch.stack([rows[passes], nearest.index[passes] + start], dim=1))
        start += len(chunk)
    return torch.cat(found)
