"""What a run found in each image pair, whether it described images or looked at pairs, for benchmarks of pairs."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from trigpoint.errors import SettingsError, StorageError
from trigpoint.storage.correspondences import CorrespondenceShards
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.matches import MatchReader
from trigpoint.types import Features

Pair = tuple[str, str]


@dataclass(frozen=True)
class PairMatches:
    """Correspondences of one pair.

    Attributes:
        xy: (N, 4) float64: x0, y0, x1, y1 in pixels of the original images, centre of the top-left pixel at (0, 0).
        scores: (N,) higher is better, the scale is the method's.
    """

    xy: NDArray[np.float64]
    scores: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.xy)

    def stronger_than(self, threshold: float) -> "PairMatches":
        """Those with a score of at least `threshold`."""
        kept = self.scores >= threshold
        return PairMatches(self.xy[kept], self.scores[kept])


NO_MATCHES = PairMatches(np.zeros((0, 4)), np.zeros(0))


class RunMatches(ABC):
    """Correspondences of all pairs of a run; to be used in a `with` block."""

    has_features: ClassVar[bool]  # its method describes single images

    def __init__(self) -> None:
        self._stack = ExitStack()

    @abstractmethod
    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @abstractmethod
    def read(self, name0: str, name1: str) -> PairMatches:
        """Correspondences of a pair, `name0` first, however it is stored.

        Raises:
            StorageError: the run did not match the pair.
        """

    @abstractmethod
    def features(self, name: str) -> Features | None:
        """Features of an image; None of a method of pairs, which has none."""

    @abstractmethod
    def num_features(self, name: str) -> int | None:
        """How many features an image has; None of a method of pairs."""

    @property
    @abstractmethod
    def made_with(self) -> dict[str, dict[str, Any]]:
        """Stage -> the settings its files hold."""

    @property
    @abstractmethod
    def kernel_backends(self) -> list[str]:
        """Backends of the correlation kernels that answered."""


class FeatureRunMatches(RunMatches):
    """Of a method of single images: features.h5 and matches.h5."""

    has_features = True

    def __init__(self, features: Path, matches: Path) -> None:
        super().__init__()
        self._features = FeatureReader(features)
        self._matches = MatchReader(matches)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._features)
            stack.enter_context(self._matches)
            self._stack = stack.pop_all()
        return self

    def read(self, name0: str, name1: str) -> PairMatches:
        found = self._matches.read(name0, name1)
        xy0, xy1 = self._features.keypoints(name0), self._features.keypoints(name1)
        ends = [xy0[found.indices[:, 0]], xy1[found.indices[:, 1]]]
        return PairMatches(np.concatenate(ends, axis=1).astype(np.float64), found.scores)

    def features(self, name: str) -> Features:
        return self._features.read(name)

    def num_features(self, name: str) -> int:
        return self._features.num_keypoints(name)

    @property
    def made_with(self) -> dict[str, dict[str, Any]]:
        return {"features": self._features.settings, "matches": self._matches.settings}

    @property
    def kernel_backends(self) -> list[str]:
        return sorted(self._features.kernel_backends | self._matches.kernel_backends)


class PairRunMatches(RunMatches):
    """Of a method of image pairs: its raw correspondences, before keypoints are shared."""

    has_features = False

    def __init__(self, shards: Sequence[Path]) -> None:
        super().__init__()
        self._shards = CorrespondenceShards(shards)

    def __enter__(self) -> Self:
        self._stack.enter_context(self._shards)
        self._stored = set(self._shards.pairs())
        return self

    def read(self, name0: str, name1: str) -> PairMatches:
        if (name0, name1) in self._stored:
            found = self._shards.read(name0, name1)
            return PairMatches(found.xy.astype(np.float64), found.scores)
        if (name1, name0) in self._stored:
            found = self._shards.read(name1, name0)
            return PairMatches(found.xy[:, [2, 3, 0, 1]].astype(np.float64), found.scores)
        raise StorageError(f"no shard holds the pair '{name0}' '{name1}'; run `trigpoint match-pairs` again")

    def features(self, name: str) -> None:
        return None

    def num_features(self, name: str) -> None:
        return None

    @property
    def made_with(self) -> dict[str, dict[str, Any]]:
        return {"correspondences": self._shards.settings}

    @property
    def kernel_backends(self) -> list[str]:
        return sorted(self._shards.kernel_backends)


def open_run(features: Path | None, matches: Path | None, shards: Sequence[Path]) -> RunMatches:
    """The run whose files these are.

    Raises:
        SettingsError: neither features with matches, nor shards of correspondences, or both.
    """
    if features is not None and matches is not None and not shards:
        return FeatureRunMatches(features, matches)
    if shards and features is None and matches is None:
        return PairRunMatches(shards)
    raise SettingsError(
        "evaluate-pairs: give --features and --matches of a method of single images, or --shards of one of image pairs"
    )
