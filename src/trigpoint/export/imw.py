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
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from trigpoint.datasets.imc import DATASET as IMC_DATASET
from trigpoint.datasets.imc import scene_of
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
from trigpoint.storage.atomic import atomic_path
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.json_files import write_json
from trigpoint.storage.matches import MatchReader
from trigpoint.types import Dataset, Matches

MAX_KEYPOINTS = 8000
DESCRIPTOR_WIDTHS = (64, 2048)
SEPARATOR = "-"
MATCH_FILES = {"all": ("matches",), "split": ("matches_multiview", "matches_stereo")}
logger = logging.getLogger(__name__)


def export_imw(run: RunFiles, output: Path, *, match_files: str = "all", names: Collection[str] | None = None) -> None:
    """Write the files of one scene into a new folder.

    Args:
        run: features and matches.
        output: folder, `<dataset>/<scene>` of a submission; must not exist.
        match_files: `all`: matches.h5 for both tasks; `split`: the same as matches_multiview.h5 and matches_stereo.h5.
        names: images of the scene; all if not given.

    Raises:
        StorageError: the folder exists.
        DataError: two images of one stem, a stem with `-` (keys could not be split again), a match without a keypoint.
    """
    with FeatureReader(run.features) as features, MatchReader(run.matches) as matches, new_folder(output) as folder:
        counts = {name: count for name, count in keypoint_counts(features).items() if names is None or name in names}
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


def write_imc_submission(run: RunFiles, label: str, output: Path) -> int:
    """A submission of all scenes of a dataset of the layout imc: `<label>/<dataset>/<scene>/`, `<label>/config.json`.

    Args:
        run: features, matches and dataset.
        label: name of the method.
        output: folder to replace.

    Returns:
        How many scenes there are.

    Raises:
        DataError: the run has no features of any image of a scene; others as `export_imw`.
    """
    assert run.dataset is not None
    scenes: dict[str, list[str]] = {}
    for image in run.dataset.images:
        scenes.setdefault(scene_of(image.name), []).append(image.name)
    with FeatureReader(run.features) as features:
        counts, width = keypoint_counts(features), descriptor_width(features)
    with atomic_path(output) as folder:
        for scene, names in sorted(scenes.items()):
            if not set(names) & counts.keys():
                raise DataError(f"{run.features}: no features of scene '{scene}'; extract them again")
            (folder / label / IMC_DATASET).mkdir(parents=True, exist_ok=True)
            export_imw(run, folder / label / IMC_DATASET / scene, names=set(names))
        write_json(folder / label / "config.json", submission_config(label, max(counts.values(), default=0), width))
    return len(scenes)


def submission_config(label: str, num_keypoints: int, width: int) -> list[dict[str, Any]]:
    """config.json of a submission with matches of its own: eight points for stereo, COLMAP for multiview.

    Contact and description are left for whoever submits. Source: the benchmark's README, "Importing your own features".
    """
    own = {"use_custom_matches": True, "custom_matches_name": label}
    return [
        {
            "metadata": {
                **{"publish_anonymously_until_challenge": False, "authors": "", "contact_email": ""},
                **{"method_name": label, "method_description": "", "link_to_website": "", "link_to_pdf": ""},
            },
            "config_common": {
                "json_label": label,
                "keypoint": label,
                "descriptor": f"{label}-{width}",
                "num_keypoints": num_keypoints,
            },
            f"config_{IMC_DATASET}_stereo": {**own, "geom": {"method": "cv2-8pt"}},
            f"config_{IMC_DATASET}_multiview": {**own, "colmap": {}},
        }
    ]


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
