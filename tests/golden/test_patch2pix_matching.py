"""Patch2Pix and NCNet as methods against the authors' matches: coarse, refined, of files, of matches from elsewhere."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from trigpoint.kernels.correlation import Correlation
from trigpoint.matching.ncnet import best_of_both_sides, draw, each_once, expand, select
from trigpoint.methods.patch2pix import Ncnet, Patch2Pix, cell_centres
from trigpoint.methods.patch2pix_images import DescribedImages, network_size, resize_bicubic
from trigpoint.methods.patch2pix_settings import NcnetSettings, Patch2PixSettings
from trigpoint.networks.preprocessing import normalize_image, to_tensor
from trigpoint.types import Image

POSITION_PX = 1e-3
SCORE = 1e-5
CELL_PX = 8


@pytest.fixture(scope="module")
def arrays(shared: Path) -> dict[str, np.ndarray]:
    found = {}
    for name in ("ncnet", "regress"):
        with np.load(shared / f"golden/patch2pix/{name}.npz") as file:
            found |= {key: file[key] for key in file.files}
    return found


@pytest.fixture(scope="module")
def released(filled_patch2pix: Path) -> Patch2Pix:
    settings = {"imsize": None, "io_thres": 0, "mutual": False, "legacy": True}
    return Patch2Pix(Patch2PixSettings(weights=str(filled_patch2pix), **settings))


def image(pixels: np.ndarray) -> Image:
    return Image("golden.png", pixels, (pixels.shape[1], pixels.shape[0]))


def configured(method: Patch2Pix, **settings: object) -> Patch2Pix:
    method.settings = replace(method.settings, **settings)
    return method


def test_both_sides_find_the_original_matches(arrays: dict[str, np.ndarray]) -> None:
    row0, column0, row1, column1 = torch.from_numpy(arrays["delta_ijkl"])
    offsets = ((row0 * 2 + column0) * 2 + row1) * 2 + column1
    found = best_of_both_sides(Correlation(torch.from_numpy(arrays["mutual2"][0, 0]), offsets, 2))
    cells = np.concatenate([arrays["raw_fromB"], arrays["raw_fromA"]])
    np.testing.assert_array_equal(found.cells, cells)
    scores = np.concatenate([arrays["score_fromB"], arrays["score_fromA"]])
    np.testing.assert_allclose(found.scores, scores, rtol=1e-5)
    assert float(found.scores.mean()) == pytest.approx(float(arrays["coarse_mean_score_softmax"]), rel=1e-5)
    np.testing.assert_array_equal(cell_centres(found.cells), arrays["coarse_all"])
    for name, kept in (
        ("coarse_unique", each_once(found)),
        ("coarse_mutual", select(found, mutual=True, threshold=0)),
        ("coarse_unique_thr", select(found, mutual=False, threshold=float(arrays["thr"]))),
    ):
        np.testing.assert_array_equal(cell_centres(kept.cells), arrays[name], err_msg=name)
        if f"{name}_score" in arrays:
            np.testing.assert_allclose(kept.scores, arrays[f"{name}_score"], rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("ksize", [1, 2])
@torch.inference_mode()
def test_the_whole_coarse_stage_is_the_original_one(
    released: Patch2Pix, arrays: dict[str, np.ndarray], ksize: int
) -> None:
    method = configured(released, ksize=ksize)
    described = [method.images.describe(arrays[name], name) for name in ("im1", "im2")]
    volume = method.scores(*described)
    found = best_of_both_sides(volume)
    prefix = "ksize1_" if ksize == 1 else ""
    np.testing.assert_array_equal(cell_centres(found.cells), arrays[f"{prefix}coarse_all"])
    expected = arrays["ksize1_score" if ksize == 1 else "coarse_all_score"]
    np.testing.assert_allclose(found.scores, expected, rtol=1e-4)
    mutual = configured(method, mutual=True).coarse(*described)
    np.testing.assert_array_equal(
        cell_centres(mutual.cells), arrays[f"{prefix}{'' if ksize == 1 else 'coarse_'}mutual"]
    )
    configured(method, ksize=2, mutual=False)
    if ksize == 1:
        np.testing.assert_allclose(volume.volume.sum(dim=(2, 3)), arrays["ksize1_corr_sum_axis345"], rtol=1e-4)


def test_refined_mutual_matches_are_the_original_ones(released: Patch2Pix, arrays: dict[str, np.ndarray]) -> None:
    found = configured(released, mutual=True).match_images(image(arrays["im1"]), image(arrays["im2"]))
    configured(released, mutual=False)
    np.testing.assert_allclose(found.xy, arrays["predict_fine_mutual"], rtol=0, atol=POSITION_PX)
    np.testing.assert_allclose(found.scores, arrays["predict_fine_mutual_score"], rtol=0, atol=SCORE)


def test_files_of_other_sizes_give_the_original_matches(
    released: Patch2Pix, arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    method = configured(released, mutual=False)
    images = DescribedImages(
        method.images._network, (0, 1, 2, 3), imsize=112, multiple=16, max_bytes=1 << 25, legacy=True
    )
    monkeypatch.setattr(method, "images", images)
    pair = image(arrays["est_im1"]), image(arrays["im2"])
    small = resize_bicubic(arrays["est_im1"], network_size((118, 90), 112, 16, legacy=True))
    np.testing.assert_allclose(normalize_image(to_tensor(small)), arrays["est_im1_tensor"], rtol=0, atol=1e-6)
    assert network_size((128, 96), 112, 16, legacy=True) == tuple(arrays["est_im2_hw"][::-1])
    found = method.match_images(*pair)
    np.testing.assert_allclose(found.xy, arrays["est_matches"], rtol=0, atol=POSITION_PX)
    np.testing.assert_allclose(found.scores, arrays["est_scores"], rtol=0, atol=SCORE)
    coarse = configured(method, eval_type="coarse").match_images(*pair)
    np.testing.assert_allclose(coarse.xy, arrays["est_coarse_only"], rtol=0, atol=POSITION_PX)
    np.testing.assert_allclose(coarse.scores, arrays["est_coarse_only_score"], rtol=0, atol=SCORE)
    configured(method, eval_type="fine")


@torch.inference_mode()
def test_matches_from_elsewhere_are_refined_as_originally(released: Patch2Pix, arrays: dict[str, np.ndarray]) -> None:
    """The images have sides that are no multiples of a cell."""
    method = configured(released, io_thres=0.0)
    crops = [np.ascontiguousarray(arrays[name][:90, :118]) for name in ("im1", "im2")]
    described = [method.images.describe(crop, "crop") for crop in crops]
    given = torch.from_numpy(arrays["ext_coarse"])
    found, scores = method.refine(*described, given)
    np.testing.assert_allclose(found, arrays["ext_refined_118x90crop"], rtol=0, atol=POSITION_PX)
    np.testing.assert_allclose(scores, arrays["ext_score"], rtol=0, atol=SCORE)
    kept, _ = configured(method, io_thres=float(arrays["ext_io_thres"])).refine(*described, given)
    configured(method, io_thres=0.0)
    np.testing.assert_allclose(kept, arrays["ext_refined_kept"], rtol=0, atol=POSITION_PX)
    nothing, _ = method.refine(*described, given[:0])
    assert nothing.shape == (0, 4)


def test_ncnet_takes_the_same_weights(filled_patch2pix: Path, arrays: dict[str, np.ndarray]) -> None:
    settings = NcnetSettings(weights=str(filled_patch2pix), imsize=None, ncn_thres=0, legacy=True)
    found = Ncnet(settings).match_images(image(arrays["im1"]), image(arrays["im2"]))
    np.testing.assert_array_equal(found.xy, arrays["coarse_mutual"])
    np.testing.assert_allclose(found.scores, arrays["coarse_mutual_score"], rtol=1e-4)


def test_proposals_are_the_original_ones(shared: Path, arrays: dict[str, np.ndarray]) -> None:
    matches = torch.from_numpy(arrays["coarse"])
    np.testing.assert_array_equal(expand(matches, 8), arrays["anchors_panc8"])
    training = np.load(shared / "golden/patch2pix/training.npz")
    generator = np.random.RandomState(0)
    for all_matches, expected in zip(training["coarse_all"], training["coarse_ptmax40"], strict=True):
        unique, counts = np.unique(all_matches, axis=0, return_counts=True)
        for survivors in (unique, unique[counts > 1]):
            state = generator.get_state()
            if np.array_equal(survivors[draw(len(survivors), 40, generator)], expected):
                break
            generator.set_state(state)
        else:
            pytest.fail("neither unique nor mutual matches are drawn as originally")


def test_network_sizes_are_the_original_ones(shared: Path) -> None:
    table = np.load(shared / "golden/patch2pix/geometry.npz")["rescale_w_h_imsize_ksize_wt_ht_upsample8"]
    for width, height, imsize, ksize, *expected in table.tolist():
        found = network_size((width, height), imsize, CELL_PX * ksize, legacy=True)
        assert found == tuple(expected), (width, height, imsize, ksize)
