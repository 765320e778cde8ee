"""PUMP's matchers against the authors' numbers: one scale, several, rotations, coarse to fine, under `legacy`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from trigpoint.matching.pump.enumeration import is_swapped
from trigpoint.matching.pump.merging import Accumulator, View
from trigpoint.matching.pump.tiles import plan_crops
from trigpoint.methods.base import create_method
from trigpoint.methods.pump import Pump
from trigpoint.methods.pump_views import open_view
from trigpoint.networks.image_transforms import reduced_size
from trigpoint.types import Image

OPTIONS = {
    "match_single": {"resize": [80, 96]},
    "match_multi": {"resize": 120, "max_scale": 4},
    "match_multi_rot": {"resize": [88, 80], "max_scale": 2, "max_rot": 90},
    "match_recursive": {"resize": [96, 64], "recursive": True},
}
SCORE_TOLERANCE = 1e-5
Create = Callable[..., Pump]
Golden = np.lib.npyio.NpzFile


@pytest.fixture(scope="module")
def create(filled_pump: Path) -> Create:
    return lambda **options: create_method("pump", {"desc": str(filled_pump), **options})


@pytest.fixture(scope="module")
def goldens(shared: Path) -> dict[str, Golden]:
    return {name: np.load(shared / f"golden/pump/{name}.npz") for name in [*OPTIONS, "kernels"]}


def images(golden: Golden) -> tuple[Image, Image]:
    pixels = [np.ascontiguousarray(golden[name].transpose(1, 2, 0)) for name in ("img1", "img2")]
    image0, image1 = (Image(f"{i}", array, (array.shape[1], array.shape[0])) for i, array in enumerate(pixels))
    return image0, image1


def by_place(rows: np.ndarray, decimals: int = 2) -> dict[tuple[float, ...], float]:
    """Score by coordinates."""
    return {tuple(np.round(row[:4].astype(np.float64), decimals)): float(row[4]) for row in rows}


@pytest.mark.parametrize("name", OPTIONS)
def test_correspondences_are_the_original_ones(name: str, create: Create, goldens: dict[str, Golden]) -> None:
    golden = goldens[name]
    found = create(**OPTIONS[name], legacy=True).match_rows(*images(golden))
    ours, theirs = by_place(found), by_place(golden["corres"])
    assert len(ours) == len(found)
    assert ours.keys() == theirs.keys()
    places = sorted(ours)
    scores = [[side[place] for place in places] for side in (ours, theirs)]
    np.testing.assert_allclose(*scores, rtol=0, atol=SCORE_TOLERANCE)
    codes = {tuple(row[:4]): row[5] for row in np.round(golden["corres"], 2)}
    assert all(codes[tuple(row[:4])] == row[5] for row in np.round(found, 2))


def test_the_number_of_threads_changes_no_correspondence(create: Create, goldens: dict[str, Golden]) -> None:
    """One patch of match_single has a near-tie, which the order of a float32 network's sums would decide."""
    golden, threads = goldens["match_single"], torch.get_num_threads()
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            found = create(**OPTIONS["match_single"], legacy=True).match_rows(*images(golden))
            assert by_place(found).keys() == by_place(golden["corres"]).keys()
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("name", ["match_single", "match_multi", "match_multi_rot"])
def test_exact_agreement_is_the_original_one_without_its_mistakes(
    name: str, create: Create, goldens: dict[str, Golden], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything as released but the key: rows of the goldens that were tested by whole numbers."""
    from trigpoint.methods import pump_matching

    def exactly(rows0: np.ndarray, rows1: np.ndarray, _limits: object) -> np.ndarray:
        _, index, inverse = np.unique(np.concatenate([rows0, rows1]), axis=0, return_index=True, return_inverse=True)
        in_both = np.intersect1d(inverse.reshape(-1)[: len(rows0)], inverse.reshape(-1)[len(rows0) :])
        return index[in_both]

    monkeypatch.setattr(pump_matching, "agreed_as_released", exactly)
    golden = goldens[name]
    found = create(**OPTIONS[name], legacy=True).match_rows(*images(golden))
    expected = golden[next(key for key in golden.files if key.startswith("corres_exact"))]
    assert by_place(found).keys() == by_place(expected).keys()
    assert len(found) == len(expected)


def test_one_sided_records_of_one_scale(create: Create, goldens: dict[str, Golden]) -> None:
    golden, pump = goldens["match_single"], create(**OPTIONS["match_single"], legacy=True)
    views = [open_view(i, px, torch.device("cpu"), legacy=True) for i, px in zip(images(golden), (80, 96), strict=True)]
    np.testing.assert_array_equal(views[1].image.pixels.numpy(), golden["img2_resized"])
    np.testing.assert_array_equal(views[1].image.transform, golden["trf2"])
    with torch.inference_mode():
        records = pump._matcher._records(views[0], views[1], 99)
    for side, number in ((records.side0, 1), (records.side1, 2)):
        scale = np.array([1, 1, golden["trf2"][0, 0], golden["trf2"][1, 1]])
        np.testing.assert_allclose(side.xyxy.reshape(-1, 4) * scale, golden[f"pos{number}"], rtol=1e-6, atol=0)
        np.testing.assert_allclose(side.scores, golden[f"score{number}"], rtol=0, atol=SCORE_TOLERANCE)


@pytest.mark.parametrize("name", ["match_multi", "match_multi_rot"])
def test_scales_rotations_and_swaps_are_enumerated_alike(name: str, create: Create, goldens: dict[str, Golden]) -> None:
    golden = goldens[name]
    sizes = [image.size for image in images(golden)]
    rows = []
    for step in create(**OPTIONS[name]).settings.views():
        views = [reduced_size(size, factor) for size, factor in zip(sizes, step.reductions, strict=True)]
        swapped = is_swapped(views[0], views[1], 1)
        first, second = views[::-1] if swapped else views
        rows.append([step.scale, step.angle_deg, step.code, swapped, *first[::-1], *second[::-1]])
    np.testing.assert_allclose(rows, golden["enum"])


@pytest.mark.parametrize("name", ["match_multi", "match_multi_rot"])
def test_accumulators_and_views(
    name: str, create: Create, goldens: dict[str, Golden], monkeypatch: pytest.MonkeyPatch
) -> None:
    golden, pump = goldens[name], create(**OPTIONS[name], legacy=True)
    views: list[tuple[View, ...]] = []
    sums: list[Accumulator] = []
    monkeypatch.setattr(Accumulator, "add", _recording(Accumulator.add, views, sums))
    pump.match_rows(*images(golden))
    transforms = np.stack([view.transform.reshape(-1) for view in views]).reshape(-1, 18)
    np.testing.assert_allclose(transforms, golden["pairs"][:, 5:], rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal([view.ids.shape for view in views[::2]], golden["pairs"][:, 1:3])
    np.testing.assert_array_equal([view.ids.shape for view in views[1::2]], golden["pairs"][:, 3:5])
    for number, cells in enumerate(sums[:2], 1):
        expected = golden[f"acc{number}"]
        np.testing.assert_allclose(cells.rows[..., :4], expected[..., :4], rtol=1e-6, atol=1e-5)
        np.testing.assert_array_equal(cells.rows[..., 5], expected[..., 5])
        errors = np.abs(cells.rows[..., 4] - expected[..., 4])
        # One record of the 25 views of match_multi_rot has a near-tie below it: its vote comes from the neighbour,
        # in float64 too, so that the release's float32 numbers have it the other way.
        assert (errors > SCORE_TOLERANCE).sum() <= 2 and errors.max() < 1e-3


def _recording(add: Callable, views: list, sums: list) -> Callable:
    def recorded(self: Accumulator, view: View) -> None:
        views.append(view)
        sums.extend([self] * (self not in sums))
        add(self, view)

    return recorded


@pytest.mark.parametrize(("side", "name"), [(0, "0"), (1, "2")])
def test_merging_one_side(goldens: dict[str, Golden], side: int, name: str) -> None:
    golden = goldens["kernels"]
    rows, given = golden[f"merge_corres{name}"], golden["merge_acc"]
    cells = Accumulator((2 * given.shape[1], 2 * given.shape[0]), side, dtype=np.float32)
    cells.rows[:] = given
    cells._order[:] = 0
    cells.add(View(rows, np.arange(rows[..., 0].size).reshape(rows.shape[:2]), golden["merge_rot0"], 1))
    np.testing.assert_array_equal(cells.rows, golden[f"merge_out{name}"])


def test_coarse_matches_and_crops(create: Create, goldens: dict[str, Golden]) -> None:
    golden, pump = goldens["match_recursive"], create(**OPTIONS["match_recursive"], legacy=True)
    views = [open_view(image, 0, torch.device("cpu"), legacy=True) for image in images(golden)]
    with torch.inference_mode():
        coarse = pump._matcher._coarse(views[0], views[1], 96, 99)
        records = pump._matcher._records(views[0], views[1], 99)
    assert by_place(coarse).keys() == by_place(golden["coarse"]).keys()
    sizes = views[0].image.size, views[1].image.size
    crops = plan_crops(coarse, *sizes, tile_px=64, overlap=0.5, min_share=0.1, legacy=True)
    blocks = golden["blocks_x1_y1_h1_w1_x2_y2_h2_w2"]
    np.testing.assert_array_equal([[*crop.corner0, *crop.corner1] for crop in crops], blocks[:, [0, 1, 4, 5]])
    for side, number in ((records.side0, 1), (records.side1, 2)):
        np.testing.assert_array_equal(np.maximum(side.xyxy.reshape(-1, 4), 0), golden[f"pos{number}"])
        np.testing.assert_allclose(side.scores, golden[f"score{number}"], rtol=0, atol=SCORE_TOLERANCE)
