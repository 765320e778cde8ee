"""COLMAP's own SIFT matcher: what `colmap feature_matcher` and plain pycolmap find, match for match."""

import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.errors import ShapeError
from trigpoint.matching.base import Matcher
from trigpoint.settings import check_flag, check_number
from trigpoint.storage.colmap.databases import open_database, transaction, write_camera, write_image
from trigpoint.storage.colmap.library import load, seeded
from trigpoint.types import Features, Matches

pycolmap: Any = load()
QUANTUM = 512.0  # COLMAP keeps min(255, round(512 x)) of each component of a unit descriptor
NUM_DIMENSIONS = 128
# COLMAP keeps the index of as many images as a block has pairs, 330 bytes a keypoint: with its 1,225 that is 5 GB a
# thread for 13,000 keypoints. Making one takes as long as searching a pair, so pairs come in tiles of the same images.
TILE_IMAGES = 32
BLOCK_PAIRS = 2 * TILE_IMAGES  # and images with an index


@dataclass(frozen=True, kw_only=True)
class ColmapSiftSettings:
    """Defaults are COLMAP's (SiftMatchingOptions)."""

    ratio: float = 0.8  # angle to the nearest over angle to the second nearest, to stay below
    max_distance: float = 0.7  # angle of a match in radians
    cross_check: bool = True  # matches are nearest to each other
    exact: bool = False  # compare all with all instead of searching an index; the index misses 2 to 3 % of the matches

    def __post_init__(self) -> None:
        check_number("colmap_sift", "ratio", self.ratio, 0.0, 1.0)
        check_number("colmap_sift", "max_distance", self.max_distance, 0.0)
        check_flag("colmap_sift", "cross_check", self.cross_check)
        check_flag("colmap_sift", "exact", self.exact)


class ColmapSift(Matcher):
    """Nearest neighbours among SIFT descriptors as COLMAP's CPU matcher finds them; the score is the dot product."""

    name = "colmap_sift"
    Settings = ColmapSiftSettings

    def match(self, features0: Features, features1: Features) -> Matches:
        """Matches sorted by the first index; an empty side gives none."""
        pair = {"0": features0, "1": features1}
        return next(self.match_pairs(pair.__getitem__, [("0", "1")]))

    def match_pairs(self, read: Callable[[str], Features], pairs: Sequence[tuple[str, str]]) -> Iterator[Matches]:
        """Matches of all pairs, in their order, through databases of their own, one for each thread.

        COLMAP builds its search index only for images of a database, and once for each.

        Raises:
            ShapeError: the descriptors are not SIFT's.
        """
        parts = [list(part) for part in np.array_split(np.array(pairs, dtype=object).reshape(-1, 2), self.num_threads)]
        with tempfile.TemporaryDirectory(prefix="trigpoint-colmap-sift-") as folder:
            databases = [Path(folder, f"{number}.db") for number in range(len(parts))]
            numbers = [self._write(path, read, part) for path, part in zip(databases, parts, strict=True)]
            with ThreadPoolExecutor(self.num_threads) as pool:
                deque(pool.map(self._match_database, databases, parts, numbers), maxlen=0)
            for path, part, number_of in zip(databases, parts, numbers, strict=True):
                with open_database(path) as database:
                    for name0, name1 in part:
                        ids = [number_of.get(name) for name in (name0, name1)]
                        found = database.read_matches(*ids) if None not in ids else np.zeros((0, 2))
                        yield _scored(found, read(name0), read(name1))

    def _match_database(self, path: Path, pairs: list[Any], numbers: dict[str, int]) -> None:
        """Let COLMAP match the listed images of one database, on one thread: its index depends on how many build it."""
        known = [(numbers[name0], numbers[name1]) for name0, name1 in pairs if name0 in numbers and name1 in numbers]
        if known:
            listed = path.with_suffix(".txt")
            listed.write_text("\n".join(f"{number0} {number1}" for number0, number1 in sorted(known, key=_tile)))
            options = pycolmap.ImportedPairingOptions(match_list_path=listed, block_size=BLOCK_PAIRS)
            options = seeded(options, 0, 1)
            pycolmap.match_image_pairs(path, self._options(), options, device=pycolmap.Device.cpu)

    def _options(self) -> Any:
        options = pycolmap.FeatureMatchingOptions(pycolmap.FeatureMatcherType.SIFT_BRUTEFORCE)
        options.sift.max_ratio = self.settings.ratio
        options.sift.max_distance = self.settings.max_distance
        options.sift.cross_check = self.settings.cross_check
        options.sift.cpu_brute_force_matcher = self.settings.exact
        options.skip_geometric_verification = True
        return seeded(options, 0, 1)

    def _write(self, path: Path, read: Callable[[str], Features], pairs: list[Any]) -> dict[str, int]:
        """The pairs' images with features, named by their number, in a fresh database; the number of each name."""
        numbers: dict[str, int] = {}
        with open_database(path) as database, transaction(database):
            write_camera(
                database, pycolmap.Camera(camera_id=1, model="SIMPLE_PINHOLE", width=1, height=1, params=[1, 0, 0])
            )
            for name in sorted({name for pair in pairs for name in pair}):
                features = read(name)
                if len(features) == 0:
                    continue
                number = len(numbers) + 1
                numbers[name] = number
                write_image(database, number, str(number), camera_id=1)
                database.write_keypoints(number, features.keypoints)
                database.write_descriptors(number, _colmap_descriptors(features))
        return numbers


def _tile(pair: tuple[int, int]) -> tuple[int, int, int, int]:
    """Puts pairs of the same few images next to each other."""
    number0, number1 = pair
    return number0 // TILE_IMAGES, number1 // TILE_IMAGES, number0, number1


def _scored(found: Any, features0: Features, features1: Features) -> Matches:
    """Matches sorted by the first index, with the dot products of their descriptors."""
    indices = np.asarray(found, dtype=np.int32).reshape(-1, 2)
    indices = indices[np.argsort(indices[:, 0], kind="stable")]
    ends = (features0.descriptors[indices[:, 0]], features1.descriptors[indices[:, 1]])
    scores = np.einsum("md,md->m", *(end.astype(np.float32) for end in ends))
    return Matches(indices, scores.astype(np.float32))


def _colmap_descriptors(features: Features) -> Any:
    """Descriptors as COLMAP's bytes."""
    if features.descriptors.shape[1] != NUM_DIMENSIONS:
        raise ShapeError(
            f"colmap_sift: descriptors of length {features.descriptors.shape[1]}, SIFT's have {NUM_DIMENSIONS};"
            " use the matcher mutual_nn"
        )
    data = np.rint(features.descriptors.astype(np.float32) * QUANTUM).clip(0, 255).astype(np.uint8)
    return pycolmap.FeatureDescriptors(pycolmap.FeatureExtractorType.SIFT, data)
