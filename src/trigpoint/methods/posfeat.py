"""PoSFeat: local features described first, detected then (Li et al., CVPR 2022); and its descriptors at SIFT keypoints.

Departures from the authors' program, all off under `legacy`: sides that are no multiple of 16 are padded instead of
cropped, so that the last rows and columns have keypoints too; windows of the suppression end at the border instead of
mirroring it; a limit below 128 is kept; SIFT's positions are those of OpenCV's corrected enlargement, each taken once,
and ranked. Arbitrary pixels, which the authors' program adds up to 128, are left out always.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from trigpoint.errors import SettingsError, WeightsError
from trigpoint.geometry.pixels import resize_points
from trigpoint.methods.base import FeatureMethod
from trigpoint.networks.posfeat_checkpoint import read_posfeat
from trigpoint.networks.posfeat_detection import DetectionInference
from trigpoint.networks.posfeat_inference import DescriptionInference, PosfeatMaps, sample_descriptors
from trigpoint.networks.posfeat_keypoints import (
    SUPPRESSIONS,
    THRESHOLD_MODES,
    DetectionOptions,
    detect,
    detect_as_released,
)
from trigpoint.networks.posfeat_net import DESCRIPTOR_DIM, STRIDE, load_posfeat
from trigpoint.networks.preprocessing import fit_longer_side, normalize_image, shrink, to_tensor
from trigpoint.settings import check_choice, check_flag, check_number
from trigpoint.types import Features, Image

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SAMPLINGS = ("as_trained", "half_cell", "aligned")
SAMPLING_KEY = "sampling"  # of a checkpoint of ours; official ones have none and were trained with half_cell


@dataclass(frozen=True, kw_only=True)
class DescriptionSettings:
    """What both methods share."""

    max_keypoints: int | None = 20480  # the strongest; null: all
    resize_px: int | None = 1600  # longer side of the network's image; smaller photographs stay; null: never resized
    sampling: str = "as_trained"  # where descriptors are read: as_trained, half_cell (2 px left and up) or aligned
    dtype: str = "float32"  # of the network up to quarter resolution, or bfloat16
    weights: str = "posfeat"  # registered name, file, or folder with the official backbone.pth and localheader.pth
    legacy: bool = False  # borders, suppression and sampling as in the authors' program

    def __post_init__(self) -> None:
        if self.max_keypoints is not None:
            check_number("posfeat", "max_keypoints", self.max_keypoints, 1)
        if self.resize_px is not None:
            check_number("posfeat", "resize_px", self.resize_px, STRIDE)
        check_choice("posfeat", "sampling", self.sampling, SAMPLINGS)
        check_choice("posfeat", "dtype", self.dtype, tuple(DTYPES))
        check_flag("posfeat", "legacy", self.legacy)
        if self.legacy and self.sampling == "aligned":
            raise SettingsError("posfeat: legacy reads descriptors half a cell away; leave sampling as_trained")


@dataclass(frozen=True, kw_only=True)
class PosfeatSettings(DescriptionSettings):
    """Defaults are the release's for Aachen; for HPatches it has 8192 keypoints, radius 1 and threshold 0.9."""

    nms: str = "hard"  # hard: a keypoint is the largest of its window; soft: weighted by what it has above it; none
    nms_radius_px: int = 3  # of the square window, side 2 r + 1
    score_threshold: float | None = 0.5  # to be exceeded; logits have mean 0, so 0.69 is an average pixel; null: none
    threshold_mode: str = "abs"  # unit of score_threshold: abs, or times the image's mean or max
    cell_px: int | None = None  # at most one keypoint in each square cell of this side, its best pixel; null: any

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("posfeat", "nms", self.nms, SUPPRESSIONS)
        check_number("posfeat", "nms_radius_px", self.nms_radius_px, 1)
        if self.score_threshold is not None:
            check_number("posfeat", "score_threshold", self.score_threshold, 0.0)
        check_choice("posfeat", "threshold_mode", self.threshold_mode, THRESHOLD_MODES)
        if self.cell_px is not None:
            check_number("posfeat", "cell_px", self.cell_px, 1)
            if self.legacy:
                raise SettingsError("posfeat: the authors' extraction has no cells; leave out cell_px or legacy")


