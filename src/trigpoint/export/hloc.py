"""Files of hloc (Hierarchical-Localization): features.h5, matches.h5, pairs.txt, there and back.

| file | key | value |
|---|---|---|
| features.h5 | `<image name>/keypoints`, `/` in a name as groups | (N, 2) float32, x, y; attribute `uncertainty` |
| | `/descriptors`, `/scores`, `/image_size` | (D, N), (N,), (width, height) |
| matches.h5 | `<name0>/<name1>`, a `/` in a name written as `-` | `matches0` (N0,) row of image 1, or -1; |
| | | `matching_scores0` (N0,) float32 |
| pairs.txt | | `name0 name1` a line |

Pixel convention: centre of the top-left pixel at (0, 0), which is our own; hloc adds the half pixel where it fills
COLMAP's database, as we do. Keypoints are float32 here; hloc's own default, float16, moves them by up to half a pixel
beyond x = 1024.

Source: cvg/Hierarchical-Localization, `hloc/extract_features.py`, `hloc/match_features.py`, `hloc/utils/io.py`.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from trigpoint.errors import DataError
from trigpoint.export.disk_h5 import open_foreign, rows_of
from trigpoint.export.run_files import (
    ForeignRun,
    Pair,
    RunFiles,
    check_indices,
    descriptor_width,
    keypoint_counts,
    new_folder,
    read_checked,
    widened,
)
from trigpoint.storage.colmap import read_model
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.matches import MatchReader
from trigpoint.storage.pairs import read_pairs
from trigpoint.types import Features, Matches

INT16_MAX = np.iinfo(np.int16).max
UNCERTAINTY_PX = 1.0  # what hloc assumes of a detector that does not say
logger = logging.getLogger(__name__)


def export_hloc(run: RunFiles, output: Path) -> None:
    """Write features.h5, matches.h5 and pairs.txt, and the model as `sfm/` if there is one, into a new folder.

    A keypoint of image 0 can have one match only there: of several the one with the best score is kept, and the log
    says how many went.

    Raises:
        StorageError: the folder exists.
        DataError: a name with a blank, two names that differ in `/` and `-` only, or a match without a keypoint.
    """
    with FeatureReader(run.features) as features, MatchReader(run.matches) as matches, new_folder(output) as folder:
        counts = keypoint_counts(features)
        flat = _flat_names(counts)
        width = descriptor_width(features)
        with h5py.File(folder / "features.h5", "w") as file:
            for name in counts:
                _write_image(file.create_group(name), features.read(name), width)
        pairs = sorted(matches.pairs())
        lost = 0
        with h5py.File(folder / "matches.h5", "w") as file:
            for pair in pairs:
                found = read_checked(matches, pair, counts)
                row_of, scores = _dense(found, counts[pair[0]])
                group = file.create_group("/".join(flat[name] for name in pair))
                small = counts[pair[1]] <= INT16_MAX
                group.create_dataset("matches0", data=row_of.astype(np.int16 if small else np.int32))
                group.create_dataset("matching_scores0", data=scores)
                lost += len(found) - int((row_of >= 0).sum())
        if lost:
            logger.warning("%d matches left out: hloc's files keep one match a keypoint of the first image", lost)
        (folder / "pairs.txt").write_text("".join(f"{name0} {name1}\n" for name0, name1 in pairs), encoding="utf-8")
        if run.model is not None:
            (folder / "sfm").mkdir()
            read_model(run.model).write(folder / "sfm")


def _flat_names(names: dict[str, int]) -> dict[str, str]:
    """Names as hloc's match file has them."""
    owners: dict[str, str] = {}
    for name in names:
        if not name or any(letter.isspace() for letter in name):
            raise DataError(f"'{name}': hloc's pair lists cannot hold a name with a blank; rename the photograph")
        flat = name.replace("/", "-")
        if flat in owners:
            raise DataError(f"'{owners[flat]}' and '{name}' would both be '{flat}' in hloc's match file; rename one")
        owners[flat] = name
    return {name: flat for flat, name in owners.items()}


def _write_image(group: h5py.Group, found: Features, width: int) -> None:
    keypoints = group.create_dataset("keypoints", data=found.keypoints)
    keypoints.attrs["uncertainty"] = UNCERTAINTY_PX
    group.create_dataset("scores", data=found.scores)
    group.create_dataset("image_size", data=np.array(found.image_size))
    if width:
        group.create_dataset("descriptors", data=np.ascontiguousarray(widened(found.descriptors, width).T))


