"""ETH3D for dense flow: image pairs of ten video sequences with sparse correspondences, by the GLU-Net protocol.

The root holds the images as released below `multiview_training/` and `multiview_testing/`, and `info_ETH3D_files/` with
one file for each sequence and rate: a pickled array of dictionaries `source_image`, `target_image` (paths below the
root), `Xs`, `Ys`, `Xt`, `Yt`. A rate is the number of frames between the two images.

Sources: Schoeps et al., CVPR 2017 (images); Truong et al., GLU-Net, CVPR 2020 (pairs and correspondences).
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigpoint.datasets.base import PrepareSettings, RawTree
from trigpoint.datasets.numpy_pickles import read_numpy_pickle
from trigpoint.errors import DataError, SettingsError
from trigpoint.storage.flow import FlowPair

INFO_FOLDER = "info_ETH3D_files"
SEQUENCES = (
    *("lakeside", "sand_box", "storage_room", "storage_room_2", "tunnel"),
    *("delivery_area", "electro", "forest", "playground", "terrains"),
)
RATES = (3, 5, 7, 9, 11, 13, 15)
COORDINATES = ("Xs", "Ys", "Xt", "Yt")


def read_tree(dataset_id: str, root: Path, settings: PrepareSettings) -> RawTree:
    """The images of all chosen pairs.

    Raises:
        DataError: an info file is missing or damaged.
        SettingsError: a sequence or rate that there is not.
    """
    if not (root / INFO_FOLDER).is_dir():
        raise DataError(f"{root / INFO_FOLDER}: no such folder; run `trigpoint fetch --dataset {dataset_id}`")
    names = {name for pair in read_pairs(root, settings) for name in (pair.source, pair.target)}
    return RawTree(image_root=root, map_names=sorted(names))


def read_pairs(root: Path, settings: PrepareSettings) -> list[FlowPair]:
    """All pairs of the chosen sequences and rates, in the order of the files; errors as `read_tree`."""
    sequences = _chosen("sequences", settings.sequences, SEQUENCES)
    rates = _chosen("rates", settings.rates, RATES)
    return [pair for sequence in sequences for rate in rates for pair in read_info(root, sequence, rate)]


def read_info(root: Path, sequence: str, rate: int) -> Iterator[FlowPair]:
    """The pairs of one info file."""
    path = root / INFO_FOLDER / f"{sequence}_every_5_rate_of_{rate}"
    entries = read_numpy_pickle(path)
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path}: expected an array of dictionaries, one a pair; fetch it again")
    for number, entry in enumerate(entries):
        where = f"{path}: pair {number}"
        if not isinstance(entry, dict) or not {"source_image", "target_image", *COORDINATES} <= entry.keys():
            raise DataError(f"{where}: expected source_image, target_image and {', '.join(COORDINATES)}")
        x0, y0, x1, y1 = (_numbers(where, key, entry[key]) for key in COORDINATES)
        if not len(x0) == len(y0) == len(x1) == len(y1) > 0:
            raise DataError(f"{where}: {len(x0)}, {len(y0)}, {len(x1)}, {len(y1)} coordinates; expected equal, above 0")
        source, target = (_name(where, entry[key]) for key in ("source_image", "target_image"))
        yield FlowPair(source, target, sequence, rate, np.column_stack([x0, y0]), np.column_stack([x1, y1]))


def _chosen(what: str, given: tuple[Any, ...] | None, known: tuple[Any, ...]) -> tuple[Any, ...]:
    if given is None:
        return known
    for value in given:
        if value not in known:
            raise SettingsError(f"prepare: {what}: no {value!r}; there are {', '.join(map(str, known))}")
    if not given:
        raise SettingsError(f"prepare: {what}: none chosen; there are {', '.join(map(str, known))}")
    return tuple(value for value in known if value in given)


def _numbers(where: str, key: str, values: Any) -> NDArray[np.float64]:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: {key} holds no numbers ({error})") from error
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise DataError(f"{where}: {key} has shape {numbers.shape} or a number that is not finite")
    return numbers


def _name(where: str, value: Any) -> str:
    """An image name below the root; the files may write it with a leading `./`."""
    if not isinstance(value, str) or not value:
        raise DataError(f"{where}: an image name is {value!r}")
    return str(PurePosixPath(value))
