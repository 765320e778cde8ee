"""PUMP's matchers on two views: one scale, several scales and rotations, and both from coarse to fine."""

from collections.abc import Iterator
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trigpoint.kernels import match_pyramid
from trigpoint.matching.pump.agreement import agreed, agreed_as_released
from trigpoint.matching.pump.enumeration import ScaleRotation, common_levels, is_swapped, levels_for
from trigpoint.matching.pump.merging import CELL_PX, Accumulator
from trigpoint.matching.pump.merging import View as MergedView
from trigpoint.matching.pump.records import (
    PATCH_CENTRE_PX,
    PATCH_PX,
    PairRecords,
    Side,
    num_ids,
    record_ids,
    records_of,
)
from trigpoint.matching.pump.tiles import CropRecords, coarse_sizes, plan_crops
from trigpoint.methods.pump_settings import MERGE_RULES, PumpSettings
from trigpoint.methods.pump_views import DescriptorMaps, View
from trigpoint.networks.image_transforms import (
    TransformedImage,
    reduce,
    reduced_size,
    resize,
    rotate,
    transform_points,
    untouched,
)
from trigpoint.networks.pump_inference import patch_descriptors, pixel_descriptors

MAX_LEVELS = 99
Rows = NDArray[np.floating]  # (N, 6) x0, y0, x1, y1, score, code


