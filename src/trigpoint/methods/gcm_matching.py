"""GCM on two views: coarse matches, the plane they suggest, coarse matches again, down to pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trigpoint.geometry.pixels import HALF_PIXEL
from trigpoint.matching.gcm.dense import CellMatches, match_dense
from trigpoint.matching.gcm.plane import FINAL_THRESHOLD_PX, estimate_homography, is_believable, unwarp, warp
from trigpoint.matching.gcm.refinement import Sampler, refine
from trigpoint.methods.gcm_maps import GcmMaps, View, map_sampler
from trigpoint.methods.gcm_settings import GcmSettings

STRIDE_OF_RELEASE = 16


@dataclass(frozen=True)
class GcmResult:
    """What is found for a pair, in pixels of the views.

    Attributes:
        xy0: (N, 2) float64, whole numbers.
        xy1: (N, 2) float64.
        scores: (N,) float32 in [0, 1]: cosine of the last step times how far its ratio is below 1.
        H_init: (3, 3) the plane: first view from second; the identity if there is none.
        stages: matches after each step, those of the first dense one only if it was made.
    """

    xy0: NDArray[np.float64]
    xy1: NDArray[np.float64]
    scores: NDArray[np.float32]
    H_init: NDArray[np.float64]
    stages: tuple[CellMatches, ...]

    def homography(self) -> NDArray[np.float64] | None:
        """(3, 3) the map of the second view to the first that most matches agree with; None if there is none."""
        found = estimate_homography(self.xy0, self.xy1, FINAL_THRESHOLD_PX)
        return None if found is None else found[0]


class HierarchicalMatcher:
    """Matches of two views.

    Args:
        maps: where maps come from.
        settings: of the method.
    """

    def __init__(self, maps: GcmMaps, settings: GcmSettings) -> None:
        self.maps, self._settings = maps, settings
        entry = settings.backbone
        self._stride, self._centre_px = float(entry.taps[-1][0]), entry.centre_px
        assert settings.ratio_th is not None and settings.up_sample is not None
        self._ratios, self._up_sample = settings.ratio_th, settings.up_sample
        assert settings.bidirectional is not None and settings.fine_ratio is not None
        self._bidirectional, self._fine_ratio = settings.bidirectional, settings.fine_ratio
        # what a deep cell at the border sees most is the border: such cells are alike wherever the camera looks
        self._border_cells = settings.border_cells or 0

    def match(self, view0: View, view1: View, H_init: NDArray[np.float64] | None = None) -> GcmResult:
        """Matches; with a plane that is given (first view from second), the first dense step is not made."""
        stages: list[CellMatches] = []
        believed = H_init
        if self._settings.enable_two_stage and H_init is None:
            maps = self.maps.coarsest(view0), self.maps.coarsest(view1)
            stages.append(self._dense(*maps, self._ratios[-1], max(1, self._border_cells)))
            believed = self._plane(stages[0], view1)
        target = view1 if believed is None else View(warp(view1.pixels, believed, view0.size))
        H = np.eye(3) if believed is None else believed
        stages += self._descend(view0, target)
        return self._result(stages, H, view0, view1)

    def _dense(self, map0: Tensor, map1: Tensor, ratio: float, border_cells: int) -> CellMatches:
        return match_dense(
            map0,
            map1,
            ratio=ratio,
            bidirectional=self._bidirectional,
            border_cells=border_cells,
            context_cells=self._settings.context_cells,
        )

    def _plane(self, matches: CellMatches, view1: View) -> NDArray[np.float64] | None:
        """The homography of coarse matches; None if it cannot be believed."""
        legacy = self._settings.legacy
        stride = float(self._up_sample[0]) if legacy else self._stride
        first_px = (stride - 1) / 2 if legacy else self._centre_px
        # the release's threshold is that of stride 16 for every stride
        threshold_px = (STRIDE_OF_RELEASE if legacy else stride) * 2**0.5 + 1
        xy0, xy1 = (cells.cpu().numpy() * stride + first_px for cells in (matches.cells0, matches.cells1))
        found = estimate_homography(xy0, xy1, threshold_px)
        if legacy:
            return np.eye(3) if found is None else found[0]
        return found[0] if found is not None and is_believable(*found, view1.size) else None

    def _descend(self, view0: View, view1: View) -> list[CellMatches]:
        """The dense step and all refinements."""
        maps0, maps1 = self.maps.pyramid(view0), self.maps.pyramid(view1)
        stages = [self._dense(maps0[-2], maps1[-2], self._ratios[-2], self._border_cells)]
        for level in range(len(maps0) - 3, -1, -1):
            samplers = map_sampler(maps0[level]), map_sampler(maps1[level])
            stages.append(self._refine(stages[-1], *samplers, self._ratios[level]))
        if self._settings.fine_model is not None:
            samplers = self.maps.fine_sampler(view0), self.maps.fine_sampler(view1)
            factor, parents = self._up_sample[1], stages[-1]
            scaled = CellMatches(factor * parents.cells0, factor * parents.cells1, parents.similarity, parents.ratio)
            stages.append(self._refine(scaled, *samplers, self._fine_ratio))
        return stages

    def _refine(self, parents: CellMatches, sample0: Sampler, sample1: Sampler, ratio: float) -> CellMatches:
        legacy = self._settings.legacy
        return refine(parents, sample0, sample1, ratio=ratio, bidirectional=self._bidirectional, legacy=legacy)

    def _result(self, stages: list[CellMatches], H: NDArray[np.float64], view0: View, view1: View) -> GcmResult:
        """The last stage in pixels of the views, less what lies outside of them."""
        last, legacy = stages[-1], self._settings.legacy
        factor = 1 if self._settings.fine_model is not None else self._up_sample[1]
        shift_px = 0.0 if legacy else (factor - 1) / 2
        xy0, warped1 = (cells.cpu().numpy() * float(factor) + shift_px for cells in (last.cells0, last.cells1))
        xy1 = unwarp(warped1, H)
        if legacy:
            padded, (_, height) = self.maps.padded_size(view1), view1.size
            limit1 = (view1.size[0], padded[0] - (padded[1] - height))  # a width where the height is meant
            inside = (xy0 < view0.size).all(axis=1) & (xy1 < limit1).all(axis=1)
        else:
            inside = (xy0 <= np.array(view0.size) - HALF_PIXEL).all(axis=1)
            inside &= ((xy1 >= -HALF_PIXEL) & (xy1 <= np.array(view1.size) - HALF_PIXEL)).all(axis=1)
        scores = (last.similarity * (1 - last.ratio)).clamp(0, 1).cpu().numpy()
        return GcmResult(xy0[inside], xy1[inside], scores[inside], H, tuple(stages))
