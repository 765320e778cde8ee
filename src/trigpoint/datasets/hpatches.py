"""HPatches' image sequences: image 1 of each against the others, with known homographies.

A sequence is a folder with images `1.ppm`, `2.ppm`, ... and text files `H_1_2`, ... (3 x 3, image 1 to image k), or the
same with the folder's name and `_` in front of each, as IME organises them. Its name starts with `i_` (illumination) or
`v_` (viewpoint). Sequences are found in any folder below the root.

Source: Balntas et al., "HPatches", CVPR 2017; the choice of 108 sequences is that of Dusmanu et al., D2-Net, CVPR 2019.
"""

import logging
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from trigpoint.datasets.base import PrepareSettings, RawTree, some
from trigpoint.datasets.tree import HOMOGRAPHY_NAME, is_image_name, list_images
from trigpoint.errors import DataError, SettingsError

# Sequences with images above 1600 x 1200, which the protocols leave out; spelt as on disk.
LARGE_SEQUENCES = (
    "i_contruction", "i_crownnight", "i_dc", "i_pencils", "i_whitebuilding", "v_artisans", "v_astronautis", "v_talent"
)  # fmt: skip
KINDS = ("i_", "v_")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sequence:
    """One sequence: image names relative to the root, and homographies from image 1 to image k (3, 3)."""

    name: str
    images: dict[int, str]
    homographies: dict[int, NDArray[np.float64]]


def sequence_of(image_name: str) -> str:
    """The sequence an image belongs to: its folder's name."""
    return image_name.rsplit("/", 2)[-2] if "/" in image_name else ""


def read_tree(dataset_id: str, root: Path, settings: PrepareSettings) -> RawTree:
    """The images of all sequences, the pairs 1-2, 1-3, ... and their homographies.

    Raises:
        DataError: no sequences, one without an image it has a homography for, or a damaged homography.
        SettingsError: a sequence that there is not.
    """
    folders = find_sequences(root) if root.is_dir() else {}
    if not folders:
        raise DataError(
            f"{root}: holds no folder with images 1.ppm, 2.ppm, ... and homographies H_1_2, ...;"
            f" run `trigpoint fetch --dataset {dataset_id}`"
        )
    sequences = [read_sequence(root, folder) for folder in _chosen(folders, settings)]
    homographies = {
        (item.images[1], item.images[number]): H for item in sequences for number, H in item.homographies.items()
    }
    return RawTree(
        image_root=root,
        map_names=[name for item in sequences for name in item.images.values()],
        pairs=list(homographies),
        homographies=homographies,
        published=published_rows(),
    )


def find_sequences(root: Path) -> dict[str, Path]:
    """Folders with homographies by name, sorted by name.

    Raises:
        DataError: two folders of one name, or a name that does not say which kind of sequence it is.
    """
    found: dict[str, Path] = {}
    for place in sorted({PurePosixPath(name).parent for name in list_images(root)}):
        folder = root / place
        if not any(HOMOGRAPHY_NAME.fullmatch(path.name) for path in folder.iterdir()):
            continue
        if folder.name in found:
            raise DataError(f"{folder}: a sequence of this name is in {found[folder.name]} too; remove one")
        if not folder.name.startswith(KINDS) or folder == root:
            raise DataError(
                f"{folder}: a folder with homographies is named {' or '.join(KINDS)} and more, for illumination or"
                " viewpoint, and lies below the dataset's root; rename it"
            )
        found[folder.name] = folder
    return dict(sorted(found.items()))


def read_sequence(root: Path, folder: Path) -> Sequence:
    """Images and homographies of one folder; errors as `read_tree`."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    prefix = f"{folder.name}_" if any(name.startswith(f"{folder.name}_") for name in names) else ""
    homographies = {}
    for name in names:
        match = re.fullmatch(rf"{re.escape(prefix)}H_1_(\d+)", name)
        if match:
            homographies[int(match[1])] = read_homography(folder / name)
    images: dict[int, str] = {}
    for number in (1, *sorted(homographies)):
        pattern = re.compile(rf"{re.escape(prefix)}{number}\.\w+")
        fitting = [name for name in names if pattern.fullmatch(name) and is_image_name(name)]
        if not fitting:
            raise DataError(
                f"{folder}: no image {prefix}{number}.ppm beside the homographies; fetch the sequence again"
            )
        chosen = next((name for name in fitting if name.endswith(".ppm")), fitting[0])  # copies as PNG may lie beside
        images[number] = (folder / chosen).relative_to(root).as_posix()
    return Sequence(folder.name, images, dict(sorted(homographies.items())))


def read_homography(path: Path) -> NDArray[np.float64]:
    """(3, 3) numbers of a text file.

    Raises:
        DataError: other than nine finite numbers, or a map that is not invertible.
    """
    try:
        values = np.array(path.read_text(encoding="utf-8").split(), dtype=np.float64)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected a 3 x 3 matrix as text ({error}); fetch the sequence again") from error
    if values.size != 9 or not np.isfinite(values).all() or np.linalg.det(values.reshape(3, 3)) == 0:
        raise DataError(f"{path}: expected nine finite numbers of an invertible matrix, found {values.size}")
    return values.reshape(3, 3)


def published_rows() -> tuple[dict[str, object], ...]:
    """Published results: {"method", "source", protocol: numbers under the keys that the protocol's metrics have}."""
    tables = yaml.safe_load(files("trigpoint.datasets").joinpath("hpatches_published.yaml").read_text(encoding="utf-8"))
    return tuple(
        {"method": method, "source": table["source"], protocol: _nested(table["columns"], values)}
        for protocol, parts in tables.items()
        for table in parts
        for method, values in table["rows"].items()
    )


def _nested(columns: list[str], values: list[float]) -> dict[str, Any]:
    """Values by paths of keys, as nested dictionaries."""
    found: dict[str, Any] = {}
    for column, value in zip(columns, values, strict=True):
        *path, last = column.split("/")
        place = found
        for key in path:
            place = place.setdefault(key, {})
        place[last] = value
    return found


def _chosen(folders: dict[str, Path], settings: PrepareSettings) -> list[Path]:
    """The folders of the sequences that are evaluated."""
    if settings.sequences is not None:
        missing = [name for name in settings.sequences if name not in folders]
        if missing or not settings.sequences:
            what = f"no {some(missing)}" if missing else "none chosen"
            raise SettingsError(f"prepare: sequences: {what}; there are {some(list(folders))}")
        return [folders[name] for name in folders if name in settings.sequences]
    large = [] if settings.large_sequences else [name for name in LARGE_SEQUENCES if name in folders]
    if large:
        _logger.info("%d sequences with large images are left out: %s", len(large), ", ".join(large))
    kept = [folder for name, folder in folders.items() if name not in large]
    if not kept:
        raise DataError(f"only sequences that the protocols leave out: {', '.join(large)}; set large_sequences: true")
    return kept