@dataclass(frozen=True, kw_only=True)
class PosfeatSiftSettings(DescriptionSettings):
    """SIFT's thresholds are OpenCV's defaults, as in the release."""

    contrast_threshold: float = 0.04  # of the difference of Gaussians
    edge_threshold: float = 10.0  # largest ratio of the principal curvatures

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("posfeat_sift", "contrast_threshold", self.contrast_threshold, 0.0)
        check_number("posfeat_sift", "edge_threshold", self.edge_threshold, 0.0)


class _Describing(FeatureMethod):
    """Descriptors of PoSFeat at keypoints that a child finds."""

    detects = False  # whether the detection network is needed

    def __init__(self, settings: DescriptionSettings, *, device: str = "cpu", num_threads: int = 1) -> None:
        super().__init__(settings, device=device, num_threads=num_threads)
        self.settings: Any = settings
        sections = ("backbone", "localheader") if self.detects else ("backbone",)
        checkpoint, self.weights_sha256 = read_posfeat(settings.weights, sections)
        backbone, detector = load_posfeat(checkpoint, settings.weights, detector=self.detects)
        self._half_cell = settings.legacy or half_cell_shift(settings.sampling, checkpoint, settings.weights)
        dtype = DTYPES[settings.dtype]
        self._description = DescriptionInference(backbone, device, dtype)
        self._detection = None if detector is None else DetectionInference(detector, device, dtype)

    @torch.inference_mode()
    def extract(self, image: Image) -> Features:
        """Features of an image in pixels of the original, strongest first (but for SIFT under `legacy`).

        Raises:
            WeightsError: the network's output is not finite.
        """
        height, width = image.pixels.shape[:2]
        size = fit_longer_side((width, height), self.settings.resize_px)
        pixels = shrink(image.pixels, size)
        if self.settings.legacy:
            pixels = pixels[: size[1] - size[1] % STRIDE, : size[0] - size[0] % STRIDE]
        if 0 in pixels.shape:  # nothing is left of an image below 16 pixels
            return _features(np.zeros((0, 2)), np.zeros((0, DESCRIPTOR_DIM)), np.zeros(0), size, image)
        padded = pad_by_repeating(normalize_image(to_tensor(pixels)), STRIDE)
        maps = self._description.maps(padded)
        self._check_finite(maps.local, image)
        xy, scores = self._keypoints(maps, padded, pixels)
        descriptors = sample_descriptors(maps.local, xy, half_cell_shift=self._half_cell)
        return _features(xy.cpu().numpy(), descriptors.cpu().numpy(), scores.cpu().numpy(), size, image)

    @abstractmethod
    def _keypoints(self, maps: PosfeatMaps, padded: Tensor, pixels: np.ndarray) -> tuple[Tensor, Tensor]:
        """(N, 2) pixels of the network's image and (N,) scores.

        Args:
            maps: of the padded image.
            padded: (3, H, W), normalized.
            pixels: (h, w, 3) uint8 before padding.
        """

    def _check_finite(self, values: Tensor, image: Image) -> None:
        if not torch.isfinite(values).all():
            raise WeightsError(
                f"{image.name}: {self.name}'s network gave values that are not finite: "
                f"check the checkpoint {self.settings.weights}, or use dtype float32"
            )


