"""DISK: local features learnt by policy gradient (Tyszkiewicz, Fua and Trulls, NeurIPS 2020).

Departures from the authors' program, all off under `legacy`: shrinking averages areas instead of skipping pixels, the
image is padded to the next multiple of 16 only, half a pixel is not lost when resizing, exactly the best n are kept,
positions are refined below a pixel.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trigpoint.errors import SettingsError, WeightsError
from trigpoint.geometry.pixels import resize_points
from trigpoint.methods.base import FeatureMethod
from trigpoint.networks.disk_inference import DiskInference, DiskMaps
from trigpoint.networks.disk_unet import DESCRIPTOR_DIM, STRIDE, load_disk
from trigpoint.networks.keypoints import local_maxima, refine_subpixel, strongest
from trigpoint.networks.preprocessing import (
    fill_frame,
    fit_frame,
    fit_longer_side,
    pad_to_frame,
    pad_to_multiple,
    shrink,
    to_tensor,
)
from trigpoint.storage.weights import load_state_dict, resolve_weights, sha256_of
from trigpoint.types import Features, Image

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class DiskSettings:
    """Defaults are those of the authors' typical use, 1024 px and the best 2048 keypoints, with refined positions."""

    max_keypoints: int | None = 2048  # the strongest; null: all
    nms_window_px: int = 5  # side of the square window, odd, at network resolution
    score_threshold: float | None = 0.0  # raw logit, to be exceeded; 0 is acceptance probability 1/2; null: none
    resize_px: int | None = 1024  # longer side of the network's image; smaller photographs stay; null: never resized
    padding: bool = True  # zeros to multiples of 16, as trained; off: none, so that statistics are the photograph's own
    subpixel: bool = True  # parabolas through the logits beside each keypoint; AUC@5 of relative poses rises by 1 to 3
    dtype: str = "float32"  # of the network up to half resolution, or bfloat16: 2 % of the keypoints move
    weights: str = "disk-depth"  # registered name or file
    height: int | None = None  # with width, in place of resize_px: fitted into this frame, the rest of it filled with 0
    width: int | None = None  # both are multiples of 16
    legacy: bool = False  # as the authors' program, height and width being resize_px if not given; needs subpixel off

    def __post_init__(self) -> None:
        if self.max_keypoints is not None and self.max_keypoints < 1:
            raise SettingsError(f"disk: max_keypoints must be positive or null, got {self.max_keypoints}")
        if self.nms_window_px < 1 or self.nms_window_px % 2 == 0:
            raise SettingsError(f"disk: nms_window_px must be odd and positive, got {self.nms_window_px}")
        if self.resize_px is not None and self.resize_px < STRIDE:
            raise SettingsError(f"disk: resize_px must be at least {STRIDE} or null, got {self.resize_px}")
        if self.dtype not in DTYPES:
            raise SettingsError(f"disk: dtype must be one of {', '.join(DTYPES)}, got '{self.dtype}'")
        self._check_frame()
        frameless = self.height is None and (self.resize_px is None or self.resize_px % STRIDE)
        if self.legacy and (frameless or self.subpixel):
            raise SettingsError(
                "disk: legacy needs height and width, or resize_px, multiples of 16, and no subpixel refinement"
            )

    @property
    def frame(self) -> tuple[int, int] | None:
        """(width, height) of the padded image, if the settings fix it."""
        if self.height is not None and self.width is not None:
            return self.width, self.height
        return (self.resize_px, self.resize_px) if self.legacy and self.resize_px else None

    def _check_frame(self) -> None:
        if (self.height is None) != (self.width is None):
            raise SettingsError(f"disk: height {self.height} and width {self.width}: give both or none")
        for name in ("height", "width"):
            side = getattr(self, name)
            if side is not None and (side < STRIDE or side % STRIDE):
                low, high = max(STRIDE, side // STRIDE * STRIDE), max(STRIDE, -(-side // STRIDE) * STRIDE)
                near = " or ".join(str(size) for size in sorted({low, high}))
                raise SettingsError(
                    f"disk: {name} {side} cannot work: the network halves the image four times, so it must be a"
                    f" multiple of {STRIDE}; use {near}"
                )
        if self.height is not None and not self.padding:
            raise SettingsError("disk: height and width ask for padding, and padding is off; leave out one of them")


class Disk(FeatureMethod):
    """DISK's keypoints and unit descriptors of 128 numbers; scores are raw logits."""

    name = "disk"
    Settings = DiskSettings

    def __init__(self, settings: DiskSettings, *, device: str = "cpu", num_threads: int = 1) -> None:
        super().__init__(settings, device=device, num_threads=num_threads)
        self.settings: DiskSettings = settings
        path = resolve_weights(settings.weights)
        self.weights_sha256 = sha256_of(path)
        self._network = DiskInference(load_disk(load_state_dict(path), str(path)), device, DTYPES[settings.dtype])

    @torch.inference_mode()
    def extract(self, image: Image) -> Features:
        """Features of an image in pixels of the original, strongest first.

        Raises:
            WeightsError: the network's output is not finite.
        """
        if self.settings.legacy:
            return self._extract_legacy(image)
        height, width = image.pixels.shape[:2]
        frame = self.settings.frame
        longer_px = self.settings.resize_px
        size = fit_frame((width, height), frame) if frame else fit_longer_side((width, height), longer_px)
        pixels = to_tensor(shrink(image.pixels, size))
        if self.settings.padding:
            pixels = pad_to_frame(pixels, frame) if frame else pad_to_multiple(pixels, STRIDE)
        maps = self._maps(pixels, image.name)
        logits = maps.logits[: size[1], : size[0]]  # without the padding
        xy = local_maxima(logits, self.settings.nms_window_px, self.settings.score_threshold)
        xy, scores = strongest(xy, logits[xy[:, 1], xy[:, 0]], self.settings.max_keypoints)
        positions = refine_subpixel(logits, xy) if self.settings.subpixel else xy.float()
        keypoints = resize_points(positions.cpu().numpy(), size, image.size)
        return self._features(maps, xy, scores, keypoints, image)

    def _extract_legacy(self, image: Image) -> Features:
        """As the authors' program: plain bilinear resizing up or down into the frame, zeros beside it.

        Source: cvlab-epfl/disk, `detect.py`.
        """
        frame, limit = self.settings.frame, self.settings.max_keypoints
        assert frame is not None
        height, width = image.pixels.shape[:2]
        size, factor = fill_frame((width, height), frame)
        resized = torch.nn.functional.interpolate(
            to_tensor(image.pixels)[None], (size[1], size[0]), mode="bilinear", align_corners=False
        )[0]
        padded = pad_to_frame(resized, frame)
        maps = self._maps(padded, image.name)
        xy = local_maxima(maps.logits, self.settings.nms_window_px, self.settings.score_threshold)
        xy, scores = strongest_as_released(xy, maps.logits[xy[:, 1], xy[:, 0]], limit)
        original = xy.double() / factor * (image.size[0] / width)
        inside = (original[:, 0] < image.size[0]) & (original[:, 1] < image.size[1])
        keypoints = original[inside].float().cpu().numpy()
        return self._features(maps, xy[inside], scores[inside], keypoints, image)

    def _maps(self, pixels: Tensor, name: str) -> DiskMaps:
        maps = self._network.maps(pixels)
        if not torch.isfinite(maps.logits).all():
            raise WeightsError(
                f"{name}: disk's network gave values that are not finite: "
                f"check the checkpoint {self.settings.weights}, or use dtype float32"
            )
        return maps

    def _features(self, maps: DiskMaps, xy: Tensor, scores: Tensor, keypoints: np.ndarray, image: Image) -> Features:
        if len(xy):
            descriptors = self._network.descriptors(maps, xy).cpu().numpy()
        else:
            descriptors = np.zeros((0, DESCRIPTOR_DIM), dtype=np.float32)
        return Features(keypoints, descriptors, scores.cpu().numpy(), image.size)


def strongest_as_released(xy: Tensor, scores: Tensor, limit: int | None) -> tuple[Tensor, Tensor]:
    """The keypoints that score more than the (limit + 1)-th, or than the weakest if there are no more than `limit`.

    So of at most `limit` keypoints the weakest is lost. Arguments and order as `strongest`.

    Source: cvlab-epfl/disk, the selection of n features in its detection by non-maximum suppression.
    """
    xy, scores = strongest(xy, scores, None)
    if limit is None or len(xy) == 0:
        return xy, scores
    kept = scores > scores[min(limit, len(xy) - 1)]
    return xy[kept], scores[kept]
