"""PoSFeat's settings, checkpoints and what its plug-ins add to the networks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trigpoint.errors import SettingsError, WeightsError
from trigpoint.methods.base import create_method
from trigpoint.methods.posfeat import PosfeatSift, PosfeatSiftSettings, half_cell_shift
from trigpoint.networks.posfeat_keypoints import DetectionOptions, centers_of_gravity, detect, detect_as_released
from trigpoint.networks.posfeat_net import KeypointDet, ResUNet
from trigpoint.types import Image


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder as the release's training writes it, with random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("005")
    torch.save(ResUNet().state_dict(), folder / "backbone.pth")
    torch.save(KeypointDet().state_dict(), folder / "localheader.pth")
    return str(folder)


def noise(width: int, height: int) -> Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    pixels = np.ascontiguousarray(np.kron(pixels, np.ones((4, 4, 1), dtype=np.uint8))[:height, :width])
    return Image("noise.png", pixels, (width, height))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_keypoints": 0}, "max_keypoints must be a number, at least 1"),
        ({"nms": "max"}, "nms must be one of hard, soft, none"),
        ({"nms_radius_px": 0}, "nms_radius_px must be a number"),
        ({"score_threshold": -1.0}, "score_threshold must be a number"),
        ({"threshold_mode": "median"}, "threshold_mode must be one of abs, mean, max"),
        ({"resize_px": 8}, "resize_px must be a number, at least 16"),
        ({"dtype": "float16"}, "float32, bfloat16"),
        ({"sampling": "shifted"}, "as_trained, half_cell, aligned"),
        ({"legacy": True, "sampling": "aligned"}, "legacy reads descriptors half a cell away"),
        ({"cell_px": 0}, "cell_px must be a number, at least 1"),
        ({"legacy": True, "cell_px": 8}, "has no cells"),
        ({"num_pts": 5}, "unknown setting 'num_pts'"),
        ({"weights": "no-such"}, "neither a file nor a registered"),
    ],
)
def test_wrong_settings_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises((SettingsError, WeightsError), match=message):
        create_method("posfeat", values)


def test_one_file_equals_the_official_folder(weights: str, tmp_path: Path) -> None:
    state = {name: torch.load(Path(weights) / f"{name}.pth") for name in ("backbone", "localheader")}
    both = tmp_path / "both.pth"
    torch.save(state, both)
    image = noise(64, 48)
    first = create_method("posfeat", {"weights": weights}).extract(image)
    second = create_method("posfeat", {"weights": str(both)}).extract(image)
    np.testing.assert_array_equal(first.descriptors, second.descriptors)
    np.testing.assert_array_equal(first.keypoints, second.keypoints)


def test_a_folder_without_the_detector_serves_sift_keypoints_only(weights: str, tmp_path: Path) -> None:
    (tmp_path / "backbone.pth").symlink_to(Path(weights) / "backbone.pth")
    assert len(create_method("posfeat_sift", {"weights": str(tmp_path)}).extract(noise(64, 48)))
    with pytest.raises(WeightsError, match=r"localheader\.pth is missing"):
        create_method("posfeat", {"weights": str(tmp_path)})


def test_checksum_covers_all_that_is_read(weights: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    (tmp_path / "backbone.pth").symlink_to(Path(weights) / "backbone.pth")
    torch.save(KeypointDet().state_dict(), tmp_path / "localheader.pth")
    ours, theirs = (create_method("posfeat", {"weights": str(folder)}) for folder in (weights, tmp_path))
    assert ours.weights_sha256 != theirs.weights_sha256
    ours, theirs = (create_method("posfeat_sift", {"weights": str(folder)}) for folder in (weights, tmp_path))
    assert ours.weights_sha256 == theirs.weights_sha256 != ""


def test_only_legacy_crops(weights: str) -> None:
    image = noise(95, 79)
    values: dict[str, Any] = {"weights": weights, "score_threshold": None, "nms_radius_px": 1}
    ours = create_method("posfeat", values).extract(image).keypoints
    legacy = create_method("posfeat", {**values, "legacy": True}).extract(image).keypoints
    assert ours.max(axis=0) == pytest.approx([94, 78], abs=4) and np.all(ours.max(axis=0) <= [94, 78])
    assert np.all(legacy.max(axis=0) < [80, 64])


def test_image_below_sixteen_pixels_has_keypoints_unless_legacy_crops_it_away(weights: str) -> None:
    image = noise(60, 15)
    assert len(create_method("posfeat", {"weights": weights}).extract(image)) > 0
    assert len(create_method("posfeat", {"weights": weights, "legacy": True}).extract(image)) == 0


def test_keypoints_are_the_best_of_all_and_sorted(weights: str) -> None:
    image = noise(96, 64)
    everything = create_method("posfeat", {"weights": weights, "max_keypoints": None}).extract(image)
    best = create_method("posfeat", {"weights": weights, "max_keypoints": 9}).extract(image)
    assert len(best) == 9 < len(everything) and np.all(np.diff(best.scores) <= 0)
    np.testing.assert_array_equal(best.keypoints, everything.keypoints[:9])
    np.testing.assert_allclose(np.linalg.norm(everything.descriptors, axis=1), 1, rtol=1e-5)


def test_resized_keypoints_are_in_pixels_of_the_original(weights: str) -> None:
    image = noise(128, 64)
    doubled = Image("twice.png", np.kron(image.pixels, np.ones((2, 2, 1), dtype=np.uint8)), (256, 128))
    small = create_method("posfeat", {"weights": weights}).extract(image)
    reduced = create_method("posfeat", {"weights": weights, "resize_px": 128}).extract(doubled)
    np.testing.assert_allclose(reduced.keypoints, (small.keypoints + 0.5) * 2 - 0.5, rtol=0, atol=1e-3)


def test_peaks_near_left_and_top_are_lost_under_legacy_only() -> None:
    scores = torch.ones(20, 24)
    scores[2, 2] = scores[17, 21] = 2.0  # one pixel from the inner map's border
    options = DetectionOptions(limit=10, nms="hard", nms_radius_px=3, threshold=1.5, threshold_mode="abs")
    assert detect(scores, options)[0].tolist() == [[2, 2], [21, 17]]
    assert detect_as_released(scores, options)[0].tolist() == [[21, 17]]


@pytest.mark.parametrize(("mode", "value", "expected"), [("abs", 2.5, 1), ("mean", 1.5, 2), ("max", 0.5, 2)])
def test_threshold_modes(mode: str, value: float, expected: int) -> None:
    scores = torch.ones(12, 12)
    scores[3, 3], scores[8, 8] = 2.0, 3.0
    for nms in ("hard", "none"):
        options = DetectionOptions(limit=None, nms=nms, nms_radius_px=2, threshold=value, threshold_mode=mode)
        assert len(detect(scores, options)[0]) == expected


def test_a_cell_has_its_best_pixel_at_most() -> None:
    scores = torch.full((7, 10), 0.1)
    scores[2, 2], scores[1, 4], scores[5, 8], scores[3, 0] = 3.0, 2.0, 4.0, 5.0  # the last one is on the outermost ring
    options = {"limit": None, "nms": "hard", "nms_radius_px": 1, "threshold": 1.0, "threshold_mode": "abs"}
    assert len(detect(scores, DetectionOptions(**options))[0]) == 3
    assert detect(scores, DetectionOptions(**options, cell_px=4))[1].tolist() == [4.0, 2.0]
    assert detect(scores, DetectionOptions(**options, cell_px=20))[1].tolist() == []


def test_soft_suppression_prefers_what_stands_out() -> None:
    scores = torch.ones(12, 24)
    scores[2:9, 3:10] = 2.0  # a plateau
    scores[5, 17] = 1.9  # a lone peak
    options = DetectionOptions(limit=1, nms="soft", nms_radius_px=2, threshold=None, threshold_mode="abs")
    xy, values = detect(scores, options)
    assert xy.tolist() == [[17, 5]] and values.tolist() == pytest.approx([1.9])


def test_centre_of_gravity_leans_to_the_larger_neighbours() -> None:
    scores = torch.ones(5, 5)
    scores[2, 2], scores[2, 3] = 4.0, 3.0
    xy, values = centers_of_gravity(scores, torch.tensor([[2, 2]]))
    assert xy.tolist() == [[pytest.approx(2 + 2 / 14), 2.0]] and values.tolist() == [4.0]
    assert centers_of_gravity(scores, torch.zeros(0, 2, dtype=torch.int64))[0].shape == (0, 2)


def test_sift_keypoints_are_taken_once_and_ranked_unless_legacy(weights: str) -> None:
    image = noise(160, 120)
    ours = PosfeatSift(PosfeatSiftSettings(weights=weights, max_keypoints=40)).extract(image)
    legacy = PosfeatSift(PosfeatSiftSettings(weights=weights, max_keypoints=40, legacy=True)).extract(image)
    assert len(ours) == 40 < len(legacy)
    assert len(np.unique(ours.keypoints, axis=0)) == 40 and np.all(np.diff(ours.scores) <= 0)
    assert np.all(legacy.scores == 1)


def test_sampling_is_that_of_the_training_unless_named() -> None:
    assert half_cell_shift("as_trained", {}, "official")
    assert not half_cell_shift("as_trained", {"sampling": "aligned"}, "ours")
    assert not half_cell_shift("aligned", {}, "official")
    with pytest.raises(WeightsError, match=r"ours\.pth: sampling is 'other'"):
        half_cell_shift("as_trained", {"sampling": "other"}, "ours.pth")


def test_network_output_that_is_not_finite_is_refused(weights: str, tmp_path: Path) -> None:
    state = torch.load(Path(weights) / "backbone.pth")
    state["conv_fine.bn.bias"][0] = float("nan")
    torch.save(state, tmp_path / "backbone.pth")
    (tmp_path / "localheader.pth").symlink_to(Path(weights) / "localheader.pth")
    with pytest.raises(WeightsError, match=r"noise\.png: posfeat's network gave values that are not finite"):
        create_method("posfeat", {"weights": str(tmp_path)}).extract(noise(32, 32))
