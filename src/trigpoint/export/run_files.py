"""What all exports read, what all imports write, and the keys that flat formats give to images."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from trigpoint.errors import DataError, EmptyResultError, StorageError
from trigpoint.storage.atomic import atomic_path
from trigpoint.storage.features import FeatureReader, FeatureWriter
from trigpoint.storage.matches import GroupWriter, MatchReader
from trigpoint.storage.pairs import write_pairs
from trigpoint.storage.poses import write_poses
from trigpoint.types import Dataset, Features, Matches, Pose

logger = logging.getLogger(__name__)
Pair = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """The files of a run; those that a format has no use for may be absent.

    Attributes:
        features: features.h5, or one shard.
        matches: matches.h5, or one shard.
        dataset: cameras, reference poses, image folder.
        model: folder of a COLMAP model.
        database: COLMAP database.
    """

    features: Path
    matches: Path
    dataset: Dataset | None = None
    model: Path | None = None
    database: Path | None = None


@dataclass(frozen=True, kw_only=True)
class ForeignRun:
    """What a foreign format holds, in our conventions; the features are read before the matches, each once.

    Attributes:
        format: name of the format.
        features: name and features of each image, names distinct.
        matches: names and matches of each pair, pairs distinct in either order.
        poses: of the images whose pose the format knows.
    """

    format: str
    features: Iterable[tuple[str, Features]]
    matches: Iterable[tuple[str, str, Matches]]
    poses: dict[str, Pose] = field(default_factory=dict)


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """A folder to fill that appears as `output` whole or not at all; nothing that exists is replaced.

    Raises:
        StorageError: there is something of this name.
    """
    if output.exists() or output.is_symlink():
        raise StorageError(f"{output}: exists; remove it or choose another folder")
    with atomic_path(output) as partial:
        partial.mkdir()
        yield partial


def write_run(run: ForeignRun, output: Path) -> None:
    """Write features.h5, matches.h5 and pairs.txt, and poses.txt where there are poses, into a new folder.

    Descriptors keep their type, float16 or float32.

    Raises:
        StorageError: the folder exists, or the values cannot be stored.
        EmptyResultError: there is no image.
        DataError: a match has no keypoint.
    """
    settings = {"imported_from": run.format}
    counts: dict[str, int] = {}
    pairs: list[Pair] = []
    with new_folder(output) as folder:
        features = iter(run.features)
        first = next(features, None)
        if first is None:
            raise EmptyResultError(f"{output}: the {run.format} files hold no image")
        dtype = "float16" if first[1].descriptors.dtype == np.float16 else "float32"
        with FeatureWriter(folder / "features.h5", settings, dtype) as writer:
            for name, found in (first, *features):
                writer.write(name, found)
                counts[name] = len(found)
        with GroupWriter(folder / "matches.h5", settings) as groups:
            for name0, name1, matches in run.matches:
                check_indices(matches.indices, (name0, name1), counts)
                groups.write(name0, name1, matches)
                pairs.append((name0, name1))
        write_pairs(folder / "pairs.txt", pairs)
        if run.poses:
            write_poses(folder / "poses.txt", run.poses)
    logger.info("%d images and %d pairs of %s written to %s", len(counts), len(pairs), run.format, output)


def check_indices(indices: np.ndarray, pair: Pair, counts: dict[str, int]) -> None:
    """Refuse matches (M, 2) of an unknown image, or with an index that no keypoint has.

    Raises:
        DataError: names the pair.
    """
    for name, column in zip(pair, indices.T, strict=True):
        if name not in counts:
            raise DataError(f"matches of '{pair[0]}' '{pair[1]}': there are no features of '{name}'")
        if len(column) and (column.min() < 0 or column.max() >= counts[name]):
            raise DataError(
                f"matches of '{pair[0]}' '{pair[1]}': indices {column.min()} to {column.max()}, but '{name}' has"
                f" {counts[name]} keypoints; features and matches are of different runs"
            )


def read_checked(reader: MatchReader, pair: Pair, counts: dict[str, int]) -> Matches:
    """The matches of a pair, their indices checked as in `check_indices`."""
    matches = reader.read(*pair)
    check_indices(matches.indices, pair, counts)
    return matches


def keypoint_counts(reader: FeatureReader) -> dict[str, int]:
    """Keypoints of each image of a feature file, by name, sorted."""
    return {name: reader.num_keypoints(name) for name in reader.names()}


def descriptor_width(reader: FeatureReader) -> int:
    """Length of the descriptors of a file; 0 if no image has any (pair methods)."""
    widths = (reader.read(name).descriptors.shape[1] for name in reader.names())
    return next((width for width in widths if width), 0)


def widened(descriptors: np.ndarray, width: int) -> np.ndarray:
    """Descriptors (N, width); of an image without keypoints the stored (0, 0) becomes (0, width)."""
    return descriptors if descriptors.shape[1] == width else np.zeros((0, width), descriptors.dtype)


def stem_keys(names: Iterable[str]) -> dict[str, str]:
    """Key by image name for flat formats: the file name without folder and last extension.

    Raises:
        DataError: two images would get one key.
    """
    keys: dict[str, str] = {}
    owners: dict[str, str] = {}
    for name in names:
        key = PurePosixPath(name).stem
        if key in owners:
            raise DataError(
                f"'{owners[key]}' and '{name}' would both be called '{key}', and this format knows no folders or"
                " extensions; rename one, or export to hloc, colmap or kapture"
            )
        keys[name] = key
        owners[key] = name
    return keys


def names_of_stems(dataset: Dataset) -> dict[str, str]:
    """Image name by key: the way back from `stem_keys`; errors as there."""
    return {key: name for name, key in stem_keys(image.name for image in dataset.images).items()}


def named(key: str, names: dict[str, str], where: Path) -> str:
    """The image of a key.

    Raises:
        DataError: the dataset has no such image.
    """
    if key not in names:
        raise DataError(f"{where}: '{key}' is no image of the dataset; is it dataset.json of the same photographs?")
    return names[key]


def unscored(indices: np.ndarray) -> Matches:
    """Matches of a format that keeps no scores: all of them 1."""
    return Matches(np.ascontiguousarray(indices, dtype=np.int32), np.ones(len(indices), np.float32))
