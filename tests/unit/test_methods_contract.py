"""What every method in the table promises; a further method gets these tests for nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from trigpoint.methods.base import METHODS, FeatureMethod, create_method
from trigpoint.networks.posfeat_net import KeypointDet, ResUNet
from trigpoint.types import Features, Image


def random_posfeat() -> dict[str, object]:
    torch.manual_seed(0)
    return {"backbone": ResUNet().state_dict(), "localheader": KeypointDet().state_dict()}


# Networks whose checkpoints cannot be fetched get random weights: the promises do not depend on them.
STAND_INS: dict[str, Callable[[], dict[str, object]]] = {"posfeat": random_posfeat}
FEATURE_METHODS = [name for name, entry in METHODS.items() if entry.kind == "feature"]
MAX_KEYPOINTS = 2048


@pytest.fixture(scope="module", params=FEATURE_METHODS)
def method(
    request: pytest.FixtureRequest, checkpoint: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> FeatureMethod:
    settings = {}
    for weights in METHODS[request.param].weights:
        if weights in STAND_INS:
            path = tmp_path_factory.mktemp("weights") / f"{weights}.pth"
            torch.save(STAND_INS[weights](), path)
            settings[METHODS[request.param].weights_setting] = str(path)
        else:
            checkpoint(weights)
    created = create_method(request.param, settings)
    assert isinstance(created, FeatureMethod)
    assert created.name == request.param
    return created


def blobs(width: int, height: int, scale: float = 1.0) -> Image:
    """Smoothed noise: corners and blobs of several sizes."""
    rng = np.random.default_rng(0)
    pixels = rng.random((height // 4 + 1, width // 4 + 1, 3))
    pixels = np.kron(pixels, np.ones((4, 4, 1)))[:height, :width]
    size = (round(width * scale), round(height * scale))
    return Image("blobs.png", np.ascontiguousarray(pixels * 255).astype(np.uint8), size, digest="0" * 64)


def check(features: Features, image: Image) -> None:
    num = len(features)
    assert num <= 2 * MAX_KEYPOINTS
    assert features.keypoints.shape == (num, 2) and features.keypoints.dtype == np.float32
    assert features.scores.shape == (num,) and features.scores.dtype == np.float32
    assert features.descriptors.ndim == 2 and len(features.descriptors) == num
    assert features.descriptors.dtype in (np.float16, np.float32)
    assert features.image_size == image.size
    assert np.isfinite(features.keypoints).all() and np.isfinite(features.descriptors).all()
    if num:
        low, high = features.keypoints.min(axis=0), features.keypoints.max(axis=0)
        assert np.all(low >= -0.5) and np.all(high <= np.array(image.size) - 0.5)


@pytest.mark.parametrize("size", [(200, 120), (97, 131)])
def test_features_keep_shapes_types_and_the_image(method: FeatureMethod, size: tuple[int, int]) -> None:
    image = blobs(*size)
    features = method.extract(image)
    check(features, image)
    assert len(features) > 20


def test_same_image_gives_the_same_bits(method: FeatureMethod) -> None:
    first, second = method.extract(blobs(160, 120)), method.extract(blobs(160, 120))
    for key in ("keypoints", "descriptors", "scores"):
        np.testing.assert_array_equal(getattr(first, key), getattr(second, key))


def test_reduced_decoding_moves_keypoints_by_the_scale(method: FeatureMethod) -> None:
    image, reduced = blobs(160, 120), blobs(160, 120, scale=3.0)
    ours = (method.extract(image).keypoints + 0.5) * 3 - 0.5
    theirs = method.extract(reduced)
    check(theirs, reduced)
    np.testing.assert_allclose(theirs.keypoints, ours, rtol=0, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (15, 40), (1, 100), (64, 64)])
@pytest.mark.parametrize("value", [0, 255])
def test_images_without_structure_pass(method: FeatureMethod, size: tuple[int, int], value: int) -> None:
    image = Image("flat.png", np.full((size[1], size[0], 3), value, dtype=np.uint8), size)
    check(method.extract(image), image)
