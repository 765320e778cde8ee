"""PoSFeat's networks against numbers computed with the authors' code."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from trigpoint.networks.posfeat_net import KeypointDet, ResUNet, global_feature
from trigpoint.networks.posfeat_priors import PRIORS
from trigpoint.networks.preprocessing import normalize_image, to_tensor

TOLERANCE = 1e-3  # of the largest value: some fifty layers, and convolution backends that sum in other orders
Golden = np.lib.npyio.NpzFile


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return np.load(shared / "golden/posfeat/network.npz")


@pytest.fixture(scope="module")
def backbone(fill_weights: Callable) -> ResUNet:
    network = ResUNet()
    network.load_state_dict(fill_weights(network.state_dict()))
    return network.eval()


def filled_head(fill_weights: Callable, prior: str = "identity", activation: str = "Softplus") -> KeypointDet:
    network = KeypointDet(prior, activation)
    network.load_state_dict(fill_weights(network.state_dict()))
    return network.eval()


def close(found: torch.Tensor, expected: np.ndarray, tolerance: float = TOLERANCE) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_state_dicts_have_the_official_names_and_shapes(golden: Golden) -> None:
    for network, key, numbers in (
        (ResUNet(), "backbone_keys", 20_508_992),
        (KeypointDet(), "localheader_keys", 628_930),
    ):
        state = network.state_dict()
        found = [(name, list(value.shape)) for name, value in state.items()]
        expected = [line.split(" ", 1) for line in golden[key].tolist()]
        assert sorted(name for name, _ in found) == sorted(name for name, _ in expected)
        shapes = {name: [int(side) for side in shape.strip("()[] ").replace(" ", "").split(",") if side]
                  for name, shape in expected}  # fmt: skip
        assert dict(found) == shapes
        assert sum(parameter.numel() for parameter in network.parameters()) == numbers


def test_preprocessing_agrees(golden: Golden) -> None:
    close(normalize_image(to_tensor(golden["image"]))[None], golden["image_norm"], 1e-6)


@torch.inference_mode()
def test_maps_and_encoder_stages_agree(backbone: ResUNet, golden: Golden) -> None:
    means: dict[str, torch.Tensor] = {}
    stages = {"layer1": backbone.layer1, "layer2": backbone.layer2, "layer3": backbone.layer3}
    handles = [
        stage.register_forward_hook(lambda _m, _i, output, name=name: means.__setitem__(name, output))
        for name, stage in stages.items()
    ]
    handles.append(backbone.firstbn.register_forward_hook(lambda _m, _i, output: means.__setitem__("stem", output)))
    maps = backbone(torch.from_numpy(golden["image_norm"]))
    for handle in handles:
        handle.remove()
    means["stem"] = means["stem"].relu()
    for name, values in means.items():
        assert list(values.shape) == golden[f"{name}_shape"].tolist()
        close(values[0].mean(dim=(1, 2)), golden[f"{name}_mean_per_channel"])
    close(maps.local, golden["local_map"])
    close(maps.coarse, golden["global_map"])
    close(maps.small, golden["local_map_small"])
    close(global_feature(maps.coarse), golden["global_feat"])


@torch.inference_mode()
def test_scores_agree_also_in_a_batch(backbone: ResUNet, fill_weights: Callable, golden: Golden) -> None:
    head = filled_head(fill_weights)
    image = torch.from_numpy(golden["image_norm"])
    close(head(backbone(image), image), golden["score_map"])
    batch = torch.cat([image, normalize_image(to_tensor(golden["batch2_image1"]))[None]])
    close(head(backbone(batch), batch), golden["batch2_score_map"])


@torch.inference_mode()
def test_odd_sizes_pad_the_encoder(backbone: ResUNet, golden: Golden) -> None:
    maps = backbone(normalize_image(to_tensor(golden["odd_image"]))[None])
    assert list(maps.local.shape) == golden["odd_local_map_shape"].tolist()
    assert list(maps.small.shape) == golden["odd_local_map_small_shape"].tolist()
    assert list(maps.coarse.shape) == golden["odd_global_map_shape"].tolist()
    close(maps.local[0].mean(dim=0), golden["odd_local_map_mean_c"])


@pytest.mark.parametrize("prior", ["identity", "SSIM", "ASL_Peak"])
@pytest.mark.parametrize("activation", ["Softplus", "Sigmoid"])
@torch.inference_mode()
def test_other_priors_agree(
    backbone: ResUNet, fill_weights: Callable, golden: Golden, prior: str, activation: str
) -> None:
    image = torch.from_numpy(golden["image_norm"])
    scores = filled_head(fill_weights, prior, activation)(backbone(image), image)
    close(scores[:, :, ::2, ::2], golden[f"head_{prior}_{activation}"])
    if prior != "identity":
        close(PRIORS[prior](image), golden[f"prior_img_{prior}"], 1e-5)


def test_training_mode_agrees(fill_weights: Callable, golden: Golden) -> None:
    network = ResUNet()
    network.load_state_dict(fill_weights(network.state_dict()))
    images = torch.cat(
        [torch.from_numpy(golden["image_norm"]), normalize_image(to_tensor(golden["batch2_image1"]))[None]]
    )
    with torch.no_grad():
        local = network.train()(images).local
    close(local.mean(dim=1), golden["train_mode_local_map_mean_c"])
    close(network.firstbn.running_mean, golden["train_mode_firstbn_running_mean_after"], 1e-5)
