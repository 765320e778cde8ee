"""PoSFeat's keypoints and descriptors of given maps against the authors' program."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from trigpoint.kernels import mutual_nearest_neighbors
from trigpoint.methods.posfeat import Posfeat, PosfeatSettings, PosfeatSift, PosfeatSiftSettings
from trigpoint.networks.keypoints import local_maxima, strongest
from trigpoint.networks.posfeat_inference import sample_descriptors
from trigpoint.networks.posfeat_keypoints import (
    DetectionOptions,
    cell_maxima,
    detect_as_released,
    in_best_of_cells,
    softness,
)
from trigpoint.networks.posfeat_net import KeypointDet, ResUNet
from trigpoint.types import Image

Golden = np.lib.npyio.NpzFile
SUPPRESSION = {True: "hard", False: "none", "softnms": "soft"}
CONFIGURATIONS = [
    "hpatches", "aachen", "eth", "trainval", "top200", "mean", "max", "nonms", "softnms", "allpts", "hithr"
]  # fmt: skip


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return np.load(shared / "golden/posfeat/extraction.npz")


def options(config: str) -> DetectionOptions:
    values = json.loads(config)
    return DetectionOptions(
        limit=values["num_pts"] or None,
        nms=SUPPRESSION[values["use_nms"]],
        nms_radius_px=values["nms_radius"],
        threshold=values["thr"] or None,
        threshold_mode=values.get("thr_mod", "abs"),
    )


@pytest.mark.parametrize("radius", [1, 3])
def test_suppression_agrees(golden: Golden, radius: int) -> None:
    inner = torch.from_numpy(golden["score_map"])[0, 0, 1:-1, 1:-1]
    found = local_maxima(inner, 2 * radius + 1, mirror=True).numpy()
    np.testing.assert_array_equal(found, np.argwhere(golden[f"nms_mask_r{radius}"])[:, ::-1])


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_suppression_of_ties_and_borders_agrees(golden: Golden, radius: int) -> None:
    found = local_maxima(torch.from_numpy(golden["toy_map"]), 2 * radius + 1, mirror=True).numpy()
    np.testing.assert_array_equal(found, np.argwhere(golden[f"toy_nms_r{radius}"])[:, ::-1])


def test_soft_suppression_agrees(golden: Golden) -> None:
    found = softness(torch.from_numpy(golden["score_map"])[0, 0], 2, mirror=True)
    np.testing.assert_allclose(found.numpy(), golden["softnms_alpha_r2"], rtol=0, atol=1e-6)


def test_the_best_of_each_cell_agrees(golden: Golden) -> None:
    scores = torch.from_numpy(golden["score_map"])[0, 0]
    best = cell_maxima(scores, 8)
    np.testing.assert_allclose(best.numpy(), pixels(golden["grid8_argmax_keypoints_normalised"]), rtol=0, atol=1e-4)
    np.testing.assert_array_equal(scores[best[:, 1], best[:, 0]].numpy(), golden["grid8_argmax_scores"][:, 0])
    xy = local_maxima(scores, 5, mirror=True)
    xy = xy[in_best_of_cells(scores, xy, 8)]
    xy, values = strongest(xy, scores[xy[:, 1], xy[:, 0]], None)
    np.testing.assert_allclose(xy.numpy(), pixels(golden["grid8_argmax_nms2_keypoints_normalised"]), rtol=0, atol=1e-4)
    np.testing.assert_array_equal(values.numpy(), golden["grid8_argmax_nms2_scores"][:, 0])


def pixels(normalised: np.ndarray) -> np.ndarray:
    """Of the 192 x 256 image, from its corners' centres at -1 and 1."""
    return (normalised + 1) / 2 * [255, 191]


def test_pixels_come_in_the_order_of_the_release(golden: Golden) -> None:
    best = cell_maxima(torch.zeros(4, 3), 1)
    np.testing.assert_allclose(2 * best.numpy() / [2, 3] - 1, golden["gen_grid_4x3"], rtol=0, atol=1e-6)


def test_cells_are_cut_as_released(golden: Golden) -> None:
    maps, cells = golden["unfold_in"][0], golden["unfold_3"][0]
    for values, expected in zip(maps, cells, strict=True):
        best = cell_maxima(torch.from_numpy(values).float(), 3).numpy()
        np.testing.assert_array_equal(values[best[:, 1], best[:, 0]], expected.reshape(-1, 9).max(axis=1))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_keypoints_agree(golden: Golden, name: str) -> None:
    scores = torch.from_numpy(golden["score_map"])[0, 0]
    xy, values = detect_as_released(scores, options(str(golden[f"{name}_config"])))
    num = int(golden[f"{name}_n_valid"])  # the rest are arbitrary pixels
    assert len(xy) == num
    # 1e-4 px: the original computes positions in [-1, 1]
    np.testing.assert_allclose(xy.numpy(), golden[f"{name}_keypoints"][:num], rtol=0, atol=1e-4)
    np.testing.assert_array_equal(values.numpy(), golden[f"{name}_scores"][:num, 0])