class ViewMatcher:
    """Rows of two opened photographs.

    Args:
        maps: where descriptors come from.
        settings: of the method.
        dtype: of the products, one that the kernel knows.
    """

    def __init__(self, maps: DescriptorMaps, settings: PumpSettings, dtype: str) -> None:
        self._maps, self._settings, self._dtype = maps, settings, dtype

    def match(self, base0: View, base1: View) -> Rows:
        """Rows in pixels of the originals; (0, 6) where an image has a side below one patch."""
        plan = self._settings.views()
        if len(plan) > 1 or plan[0].code != 0:
            return self._several(base0, base1, plan)
        levels = self._settings.levels
        if levels == 0:
            levels = levels_for(base0.image.size, base1.image.size)
        records = self._records(base0, base1, MAX_LEVELS if levels is None else levels)
        return self._agreed(records, base0.image, base1.image)

    def _records(self, view0: View, view1: View, levels: int) -> PairRecords:
        """One-sided records of two whole views, in their pixels; of image 0's patches and image 1's pixels."""
        if min(*view0.image.size, *view1.image.size) < PATCH_PX:
            return CropRecords(view0.image.size, view1.image.size).records()
        if self._settings.recursive:
            return self._recursive(view0, view1, levels)
        half0, half1 = self._maps.of([view0, view1])
        return self._pyramid(half0, pixel_descriptors(half1), levels)

    def _pyramid(self, half0: Tensor, desc1: Tensor, levels: int) -> PairRecords:
        """Records of a map at half resolution and descriptors of every pixel."""
        settings = self._settings
        if settings.legacy:
            desc0 = pixel_descriptors(half0)[:, PATCH_CENTRE_PX::PATCH_PX, PATCH_CENTRE_PX::PATCH_PX].contiguous()
        else:
            desc0 = patch_descriptors(half0)
        matches = match_pyramid(
            desc0,
            desc1,
            levels=levels,
            min_shape=settings.min_shape,
            power=settings.nlpow,
            border=settings.border,
            dtype=self._dtype,
            positions=settings.positions,
            backend=settings.backend,
        )
        return records_of(matches, desc1.shape[2])

    def _agreed(self, records: PairRecords, image0: TransformedImage, image1: TransformedImage) -> Rows:
        """Rows of the records that both sides have, through the images' matrices."""
        rows0 = _placed(records.side0, image0.transform, image1.transform)
        if self._settings.legacy:
            rows1 = _placed(records.side1, image0.transform, image1.transform)
            (h0, w0), (h1, w1) = records.side0.scores.shape, records.side1.scores.shape
            limits = (h0, w0, PATCH_PX * h1 + 1, PATCH_PX * w1 + 1)  # rows before columns, as released
            return rows0[agreed_as_released(rows0[:, :4], rows1[:, :4], limits)]
        sizes = image0.size, image1.size
        ids0, ids1 = (record_ids(side.xyxy, *sizes).reshape(-1) for side in (records.side0, records.side1))
        return rows0[agreed(ids0, ids1)]

    def _recursive(self, view0: View, view1: View, levels: int) -> PairRecords:
        """Records of crops, which matches of the two images at the coarse size choose."""
        settings = self._settings
        coarse_px, tile_px = settings.resize_px
        crops = CropRecords(view0.image.size, view1.image.size)
        planned = plan_crops(
            self._coarse(view0, view1, coarse_px, levels),
            view0.image.size,
            view1.image.size,
            tile_px=tile_px,
            overlap=settings.rec_overlap,
            min_share=settings.rec_fast_thr,
            legacy=settings.legacy,
        )
        for pair in planned:
            crop0, crop1 = _crop(view0, pair.corner0, tile_px), _crop(view1, pair.corner1, tile_px)
            if min(*crop0.image.size, *crop1.image.size) >= PATCH_PX:
                half0, half1 = self._maps.of([crop0, crop1])
                crops.add(self._pyramid(half0, pixel_descriptors(half1), levels), pair)
        return crops.records()

    def _coarse(self, view0: View, view1: View, coarse_px: int, levels: int) -> Rows:
        """Rows of the two views at the coarse size, in pixels of the views."""
        legacy = self._settings.legacy
        longer = coarse_sizes(view0.image.size, view1.image.size, coarse_px)
        small0, small1 = (
            view.then(resize(untouched(view.image.pixels, legacy=legacy), side, legacy=legacy), "resize", side)
            for view, side in zip((view0, view1), longer, strict=True)
        )
        if min(*small0.image.size, *small1.image.size) < PATCH_PX:
            return np.zeros((0, 6))
        half0, half1 = self._maps.of([small0, small1])
        rows = self._agreed(self._pyramid(half0, pixel_descriptors(half1), levels), small0.image, small1.image)
        return rows[rows[:, 4] > self._settings.rec_score_thr]

    def _several(self, base0: View, base1: View, plan: list[ScaleRotation]) -> Rows:
        """Rows of the best records over all scales and rotations."""
        settings, first_id = self._settings, 0
        rule, dtype = MERGE_RULES[settings.merge], np.float32 if settings.legacy else np.float64
        sums = [Accumulator(base.image.size, side, rule, dtype) for side, base in enumerate((base0, base1))]
        levels = self._common_levels(base0, base1, plan)
        for order, (step, view0, view1, records) in enumerate(self._each(base0, base1, plan, levels)):
            transforms = view0.image.transform, view1.image.transform
            for accumulator, side, transform in zip(sums, (records.side0, records.side1), transforms, strict=True):
                rows = _placed(side, *transforms, step.code).reshape(*side.scores.shape, 6)
                ids = record_ids(side.xyxy, view0.image.size, view1.image.size)
                ids = np.where(ids < 0, ids, ids + first_id)
                accumulator.add(MergedView(rows, ids, transform, order))
            first_id += num_ids(view0.image.size, view1.image.size)
        rows = self._agreed_cells(*sums)
        for base, columns in ((base0, slice(0, 2)), (base1, slice(2, 4))):
            rows[:, columns] = transform_points(base.image.transform, rows[:, columns])
        return rows

    def _agreed_cells(self, cells0: Accumulator, cells1: Accumulator) -> Rows:
        rows0, rows1 = cells0.rows.reshape(-1, 6), cells1.rows.reshape(-1, 6)
        if self._settings.legacy:
            limits = [float(CELL_PX * side) for cells in (cells0, cells1) for side in cells.ids.shape[::-1]]
            return rows0[agreed_as_released(rows0[:, :4], rows1[:, :4], (limits[0], limits[1], limits[2], limits[3]))]
        return rows0[agreed(cells0.ids.reshape(-1), cells1.ids.reshape(-1))]

    def _common_levels(self, base0: View, base1: View, plan: list[ScaleRotation]) -> int:
        levels = self._settings.levels or 0
        if not self._settings.same_levels:
            return levels or levels_for(base0.image.size, base1.image.size)
        sizes = []
        for step in plan:
            pair = [reduced_size(base.image.size, s) for base, s in zip((base0, base1), step.reductions, strict=True)]
            if is_swapped(pair[0], pair[1], self._settings.swap):
                pair.reverse()
            if min(*pair[0], *pair[1]) >= PATCH_PX:
                sizes.append((pair[0], pair[1]))
        return common_levels(sizes, self._settings.min_shape, levels) if sizes else levels

    def _each(
        self, base0: View, base1: View, plan: list[ScaleRotation], levels: int
    ) -> Iterator[tuple[ScaleRotation, View, View, PairRecords]]:
        """Every scale and rotation with its views and records, images 0 and 1 in this order."""
        settings = self._settings
        for _, group in groupby(plan, key=lambda step: step.scale):
            steps = list(group)
            factors = list(zip((base0, base1), steps[0].reductions, strict=True))
            if min(side for base, factor in factors for side in reduced_size(base.image.size, factor)) < PATCH_PX:
                continue
            views = [self._reduced(base, factor) for base, factor in factors]
            swapped = is_swapped(views[0].image.size, views[1].image.size, settings.swap)
            first, second = reversed(views) if swapped else views
            turned = [self._turned(first, -step.angle_deg if swapped else step.angle_deg) for step in steps]
            for step, view, records in zip(steps, turned, self._records_of_turns(turned, second, levels), strict=True):
                if swapped:
                    yield step, second, view, records.swapped()
                else:
                    yield step, view, second, records

    def _reduced(self, base: View, factor: float) -> View:
        legacy = self._settings.legacy
        return base.then(reduce(untouched(base.image.pixels, legacy=legacy), factor, legacy=legacy), "reduce", factor)

    def _turned(self, view: View, angle_deg: float) -> View:
        crop, legacy = self._settings.crop_rot, self._settings.legacy
        return view.then(rotate(view.image, angle_deg, crop=crop, legacy=legacy), "rotate", angle_deg)

    def _records_of_turns(self, turned: list[View], second: View, levels: int) -> Iterator[PairRecords]:
        """Records of each turned view; the other view's descriptors are shared."""
        if self._settings.recursive:
            yield from (self._records(view, second, levels) for view in turned)
            return
        *halves, half1 = self._maps.of([*turned, second])
        desc1 = pixel_descriptors(half1)
        for half0 in halves:
            yield self._pyramid(half0, desc1, levels)


def _placed(side: Side, transform0: NDArray, transform1: NDArray, code: int = 0) -> Rows:
    """(h * w, 6) rows of all records through the two matrices; zeros where there is none."""
    xyxy = side.xyxy.reshape(-1, 4)
    rows = np.zeros((len(xyxy), 6), dtype=transform0.dtype)
    rows[:, :2] = transform_points(transform0, xyxy[:, :2])
    rows[:, 2:4] = transform_points(transform1, xyxy[:, 2:])
    rows[:, 4], rows[:, 5] = side.scores.reshape(-1), code
    rows[xyxy[:, 0] < 0] = 0
    return rows


def _crop(view: View, corner: tuple[int, int], tile_px: int) -> View:
    x, y = corner
    pixels = view.image.pixels[:, y : y + tile_px, x : x + tile_px].contiguous()
    return view.then(untouched(pixels), "crop", x, y, tile_px)
