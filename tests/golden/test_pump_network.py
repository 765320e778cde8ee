"""PUMP's descriptor network against the authors' numbers, with deterministic weights under the official names."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from trigpoint.networks.pump_inference import PumpInference, patch_descriptors, pixel_descriptors
from trigpoint.networks.pump_net import PumpNet, load_pump, preprocess

TOLERANCE = 1e-4  # absolute, of unit vectors; folded norms stay below 1e-6


@pytest.fixture(scope="module")
def golden(shared: Path) -> np.lib.npyio.NpzFile:
    return np.load(shared / "golden/pump/network.npz")


@pytest.fixture
def filled(fill_weights: Callable) -> PumpNet:
    return load_pump(fill_weights(PumpNet().state_dict()), "filled")


@pytest.mark.parametrize("image", ["A", "B"])
@torch.inference_mode()
def test_descriptors_are_the_original_ones(filled: PumpNet, golden: np.lib.npyio.NpzFile, image: str) -> None:
    pixels = torch.from_numpy(golden[f"img{image}"])[None]
    dense = filled(preprocess(pixels))[0].numpy()
    half_map = PumpInference(filled).half_maps(pixels)[0]
    expected = golden[f"desc{image}"]
    np.testing.assert_allclose(dense, expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(pixel_descriptors(half_map).numpy(), expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(patch_descriptors(half_map).numpy(), expected[:, 2::4, 2::4], rtol=0, atol=TOLERANCE)


@torch.inference_mode()
def test_every_stage_is_the_original_one(filled: PumpNet, golden: np.lib.npyio.NpzFile) -> None:
    maps = preprocess(torch.from_numpy(golden["imgB"])[None])
    stages = {}
    for position, layer in enumerate(filled):
        maps = layer(maps)
        stages[position] = maps[0].numpy()
    for key in (key for key in golden.files if key.startswith("imgB_op")):
        found = stages[int(key.removeprefix("imgB_op").removesuffix("_ch0to7"))]
        expected = golden[key]
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(found[: len(expected)], expected, rtol=0, atol=TOLERANCE * scale, err_msg=key)


def test_training_mode_uses_and_moves_the_statistics(filled: PumpNet, golden: np.lib.npyio.NpzFile) -> None:
    filled.train()
    found = filled(preprocess(torch.from_numpy(golden["train_imgs"]))).detach().numpy()
    np.testing.assert_allclose(found, golden["train_desc"], rtol=0, atol=TOLERANCE)
    state = filled.state_dict()
    for name in ("op2_running_mean", "op2_running_var", "op33_running_mean"):
        operation, buffer = name.removeprefix("op").split("_", 1)
        np.testing.assert_allclose(
            state[f"{operation}.{buffer}"].numpy(), golden[f"train_{name}"], rtol=1e-4, atol=1e-5, err_msg=name
        )
