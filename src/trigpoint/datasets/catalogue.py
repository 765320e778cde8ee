"""What `trigpoint fetch` can get: a reader of catalogue.yaml, which needs no network and no heavy package.

Keys of a dataset: `title`, `layout` (of `trigpoint prepare`), `licence`, `citation`; `expects`: path below the root ->
least number of files there, so that a tree that is complete is left alone; `archives` and `files`; `by_hand`: where
else it can be had when its servers do not answer. A file in the environment variable TRIGPOINT_CATALOGUE adds
datasets of the same form, or replaces some.
"""

import os
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from trigpoint.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A zip, 7z or tar file.

    Attributes:
        file: name in the downloads folder.
        urls: tried in order.
        into: folder below the root for its images.
        anchor: name of a folder in the archive; what lies in it goes to `into`, under the anchor's own name unless
            the two names are equal. An archive without such a folder gives all its images, less the folder that is
            common to them.
        all_files: not only its images are unpacked.
        also: further folders of the archive, all of whose files go to the folder named here; absent ones are no error.
        sha256: hexadecimal; absent if no source publishes it.
        size: bytes; absent if unknown.
    """

    file: str
    urls: tuple[str, ...]
    into: str
    anchor: str
    all_files: bool = False
    also: dict[str, str] = field(default_factory=dict)
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True, kw_only=True)
class ExtraFile:
    """A single file; an optional one that cannot be had is gone without, with a warning."""

    path: str
    urls: tuple[str, ...]
    sha256: str | None = None
    size: int | None = None
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A dataset of the catalogue; the module's text explains the fields."""

    id: str
    title: str
    layout: str
    licence: str
    expects: dict[str, int]
    citation: str = ""
    archives: tuple[Archive, ...] = ()
    files: tuple[ExtraFile, ...] = ()
    by_hand: str = ""


def dataset_ids() -> list[str]:
    """Ids of all datasets that can be fetched or ship with the package."""
    return sorted(_catalogue())


def catalogue_entry(dataset_id: str) -> Entry:
    """The catalogue's entry.

    Raises:
        DataError: there is none; the message lists the ids and the nearest one.
    """
    values = _catalogue().get(dataset_id)
    if values is None:
        close = get_close_matches(dataset_id, _catalogue(), n=1, cutoff=0.6)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise DataError(
            f"'{dataset_id}' cannot be fetched; known: {', '.join(dataset_ids())}{hint}; photographs of your own"
            f" belong into data/{dataset_id}/images/"
        )
    archives = tuple(Archive(**{**item, "urls": tuple(item["urls"])}) for item in values.get("archives", []))
    extras = tuple(ExtraFile(**{**item, "urls": tuple(item["urls"])}) for item in values.get("files", []))
    return Entry(**{**values, "id": dataset_id, "archives": archives, "files": extras})


def licence_of(dataset_id: str) -> str:
    """Licence text of a dataset of the catalogue, or empty."""
    return str(_catalogue().get(dataset_id, {}).get("licence", ""))


def place_members(archive: Archive, names: list[str], is_image: Any) -> dict[str, str]:
    """Where the files of an archive go: member name -> path below the dataset's root, by the rule of `Archive.anchor`.

    Args:
        archive: of the catalogue.
        names: its files.
        is_image: says of a file name whether it is an image's.
    """
    further = {
        str(path): str(PurePosixPath(into, *path.parts[path.parts.index(anchor) + 1 :]))
        for path in map(PurePosixPath, names)
        for anchor, into in archive.also.items()
        if anchor in path.parts[:-1]
    }
    images = [PurePosixPath(name) for name in names if archive.all_files or is_image(name)]
    images = [path for path in images if str(path) not in further]
    return further | _place_images(archive, images)


def _place_images(archive: Archive, images: list[PurePosixPath]) -> dict[str, str]:
    anchored = [path for path in images if archive.anchor in path.parts[:-1]]
    if anchored:
        keep = 1 if PurePosixPath(archive.into).name == archive.anchor else 0
        return {
            str(path): str(PurePosixPath(archive.into, *path.parts[path.parts.index(archive.anchor) + keep :]))
            for path in anchored
        }
    common = _common_folder(images)
    rest = {str(path): PurePosixPath(*path.parts[common:]) for path in images}
    inner = () if PurePosixPath(archive.into).name == archive.anchor else (archive.anchor,)
    return {name: str(PurePosixPath(archive.into, *inner, path)) for name, path in rest.items()}


def _common_folder(paths: list[PurePosixPath]) -> int:
    """How many leading folders all paths share."""
    folders = [path.parts[:-1] for path in paths]
    count = 0
    while folders and all(len(parts) > count and parts[count] == folders[0][count] for parts in folders):
        count += 1
    return count


def _catalogue() -> dict[str, dict[str, Any]]:
    return _read_catalogue(os.environ.get("TRIGPOINT_CATALOGUE", ""))


@cache
def _read_catalogue(own: str) -> dict[str, dict[str, Any]]:
    shipped = yaml.safe_load(files("trigpoint.datasets").joinpath("catalogue.yaml").read_text(encoding="utf-8"))
    if not own:
        return shipped
    try:
        added = yaml.safe_load(Path(own).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{own} (TRIGPOINT_CATALOGUE): cannot be read: {error}") from error
    if not isinstance(added, dict) or not all(isinstance(entry, dict) for entry in added.values()):
        raise DataError(f"{own} (TRIGPOINT_CATALOGUE): expected datasets by id, as in the package's catalogue.yaml")
    return {**shipped, **added}