def _dense(matches: Matches, num_keypoints: int) -> tuple[np.ndarray, np.ndarray]:
    """(N0,) int64 partner of each keypoint or -1, and its score or 0; of equal scores the first match counts."""
    order = np.argsort(matches.scores, kind="stable")[::-1]
    rows, first = np.unique(matches.indices[order, 0], return_index=True)
    row_of, scores = np.full(num_keypoints, -1, np.int64), np.zeros(num_keypoints, np.float32)
    row_of[rows] = matches.indices[order[first], 1]
    scores[rows] = matches.scores[order[first]]
    return row_of, scores


def import_hloc(features: Path, matches: Path, pairs: Path | None = None) -> ForeignRun:
    """The content of hloc's files.

    Args:
        features: hloc's feature file.
        matches: hloc's match file.
        pairs: hloc's pair list; without it every pair of the match file.

    Raises:
        StorageError: a file is missing or damaged.
        DataError: a pair that the match file does not hold, or that names no image; an array of a wrong shape.
    """
    return ForeignRun(format="hloc", features=_images(features), matches=_pairs(features, matches, pairs))


def image_names(file: h5py.File) -> list[str]:
    """The images of hloc's feature file, sorted: the groups that hold keypoints."""
    names: list[str] = []

    def visit(path: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Group) and isinstance(item.get("keypoints"), h5py.Dataset):
            names.append(path)

    file.visititems(visit)
    return sorted(names)


def _images(path: Path) -> Iterator[tuple[str, Features]]:
    with open_foreign(path) as file:
        half = False
        for name in image_names(file):
            group = file[name]
            keypoints = rows_of(group, "keypoints", 2)
            half |= keypoints.dtype == np.float16
            if "image_size" not in group:
                raise DataError(f"{path}: '{name}' has no image_size; extract with a current hloc")
            width, height = (int(side) for side in group["image_size"][()])
            descriptors = rows_of(group, "descriptors").T if "descriptors" in group else np.zeros((len(keypoints), 0))
            scores = group["scores"][()] if "scores" in group else np.ones(len(keypoints))
            xy = keypoints.astype(np.float32)
            yield name, Features(xy, descriptors, np.asarray(scores, np.float32), (width, height))
        if half:
            logger.warning("%s: float16 keypoints, up to half a pixel off beyond x = 1024, a whole one from 2048", path)


def _pairs(features: Path, path: Path, pairs: Path | None) -> Iterator[tuple[str, str, Matches]]:
    with open_foreign(features) as file:
        names = {name.replace("/", "-"): name for name in image_names(file)}
        counts = {name: int(file[name]["keypoints"].shape[0]) for name in names.values()}
    with open_foreign(path) as file:
        stored = {(key0, key1) for key0 in file for key1 in file[key0] if isinstance(file[key0], h5py.Group)}
        listed = sorted(stored) if pairs is None else _listed(pairs)
        for key0, key1 in listed:
            swapped = (key0, key1) not in stored
            if swapped and (key1, key0) not in stored:
                raise DataError(f"{path}: holds no pair '{key0}' '{key1}'; match it, or leave it out of {pairs}")
            keys = (key1, key0) if swapped else (key0, key1)
            unknown = next((key for key in keys if key not in names), None)
            if unknown is not None:
                raise DataError(f"{path}: '{unknown}' is no image of {features}; are they of the same run?")
            yield (
                names[keys[0]],
                names[keys[1]],
                _sparse(file[keys[0]][keys[1]], (names[keys[0]], names[keys[1]]), counts),
            )


def _listed(pairs: Path) -> list[Pair]:
    listed = [(name0.replace("/", "-"), name1.replace("/", "-")) for name0, name1 in read_pairs(pairs)]
    return list({tuple(sorted(pair)): pair for pair in reversed(listed)}.values())[::-1]


def _sparse(group: h5py.Group, pair: Pair, counts: dict[str, int]) -> Matches:
    row_of = np.asarray(group["matches0"][()])
    if row_of.shape != (counts[pair[0]],):
        raise DataError(
            f"{group.file.filename}: matches0 of '{pair[0]}' '{pair[1]}' is {row_of.shape}, but there are"
            f" {counts[pair[0]]} keypoints; features and matches are of different runs"
        )
    rows = np.flatnonzero(row_of >= 0)
    indices = np.stack([rows, row_of[rows]], axis=1).astype(np.int32)
    check_indices(indices, pair, counts)
    scores = group["matching_scores0"][()][rows] if "matching_scores0" in group else np.ones(len(rows))
    return Matches(indices, np.asarray(scores, np.float32))
