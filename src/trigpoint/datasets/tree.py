"""Image files below a folder, without decoding any; importing this is quick, so the workflow can."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from trigpoint.errors import DataError, ImageError

# What is taken for a photograph; .heic and .heif cannot be decoded here and end as unusable images, never silently.
_EXTENSIONS = ".jpg .jpeg .jpe .jp2 .png .tif .tiff .bmp .webp .gif .avif .ppm .pgm .pbm .pnm .heic .heif"
IMAGE_EXTENSIONS = frozenset(_EXTENSIONS.split())
# What adapters read beside images: lists, cameras_gt.txt, NVM and COLMAP models, Strecha's cameras, arrays.
CALIBRATION_EXTENSIONS = frozenset([".txt", ".nvm", ".camera", ".bin", ".h5", ".npy", ".npz"])
HOMOGRAPHY_NAME = re.compile(r"(?:.+_)?H_1_\d+")  # HPatches' files have no extension


def list_images(root: Path | str) -> list[str]:
    """Names of the images below a folder at any depth, `/` as separator, sorted by name.

    Known by their extension in any case. Hidden files and folders (a leading dot) are left out. Links are followed;
    a link back to a folder it lies in is not.

    Raises:
        DataError: the folder is missing or cannot be read.
    """
    return sorted(name for name, _ in _walk(Path(root), is_image_name))


def is_image_name(name: str) -> bool:
    """Whether a file of this name is taken for an image."""
    base = name.rsplit("/", 1)[-1]
    return not base.startswith(".") and _extension(base) in IMAGE_EXTENSIONS


def image_tree_digest(root: Path | str) -> str:
    """Hexadecimal sha256 over (name, size, modification time) of all images and calibration files below a folder.

    Raises:
        DataError: the folder is missing or cannot be read.
    """
    digest = hashlib.sha256()
    for name, entry in sorted(_walk(Path(root), _is_calibrated_tree_file), key=lambda item: item[0]):
        digest.update(f"{name}\0{_signature(entry)}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def dataset_tree_digest(root: Path | str) -> str:
    """Hexadecimal sha256 that changes when an image below a folder does, or a file of calibration, poses or pairs.

    Empty if there is no such folder yet: it is to be downloaded.
    """
    return image_tree_digest(root) if Path(root).is_dir() else ""


def file_signature(path: Path) -> str:
    """`size-mtime_ns` of a file: changes when the file does, without reading it."""
    status = path.stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


def image_path(root: Path | str, name: str) -> Path:
    """The file of an image name.

    Raises:
        ImageError: the name is absolute or has `.`, `..` or empty parts, so it could lead out of the folder.
    """
    parts = name.split("/")
    if PurePosixPath(name).is_absolute() or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise ImageError(f"{name!r} is no name below {root}; use a relative name without '..', as list_images gives it")
    return Path(root, *parts)


def _is_calibrated_tree_file(name: str) -> bool:
    return is_image_name(name) or _extension(name) in CALIBRATION_EXTENSIONS or bool(HOMOGRAPHY_NAME.fullmatch(name))


def _walk(root: Path, is_wanted: Callable[[str], bool]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    try:
        status = root.stat()
    except OSError as error:
        raise DataError(f"{root}: {error.strerror}; put the photographs into this folder or link it there") from error
    yield from _walk_folder(root, "", is_wanted, frozenset([(status.st_dev, status.st_ino)]))


def _walk_folder(
    folder: Path, prefix: str, is_wanted: Callable[[str], bool], ancestors: frozenset[tuple[int, int]]
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    try:
        with os.scandir(folder) as listing:
            entries = [entry for entry in listing if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror}; make it a readable folder") from error
    for entry in entries:
        if _is_folder(entry):
            status = entry.stat()
            identity = (status.st_dev, status.st_ino)
            if identity not in ancestors:
                yield from _walk_folder(Path(entry.path), f"{prefix}{entry.name}/", is_wanted, ancestors | {identity})
        elif is_wanted(entry.name):
            yield prefix + entry.name, entry


def _extension(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads round in a circle
        return False


def _signature(entry: os.DirEntry[str]) -> str:
    try:
        status = entry.stat()
    except OSError as error:  # a dangling link is an image that cannot be used; prepare names it
        return f"unreadable-{error.errno}"
    return f"{status.st_size}-{status.st_mtime_ns}"
