"""COLMAP's own matcher behind our interface."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from trigpoint.errors import SettingsError, ShapeError
from trigpoint.matching.base import create_matcher
from trigpoint.storage.colmap.library import load
from trigpoint.types import Features

QUANTUM = 512.0


def sift_like(num: int, seed: int) -> np.ndarray:
    """(num, 128) float32 unit descriptors in COLMAP's steps of 1/512."""
    values = np.abs(np.random.default_rng(seed).standard_normal((num, 128)))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return (np.rint(values * QUANTUM).clip(0, 255) / QUANTUM).astype(np.float32)


def features(descriptors: np.ndarray) -> Features:
    num = len(descriptors)
    return Features(np.zeros((num, 2), np.float32), descriptors.astype(np.float16), np.zeros(num, np.float32), (9, 9))


def test_permuted_descriptors_find_each_other() -> None:
    descriptors, order = sift_like(300, 0), np.random.default_rng(1).permutation(300)
    matches = create_matcher("colmap_sift", {}).match(features(descriptors), features(descriptors[order]))
    np.testing.assert_array_equal(order[matches.indices[:, 1]], matches.indices[:, 0])
    assert len(matches) == 300
    np.testing.assert_allclose(matches.scores, 1, atol=0.02)


def test_exact_agrees_with_our_own_matcher() -> None:
    first = sift_like(200, 0)
    second = np.clip(first[::2] + np.random.default_rng(2).normal(0, 0.03, (100, 128)), 0, None).astype(np.float32)
    second = np.rint(second / np.linalg.norm(second, axis=1, keepdims=True) * QUANTUM).clip(0, 255) / QUANTUM
    theirs = create_matcher("colmap_sift", {"exact": True}).match(features(first), features(second))
    ours = create_matcher("mutual_nn", {"distance": "angle", "ratio": 0.8, "max_distance": 0.7}).match(
        features(first), features(second)
    )
    assert len(theirs) > 50
    np.testing.assert_array_equal(theirs.indices, ours.indices)


def test_matches_are_those_of_plain_pycolmap_on_a_database(tmp_path: Path, shared: Path) -> None:
    from trigpoint.datasets.images import load_image
    from trigpoint.methods.base import create_method

    pycolmap = load()
    root, names = shared / "data/sacre_coeur/mapping", ["02928139_3448003521.jpg", "17295357_9106075285.jpg"]
    method = create_method("sift", {"max_image_size": 640})
    ours = create_matcher("colmap_sift", {}).match(*(method.extract(load_image(root, name)) for name in names))
    database = tmp_path / "plain.db"
    pycolmap.extract_features(
        database, root, names, extraction_options={"max_image_size": 640, "num_threads": 1}, device=pycolmap.Device.cpu
    )
    pycolmap.match_exhaustive(
        database, {"skip_geometric_verification": True, "num_threads": 1}, device=pycolmap.Device.cpu
    )
    with pycolmap.Database.open(database) as plain:
        theirs = plain.read_matches(1, 2)
    np.testing.assert_array_equal(ours.indices, theirs[np.argsort(theirs[:, 0])])


def test_a_pair_has_the_same_matches_alone_and_among_others() -> None:
    images = {name: features(sift_like(400, seed)) for seed, name in enumerate("abc")}
    images["empty"] = features(np.zeros((0, 128)))
    pairs = [("a", "b"), ("c", "a"), ("b", "empty"), ("c", "b")]
    matcher = create_matcher("colmap_sift", {"ratio": 0.98, "max_distance": 1.5}, num_threads=2)
    together = list(matcher.match_pairs(images.__getitem__, pairs))
    assert [len(matches) > 0 for matches in together] == [True, True, False, True]
    for pair, matches in zip(pairs, together, strict=True):
        alone = matcher.match(*(images[name] for name in pair))
        np.testing.assert_array_equal(matches.indices, alone.indices)


def test_small_tiles_and_blocks_change_no_match(monkeypatch: pytest.MonkeyPatch) -> None:
    images = {str(number): features(sift_like(150, number)) for number in range(7)}
    pairs = list(itertools.combinations(images, 2))
    matcher = create_matcher("colmap_sift", {"ratio": 0.98, "max_distance": 1.5}, num_threads=2)
    expected = list(matcher.match_pairs(images.__getitem__, pairs))
    assert sum(map(len, expected)) > 50
    monkeypatch.setattr("trigpoint.matching.colmap_sift.TILE_IMAGES", 2)
    monkeypatch.setattr("trigpoint.matching.colmap_sift.BLOCK_PAIRS", 4)
    for before, after in zip(expected, matcher.match_pairs(images.__getitem__, pairs), strict=True):
        np.testing.assert_array_equal(after.indices, before.indices)


def test_other_descriptors_are_refused() -> None:
    with pytest.raises(ShapeError, match="use the matcher mutual_nn"):
        create_matcher("colmap_sift", {}).match(*[features(np.ones((3, 64)))] * 2)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(SettingsError, match="ratio"):
        create_matcher("colmap_sift", {"ratio": 2})
