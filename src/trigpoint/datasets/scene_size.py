"""How many images a dataset has or will have, before it is prepared or even fetched."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from trigpoint.datasets.catalogue import catalogue_entry, dataset_ids
from trigpoint.datasets.tree import list_images
from trigpoint.errors import SettingsError
from trigpoint.storage.dataset import read_dataset


@dataclass(frozen=True, kw_only=True)
class SceneSize:
    """How many images a dataset has, how that is known (`prepared`, `folder`, `catalogue`), and its own pair list."""

    map_images: int
    queries: int = 0
    source: str
    pairs_path: str = ""


def count_images(own: Mapping[str, Any], dataset: str, work: Path) -> SceneSize:
    """Images of a dataset: of dataset.json, else of its folder, unless that is half a download, else of the catalogue.

    Args:
        own: the dataset's settings: `layout`, `root` and perhaps `prepare`.
        dataset: id.
        work: folder with a folder for each dataset.

    Raises:
        SettingsError: nothing is known of it.
    """
    prepared = work / dataset / "dataset.json"
    if prepared.is_file():
        found = read_dataset(prepared)
        return _size(len(found.images), len(found.with_role("query")), "prepared", found.pairs_path)
    expected: dict[str, int] = {}
    if dataset in dataset_ids():
        entries = catalogue_entry(dataset).expects.items()
        expected = {path: count for path, count in entries if PurePosixPath(path).parts[0] == "images"}
    images = Path(own["root"]) / "images"
    names = list_images(images) if images.is_dir() else []
    if names and len(names) >= sum(expected.values()):
        return _size(len(names), sum(_is_query(own, name) for name in names), "folder")
    if not expected:
        raise SettingsError(f"estimate: {images} holds no images, and no catalogue knows how many there will be")
    queries = sum(count for path, count in expected.items() if _is_query(own, path))
    return _size(sum(expected.values()), queries, "catalogue")


def _size(images: int, queries: int, source: str, pairs_path: str = "") -> SceneSize:
    return SceneSize(map_images=images - queries, queries=queries, source=source, pairs_path=pairs_path)


def _is_query(own: Mapping[str, Any], name: str) -> bool:
    """Whether an image, or a folder of the catalogue, is to be localized: in Aachen's folder, or by a pattern."""
    if own["layout"] == "aachen":
        return "query" in PurePosixPath(name).parts
    pattern = own.get("prepare", {}).get("query_pattern")
    return pattern is not None and fnmatch(name, pattern)
