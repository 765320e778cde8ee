"""A run on three photographs with an awkward one of everything, for the tests of all formats."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from trigpoint.storage.dataset import write_dataset
from trigpoint.storage.features import FeatureReader, FeatureWriter
from trigpoint.storage.matches import MatchReader, MatchWriter, gather_matches
from trigpoint.types import Camera, Dataset, DatasetImage, Features, Matches, Pose

SIZE = (6000, 4000)
NAMES = ("db/a.one.jpg", "db/b.png", "query/c.jpg", "d.jpg")
CAMERA = Camera("SIMPLE_RADIAL", *SIZE, (5000.0, 3000.5, 1999.5, 0.01))


@dataclass(frozen=True)
class SmallRun:
    """A folder laid out as work/<dataset>/<run>, and what is in it."""

    folder: Path
    dataset: Dataset
    features: dict[str, Features]
    matches: dict[tuple[str, str], Matches]


@pytest.fixture
def small_run(tmp_path: Path) -> SmallRun:
    """`db/b.png` has no keypoints, one pair no matches, one pair stands in descending order."""
    random = np.random.default_rng(0)
    counts = dict(zip(NAMES, (40, 0, 30, 50), strict=True))
    features = {name: random_features(random, count) for name, count in counts.items()}
    matches = {
        ("db/a.one.jpg", "query/c.jpg"): random_matches(random, 40, 30, 12),
        ("d.jpg", "db/a.one.jpg"): random_matches(random, 50, 40, 25),
        ("db/a.one.jpg", "db/b.png"): random_matches(random, 40, 0, 0),
    }
    folder = tmp_path / "work" / "small" / "run"
    folder.mkdir(parents=True)
    with FeatureWriter(folder / "features.h5", {"method": "disk"}, "float32") as writer:
        for name, found in features.items():
            writer.write(name, found)
    with MatchWriter(tmp_path / "shard.h5", {}) as shard:
        for pair, pair_matches in matches.items():
            shard.write(*pair, pair_matches)
    gather_matches([tmp_path / "shard.h5"], folder / "matches.h5")
    dataset = small_dataset(tmp_path)
    write_dataset(folder.parent / "dataset.json", dataset)
    return SmallRun(folder, dataset, features, matches)


def small_dataset(folder: Path) -> Dataset:
    images = [
        DatasetImage(name, "query" if "query" in name else "map", SIZE, camera=CAMERA if name != "d.jpg" else None)
        for name in sorted(NAMES)
    ]
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    poses = {"db/a.one.jpg": Pose(np.eye(3), np.array([1.0, 2, 3])), "db/b.png": Pose(turn, np.array([0.1, 0, -4]))}
    return Dataset("small", "photos", str(folder / "images"), tuple(images), poses=poses)


def random_features(random: np.random.Generator, count: int) -> Features:
    keypoints = (random.random((count, 2)) * SIZE).astype(np.float32)
    descriptors = random.normal(size=(count, 128 if count else 0)).astype(np.float32)
    scores = np.sort(random.random(count).astype(np.float32))[::-1]
    return Features(keypoints, descriptors, scores, SIZE)


def random_matches(random: np.random.Generator, count0: int, count1: int, number: int) -> Matches:
    indices = np.stack([random.permutation(count)[:number] for count in (count0, count1)], axis=1)
    return Matches(indices.astype(np.int32), random.random(number).astype(np.float32))


Compare = Callable[..., None]


@pytest.fixture
def assert_same(small_run: SmallRun) -> Compare:
    """Compares an imported folder with the run it was exported from."""

    def compare(folder: Path, *, pixels: float = 0.0, scores: bool = True, match_scores: bool = True) -> None:
        with FeatureReader(folder / "features.h5") as reader:
            assert reader.names() == sorted(small_run.features)
            for name, expected in small_run.features.items():
                found = reader.read(name)
                np.testing.assert_allclose(found.keypoints, expected.keypoints, rtol=0, atol=pixels)
                assert found.descriptors.shape[0] == len(expected)
                np.testing.assert_array_equal(found.descriptors.ravel(), expected.descriptors.ravel())
                wanted = expected.scores if scores else np.ones(len(expected))
                np.testing.assert_array_equal(found.scores, wanted)
                assert found.image_size == expected.image_size
        with MatchReader(folder / "matches.h5") as matches:
            for pair, expected_matches in small_run.matches.items():
                if len(expected_matches) == 0 and pair not in matches:
                    continue  # formats without a file for such a pair
                found_matches = matches.read(*pair)
                score = expected_matches.scores if match_scores else np.ones(len(expected_matches))
                rows = np.column_stack([expected_matches.indices, score])
                found_rows = np.column_stack([found_matches.indices, found_matches.scores])
                np.testing.assert_array_equal(found_rows[np.lexsort(found_rows.T)], rows[np.lexsort(rows.T)])
            assert {tuple(sorted(pair)) for pair in matches.pairs() if len(matches.read(*pair))} == {
                tuple(sorted(pair)) for pair, expected_matches in small_run.matches.items() if len(expected_matches)
            }

    return compare
