"""R2D2: repeatable and reliable keypoints (Revaud et al., NeurIPS 2019); and GCM's student of it, in its place.

Departures from the authors' extractor, all off under `legacy`: half a pixel is not lost between levels, each level is
made of the photograph with its detail smoothed away, of equal neighbours one is a keypoint, positions are refined below
a pixel, an image below the least size is searched as it is.
"""

from dataclasses import dataclass

import torch

from trigpoint.errors import SettingsError
from trigpoint.geometry.pixels import resize_points
from trigpoint.methods.base import FeatureMethod
from trigpoint.networks.preprocessing import to_tensor
from trigpoint.networks.r2d2_inference import PatchInference
from trigpoint.networks.r2d2_keypoints import ExtractionOptions, extract_keypoints
from trigpoint.networks.r2d2_net import load_patch_net
from trigpoint.settings import check_flag, check_number
from trigpoint.storage.weights import load_state_dict, resolve_weights, sha256_of
from trigpoint.types import Features, Image

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
MIN_SCALE_FACTOR = 1.05  # 29 levels from 1024 to 256 px


@dataclass(frozen=True, kw_only=True)
class R2d2Settings:
    """Scales, sizes, thresholds and number are the defaults of the authors' extractor."""

    max_keypoints: int | None = 5000  # the best of all levels; null: all
    scale_factor: float = 2**0.25  # from level to level; 1: one level, of max_size_px
    min_size_px: int = 256  # longer side of the smallest level
    max_size_px: int = 1024  # of the largest
    min_scale: float = 0.0  # of the smallest level against the photograph
    max_scale: float = 1.0  # of the largest
    reliability_threshold: float = 0.7
    repeatability_threshold: float = 0.7
    subpixel: bool = True  # parabolas through the repeatability beside each keypoint
    dtype: str = "float32"  # of the network but for its last layer, or bfloat16
    weights: str = "r2d2-wasf-n16"  # registered name or file
    legacy: bool = False  # as the authors' program; needs subpixel off

    def __post_init__(self) -> None:
        if self.max_keypoints is not None:
            check_number("r2d2", "max_keypoints", self.max_keypoints, 1)
        if self.scale_factor != 1:
            check_number("r2d2", "scale_factor", self.scale_factor, MIN_SCALE_FACTOR)
        check_number("r2d2", "min_size_px", self.min_size_px, 1)
        check_number("r2d2", "max_size_px", self.max_size_px, self.min_size_px)
        check_number("r2d2", "min_scale", self.min_scale, 0, 1)
        check_number("r2d2", "max_scale", self.max_scale, max(self.min_scale, 1e-3), 1)
        for key in ("reliability_threshold", "repeatability_threshold"):
            check_number("r2d2", key, getattr(self, key), 0, 1)
        for key in ("subpixel", "legacy"):
            check_flag("r2d2", key, getattr(self, key))
        if self.dtype not in DTYPES:
            raise SettingsError(f"r2d2: dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        if self.legacy and self.subpixel:
            raise SettingsError("r2d2: legacy needs subpixel off: the authors' keypoints are whole pixels of a level")


@dataclass(frozen=True, kw_only=True)
class GcmStudentSettings(R2d2Settings):
    """The same, with the student's weights."""

    weights: str = "gcm-student"  # registered name or file


class R2d2(FeatureMethod):
    """Keypoints of several scales with unit descriptors of 128 numbers; scores are reliability times repeatability."""

    name = "r2d2"
    Settings = R2d2Settings

    def __init__(self, settings: R2d2Settings, *, device: str = "cpu", num_threads: int = 1) -> None:
        super().__init__(settings, device=device, num_threads=num_threads)
        self.settings: R2d2Settings = settings
        path = resolve_weights(settings.weights)
        self.weights_sha256 = sha256_of(path)
        network = load_patch_net(load_state_dict(path), str(path))
        self._network = PatchInference(network, device, DTYPES[settings.dtype])
        self._options = ExtractionOptions(
            scale_factor=settings.scale_factor,
            min_size_px=settings.min_size_px,
            max_size_px=settings.max_size_px,
            min_scale=settings.min_scale,
            max_scale=settings.max_scale,
            reliability_threshold=settings.reliability_threshold,
            repeatability_threshold=settings.repeatability_threshold,
            subpixel=settings.subpixel,
            legacy=settings.legacy,
        )

    @torch.inference_mode()
    def extract(self, image: Image) -> Features:
        """Features of an image in pixels of the original, best first.

        Raises:
            WeightsError: the network's output is not finite.
        """
        found = extract_keypoints(self._network, to_tensor(image.pixels), self._options)
        found = found.strongest(self.settings.max_keypoints)
        size = image.pixels.shape[1], image.pixels.shape[0]
        keypoints = resize_points(found.xy.cpu().numpy(), size, image.size)
        return Features(keypoints, found.descriptors.cpu().numpy(), found.scores.cpu().numpy(), image.size)


class GcmStudent(R2d2):
    """The network that GCM distilled from R2D2, in R2D2's extractor."""

    name = "gcm_student"
    Settings = GcmStudentSettings
