"""PUMP's image transforms and codes against the authors' numbers, under `legacy`."""

from pathlib import Path

import numpy as np
import pytest
import torch

from trigpoint.geometry.scale_rotation import decode_scale_rot, encode_scale_rot
from trigpoint.networks.image_transforms import TransformedImage, reduce, resize, rotate, untouched

ANGLES = {"45": 45, "m45": -45, "135": 135, "90": 90, "m90": -90, "180": 180, "30": 30}


@pytest.fixture(scope="module")
def golden(shared: Path) -> np.lib.npyio.NpzFile:
    return np.load(shared / "golden/pump/transforms.npz")


@pytest.fixture(scope="module")
def image(golden: np.lib.npyio.NpzFile) -> TransformedImage:
    return untouched(torch.from_numpy(golden["img"]), legacy=True)


def check(found: TransformedImage, golden: np.lib.npyio.NpzFile, name: str) -> None:
    assert found.transform.dtype == np.float32
    np.testing.assert_allclose(found.transform, golden[f"{name}_trf"], rtol=1e-6, atol=1e-5)
    np.testing.assert_array_equal(found.pixels.numpy(), golden[name])


@pytest.mark.parametrize("longer_px", [64, 40])
def test_resizing(image: TransformedImage, golden: np.lib.npyio.NpzFile, longer_px: int) -> None:
    check(resize(image, longer_px, legacy=True), golden, f"imresize_{longer_px}")


@pytest.mark.parametrize("half_octaves", [1, 2, 3, 4])
def test_reducing(image: TransformedImage, golden: np.lib.npyio.NpzFile, half_octaves: int) -> None:
    check(reduce(image, 2 ** (-half_octaves / 2), legacy=True), golden, f"down_half_octaves_{half_octaves}")


@pytest.mark.parametrize("angle", ANGLES)
def test_rotating(image: TransformedImage, golden: np.lib.npyio.NpzFile, angle: str) -> None:
    check(rotate(image, ANGLES[angle], legacy=True), golden, f"rotate_{angle}")


def test_rotating_within_the_image(image: TransformedImage, golden: np.lib.npyio.NpzFile) -> None:
    check(rotate(image, 45, crop=True, legacy=True), golden, "rotate_45_crop")


def test_codes(golden: np.lib.npyio.NpzFile) -> None:
    half_octaves, angles, codes = golden["codes_i_ang_code"].T
    np.testing.assert_array_equal(encode_scale_rot(2 ** (half_octaves / 2), angles), codes)
    scale, angle = decode_scale_rot(codes)
    np.testing.assert_allclose(np.stack([scale, angle], axis=1), golden["codes_decoded"], rtol=1e-12)