@pytest.mark.parametrize("name", ["hpatches", "aachen", "eth", "hithr"])
def test_descriptors_agree(golden: Golden, name: str) -> None:
    scores, local = torch.from_numpy(golden["score_map"])[0, 0], torch.from_numpy(golden["local_map"])
    xy, _ = detect_as_released(scores, options(str(golden[f"{name}_config"])))
    found = sample_descriptors(local, xy, half_cell_shift=True).numpy()
    np.testing.assert_allclose(found, golden[f"{name}_descriptors"][: len(xy)], rtol=0, atol=1e-5)


def test_descriptors_at_sift_keypoints_agree(golden: Golden) -> None:
    local = torch.from_numpy(golden["local_map"])
    found = sample_descriptors(local, torch.from_numpy(golden["sift_coords"]), half_cell_shift=True)
    np.testing.assert_allclose(found.numpy(), golden["sift_descriptors"], rtol=0, atol=1e-5)


def test_descriptors_at_borders_agree(golden: Golden) -> None:
    local = torch.from_numpy(golden["local_map"])
    found = sample_descriptors(local, torch.from_numpy(golden["border_coords"]), half_cell_shift=True)
    raw = torch.from_numpy(golden["border_feat_raw"])
    np.testing.assert_allclose(found.numpy(), torch.nn.functional.normalize(raw, dim=1).numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["sift", "border"])
def test_the_half_cell_is_that_of_the_authors_coordinates(golden: Golden, name: str) -> None:
    """Theirs are aligned with corners, and are given to a sampler that aligns edges."""
    normalised, coords = golden[f"{name}_coords_normalised"], golden[f"{name}_coords"]
    np.testing.assert_allclose(pixels(normalised), coords, rtol=0, atol=1e-3)
    local = torch.from_numpy(golden["local_map"])
    theirs = torch.nn.functional.grid_sample(local, torch.from_numpy(normalised)[None, None], align_corners=False)
    ours = sample_descriptors(local, torch.from_numpy(coords), half_cell_shift=True)
    expected = torch.nn.functional.normalize(theirs[0, :, 0].T, dim=1)
    np.testing.assert_allclose(ours.numpy(), expected.numpy(), rtol=0, atol=1e-4)


def test_mutual_nearest_neighbours_agree(golden: Golden) -> None:
    desc0, desc1 = torch.from_numpy(golden["match_desc1"]), torch.from_numpy(golden["match_desc2"])
    found = mutual_nearest_neighbors(desc0, desc1)
    np.testing.assert_array_equal(found.indices.numpy(), golden["match_mutual_nn"])


@pytest.mark.parametrize("ratio", ["0.75", "0.8", "0.95"])
def test_mutual_nearest_neighbours_with_ratio_agree(golden: Golden, ratio: str) -> None:
    desc0, desc1 = torch.from_numpy(golden["match_desc1"]), torch.from_numpy(golden["match_desc2"])
    found = mutual_nearest_neighbors(desc0, desc1, ratio=float(ratio))
    np.testing.assert_array_equal(found.indices.numpy(), golden[f"match_mutual_ratio_{ratio}"])
    alone = mutual_nearest_neighbors(desc0, desc1, ratio=float(ratio), mutual=False)
    np.testing.assert_array_equal(alone.indices.numpy(), golden[f"match_ratio_{ratio}"])


def test_end_to_end_as_released(fill_weights: Callable, golden: Golden, tmp_path: Path) -> None:
    """From the photograph on, by a checkpoint with the goldens' weights."""
    for section, network in (("backbone", ResUNet()), ("localheader", KeypointDet())):
        torch.save(fill_weights(network.state_dict()), tmp_path / f"{section}.pth")
    image = Image("golden.png", golden["image"], (256, 192))
    for name in ("hpatches", "aachen", "eth"):
        config = json.loads(str(golden[f"{name}_config"]))
        settings = PosfeatSettings(
            weights=str(tmp_path),
            max_keypoints=config["num_pts"],
            nms_radius_px=config["nms_radius"],
            score_threshold=config["thr"],
            legacy=True,
        )
        found, num = Posfeat(settings).extract(image), int(golden[f"{name}_n_valid"])
        np.testing.assert_allclose(found.keypoints, golden[f"{name}_keypoints"][:num], rtol=0, atol=1e-3)
        np.testing.assert_allclose(found.descriptors, golden[f"{name}_descriptors"][:num], rtol=0, atol=1e-4)
    sift = PosfeatSift(PosfeatSiftSettings(weights=str(tmp_path), legacy=True)).extract(image)
    np.testing.assert_allclose(sift.keypoints, golden["sift_coords"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(sift.descriptors, golden["sift_descriptors"], rtol=0, atol=1e-4)
