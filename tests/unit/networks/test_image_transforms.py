"""Reduced and rotated images: the matrix says where every pixel came from."""

import numpy as np
import pytest
import torch

from trigpoint.networks.image_transforms import (
    TransformedImage,
    reduce,
    reduced_size,
    resize,
    rotate,
    rotated_size,
    transform_points,
    untouched,
)

WIDTH, HEIGHT = 96, 72


def ramps(width: int = WIDTH, height: int = HEIGHT) -> TransformedImage:
    """Red is 2 x, green 2 y, blue 255: a picture of its own coordinates."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([2 * x, 2 * y, np.full_like(x, 255)]).astype(np.uint8)
    return untouched(torch.from_numpy(pixels))


def check_coordinates(image: TransformedImage, tolerance_px: float) -> None:
    """What a pixel shows is where its matrix says it came from."""
    _, height, width = image.pixels.shape
    xy = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
    places = transform_points(image.transform, xy)
    shown = image.pixels.numpy()
    inside = shown[2] == 255  # bilinear values at the border mix with black
    inside &= ((places >= 2) & (places <= np.array([WIDTH, HEIGHT]) - 3)).all(axis=-1)
    step_px = np.sqrt(np.linalg.det(image.transform))
    assert inside.sum() > 0.6 * WIDTH * HEIGHT / step_px**2
    errors = np.stack([shown[0][inside], shown[1][inside]], axis=1) / 2 - places[inside]
    np.testing.assert_allclose(errors, 0, atol=tolerance_px * step_px)  # the bicubic kernel bends ramps
    np.testing.assert_allclose(errors.mean(axis=0), 0, atol=0.05)  # a lost half pixel at 0.7 is 0.2


@pytest.mark.parametrize("longer_px", [95, 64, 48, 31])
def test_resizing_keeps_places(longer_px: int) -> None:
    small = resize(ramps(), longer_px)
    assert max(small.size) == longer_px
    check_coordinates(small, 0.3)


@pytest.mark.parametrize("longer_px", [0, 96, 500])
def test_images_are_never_enlarged(longer_px: int) -> None:
    image = ramps()
    assert resize(image, longer_px) is image


@pytest.mark.parametrize("half_octaves", [0, 1, 2, 3, 4, 5])
def test_reducing_keeps_places(half_octaves: int) -> None:
    scale = 2 ** (-half_octaves / 2)
    small = reduce(ramps(), scale)
    assert small.size == reduced_size((WIDTH, HEIGHT), scale)
    check_coordinates(small, 0.3)


@pytest.mark.parametrize("size", [(97, 61), (33, 50)])
@pytest.mark.parametrize("half_octaves", [1, 3, 4])
def test_reduced_size_is_known_beforehand(size: tuple[int, int], half_octaves: int) -> None:
    scale = 2 ** (-half_octaves / 2)
    assert reduce(ramps(*size), scale).size == reduced_size(size, scale)


@pytest.mark.parametrize("angle", [-180, -135, -90, -45, 0, 30, 45, 90, 135, 180, 270])
def test_rotating_keeps_places(angle: int) -> None:
    turned = rotate(ramps(), angle)
    assert turned.size == rotated_size((WIDTH, HEIGHT), angle)
    check_coordinates(turned, 0.3 if angle % 90 else 0)


def test_quarter_turns_are_exact_in_both_senses() -> None:
    image = ramps(31, 18)
    for angle in (-180, -90, 0, 90):
        np.testing.assert_array_equal(rotate(image, angle).pixels, rotate(image, angle + 360).pixels)
        assert sorted(rotate(image, angle).size) == [18, 31]


def test_the_whole_image_is_on_the_canvas() -> None:
    turned = rotate(ramps(), 45)
    corners = transform_points(
        np.linalg.inv(turned.transform), np.array([[0, 0], [WIDTH - 1, 0], [0, HEIGHT - 1], [WIDTH - 1, HEIGHT - 1]])
    )
    assert corners.min() >= -0.5 and (corners <= np.array(turned.size) - 0.5).all()
    assert turned.size[0] % 4 == 0 and turned.size[1] % 4 == 0
    assert rotate(ramps(), 45, crop=True).size == (WIDTH, HEIGHT)


def test_matrices_are_chained() -> None:
    check_coordinates(rotate(reduce(resize(ramps(), 80), 2**-0.5), 45), 0.4)
