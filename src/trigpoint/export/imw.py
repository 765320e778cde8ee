"""Submission files of the Image Matching Benchmark (IMW, IMC), there and back.

| file | key | value |
|---|---|---|
| keypoints.h5 | stem of the image's file name | (N, 2) float32, x, y in pixels of the original image |
| descriptors.h5 | the same | (N, D) float32 |
| scores.h5 | the same | (N,) float32 |
| matches.h5 | `A-B`, A > B in the order of strings | (2, K) int64; row 0 indexes A, row 1 B; every pair of the scene |

Pixel convention: centre of the top-left pixel at (0, 0), which is our own; nothing is shifted. Match scores have no
place in these files and come back as 1.

Source: ubc-vision/image-matching-benchmark, `docs/submit_features.md` and `docs/submit_matches.md`.
"""

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from trigpoint.errors import DataError
from trigpoint.export.disk_h5 import open_foreign, stem_features, two_rows
from trigpoint.export.run_files import (
    ForeignRun,
    RunFiles,
    check_indices,
    descriptor_width,
    keypoint_counts,
    named,
    names_of_stems,
    new_folder,
    stem_keys,
    unscored,
    widened,
)
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.matches import MatchReader
from trigpoint.types import Dataset, Matches

MAX_KEYPOINTS = 8000
DESCRIPTOR_WIDTHS = (64, 2048)
SEPARATOR = "-"
MATCH_FILES = {"all": ("matches",), "split": ("matches_multiview", "matches_stereo")}
logger = logging.getLogger(__name__)


def export_imw(run: RunFiles, output: Path, *, match_files: str = "all") -> None:
    """Write the files of one scene into a new folder.

    Args:
        run: features and matches.
        output: folder, `<dataset>/<scene>` of a submission; must not exist.
        match_files: `all`: matches.h5 for both tasks; `split`: the same as matches_multiview.h5 and matches_stereo.h5.

    Raises:
        StorageError: the folder exists.
        DataError: two images of one stem, a stem with `-` (keys could not be split again), a match without a keypoint.
    """
    with FeatureReader(run.features) as features, MatchReader(run.matches) as matches, new_folder(output) as folder:
        counts = keypoint_counts(features)
        keys = stem_keys(counts)
        for name, key in keys.items():
            if SEPARATOR in key:
                raise DataError(f"'{name}': '{SEPARATOR}' divides the two names in a key of this format; rename it")
        width = descriptor_width(features)
        _warn_of_limits(counts, width)
        with h5py.File(folder / "keypoints.h5", "w") as keypoints, h5py.File(folder / "scores.h5", "w") as scores:
            for name, key in keys.items():
                keypoints.create_dataset(key, data=features.keypoints(name))
                scores.create_dataset(key, data=features.read(name).scores)
        if width:
            with h5py.File(folder / "descriptors.h5", "w") as descriptors:
                for name, key in keys.items():
                    rows = widened(features.read(name).descriptors, width)
                    descriptors.create_dataset(key, data=rows.astype(np.float32))
        for stem in MATCH_FILES[match_files]:
            with h5py.File(folder / f"{stem}.h5", "w") as file:
                for pair_key, indices in _all_pairs(matches, keys, counts):
                    file.create_dataset(pair_key, data=indices)


def _all_pairs(matches: MatchReader, keys: dict[str, str], counts: dict[str, int]) -> Iterator[tuple[str, np.ndarray]]:
    """Key and (2, K) int64 of every pair of images, empty where none was matched."""
    by_key = {key: name for name, key in keys.items()}
    for small, large in itertools.combinations(sorted(by_key), 2):
        pair = by_key[large], by_key[small]
        indices = matches.read(*pair).indices if pair in matches else np.zeros((0, 2))
        check_indices(indices, pair, counts)
        yield f"{large}{SEPARATOR}{small}", np.ascontiguousarray(indices.T, dtype=np.int64)


def _warn_of_limits(counts: dict[str, int], width: int) -> None:
    most = max(counts.values(), default=0)
    if most > MAX_KEYPOINTS:
        logger.warning("the benchmark takes %d keypoints an image at most; one has %d", MAX_KEYPOINTS, most)
    if not DESCRIPTOR_WIDTHS[0] <= width <= DESCRIPTOR_WIDTHS[1]:
        logger.warning("the benchmark takes descriptors of %d to %d numbers, these have %d", *DESCRIPTOR_WIDTHS, width)


def import_imw(folder: Path, dataset: Dataset) -> ForeignRun:
    """The content of a scene's files, under the names of a dataset's images.

    Args:
        folder: holds keypoints.h5 and matches.h5, or matches_multiview.h5; descriptors.h5 and scores.h5 may be missing.
        dataset: gives each stem its image, and each image its size.

    Raises:
        StorageError: a file is missing or damaged.
        DataError: a stem that no image or several images have; a key without two names.
    """
    names = names_of_stems(dataset)
    multiview = folder / "matches_multiview.h5"
    path = multiview if multiview.is_file() else folder / "matches.h5"
    return ForeignRun(format="imw", features=stem_features(folder, dataset, names), matches=_matches(path, names))


def _matches(path: Path, names: dict[str, str]) -> Iterator[tuple[str, str, Matches]]:
    with open_foreign(path) as file:
        for pair_key in sorted(file):
            keys = pair_key.split(SEPARATOR)
            if len(keys) != 2:
                raise DataError(f"{path}: '{pair_key}' is no key of two names with one '{SEPARATOR}' between them")
            yield named(keys[0], names, path), named(keys[1], names, path), unscored(two_rows(file, pair_key))
