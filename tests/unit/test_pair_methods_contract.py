"""What every method of image pairs promises; a further method gets these tests for a line of small settings."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from trigpoint.methods.base import METHODS, PairMethod, create_method
from trigpoint.types import Correspondences, Image

PLUGIN = "sift_pairs"
PAIR_METHODS = [PLUGIN, *(name for name, entry in METHODS.items() if entry.kind == "pair")]
SMALL: dict[str, dict[str, object]] = {PLUGIN: {}, "pump": {"resize": 0}}


@pytest.fixture(params=PAIR_METHODS)
def method(request: pytest.FixtureRequest) -> Iterator[PairMethod]:
    settings: dict[str, object] = dict(SMALL[request.param])
    if request.param == PLUGIN:
        request.getfixturevalue("pair_method")
    else:
        weights: Path = request.getfixturevalue(f"filled_{request.param}")
        settings[METHODS[request.param].weights_setting] = str(weights)
    created = create_method(request.param, settings)
    assert isinstance(created, PairMethod)
    assert created.name == request.param
    yield created


def blobs(shift: int, size: tuple[int, int], scale: float = 1.0) -> Image:
    """Part of a noise of squares; `scale` is what the decoder left out."""
    noise = np.kron(np.random.default_rng(0).random((60, 60, 3)), np.ones((4, 4, 1)))
    pixels = np.ascontiguousarray(noise[shift : shift + size[1], : size[0]] * 255).astype(np.uint8)
    full = (round(size[0] * scale), round(size[1] * scale))
    return Image(f"{shift}.png", pixels, full, digest=f"{shift:03d}{scale:g}{size}")


def check(found: Correspondences, image0: Image, image1: Image) -> None:
    num = len(found)
    assert found.xy.shape == (num, 4) and found.xy.dtype == np.float32
    assert found.scores.shape == (num,) and found.scores.dtype == np.float32
    assert np.isfinite(found.xy).all() and np.isfinite(found.scores).all()
    assert (found.scores >= 0).all()  # they are summed where points are merged
    for xy, image in ((found.xy[:, :2], image0), (found.xy[:, 2:], image1)):
        assert (xy >= -2).all() and (xy <= np.array(image.size) + 1).all()


def test_the_shift_between_two_images_is_found(method: PairMethod) -> None:
    image0, image1 = blobs(0, (128, 96)), blobs(8, (128, 96))
    found = method.match_images(image0, image1)
    check(found, image0, image1)
    assert len(found) > 20
    moved = found.xy[:, :2] - found.xy[:, 2:]
    assert np.median(np.abs(moved - [0, 8])) < 0.7


def test_same_images_give_the_same_bits(method: PairMethod) -> None:
    images = blobs(0, (100, 80)), blobs(4, (97, 83))
    first, second = method.match_images(*images), method.match_images(*images)
    np.testing.assert_array_equal(first.xy, second.xy)
    np.testing.assert_array_equal(first.scores, second.scores)


def test_reduced_decoding_moves_points_by_the_scale(method: PairMethod) -> None:
    image0, image1 = blobs(0, (100, 80), 3.0), blobs(8, (100, 80), 2.0)
    found = method.match_images(image0, image1)
    check(found, image0, image1)
    moved = (found.xy[:, :2] + 0.5) / 3 - (found.xy[:, 2:] + 0.5) / 2
    assert len(found) > 20
    assert np.median(np.abs(moved - [0, 8])) < 0.7


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (15, 40), (1, 100), (64, 64)])
@pytest.mark.parametrize("value", [0, 255])
def test_images_without_structure_pass(method: PairMethod, size: tuple[int, int], value: int) -> None:
    flat = Image("flat.png", np.full((size[1], size[0], 3), value, dtype=np.uint8), size, digest=f"{size}{value}")
    other = blobs(0, (64, 48))
    for pair in ((flat, other), (other, flat), (flat, flat)):
        check(method.match_images(*pair), *pair)
