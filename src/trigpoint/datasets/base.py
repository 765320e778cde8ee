"""From a raw tree to a Dataset: adapters say what should be there, this looks at every image."""

import hashlib
import importlib
import logging
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from trigpoint.datasets.catalogue import licence_of
from trigpoint.datasets.images import ImageHeader, check_image
from trigpoint.datasets.tree import file_signature
from trigpoint.errors import DataError, ImageError, SettingsError
from trigpoint.log import progress
from trigpoint.settings import check_choice, check_flag
from trigpoint.types import Camera, Dataset, DatasetImage, Pose

LAYOUTS = {
    "photos": "trigpoint.datasets.photos",
    "aachen": "trigpoint.datasets.aachen",
    "eth_lfb": "trigpoint.datasets.eth_lfb",
    "eth3d": "trigpoint.datasets.eth3d",
    "hpatches": "trigpoint.datasets.hpatches",
    "inloc": "trigpoint.datasets.inloc",
    "relative_pose": "trigpoint.datasets.relative_pose",
    "imc": "trigpoint.datasets.imc",
}
POSE_LISTS = ("folder", "megadepth_1500", "scannet_1500")
AACHEN_VERSIONS = ("v1", "v1_1")
HOLDOUT = "holdout"  # split of held-out queries
NAMES_IN_A_MESSAGE = 5
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """Defaults take every image below `images/` for mapping."""

    query_pattern: str | None = None  # photos: glob of names to localize instead of map, such as `query/*`
    query_split: str = "query"  # photos: name that their recall is reported under
    pose_unit: str = "arbitrary"  # photos: `metre` if the ground truth beside them has that unit
    use_poses: bool = False  # photos, eth_lfb: the known poses may be mapped onto, not only evaluated against
    scene: str | None = None  # eth_lfb: row of the published table; null: from the dataset's name
    sequences: tuple[str, ...] | None = None  # eth3d, hpatches, imc (scenes): of them only these; null: all
    rates: tuple[int, ...] | None = None  # eth3d: frames between the images of a pair; null: 3, 5, ... 15
    large_sequences: bool = (
        False  # hpatches: also the eight with images above 1600 x 1200, which the protocols leave out
    )
    # relative_pose: folder (cameras and poses as of photos), or the pair lists megadepth_1500 or scannet_1500
    lists: str = "folder"
    version: str = "v1"  # aachen: v1 or v1_1
    holdout: int = 0  # map images with a known pose that become queries of the split `holdout`, to measure recall
    holdout_seed: int = 0  # of their choice
    min_side_px: int = 16  # images below are unusable: no detector has room in them

    def __post_init__(self) -> None:
        if self.pose_unit not in ("metre", "arbitrary"):
            raise SettingsError(f"prepare: pose_unit is 'metre' or 'arbitrary', got '{self.pose_unit}'")
        for name in ("sequences", "rates"):  # lists, where they come from JSON
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, tuple(value))
        check_flag("prepare", "large_sequences", self.large_sequences)
        check_choice("prepare", "lists", self.lists, POSE_LISTS)
        if self.version not in AACHEN_VERSIONS:
            raise SettingsError(f"prepare: version is {' or '.join(AACHEN_VERSIONS)}, got '{self.version}'")
        if self.holdout < 0:
            raise SettingsError(f"prepare: holdout must not be negative, got {self.holdout}")
        if self.min_side_px < 1:
            raise SettingsError(f"prepare: min_side_px must be positive, got {self.min_side_px}")


