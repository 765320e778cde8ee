"""DISK's settings and what its plug-in adds to the network."""

from pathlib import Path

import numpy as np
import pytest
import torch

from trigpoint.errors import SettingsError, WeightsError
from trigpoint.methods.base import create_method
from trigpoint.methods.disk import Disk, DiskSettings, strongest_as_released
from trigpoint.networks.disk_unet import DiskUNet
from trigpoint.types import Image


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A checkpoint with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save({"disk": DiskUNet().state_dict()}, path)
    return str(path)


def noise(width: int, height: int) -> Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image("noise.png", pixels, (width, height))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nms_window_px": 4}, "nms_window_px must be odd"),
        ({"max_keypoints": 0}, "max_keypoints must be positive"),
        ({"resize_px": 8}, "resize_px must be at least 16"),
        ({"dtype": "float16"}, "float32, bfloat16"),
        ({"legacy": True}, "no subpixel"),
        ({"height": 160}, "height 160 and width None: give both or none"),
        ({"height": 160, "width": 250}, "width 250 cannot work.*multiple of 16; use 240 or 256"),
        ({"height": 8, "width": 160}, "height 8 cannot work.*use 16$"),
        ({"height": 160, "width": 160, "padding": False}, "padding is off"),
        ({"nms_window": 5}, "did you mean 'nms_window_px'"),
        ({"weights": "no-such"}, "neither a file nor a registered"),
    ],
)
def test_wrong_settings_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises((SettingsError, WeightsError), match=message):
        create_method("disk", values)


def test_keypoints_are_the_best_of_all_and_sorted(weights: str) -> None:
    image = noise(100, 70)
    everything = create_method("disk", {"weights": weights, "max_keypoints": None, "score_threshold": None}).extract(
        image
    )
    best = create_method("disk", {"weights": weights, "max_keypoints": 9, "score_threshold": None}).extract(image)
    assert len(best) == 9 and np.all(np.diff(best.scores) <= 0)
    np.testing.assert_array_equal(best.keypoints, everything.keypoints[:9])
    np.testing.assert_array_equal(best.scores, everything.scores[:9])
    np.testing.assert_allclose(np.linalg.norm(everything.descriptors, axis=1), 1, rtol=1e-5)


def test_padding_never_holds_keypoints(weights: str) -> None:
    features = Disk(DiskSettings(weights=weights, max_keypoints=None, score_threshold=None)).extract(noise(33, 17))
    assert len(features) > 5
    assert np.all(features.keypoints <= np.array([32.5, 16.5]))


def test_resized_keypoints_are_in_pixels_of_the_original(weights: str) -> None:
    pixels = np.zeros((512, 512, 3), dtype=np.uint8)
    pixels[200:204, 300:304] = 255  # its centre is (301.5, 201.5)
    image = Image("dot.png", pixels, (512, 512))
    found = Disk(DiskSettings(weights=weights, resize_px=128, score_threshold=None, max_keypoints=None)).extract(image)
    small = Image(
        "dot.png", np.ascontiguousarray(pixels.reshape(128, 4, 128, 4, 3).mean((1, 3))).astype(np.uint8), (128, 128)
    )
    at_size = Disk(DiskSettings(weights=weights, score_threshold=None, max_keypoints=None)).extract(small)
    np.testing.assert_allclose(found.keypoints, (at_size.keypoints + 0.5) * 4 - 0.5, rtol=0, atol=1e-3)


@pytest.mark.parametrize("legacy", [False, True])
def test_height_and_width_are_the_networks_size(weights: str, monkeypatch: pytest.MonkeyPatch, legacy: bool) -> None:
    values = {"weights": weights, "height": 64, "width": 128, "score_threshold": None, "legacy": legacy}
    method = create_method("disk", {**values, "subpixel": False})
    sizes = []
    maps = method._network.maps
    monkeypatch.setattr(method._network, "maps", lambda pixels: sizes.append(pixels) or maps(pixels))
    features = method.extract(noise(150, 100))  # fits as 96 x 64
    assert sizes[0].shape == (3, 64, 128)
    assert sizes[0][:, :, 96:].abs().max() == 0 and sizes[0][:, :, 95].max() > 0
    assert features.keypoints[:, 0].max() <= 149.5 and features.keypoints[:, 1].max() <= 99.5


def test_a_frame_of_the_photographs_own_size_changes_nothing(weights: str) -> None:
    expected = create_method("disk", {"weights": weights, "score_threshold": None}).extract(noise(96, 64))
    framed = {"weights": weights, "score_threshold": None, "height": 64, "width": 96}
    found = create_method("disk", framed).extract(noise(96, 64))
    np.testing.assert_array_equal(found.keypoints, expected.keypoints)


def test_network_output_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    network = DiskUNet()
    with torch.no_grad():
        network.unet.path_up[3].conv[3].bias[128] = float("nan")
    path = tmp_path / "nan.pth"
    torch.save({"disk": network.state_dict()}, path)
    with pytest.raises(WeightsError, match=r"noise\.png: disk's network gave values that are not finite"):
        create_method("disk", {"weights": str(path)}).extract(noise(32, 32))


def test_released_selection_loses_the_weakest() -> None:
    xy, scores = torch.arange(8).reshape(4, 2), torch.tensor([4.0, 1.0, 3.0, 2.0])
    assert strongest_as_released(xy, scores, 9)[1].tolist() == [4, 3, 2]
    assert strongest_as_released(xy, scores, 2)[1].tolist() == [4, 3]
    assert strongest_as_released(xy, scores, None)[1].tolist() == [4, 3, 2, 1]
    assert strongest_as_released(xy[:0], scores[:0], 5)[1].tolist() == []
