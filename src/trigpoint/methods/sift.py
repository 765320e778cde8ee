"""SIFT with RootSIFT descriptors, as COLMAP extracts it: VLFeat's detector through pycolmap, on the CPU."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from trigpoint.geometry.pixels import from_colmap
from trigpoint.methods.base import FeatureMethod
from trigpoint.settings import check_choice, check_flag, check_number
from trigpoint.storage.colmap import load
from trigpoint.types import Features, Image

DESCRIPTOR_SIZE = 128
QUANTUM = 512.0  # COLMAP keeps min(255, round(512 x)) of each component; the quotient is exact in float16
SMALLEST_SIDE_PX = 8  # below, VLFeat has no octave to look in
NORMALIZATIONS = ("L1_ROOT", "L2")


@dataclass(frozen=True, kw_only=True)
class SiftSettings:
    """Defaults are COLMAP's (SiftExtractionOptions); `max_image_size` is that of the measured baselines.

    1600 px: on the Strecha scenes the full 3072 px need 3.7 instead of 1.1 GB and give fewer points and the same poses.
    """

    max_keypoints: int = 8192  # places; each has up to `max_num_orientations` rows, so there are some 1.5 times as many
    exact_count: bool = False  # keep the `max_keypoints` rows of largest scale, not all orientations as COLMAP does
    max_image_size: int = 1600  # px of the longer side; larger images are reduced, smaller ones left
    first_octave: int = -1  # -1: look at twice the resolution
    num_octaves: int = 4
    octave_resolution: int = 3  # levels an octave
    peak_threshold: float = 0.02 / 3  # of the difference of Gaussians, grey values 0 to 1
    edge_threshold: float = 10.0  # largest ratio of the principal curvatures
    max_num_orientations: int = 2  # of a place
    upright: bool = False  # no orientation: for images that are level
    estimate_affine_shape: bool = False
    domain_size_pooling: bool = False  # DSP-SIFT (Dong and Soatto, CVPR 2015); slower
    normalization: str = "L1_ROOT"  # RootSIFT (Arandjelovic and Zisserman, CVPR 2012)

    def __post_init__(self) -> None:
        check_number("sift", "max_keypoints", self.max_keypoints, 1)
        check_number("sift", "max_image_size", self.max_image_size, SMALLEST_SIDE_PX)
        check_number("sift", "first_octave", self.first_octave, -1, 4)
        check_number("sift", "num_octaves", self.num_octaves, 1, 12)
        check_number("sift", "octave_resolution", self.octave_resolution, 1, 12)
        check_number("sift", "peak_threshold", self.peak_threshold, 0.0)
        check_number("sift", "edge_threshold", self.edge_threshold, 0.0)
        check_number("sift", "max_num_orientations", self.max_num_orientations, 1, 4)
        for name in ("exact_count", "upright", "estimate_affine_shape", "domain_size_pooling"):
            check_flag("sift", name, getattr(self, name))
        check_choice("sift", "normalization", self.normalization, NORMALIZATIONS)


class Sift(FeatureMethod):
    """SIFT: scale-invariant keypoints and gradient histograms (Lowe, IJCV 2004).

    Equal to `pycolmap.extract_features` with the same options, row by row: grey by COLMAP's weights first, then reduced
    bilinearly to whole pixels, keypoints scaled back in each axis. Scores are the keypoints' scales in pixels of the
    original: VLFeat's response does not come through pycolmap, and COLMAP too keeps the larger ones of too many.
    """

    name = "sift"
    Settings = SiftSettings
    one_core = True  # pycolmap holds the interpreter's lock meanwhile

    def __init__(self, settings: SiftSettings, *, device: str = "cpu", num_threads: int = 1) -> None:
        super().__init__(settings, device=device, num_threads=num_threads)
        pycolmap: Any = load()
        self._bitmap = pycolmap.Bitmap
        self._extractor = pycolmap.FeatureExtractor.create(_options(pycolmap, settings), pycolmap.Device.cpu)

    def extract(self, image: Image) -> Features:
        """RootSIFT of an image: descriptors are multiples of 1/512, norm about 1, float32."""
        height, width = image.pixels.shape[:2]
        if min(height, width) < SMALLEST_SIDE_PX:
            return _features(np.empty((0, 3)), np.empty((0, DESCRIPTOR_SIZE), np.uint8), image.size)
        grey = self._bitmap.from_array(np.ascontiguousarray(image.pixels)).clone_as_grey()
        scale = self.settings.max_image_size / max(height, width)
        if scale < 1:
            grey.rescale(max(1, round(width * scale)), max(1, round(height * scale)))
        keypoints, descriptors = self._extractor.extract(grey)
        rows = np.array([(point.x, point.y, point.compute_scale()) for point in keypoints], dtype=np.float64)
        rows = rows.reshape(-1, 3)
        factors = np.array([image.size[0] / grey.width, image.size[1] / grey.height])
        rows *= [*factors, np.sqrt(factors.prod())]
        data = np.asarray(descriptors.data, dtype=np.uint8).reshape(-1, DESCRIPTOR_SIZE)
        if self.settings.exact_count and len(rows) > self.settings.max_keypoints:
            # stable: rows of equal scale (the orientations of one place) keep their order
            kept = np.sort(np.argsort(-rows[:, 2], kind="stable")[: self.settings.max_keypoints])
            rows, data = rows[kept], data[kept]
        return _features(rows, data, image.size)


def _options(pycolmap: Any, settings: SiftSettings) -> Any:
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.num_threads = 1  # of one image; several images are several processes
    sift = options.sift
    sift.max_num_features = settings.max_keypoints
    sift.normalization = pycolmap.Normalization.__members__[settings.normalization]
    for name in (
        "first_octave", "num_octaves", "octave_resolution", "peak_threshold", "edge_threshold", "max_num_orientations",
        "upright", "estimate_affine_shape", "domain_size_pooling",
    ):  # fmt: skip
        setattr(sift, name, getattr(settings, name))
    return options


def _features(rows: np.ndarray, descriptors: np.ndarray, size: tuple[int, int]) -> Features:
    """Features of rows x, y, scale in pixels of the original, COLMAP's convention."""
    return Features(
        keypoints=from_colmap(rows[:, :2]).astype(np.float32),
        descriptors=descriptors.astype(np.float32) / np.float32(QUANTUM),
        scores=rows[:, 2].astype(np.float32),
        image_size=size,
    )