class Posfeat(_Describing):
    """PoSFeat's keypoints and unit descriptors of 128 numbers; scores are relative to the image, 0.69 is average."""

    name = "posfeat"
    Settings = PosfeatSettings
    detects = True

    def _keypoints(self, maps: PosfeatMaps, padded: Tensor, pixels: np.ndarray) -> tuple[Tensor, Tensor]:
        assert self._detection is not None
        scores = self._detection.scores(maps, padded)[: pixels.shape[0], : pixels.shape[1]]  # without the padding
        settings = self.settings
        options = DetectionOptions(
            limit=settings.max_keypoints,
            nms=settings.nms,
            nms_radius_px=settings.nms_radius_px,
            threshold=settings.score_threshold,
            threshold_mode=settings.threshold_mode,
            cell_px=settings.cell_px,
        )
        return detect_as_released(scores, options) if settings.legacy else detect(scores, options)


class PosfeatSift(_Describing):
    """OpenCV's SIFT keypoints, described by PoSFeat; scores are SIFT's contrast (ones under `legacy`)."""

    name = "posfeat_sift"
    Settings = PosfeatSiftSettings

    def _keypoints(self, maps: PosfeatMaps, padded: Tensor, pixels: np.ndarray) -> tuple[Tensor, Tensor]:
        settings = self.settings
        xy, scores = sift_keypoints(
            pixels, settings.contrast_threshold, settings.edge_threshold, as_released=settings.legacy
        )
        if not settings.legacy:
            xy, scores = xy[: settings.max_keypoints], scores[: settings.max_keypoints]
        device = maps.local.device
        return torch.from_numpy(xy).to(device), torch.from_numpy(scores).to(device)


def sift_keypoints(
    pixels: np.ndarray, contrast_threshold: float, edge_threshold: float, *, as_released: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (N, 2) float32 and scores (N,) float32 of SIFT keypoints, OpenCV's detector.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        as_released: all orientations of a place, in OpenCV's order, scores 1, positions a quarter of a pixel off;
            otherwise each place once, by falling contrast.
    """
    detector = cv2.SIFT.create(
        contrastThreshold=contrast_threshold, edgeThreshold=edge_threshold, enable_precise_upscale=not as_released
    )
    found = detector.detect(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY))
    rows = np.array([(*point.pt, point.response) for point in found], dtype=np.float32).reshape(-1, 3)
    if as_released:
        return rows[:, :2].copy(), np.ones(len(rows), dtype=np.float32)
    height, width = pixels.shape[:2]
    rows[:, :2] = rows[:, :2].clip(0, [width - 1, height - 1])
    rows = np.unique(rows, axis=0)  # sorted, so that the order does not depend on OpenCV's threads
    rows = rows[np.unique(rows[:, :2], axis=0, return_index=True)[1]]
    rows = rows[np.argsort(-rows[:, 2], kind="stable")]
    return rows[:, :2].copy(), rows[:, 2].copy()


def half_cell_shift(sampling: str, checkpoint: Mapping[str, Any], source: str) -> bool:
    """Whether descriptors are read half a cell to the left and above, as the network was trained or as asked.

    Raises:
        WeightsError: the checkpoint names another way than `half_cell` and `aligned`.
    """
    if sampling == "as_trained":
        sampling = checkpoint.get(SAMPLING_KEY, "half_cell")
        if sampling not in SAMPLINGS[1:]:
            raise WeightsError(f"{source}: {SAMPLING_KEY} is '{sampling}', expected half_cell or aligned")
    return sampling == "half_cell"


def pad_by_repeating(image: Tensor, multiple: int) -> Tensor:
    """(C, H, W) with the last column and row repeated, sides multiples of `multiple`."""
    height, width = image.shape[1:]
    return functional.pad(image[None], (0, -width % multiple, 0, -height % multiple), mode="replicate")[0]


def _features(
    xy: np.ndarray, descriptors: np.ndarray, scores: np.ndarray, size: tuple[int, int], image: Image
) -> Features:
    """Features of positions in the network's image, which has `size`."""
    return Features(
        keypoints=resize_points(xy, size, image.size),
        descriptors=descriptors.astype(np.float32, copy=False),
        scores=scores.astype(np.float32, copy=False),
        image_size=image.size,
    )
