"""Files of DISK's programs: keypoints.h5, descriptors.h5, scores.h5, matches.h5, there and back.

| file | key | value |
|---|---|---|
| keypoints.h5 | stem of the image's file name | (N, 2) float32, x, y in pixels of the original image |
| descriptors.h5 | the same | (N, D) float32, or float16 as DISK's `--f16` writes |
| scores.h5 | the same | (N,) float32 |
| matches.h5 | `/<stem0>/<stem1>`, stem0 < stem1 | (2, K) int64, or uint16 as `--u16` writes; row 0 indexes stem0 |

Pixel convention: centre of the top-left pixel at (0, 0), which is our own; nothing is shifted. Match scores have no
place in these files and come back as 1.

Source: cvlab-epfl/disk, `detect.py` and `match.py`.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import h5py
import numpy as np

from trigpoint.errors import DataError, SettingsError, StorageError
from trigpoint.export.run_files import (
    ForeignRun,
    RunFiles,
    descriptor_width,
    keypoint_counts,
    named,
    names_of_stems,
    new_folder,
    read_checked,
    stem_keys,
    unscored,
    widened,
)
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.matches import MatchReader
from trigpoint.types import Dataset, Features, Matches

UINT16_ROWS = 1 << 16


def export_disk(run: RunFiles, output: Path, *, f16: bool = False, u16: bool = False, save_threshold: int = 0) -> None:
    """Write the four files into a new folder.

    Args:
        run: features and matches.
        output: folder, must not exist.
        f16: half-precision descriptors, whatever they are stored in.
        u16: match indices as uint16.
        save_threshold: a pair of fewer matches is left out.

    Raises:
        StorageError: the folder exists.
        DataError: two images of one stem; a match without a keypoint.
        SettingsError: u16 with an image of more than 65,536 keypoints, where the original wraps silently.
    """
    with FeatureReader(run.features) as features, MatchReader(run.matches) as matches, new_folder(output) as folder:
        counts = keypoint_counts(features)
        keys = stem_keys(counts)
        largest = max(counts, key=counts.__getitem__, default="")
        if u16 and counts and counts[largest] > UINT16_ROWS:
            raise SettingsError(f"--u16: '{largest}' has {counts[largest]} keypoints, more than uint16 can index")
        _write_features(folder, features, keys, f16)
        with h5py.File(folder / "matches.h5", "w") as file:
            for key in sorted(keys.values()):
                file.create_group(key)
            for pair in sorted(matches.pairs()):
                indices = read_checked(matches, pair, counts).indices
                if len(indices) < save_threshold:
                    continue
                key0, key1 = (keys[name] for name in pair)
                columns = indices.T if key0 < key1 else indices.T[::-1]
                key0, key1 = sorted((key0, key1))
                file[key0].create_dataset(key1, data=np.ascontiguousarray(columns, np.uint16 if u16 else np.int64))


def _write_features(folder: Path, features: FeatureReader, keys: dict[str, str], f16: bool) -> None:
    width = descriptor_width(features)
    with ExitStack() as stack:
        kinds = ("keypoints", "scores", *(("descriptors",) if width else ()))
        files = {kind: stack.enter_context(h5py.File(folder / f"{kind}.h5", "w")) for kind in kinds}
        for name, key in keys.items():
            found = features.read(name)
            files["keypoints"].create_dataset(key, data=found.keypoints)
            files["scores"].create_dataset(key, data=found.scores)
            if width:
                descriptors = widened(found.descriptors, width)
                files["descriptors"].create_dataset(key, data=descriptors.astype(np.float16) if f16 else descriptors)


def import_disk(folder: Path, dataset: Dataset) -> ForeignRun:
    """The content of DISK's files, under the names of a dataset's images.

    Args:
        folder: holds keypoints.h5 and matches.h5; descriptors.h5 and scores.h5 may be missing (scores are then 1).
        dataset: gives each stem its image, and each image its size.

    Raises:
        StorageError: a file is missing or damaged.
        DataError: a stem that no image or several images have.
    """
    names = names_of_stems(dataset)
    return ForeignRun(
        format="disk", features=stem_features(folder, dataset, names), matches=_matches(folder / "matches.h5", names)
    )


def stem_features(folder: Path, dataset: Dataset, names: dict[str, str]) -> Iterator[tuple[str, Features]]:
    """Images of keypoints.h5, descriptors.h5 and scores.h5; the last two may be missing."""
    sizes = {image.name: image.size for image in dataset.images}
    with ExitStack() as stack:
        keypoints = stack.enter_context(open_foreign(folder / "keypoints.h5"))
        described, scored = (
            stack.enter_context(open_foreign(folder / name)) if (folder / name).is_file() else None
            for name in ("descriptors.h5", "scores.h5")
        )
        for key in sorted(keypoints):
            name = named(key, names, folder / "keypoints.h5")
            xy = rows_of(keypoints, key, 2)
            yield (
                name,
                Features(
                    keypoints=xy.astype(np.float32),
                    descriptors=rows_of(described, key) if described is not None else np.zeros((len(xy), 0)),
                    scores=np.ravel(scored[key][()]) if scored is not None else np.ones(len(xy), np.float32),
                    image_size=sizes[name],
                ),
            )


def _matches(path: Path, names: dict[str, str]) -> Iterator[tuple[str, str, Matches]]:
    with open_foreign(path) as file:
        for key0 in sorted(file):
            for key1 in sorted(file[key0]):
                yield named(key0, names, path), named(key1, names, path), unscored(two_rows(file[key0], key1))


def open_foreign(path: Path) -> h5py.File:
    """A foreign HDF5 file, open for reading.

    Raises:
        StorageError: it is missing, or no HDF5 file.
    """
    if not path.is_file():
        raise StorageError(f"{path}: no such file")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise StorageError(f"{path}: cannot be read as HDF5 ({error})") from error


def rows_of(group: h5py.Group, key: str, width: int | None = None) -> np.ndarray:
    """A stored array of rows, their number of columns checked if it is given."""
    if key not in group:
        raise DataError(f"{group.file.filename}: '{key}' is missing, though there are keypoints of it")
    values = np.asarray(group[key][()])
    if values.ndim != 2 or (width is not None and values.shape[1] != width):
        raise DataError(f"{group.file.filename}: '{key}' is {values.shape}, expected (N, {width or 'D'})")
    return values


def two_rows(group: h5py.Group, key: str) -> np.ndarray:
    """(K, 2) of stored match indices (2, K)."""
    values = np.asarray(group[key][()])
    if values.ndim != 2 or values.shape[0] != 2:
        raise DataError(f"{group.file.filename}: '{group.name}/{key}' is {values.shape}, expected (2, K)")
    return values.T.astype(np.int64)
