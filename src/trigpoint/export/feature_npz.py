"""One npz archive for each image, as PoSFeat and D2-Net write them; their evaluations of HPatches and Aachen read them.

`<image name>.<postfix>` below the folder, an npz archive in spite of its ending: `keypoints` (N, 2) float32, x, y with
the centre of the top-left pixel at (0, 0), which is our own; `descriptors` (N, D) float32; `scores` (N,) float32.
PoSFeat itself writes scores as (N, 1), which D2-Net's selection of the best cannot read; both read (N,).

Source: The-Learning-And-Vision-Atelier-LAVA/PoSFeat, its extraction; mihaidusmanu/d2-net, `extract_features.py`.
"""

from pathlib import Path, PurePosixPath

import numpy as np

from trigpoint.errors import DataError, SettingsError
from trigpoint.export.run_files import new_folder
from trigpoint.storage.features import FeatureReader
from trigpoint.types import Features

KEYS = ("keypoints", "descriptors", "scores")


def export_feature_npz(features: Path, output: Path, postfix: str) -> None:
    """Write the archives of all images into a new folder.

    Args:
        features: features.h5, or one shard.
        output: folder; must not exist.
        postfix: what the files are called by behind the image's name, without the dot.

    Raises:
        SettingsError: the postfix is empty or names a folder.
        StorageError: the folder exists.
        DataError: an image's name leads out of the folder.
    """
    if not postfix or "/" in postfix:
        raise SettingsError(f"postfix '{postfix}': expected a word, such as the method's name")
    with FeatureReader(features) as reader, new_folder(output) as folder:
        for name in reader.names():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise DataError(f"'{name}': leads out of the folder of the archives; rename the image")
            path = folder / f"{name}.{postfix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            found = reader.read(name)
            with path.open("wb") as stream:  # a path would get the ending .npz
                np.savez(stream, **{key: getattr(found, key).astype(np.float32) for key in KEYS})


def read_feature_npz(path: Path, image_size: tuple[int, int]) -> Features:
    """One archive, ours or one of the originals, whose keypoints may have further columns and scores be (N, 1).

    Raises:
        DataError: an array is missing, holds objects, or the lengths differ.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            keypoints, descriptors = archive["keypoints"], archive["descriptors"]
            scores = archive["scores"] if "scores" in archive else np.ones(len(keypoints))
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path}: no archive of features ({error})") from error
    scores = scores.reshape(-1)
    if keypoints.ndim != 2 or keypoints.shape[1] < 2 or not len(keypoints) == len(descriptors) == len(scores):
        raise DataError(
            f"{path}: keypoints {keypoints.shape}, descriptors {descriptors.shape}, {len(scores)} scores; "
            "expected (N, 2 or more), (N, D), N"
        )
    return Features(
        keypoints[:, :2].astype(np.float32), descriptors.astype(np.float32), scores.astype(np.float32), image_size
    )
