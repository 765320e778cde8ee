"""Mutual nearest neighbours, with an optional ratio test on both sides."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from trigpoint.errors import SettingsError
from trigpoint.kernels import BACKENDS, DISTANCES, mutual_nearest_neighbors
from trigpoint.matching.base import Matcher
from trigpoint.types import Features, Matches


@dataclass(frozen=True, kw_only=True)
class MutualNearestNeighborSettings:
    """For DISK: no ratio test, or 0.95 as its authors; for SIFT as COLMAP: angle, ratio 0.8, max_distance 0.7."""

    ratio: float | None = None  # nearest to second nearest, to stay below; null: no test
    distance: str = "euclidean"  # of unit descriptors, or angle in radians: what ratio and max_distance are about
    max_distance: float | None = None  # of a match; null: none
    backend: str = "auto"  # of the kernel

    def __post_init__(self) -> None:
        if self.ratio is not None and not 0 < self.ratio <= 1:
            raise SettingsError(f"mutual_nn: ratio must be in (0, 1] or null, got {self.ratio}")
        if self.max_distance is not None and self.max_distance < 0:
            raise SettingsError(f"mutual_nn: max_distance must not be negative, got {self.max_distance}")
        if self.distance not in DISTANCES:
            raise SettingsError(f"mutual_nn: distance must be one of {', '.join(DISTANCES)}, got '{self.distance}'")
        if self.backend not in BACKENDS:
            raise SettingsError(f"mutual_nn: backend must be one of {', '.join(BACKENDS)}, got '{self.backend}'")


class MutualNearestNeighbor(Matcher):
    """Pairs of unit descriptors that are nearest to each other; the score is their dot product."""

    name = "mutual_nn"
    Settings = MutualNearestNeighborSettings

    @torch.inference_mode()
    def match(self, features0: Features, features1: Features) -> Matches:
        """Matches, none of them sharing a keypoint; sorted by the first index; an empty side gives none."""
        desc0, desc1 = (
            torch.from_numpy(np.asarray(item.descriptors, dtype=np.float32)).to(self.device)
            for item in (features0, features1)
        )
        if len(desc0) == 0 or len(desc1) == 0:  # of unknown width, perhaps
            return Matches(np.zeros((0, 2), dtype=np.int32), np.zeros(0, dtype=np.float32))
        found = mutual_nearest_neighbors(
            desc0,
            desc1,
            ratio=self.settings.ratio,
            distance=self.settings.distance,
            max_distance=self.settings.max_distance,
            backend=self.settings.backend,
        )
        return Matches(found.indices.cpu().numpy().astype(np.int32), found.similarity.cpu().numpy())

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
