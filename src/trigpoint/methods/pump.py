"""PUMP: pyramidal matching of every patch with every pixel (Revaud, Leroy, Weinzaepfel and Chidlovskii, CVPR 2022).

Departures from the release, all off under `legacy`: matches are reciprocal by whole numbers instead of a rounded key,
resizing keeps half a pixel and each axis' own ratio, quarter turns are exact in both senses, turned canvases hold the
whole image, a dense field has the original's size, rows that were never filled are left out, a group's size is not
added to the score.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from trigpoint.matching.pump.densify import densify
from trigpoint.matching.pump.post_filter import post_filter
from trigpoint.methods.base import PairMethod
from trigpoint.methods.pump_estimate import PumpCost, estimate, memory_limit, refuse_what_does_not_fit
from trigpoint.methods.pump_matching import ViewMatcher
from trigpoint.methods.pump_settings import PostFilterSettings, PumpSettings, products_dtype
from trigpoint.methods.pump_views import DescriptorMaps, View, open_view
from trigpoint.networks.image_transforms import transform_points
from trigpoint.networks.pump_inference import PumpAsReleased, PumpInference
from trigpoint.networks.pump_net import load_pump
from trigpoint.storage.weights import load_state_dict, resolve_weights, sha256_of
from trigpoint.types import Correspondences, Image

MIB = 1 << 20
NETWORK_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Pump(PairMethod):
    """Semi-dense correspondences: reciprocal records of a 4 px grid, or a row for every pixel if densified."""

    name = "pump"
    Settings = PumpSettings

    def __init__(self, settings: PumpSettings, *, device: str = "cpu", num_threads: int = 1) -> None:
        super().__init__(settings, device=device, num_threads=num_threads)
        self.settings: PumpSettings = settings
        path = resolve_weights(settings.desc)
        self.weights_sha256 = sha256_of(path)
        dtype = products_dtype(settings, device)
        # a processor computes the network in float32 whatever the products are, or so that near-ties fall as released
        on_processor = torch.float64 if settings.legacy else torch.float32
        network_dtype = NETWORK_DTYPES[dtype] if device == "cuda" else on_processor
        prepare = PumpAsReleased if settings.legacy else PumpInference
        network = prepare(load_pump(load_state_dict(path), str(path)), device, network_dtype)
        self._maps = DescriptorMaps(network, settings.cache_mib * MIB)
        self._matcher = ViewMatcher(self._maps, settings, dtype)
        self._memory_bytes: int | None = None  # what was free before the first pair: later ones reuse its memory

    @staticmethod
    def estimate(settings: PumpSettings, size0: tuple[int, int], size1: tuple[int, int]) -> PumpCost:
        """Memory, operations and seconds of a pair of photographs of these (width, height), on this machine."""
        return estimate(settings, size0, size1)

    def match_images(self, image0: Image, image1: Image) -> Correspondences:
        """Correspondences in pixels of the originals; dense ones have no score and are given 1.

        Raises:
            SettingsError: the pair needs more memory than there is, or than the settings allow.
            WeightsError: the network's output is not finite.
        """
        rows = self.match_rows(image0, image1)
        scores = rows[:, 4] if rows.shape[1] > 4 else np.ones(len(rows))
        return Correspondences(rows[:, :4].astype(np.float32), scores.astype(np.float32))

    @torch.inference_mode()
    def match_rows(self, image0: Image, image1: Image) -> NDArray[np.floating]:
        """Rows of the release's files, in pixels of the originals.

        Returns:
            (N, 6) float32 x0, y0, x1, y1, score, scale_rot_code; dense (N, 4) float64 x0, y0, x1, y1, a row for each
            pixel of one image.

        Raises:
            SettingsError: the pair needs more memory than there is, or than the settings allow.
            WeightsError: the network's output is not finite.
        """
        settings, device = self.settings, torch.device(self.device)
        if self._memory_bytes is None:
            self._memory_bytes = memory_limit(settings, self.device)
        decoded = [(image.pixels.shape[1], image.pixels.shape[0]) for image in (image0, image1)]
        names = f"'{image0.name}' '{image1.name}'"
        refuse_what_does_not_fit(settings, decoded[0], decoded[1], self._memory_bytes, self.device, names)
        longer = (0, 0) if settings.recursive else settings.resize_px
        views = tuple(
            open_view(image, side, device, legacy=settings.legacy)
            for image, side in zip((image0, image1), longer, strict=True)
        )
        rows = self._matcher.match(*views)
        if settings.post_filter is None:
            return rows.astype(np.float32)
        return self._filtered(rows, views, (image0.size, image1.size), settings.post_filter)

    def _filtered(
        self,
        rows: NDArray[np.floating],
        views: tuple[View, ...],
        sizes: tuple[tuple[int, int], tuple[int, int]],
        options: PostFilterSettings,
    ) -> NDArray[np.floating]:
        """What the post-filter leaves of rows in pixels of the originals; it works in those of the resized images."""
        legacy = self.settings.legacy
        resized = rows.astype(np.float64)
        for view, columns in zip(views, (slice(0, 2), slice(2, 4)), strict=True):
            inverse = np.linalg.inv(view.image.transform.astype(np.float64))
            resized[:, columns] = transform_points(inverse, rows[:, columns])
        found = post_filter(resized, locality=options.locality, min_cc_size=options.min_cc_size, legacy=legacy)
        kept = np.column_stack([rows[found.index, :4], found.rows[:, 4:]])
        if options.densify == "no":
            return kept.astype(np.float32)
        if legacy:
            sizes = _sizes_as_released(views[0]), _sizes_as_released(views[1])
        return densify(kept, *sizes, mode=options.densify, side=options.dense_side)


def _sizes_as_released(view: View) -> tuple[int, int]:
    """(width, height) that the release takes for the original's: divided by the ratio instead of multiplied."""
    (width, height), transform = view.image.size, view.image.transform
    return round(width / float(transform[0, 0])), round(height / float(transform[1, 1]))
