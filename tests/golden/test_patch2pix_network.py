"""Patch2Pix's and NCNet's networks against the authors' numbers, with deterministic weights of the official names."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from trigpoint.kernels.correlation import mutual_matching
from trigpoint.networks import consensus
from trigpoint.networks.patch2pix_inference import PyramidInference, RegressorInference
from trigpoint.networks.patch2pix_net import Patch2PixNet, RegressorConfig, decode, load_patch2pix
from trigpoint.networks.patch2pix_windows import WindowSource, read_windows, window_source
from trigpoint.networks.preprocessing import normalize_image, to_tensor
from trigpoint.networks.resnet34 import normalize_features

RELATIVE = 1e-5  # to the largest value; the suggestion is 1e-4
POSITION_PX = 1e-3
FOLD = 1.5e-6  # of the 4D convolutions
NUM_TENSORS, NUM_VALUES = 276, 31_601_703
Arrays = np.lib.npyio.NpzFile
CPU = torch.device("cpu")


def golden(shared: Path, name: str) -> Arrays:
    return np.load(shared / f"golden/patch2pix/{name}.npz")


def assert_close(found: torch.Tensor, expected: np.ndarray, relative: float = RELATIVE) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=relative * np.abs(expected).max())


@pytest.fixture(scope="module")
def network(fill_weights: Callable) -> Patch2PixNet:
    state = fill_weights(Patch2PixNet(RegressorConfig()).state_dict())
    assert (len(state), sum(value.numel() for value in state.values())) == (NUM_TENSORS, NUM_VALUES)
    return load_patch2pix({"state_dict": state}, "filled")


@pytest.fixture(scope="module")
def images(shared: Path) -> list[torch.Tensor]:
    arrays = golden(shared, "backbone")
    return [normalize_image(to_tensor(arrays[name]))[None] for name in ("im1", "im2")]


@pytest.fixture(scope="module")
def sources(network: Patch2PixNet, images: list[torch.Tensor]) -> list[WindowSource]:
    with torch.inference_mode():
        pyramid = PyramidInference(network.extract, CPU)
        return [window_source(pyramid.levels(image), network.config.feat_idx) for image in images]


@pytest.mark.parametrize("folded", [False, True])
@torch.inference_mode()
def test_every_level_of_the_pyramid_is_the_original_one(
    network: Patch2PixNet, images: list[torch.Tensor], shared: Path, folded: bool
) -> None:
    arrays = golden(shared, "backbone")
    compute = PyramidInference(network.extract, CPU).levels if folded else network.extract
    for name, image in zip(("1", "2"), images, strict=True):
        np.testing.assert_array_equal(image.numpy(), arrays[f"in{name}"])
        levels = compute(image)
        assert_close(levels[1][:, :16], arrays[f"im{name}_f1_ch0_16"])
        for level in (2, 3, 4):
            assert_close(levels[level], arrays[f"im{name}_f{level}"])
    assert_close(compute(images[0])[1].sum(dim=(2, 3)), arrays["im1_f1_sum"])
    assert_close(normalize_features(compute(images[0])[4]), golden(shared, "ncnet")["feat1_norm"])


@pytest.mark.parametrize("bytes_at_once", [1, 1 << 30])
@torch.inference_mode()
def test_the_consensus_is_the_original_one_however_many_rows_at_once(
    network: Patch2PixNet, shared: Path, monkeypatch: pytest.MonkeyPatch, bytes_at_once: int
) -> None:
    monkeypatch.setitem(consensus.ROW_BYTES_AT_ONCE, "cpu", bytes_at_once)
    arrays = golden(shared, "ncnet")
    volume = torch.from_numpy(arrays["mutual1"][0, 0])
    hidden = network.ncn.hidden(volume, 0, len(volume), swapped=False)
    assert_close(hidden.transpose(0, 1), arrays["ncn_layer1"][0], FOLD)
    assert_close(network.ncn.directed(volume, swapped=False), arrays["ncn_forward_only"][0, 0], FOLD)
    assert_close(network.ncn(volume), arrays["ncn_out"][0, 0], FOLD)
    assert_close(mutual_matching(network.ncn(volume)), arrays["mutual2"][0, 0])


@torch.inference_mode()
def test_windows_are_the_original_ones(sources: list[WindowSource], shared: Path) -> None:
    arrays = golden(shared, "regress")
    matches = torch.from_numpy(arrays["coarse"]).float()
    for number, source in enumerate(sources):
        windows = torch.empty(len(matches), 16, 16, 259)
        read_windows(source, matches[:, 2 * number : 2 * number + 2], 16, windows)
        assert_close(windows[0].permute(2, 0, 1), arrays[f"patch{number + 1}_match0"])
        assert_close(windows.mean(dim=(1, 2)), arrays[f"patch{number + 1}_mean_per_match"])


@torch.inference_mode()
def test_both_regressors_give_the_original_numbers(
    network: Patch2PixNet, sources: list[WindowSource], shared: Path
) -> None:
    arrays = golden(shared, "regress")
    matches = torch.from_numpy(arrays["coarse"]).float()
    windows = [torch.empty(len(matches), 16, 16, 259) for _ in sources]
    for number, source in enumerate(sources):
        read_windows(source, matches[:, 2 * number : 2 * number + 2], 16, windows[number])
    channels_first = [window.permute(0, 3, 1, 2) for window in windows]
    assert_close(network.regress_mid.pooled(*channels_first), arrays["mid_conv"])
    assert_close(network.regress_mid(*channels_first), arrays["mid_raw"])
    for name, regressor in (("mid", network.regress_mid), ("fine", network.regress_fine)):
        prepared = RegressorInference(regressor, CPU)
        assert_close(prepared.raw(*sources, matches), arrays[f"{name}_raw"])
        matches, scores = prepared.refine(*sources, matches)
        np.testing.assert_allclose(matches, arrays[name], rtol=0, atol=POSITION_PX)
        np.testing.assert_allclose(scores, arrays[f"{name}_score"], rtol=0, atol=1e-5)


@torch.inference_mode()
def test_spread_outputs_give_the_original_numbers(
    network: Patch2PixNet, sources: list[WindowSource], shared: Path
) -> None:
    arrays = golden(shared, "regress")
    matches = torch.from_numpy(arrays["coarse"]).float()
    for name, regressor in (("mid", network.regress_mid), ("fine", network.regress_fine)):
        prepared = RegressorInference(regressor, CPU)
        weight, _ = prepared._linear[-1]
        prepared._linear[-1] = (weight * 20, torch.from_numpy(arrays[f"x20_{name}_bias"]).float())
        assert_close(prepared.raw(*sources, matches), arrays[f"x20_{name}_raw"])
        matches, scores = prepared.refine(*sources, matches)
        np.testing.assert_allclose(matches, arrays[f"x20_{name}"], rtol=0, atol=POSITION_PX)
        np.testing.assert_allclose(scores, arrays[f"x20_{name}_score"], rtol=0, atol=1e-5)


def test_decoding_is_the_original_one(shared: Path) -> None:
    arrays = golden(shared, "regress")
    matches, raw = torch.from_numpy(arrays["parse_coarse"]).float(), torch.from_numpy(arrays["parse_raw"])
    found, scores = decode(raw, matches, (128, 96, 128, 96), 16)
    np.testing.assert_allclose(found, arrays["parse_matches"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(scores, arrays["parse_prob"], rtol=0, atol=1e-6)