@dataclass(frozen=True, kw_only=True)
class RawTree:
    """What an adapter reads from a tree, before any image is opened.

    Attributes:
        image_root: folder that names are relative to.
        map_names: images to map.
        query_splits: images to localize -> split.
        cameras: given calibration by name.
        poses, pose_unit, reference_images, pairs_path, pairs, homographies, published, submission: as in Dataset.
    """

    image_root: Path
    map_names: Sequence[str]
    query_splits: dict[str, str] = field(default_factory=dict)
    cameras: dict[str, Camera] = field(default_factory=dict)
    poses: dict[str, Pose] = field(default_factory=dict)
    pose_unit: str = "arbitrary"
    reference_images: Sequence[str] = ()
    pairs_path: Path | None = None
    pairs: Sequence[tuple[str, str]] = ()
    homographies: dict[tuple[str, str], NDArray[np.float64]] = field(default_factory=dict)
    published: tuple[dict[str, object], ...] = ()
    submission: str = ""


def prepare_dataset(
    dataset_id: str,
    layout: str,
    root: Path,
    settings: PrepareSettings | None = None,
    strict: bool = False,
    num_workers: int = 1,
) -> Dataset:
    """Read a raw tree and look at all its images; nothing in it is changed.

    Args:
        dataset_id: flat name.
        layout: adapter, a key of LAYOUTS.
        root: the dataset's folder.
        settings: of the adapters.
        strict: an image that cannot be used is an error; otherwise it is listed in `Dataset.unusable`.
        num_workers: threads that decode images.

    Raises:
        SettingsError: unknown layout.
        DataError: the tree is incomplete, contradicts itself, or has too few usable images.
        ImageError: an unusable image under `strict`.
    """
    settings = settings or PrepareSettings()
    if layout not in LAYOUTS:
        raise SettingsError(f"unknown layout '{layout}'; known: {', '.join(sorted(LAYOUTS))}")
    tree: RawTree = importlib.import_module(LAYOUTS[layout]).read_tree(dataset_id, root, settings)
    names = sorted({*tree.map_names, *tree.query_splits})
    if not names:
        raise DataError(f"{tree.image_root}: no images; put photographs there (JPEG, PNG, TIFF, WebP, ...)")
    headers, unusable = _look_at_images(tree.image_root, names, settings.min_side_px, num_workers)
    if unusable:
        _report_unusable(tree.image_root, unusable, strict)
    if settings.holdout:
        tree = _hold_out(tree, sorted(headers), settings)
    images = tuple(_describe(tree, name, headers, group) for name, group in _camera_groups(headers).items())
    _check_count(tree, images, unusable)
    usable = set(headers)
    return Dataset(
        id=dataset_id,
        layout=layout,
        image_root=str(tree.image_root),
        images=images,
        unusable=tuple(sorted(unusable.items())),
        poses={name: pose for name, pose in sorted(tree.poses.items()) if name in usable},
        pose_unit=tree.pose_unit,
        reference_images=tuple(sorted(usable.intersection(tree.reference_images))),
        pairs_path=str(tree.pairs_path) if tree.pairs_path else "",
        pairs=tuple(tree.pairs),
        homographies=tree.homographies,
        licence=licence_of(dataset_id),
        published=tree.published,
        submission=tree.submission,
    )


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are, for messages."""
    more = len(names) - NAMES_IN_A_MESSAGE
    return ", ".join(names[:NAMES_IN_A_MESSAGE]) + (f" and {more} more" if more > 0 else "")


def holdout_order(names: Sequence[str], settings: PrepareSettings) -> list[str]:
    """Names in the order in which they are held out.

    By a hash of the name, so that one image more or less in the dataset hardly changes the choice.
    """
    return sorted(names, key=lambda name: hashlib.sha256(f"{settings.holdout_seed} {name}".encode()).hexdigest())


def _hold_out(tree: RawTree, usable: Sequence[str], settings: PrepareSettings) -> RawTree:
    """The tree with some map images as queries: their poses are evaluated against, and no longer used."""
    posed = tree.poses.keys() & set(tree.map_names)
    candidates = [name for name in usable if name in posed]
    if settings.holdout > len(candidates) - 2:
        raise SettingsError(
            f"prepare: holdout {settings.holdout} of {len(candidates)} map images with a known pose; two have to stay"
        )
    held = set(holdout_order(candidates, settings)[: settings.holdout])
    return replace(
        tree,
        map_names=[name for name in tree.map_names if name not in held],
        query_splits={**tree.query_splits, **dict.fromkeys(sorted(held), HOLDOUT)},
        reference_images=[name for name in tree.reference_images if name not in held],
    )


def _look_at_images(
    root: Path, names: list[str], min_side_px: int, num_workers: int
) -> tuple[dict[str, ImageHeader], dict[str, str]]:
    """Headers of usable images, reasons of the others, both in the order of names."""

    def look(name: str) -> ImageHeader | str:
        try:
            _check_name(name)
            header = check_image(root, name)
        except ImageError as error:
            return " ".join(str(error).split()).removeprefix(f"{name}: ")
        if min(header.size) < min_side_px:
            return "x".join(map(str, header.size)) + f" px; no side may be below {min_side_px} px (min_side_px)"
        return header

    headers, unusable = {}, {}
    with ThreadPoolExecutor(max_workers=num_workers) as pool:
        for name, found in zip(names, progress(pool.map(look, names), "images read", len(names)), strict=True):
            if isinstance(found, str):
                unusable[name] = found
            else:
                headers[name] = found
    return headers, unusable


def _check_name(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ImageError(f"{name}: the file name is not UTF-8; rename it") from error
    if any(ord(letter) < ord(" ") for letter in name):
        raise ImageError(f"{name}: the file name has a control character; rename it")


def _report_unusable(root: Path, unusable: dict[str, str], strict: bool) -> None:
    lines = [f"{name}: {reason}" for name, reason in sorted(unusable.items())]
    if strict:
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        raise ImageError(f"{root}/{lines[0]}{more}; or set strict: false to go on without")
    for line in lines:
        _logger.warning("unusable, left out: %s", line.encode("utf-8", "backslashreplace").decode())


def _camera_groups(headers: dict[str, ImageHeader]) -> dict[str, str]:
    """Camera group of each image: its folder, size and what EXIF says of camera and focal length.

    A folder without EXIF whose images all have one size is taken for one camera (frames of a video, a benchmark);
    with several sizes for a collection in which each image has its own.
    """
    sizes_without_exif: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    for name, header in headers.items():
        if not header.camera:
            sizes_without_exif[_folder(name)].add(tuple(sorted(header.size)))
    groups = {}
    for name, header in headers.items():
        folder, size = _folder(name), "x".join(map(str, header.size))
        if header.camera:
            focal = header.focal_35mm or header.focal_mm
            groups[name] = "|".join([folder, size, header.camera, "" if focal is None else f"{focal:g} mm"])
        else:
            groups[name] = "|".join([folder, size] if len(sizes_without_exif[folder]) == 1 else [folder, size, name])
    return groups


def _folder(name: str) -> str:
    return str(PurePosixPath(name).parent)


def _describe(tree: RawTree, name: str, headers: dict[str, ImageHeader], group: str) -> DatasetImage:
    size = headers[name].size
    camera = tree.cameras.get(name)
    if camera and (camera.width, camera.height) != size:
        raise DataError(
            f"{tree.image_root}/{name}: {size[0]}x{size[1]} px, but its calibration is for"
            f" {camera.width}x{camera.height} px; use the photograph as it was calibrated, or correct the calibration"
        )
    return DatasetImage(
        name=name,
        role="query" if name in tree.query_splits else "map",
        size=size,
        split=tree.query_splits.get(name, ""),
        camera=camera,
        camera_group=group,
        exif_focal_px=headers[name].focal_px,
        signature=file_signature(tree.image_root / name),
    )


def _check_count(tree: RawTree, images: tuple[DatasetImage, ...], unusable: dict[str, str]) -> None:
    num_map = sum(image.role == "map" for image in images)
    if num_map < 2:
        lost = f", {len(unusable)} unusable ({some([f'{n}: {r}' for n, r in unusable.items()])})" if unusable else ""
        raise DataError(
            f"{tree.image_root}: {num_map} usable images to map{lost}; a reconstruction needs 2, add photographs"
        )
