"""What every pair method in the table promises; a further method gets these tests for nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from trigpoint.methods.base import METHODS, PairMethod, create_method
from trigpoint.networks.pump_net import PumpNet
from trigpoint.types import Correspondences, Image


def random_pump() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return PumpNet().state_dict()


# Networks whose checkpoints cannot be fetched get random weights: the promises do not depend on them.
STAND_INS: dict[str, Callable[[], dict[str, torch.Tensor]]] = {"pump-stytrf": random_pump}
PAIR_METHODS = [name for name, entry in METHODS.items() if entry.kind == "pair"]
SIZES = [(64, 48), (45, 61)]


@pytest.fixture(scope="module", params=PAIR_METHODS)
def method(
    request: pytest.FixtureRequest, checkpoint: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> PairMethod:
    entry, settings = METHODS[request.param], {}
    for weights in entry.weights:
        if weights in STAND_INS:
            path = tmp_path_factory.mktemp("weights") / f"{weights}.pt"
            torch.save(STAND_INS[weights](), path)
            settings[entry.weights_setting] = str(path)
        else:
            checkpoint(weights)
    created = create_method(request.param, settings)
    assert isinstance(created, PairMethod) and created.name == request.param
    assert bool(created.weights_sha256) == bool(entry.weights)
    return created


def blobs(size: tuple[int, int], scale: float = 1.0) -> Image:
    """Smoothed noise: corners and blobs of several sizes."""
    width, height = size
    cells = np.random.default_rng(0).random((height // 4 + 1, width // 4 + 1, 3))
    pixels = np.kron(cells, np.ones((4, 4, 1)))[:height, :width]
    original = (round(width * scale), round(height * scale))
    return Image(f"{size}.png", np.ascontiguousarray(pixels * 255).astype(np.uint8), original)


def check(found: Correspondences, image0: Image, image1: Image) -> None:
    num = len(found)
    assert found.xy.shape == (num, 4) and found.xy.dtype == np.float32
    assert found.scores.shape == (num,) and found.scores.dtype == np.float32
    assert np.isfinite(found.xy).all() and (found.scores >= 0).all()
    limits = np.array([*image0.size, *image1.size]) - 0.5
    assert (found.xy >= -0.5).all() and (found.xy <= limits).all()


def test_correspondences_keep_shapes_types_and_the_images(method: PairMethod) -> None:
    image0, image1 = (blobs(size) for size in SIZES)
    found = method.match_images(image0, image1)
    check(found, image0, image1)
    rows = method.match_rows(image0, image1)
    assert rows.shape[0] == len(found) and rows.shape[1] in (4, 6)
    np.testing.assert_array_equal(rows[:, :4].astype(np.float32), found.xy)


def test_an_image_matches_itself(method: PairMethod) -> None:
    image = blobs(SIZES[0])
    found = method.match_images(image, image)
    assert len(found) > 20
    assert np.abs(found.xy[:, :2] - found.xy[:, 2:]).max(axis=1).mean() < 2


def test_same_pair_gives_the_same_bits(method: PairMethod) -> None:
    image0, image1 = (blobs(size) for size in SIZES)
    first, second = method.match_images(image0, image1), method.match_images(image0, image1)
    np.testing.assert_array_equal(first.xy, second.xy)
    np.testing.assert_array_equal(first.scores, second.scores)


def test_reduced_decoding_moves_points_by_the_scale(method: PairMethod) -> None:
    image0, image1, reduced = blobs(SIZES[0]), blobs(SIZES[1]), blobs(SIZES[1], scale=3.0)
    ours, theirs = method.match_images(image0, image1), method.match_images(image0, reduced)
    check(theirs, image0, reduced)
    np.testing.assert_allclose(theirs.xy[:, 2:], (ours.xy[:, 2:] + 0.5) * 3 - 0.5, rtol=0, atol=1e-3)
    np.testing.assert_array_equal(theirs.xy[:, :2], ours.xy[:, :2])


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (15, 40), (1, 100), (64, 64)])
@pytest.mark.parametrize("value", [0, 255])
def test_images_without_structure_pass(method: PairMethod, size: tuple[int, int], value: int) -> None:
    image = Image("flat.png", np.full((size[1], size[0], 3), value, dtype=np.uint8), size)
    for pair in ((image, blobs(SIZES[0])), (blobs(SIZES[0]), image), (image, image)):
        check(method.match_images(*pair), *pair)
