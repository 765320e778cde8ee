"""Any matcher of the package vismatch (Stoken, Berton and Trivigno), where that is installed.

The package downloads its matchers' checkpoints itself, some under terms that exclude commercial use. Its points are
taken to have the centre of the top-left pixel at (0, 0); its matchers do not all agree on that.
"""

import hashlib
import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from trigpoint.errors import SettingsError, TrigpointError
from trigpoint.geometry.pixels import resize_points
from trigpoint.methods.base import PairMethod, nearest
from trigpoint.networks.preprocessing import fit_longer_side, shrink, to_tensor
from trigpoint.settings import check_number
from trigpoint.types import Correspondences, Image

SMALLEST_SIDE_PX = 32  # networks with strides fail below
SEED = 0  # of matchers that draw from their densities


@dataclass(frozen=True, kw_only=True)
class VismatchSettings:
    """Defaults are vismatch's own, at a size its networks were trained for."""

    matcher: str = "sift-lightglue"  # one of vismatch.available_models
    max_keypoints: int = 2048  # of an image, or samples of a dense matcher; some matchers have no use for it
    resize_px: int | None = 1024  # longer side; smaller photographs stay; null: never resized

    def __post_init__(self) -> None:
        if not isinstance(self.matcher, str):
            raise SettingsError(f"vismatch: matcher must be a name, got {self.matcher!r}")
        check_number("vismatch", "max_keypoints", self.max_keypoints, 1)
        if self.resize_px is not None:
            check_number("vismatch", "resize_px", self.resize_px, SMALLEST_SIDE_PX)


class Vismatch(PairMethod):
    """Correspondences of one of vismatch's matchers; those without confidences are given 1."""

    name = "vismatch"
    Settings = VismatchSettings

    def __init__(self, settings: VismatchSettings, *, device: str = "cpu", num_threads: int = 1) -> None:
        super().__init__(settings, device=device, num_threads=num_threads)
        self.settings: VismatchSettings = settings
        try:
            package: Any = importlib.import_module("vismatch")
        except (ImportError, OSError, RuntimeError) as error:  # a torchvision of another torch raises the last
            raise TrigpointError(
                f"vismatch: the package cannot be imported ({error}): pip install vismatch, or choose another method"
            ) from error
        if settings.matcher not in package.available_models:
            raise SettingsError(
                f"vismatch: no matcher is called '{settings.matcher}'"
                f"{nearest(settings.matcher, list(package.available_models))}"
            )
        try:
            self._matcher: Any = package.get_matcher(
                settings.matcher, device=device, max_num_keypoints=settings.max_keypoints
            )
        except (ImportError, OSError) as error:
            raise TrigpointError(f"vismatch: '{settings.matcher}' cannot be made ready: {error}") from error
        # the package fetches checkpoints on its own: its version stands for them
        made_of = f"vismatch {package.__version__} {settings.matcher}"
        self.weights_sha256 = hashlib.sha256(made_of.encode()).hexdigest()

    def match_images(self, image0: Image, image1: Image) -> Correspondences:
        """Correspondences in pixels of the originals; none of images that `_can_be_matched` says no of."""
        if not (_can_be_matched(image0) and _can_be_matched(image1)):
            return Correspondences(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
        sizes = [fit_longer_side(_decoded(image), self.settings.resize_px) for image in (image0, image1)]
        tensors = [to_tensor(shrink(image.pixels, size)) for image, size in zip((image0, image1), sizes, strict=True)]
        with torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(SEED)
            found = self._matcher(*(tensor.to(self.device) for tensor in tensors))
        ends = [np.asarray(found[f"matched_kpts{side}"], dtype=np.float64).reshape(-1, 2) for side in (0, 1)]
        scores = found["matched_confidences"]
        scores = np.ones(len(ends[0])) if scores is None else np.asarray(scores, dtype=np.float64)
        good = np.isfinite(scores)
        for end, size in zip(ends, sizes, strict=True):
            good &= ((end >= -0.5) & (end <= np.array(size) - 0.5)).all(axis=1)  # false for what is not finite, too
        moved = [
            resize_points(end[good], size, image.size)
            for end, size, image in zip(ends, sizes, (image0, image1), strict=True)
        ]
        return Correspondences(np.concatenate(moved, axis=1), np.maximum(scores[good], 0).astype(np.float32))


def _can_be_matched(image: Image) -> bool:
    """Not an image of one colour or with a side below SMALLEST_SIDE_PX, which some matchers raise errors of."""
    return min(image.pixels.shape[:2]) >= SMALLEST_SIDE_PX and image.pixels.min() < image.pixels.max()


def _decoded(image: Image) -> tuple[int, int]:
    return image.pixels.shape[1], image.pixels.shape[0]
