"""What makes Patch2Pix's inference fast gives what the plain forms give: windows, folding, tiles, 4D convolutions."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from trigpoint.errors import ShapeError, WeightsError
from trigpoint.networks import patch2pix_inference
from trigpoint.networks.consensus import Conv4d, NeighbourhoodConsensus
from trigpoint.networks.patch2pix_inference import PyramidInference, RegressorInference
from trigpoint.networks.patch2pix_net import (
    Patch2PixNet,
    Regressor,
    RegressorConfig,
    decode,
    load_patch2pix,
    regressor_config,
)
from trigpoint.networks.patch2pix_windows import WindowSource, read_windows, window_source
from trigpoint.networks.resnet34 import LEVEL_STRIDES, ResNet34
from trigpoint.networks.tiled_convolution import TiledConvolution

CPU = torch.device("cpu")
SMALL = RegressorConfig(conv_dims=(24, 16), fc_dims=(12, 8), feat_idx=(0, 1, 3))


def with_statistics(network: torch.nn.Module) -> torch.nn.Module:
    """Batch norms that do something."""
    for key, value in network.state_dict().items():
        if key.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif key.endswith(("running_mean", "bias")):
            value.normal_(0, 0.3)
    return network.eval()


def levels_of(width: int, height: int, seed: int = 0) -> list[Tensor]:
    """Random maps with the sizes of a pyramid."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(1, 3, height, width, generator=generator)
    return [image, *(torch.randn(1, c, -(-height // s), -(-width // s), generator=generator) for c, s in LEVELS)]


LEVELS = [(64, 2), (64, 4), (128, 8)]


def conv4d(volume: Tensor, layer: Conv4d) -> Tensor:
    """(C, h0, w0, h1, w1) to (O, ...), one kernel place after the other."""
    sides = volume.shape[1:]
    padded = torch.zeros(len(volume), *(side + 2 for side in sides))
    padded[:, 1:-1, 1:-1, 1:-1, 1:-1] = volume
    out = layer.bias.view(-1, 1, 1, 1, 1).expand(-1, *sides).clone()
    for p, q, r, s in itertools.product(range(3), repeat=4):
        moved = padded[:, p : p + sides[0], q : q + sides[1], r : r + sides[2], s : s + sides[3]]
        out += torch.einsum("oi,iabcd->oabcd", layer.weight[p, :, :, q, r, s], moved)
    return out


@pytest.mark.parametrize("sides", [(5, 4, 3, 6), (1, 1, 1, 1), (1, 3, 2, 1), (4, 2, 4, 2)])
@torch.inference_mode()
def test_consensus_equals_4d_convolutions_in_both_orders(sides: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    network, volume = NeighbourhoodConsensus(), torch.randn(sides)
    first, second = network.conv["0"], network.conv["2"]
    first.bias.normal_(0, 0.3)

    def directed(values: Tensor) -> Tensor:
        return conv4d(conv4d(values[None], first).relu(), second).relu()[0]

    expected = directed(volume) + directed(volume.permute(2, 3, 0, 1)).permute(2, 3, 0, 1)
    torch.testing.assert_close(network(volume), expected, rtol=1e-5, atol=1.5e-6)


@pytest.mark.parametrize(("count", "channels", "outputs"), [(1, 5, 3), (7, 3, 9)])
@torch.inference_mode()
def test_tiles_equal_the_convolution(count: int, channels: int, outputs: int) -> None:
    torch.manual_seed(2)
    weight, bias, maps = torch.randn(outputs, channels, 3, 3), torch.randn(outputs), torch.randn(count, channels, 8, 8)
    found = TiledConvolution(weight, bias)(maps)
    torch.testing.assert_close(found, functional.conv2d(maps, weight, bias, padding=1), rtol=1e-5, atol=1e-4)


@torch.inference_mode()
def test_the_folded_pyramid_equals_the_plain_one() -> None:
    torch.manual_seed(3)
    network = with_statistics(ResNet34())
    image = torch.randn(1, 3, 45, 62)
    for found, expected in zip(PyramidInference(network, CPU).levels(image), network(image), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    with pytest.raises(ShapeError, match="at least 8"):
        network(torch.zeros(1, 3, 7, 20))


@pytest.mark.parametrize("size", [(32, 24), (29, 18), (8, 9)])
@torch.inference_mode()
def test_windows_equal_look_ups_one_by_one(size: tuple[int, int]) -> None:
    width, height = size
    levels, feat_idx = levels_of(width, height), (0, 1, 3)
    source = window_source(levels, feat_idx)
    xy = torch.tensor([(0.0, 0.0), (width, height), (7.9, 3.2), (width - 1.5, 5)])
    found = torch.empty(len(xy), 6, 6, 195)
    read_windows(source, xy, 6, found)
    for window, (x, y) in zip(found, xy.tolist(), strict=True):
        for row, column in itertools.product(range(6), repeat=2):
            numbers = []
            for level in feat_idx:
                stride = LEVEL_STRIDES[level]
                at_y = min(max((int(y) + row - 3) // stride, 0), height // stride - 1)
                at_x = min(max((int(x) + column - 3) // stride, 0), width // stride - 1)
                numbers.append(levels[level][0, :, at_y, at_x])
            expected = torch.cat(numbers)
            expected = expected / torch.sqrt(expected.square().sum() + 1e-6)
            torch.testing.assert_close(window[row, column], expected)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"feat_comb": "post"},
        {"conv_dims": (10, 12, 8), "conv_kers": (3, 5, 3), "conv_strs": (1, 2, 1)},
        {"fc_dims": (), "psize": (12, 12)},
        {"psize": (8, 8), "conv_strs": (1, 1)},
    ],
)
@torch.inference_mode()
def test_prepared_regressors_equal_the_plain_ones(changes: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setitem(patch2pix_inference.WINDOWS_AT_ONCE, "cpu", 2)
    torch.manual_seed(4)
    config = replace(SMALL, **changes)
    network = with_statistics(Regressor(config, config.psize[0]))
    sources = [window_source(levels_of(40, 32, seed), config.feat_idx) for seed in (1, 2)]
    matches = torch.tensor([(4.0, 4, 12, 20), (39, 31, 0, 0), (20.5, 9.7, 33.3, 8), (1, 1, 40, 32), (8, 8, 8, 8)])
    expected = network(*plain_windows(sources, matches, config))
    torch.testing.assert_close(RegressorInference(network, CPU).raw(*sources, matches), expected, rtol=1e-4, atol=1e-4)
    assert RegressorInference(network, CPU).raw(*sources, matches[:0]).shape == (0, 5)


def plain_windows(sources: list[WindowSource], matches: Tensor, config: RegressorConfig) -> list[Tensor]:
    found = []
    for side, source in enumerate(sources):
        out = torch.empty(len(matches), config.psize[0], config.psize[0], config.window_channels)
        read_windows(source, matches[:, 2 * side : 2 * side + 2], config.psize[0], out)
        found.append(out.permute(0, 3, 1, 2))
    return found


def test_decoding_by_hand() -> None:
    raw = torch.tensor([[-1.0, 0, 100, 100, 0], [0, 0, 0, 0, 50]])
    matches = torch.tensor([[20.0, 5, 90, 94], [8, 9, 8, 9]])
    found, scores = decode(raw, matches, (100, 96, 100, 96), 16)
    assert found.tolist() == [[12, 0, 98, 96], [0, 1, 0, 1]]
    assert scores.tolist() == [0.5, 1.0]


def test_a_checkpoint_says_how_its_regressors_are() -> None:
    assert regressor_config({}, "x") == RegressorConfig()
    assert regressor_config({"conv_dims": [512, 512], "feat_dim": 259}, "x").conv_strs == (2, 2)
    config = regressor_config({"psize": [16, 12], "shared": True, "feat_idx": [0, 2]}, "x")
    assert config.psize == (16, 12) and config.window_channels == 67
    for wrong in (
        {"conv_kers": [3]},
        {"feat_idx": [7]},
        {"feat_comb": "mid"},
        {"psize": [0, 0]},
        {"conv_strs": [0, 1]},
        {"conv_dims": 512, "conv_strs": [2, 1]},
        {"conv_kers": 3},
        {"fc_dims": [1 << 20]},
    ):
        with pytest.raises(WeightsError, match="x: no regressor is configured so"):
            regressor_config(wrong, "x")


def test_a_shared_regressor_is_one() -> None:
    state = Patch2PixNet(RegressorConfig(shared=True, conv_dims=(8, 8), fc_dims=(8, 8))).state_dict()
    assert "regress_fine.fc.6.weight" in state
    values = {"shared": True, "conv_dims": [8, 8], "conv_strs": [2, 1], "fc_dims": [8, 8]}
    loaded = load_patch2pix({"state_dict": state, "config": values}, "x")
    assert loaded.regress_fine is loaded.regress_mid
    state["ncn.conv.0.bias"][0] = float("nan")
    with pytest.raises(WeightsError, match=r"'ncn.conv.0.bias' holds values that are not finite"):
        load_patch2pix({"state_dict": state}, "x", regressors=False)
