"""SIFT equals pycolmap's own extraction, and holds the contract of a feature method."""

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from trigpoint.errors import SettingsError
from trigpoint.methods.base import create_method
from trigpoint.storage.colmap import load
from trigpoint.types import Image


def textured(width: int, height: int, seed: int = 0) -> Image:
    """Smoothed colour noise: some hundred keypoints."""
    rng = np.random.default_rng(seed)
    coarse = PIL.Image.fromarray(rng.integers(0, 256, size=(height // 8, width // 8, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((width, height), PIL.Image.Resampling.BICUBIC))
    return Image("textured.png", pixels, (width, height))


def plain(folder: Path, image: Image, **sift: Any) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (COLMAP's convention) and uint8 descriptors of `pycolmap.extract_features`."""
    pycolmap = load()
    folder.mkdir(parents=True)
    PIL.Image.fromarray(image.pixels).save(folder / image.name)
    database = folder / "plain.db"
    options = pycolmap.FeatureExtractionOptions(
        max_image_size=sift.pop("max_image_size", 1600), use_gpu=False, num_threads=1, sift=sift
    )
    pycolmap.extract_features(database, folder, extraction_options=options, device=pycolmap.Device.cpu)
    with pycolmap.Database.open(database) as opened:
        return opened.read_keypoints(1), opened.read_descriptors(1).data


@pytest.mark.parametrize("size", [(320, 240), (501, 333), (240, 417)])
def test_equal_to_pycolmap_row_by_row(tmp_path: Path, size: tuple[int, int]) -> None:
    image = textured(*size)
    for number, max_image_size in enumerate((1600, 200)):
        keypoints, descriptors = plain(tmp_path / str(number), image, max_image_size=max_image_size)
        features = create_method("sift", {"max_image_size": max_image_size}).extract(image)
        assert len(features) == len(keypoints) > 20
        np.testing.assert_allclose(features.keypoints, keypoints[:, :2] - 0.5, atol=1e-4)
        np.testing.assert_array_equal(features.descriptors * 512, descriptors)
        assert features.image_size == size


def test_settings_reach_pycolmap(tmp_path: Path) -> None:
    image = textured(320, 240)
    ours = {"max_keypoints": 60, "peak_threshold": 0.01, "upright": True, "normalization": "L2", "first_octave": 0}
    theirs = {**ours, "max_num_features": ours["max_keypoints"]}
    del theirs["max_keypoints"]
    _, descriptors = plain(tmp_path / "plain", image, **theirs)
    features = create_method("sift", ours).extract(image)
    np.testing.assert_array_equal(features.descriptors * 512, descriptors)


def test_the_cap_is_exact_only_if_asked_and_keeps_the_largest_scales() -> None:
    image = textured(320, 240)
    capped = create_method("sift", {"max_keypoints": 50}).extract(image)
    exact = create_method("sift", {"max_keypoints": 50, "exact_count": True}).extract(image)
    assert len(capped) > 50
    assert len(exact) == 50
    assert exact.scores.min() == np.sort(capped.scores)[-50]
    rows = [np.flatnonzero((capped.keypoints == xy).all(axis=1)).min() for xy in exact.keypoints]
    assert rows == sorted(rows)


def test_descriptors_survive_float16() -> None:
    descriptors = create_method("sift", {}).extract(textured(320, 240)).descriptors
    assert (descriptors.astype(np.float16).astype(np.float32) == descriptors).all()
    assert np.abs(np.linalg.norm(descriptors, axis=1) - 1).max() < 0.1


def test_keypoints_belong_to_the_original_when_pixels_are_reduced() -> None:
    image = textured(320, 240)
    reduced = Image(image.name, image.pixels, (640, 480))
    full, scaled = (create_method("sift", {}).extract(item) for item in (image, reduced))
    np.testing.assert_allclose(scaled.keypoints, (full.keypoints + 0.5) * 2 - 0.5, atol=1e-3)
    np.testing.assert_allclose(scaled.scores, full.scores * 2, rtol=1e-6)
    assert scaled.image_size == (640, 480)


@pytest.mark.parametrize("size", [(1, 1), (5, 400), (8, 8), (64, 48)])
def test_images_without_keypoints(size: tuple[int, int]) -> None:
    pixels = np.full((size[1], size[0], 3), 127, dtype=np.uint8)
    features = create_method("sift", {}).extract(Image("flat.png", pixels, size))
    assert features.keypoints.shape == (0, 2)
    assert features.descriptors.shape == (0, 128)
    assert features.scores.shape == (0,)


def test_impossible_settings() -> None:
    for values in ({"max_keypoints": 0}, {"upright": 1}, {"normalization": "L1"}, {"max_num_features": 100}):
        with pytest.raises(SettingsError, match=f"sift: .*{next(iter(values))}"):
            create_method("sift", values)
