"""Any method on two images: a pair method as it is, a feature method through its features and a matcher."""

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigpoint.datasets.images import load_image
from trigpoint.matching.base import Matcher, create_matcher
from trigpoint.methods.base import FeatureMethod, PairMethod, create_method
from trigpoint.types import Features, Image

DEFAULT_MATCHER = "mutual_nn"
FEATURES_IN_MEMORY = 8  # images whose features are kept for their next pair


class TwoImageMatcher:
    """A method, with a matcher if it needs one, that turns two photographs into correspondences.

    Args:
        method: name of a method of either kind.
        settings: of the method.
        matcher: name of a matcher, for feature methods.
        matcher_settings: of the matcher.
        device: `cpu` or `cuda`.
        num_threads: threads.

    Raises:
        SettingsError: an unknown name or key, or a value out of range.
        WeightsError: a checkpoint is missing or damaged.
    """

    def __init__(
        self,
        method: str,
        settings: dict[str, Any],
        matcher: str = DEFAULT_MATCHER,
        matcher_settings: dict[str, Any] | None = None,
        *,
        device: str = "cpu",
        num_threads: int = 1,
    ) -> None:
        self.name = method
        self.method: FeatureMethod | PairMethod = create_method(
            method, settings, device=device, num_threads=num_threads
        )
        self.matcher: Matcher | None = None
        if isinstance(self.method, FeatureMethod):
            self.name = f"{method} with {matcher}"
            self.matcher = create_matcher(matcher, matcher_settings or {}, device=device, num_threads=num_threads)
        self._features: OrderedDict[str, Features] = OrderedDict()

    def match_rows(self, image0: Image, image1: Image) -> NDArray[np.floating]:
        """Rows of PUMP's files: (N, 6), or dense (N, 4) if the method's settings say so; N may be 0."""
        if isinstance(self.method, PairMethod):
            return self.method.match_rows(image0, image1)
        assert self.matcher is not None
        features0, features1 = self._extract(image0), self._extract(image1)
        matches = self.matcher.match(features0, features1)
        xy0, xy1 = features0.keypoints[matches.indices[:, 0]], features1.keypoints[matches.indices[:, 1]]
        return np.column_stack([xy0, xy1, matches.scores, np.zeros(len(matches))]).astype(np.float32)

    def _extract(self, image: Image) -> Features:
        """Features of an image; those of the last images stay in memory."""
        assert isinstance(self.method, FeatureMethod)
        if image.digest in self._features:
            self._features.move_to_end(image.digest)
        else:
            self._features[image.digest] = self.method.extract(image)
            if len(self._features) > FEATURES_IN_MEMORY:
                self._features.popitem(last=False)
        return self._features[image.digest]


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load_two(path0: Path, path1: Path) -> tuple[Image, Image]:
    """Two photographs by their paths, under their file names; with the folder's name too where these are equal.

    Raises:
        ImageError: one of them cannot be used.
    """
    paths = [path.absolute() for path in (path0, path1)]
    parts = 2 if paths[0].name == paths[1].name and len(paths[0].parts) > 2 < len(paths[1].parts) else 1
    images = [load_image(Path(*path.parts[:-parts]), "/".join(path.parts[-parts:])) for path in paths]
    return images[0], images[1]
