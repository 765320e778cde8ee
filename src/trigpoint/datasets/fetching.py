"""Getting a dataset of the catalogue: nothing if it is there, else its archives and files, checked and unpacked."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trigpoint.datasets.catalogue import Archive, Entry, ExtraFile, catalogue_entry, place_members
from trigpoint.datasets.tree import is_image_name
from trigpoint.errors import DataError, StorageError
from trigpoint.storage.announced_size import announced_size
from trigpoint.storage.archives import open_archive, place_file, unpack_archive
from trigpoint.storage.atomic import atomic_path
from trigpoint.storage.download import Downloaded, Patience, check_file, check_room, download, loaded_bytes

_logger = logging.getLogger(__name__)


def fetch_dataset(
    dataset_id: str, root: Path, downloads: Path, mirrors: Sequence[str] = (), patience: Patience | None = None
) -> dict[str, Any]:
    """Complete the tree of a dataset below `root`; files that are there are never overwritten.

    Args:
        dataset_id: of the catalogue.
        root: the dataset's folder.
        downloads: folder of the archives as fetched; one that was put there by hand is taken.
        mirrors: base addresses or folders, tried first as `<mirror>/<archive's name>`.
        patience: time-outs and tries.

    Returns:
        What is there and where it came from, for fetched.json.

    Raises:
        DataError: the catalogue has no such dataset, or it is still incomplete afterwards.
        StorageError: a download or an archive failed.
    """
    entry = catalogue_entry(dataset_id)
    record: dict[str, Any] = {
        "dataset": entry.id,
        "title": entry.title,
        "licence": entry.licence,
        "citation": entry.citation,
        "root": str(root),
        "files": [],
        "left_out": [],
    }
    if not missing_parts(entry, root):
        _logger.info("%s: %s is complete, nothing is fetched", entry.id, root)
        return record
    if not entry.archives:
        raise DataError(f"{root}: {', '.join(missing_parts(entry, root))}; {entry.title}: install the package again")
    _check_room_for_all(entry, root, downloads, mirrors, patience or Patience())
    for archive in entry.archives:
        try:
            record["files"].append(_fetch_archive(archive, root, downloads, mirrors, patience))
        except StorageError as error:
            raise StorageError(f"{error}; {entry.by_hand}" if entry.by_hand else str(error)) from error
    for extra in sorted(entry.files, key=lambda item: item.optional):
        if extra.optional and record["left_out"]:  # where one cannot be reached, its neighbours cannot either
            record["left_out"].append({"path": extra.path, "reason": "not tried after the one above"})
        elif not (root / extra.path).is_file():
            _fetch_extra(entry, extra, root, downloads, mirrors, patience, record)
    missing = missing_parts(entry, root)
    if missing:
        raise DataError(
            f"{root}: {', '.join(missing)} after unpacking; the archives are others than published, put the files there"
        )
    return record


def missing_parts(entry: Entry, root: Path) -> list[str]:
    """`<path>: n of m files` for each part of the tree that is incomplete."""
    missing = []
    for part, least in entry.expects.items():
        path = root / part
        found = 1 if path.is_file() else sum(item.is_file() for item in path.rglob("*")) if path.is_dir() else 0
        if found < least:
            missing.append(f"{part}: {found} of {least} files")
    return missing


def check_dataset(entry: Entry, root: Path, downloads: Path) -> list[str]:
    """What is wrong with a tree and with the archives it came from; empty if nothing is.

    Archives that are no longer there are not missed. Those without a published checksum are held to the recorded one.
    """
    problems = missing_parts(entry, root)
    for archive in entry.archives:
        target = downloads / archive.file
        sha256 = archive.sha256 or _recorded(downloads / f"{archive.file}.sha256")
        if not target.is_file():
            continue
        try:
            check_file(target, sha256, archive.size)
        except StorageError as error:
            problems.append(str(error))
    return problems


def _check_room_for_all(entry: Entry, root: Path, downloads: Path, mirrors: Sequence[str], patience: Patience) -> None:
    """Refuse, before the first byte, what does not fit: all that is still to be fetched, and what is unpacked from it.

    An archive's content is reckoned as large as the archive: photographs do not shrink. A size that neither the
    catalogue nor a server says counts as none; each download then checks its own.

    Raises:
        StorageError: the disk has too little room left.
    """
    to_fetch, to_unpack, unknown = 0, 0, []
    for archive in entry.archives:
        target = downloads / archive.file
        if target.is_file():
            to_unpack += target.stat().st_size
            continue
        urls = [*_mirrored(mirrors, archive.file), *archive.urls]
        size = archive.size or announced_size(urls, patience.timeout_s)
        if size is None:
            unknown.append(archive.file)
            continue
        to_fetch += max(0, size - loaded_bytes(target))
        to_unpack += size
    disk, other = _existing(downloads), _existing(root)
    is_one = disk.stat().st_dev == other.stat().st_dev
    for folder, num_bytes in [(disk, to_fetch + to_unpack)] if is_one else [(disk, to_fetch), (other, to_unpack)]:
        try:
            check_room(folder, num_bytes)
        except StorageError as error:
            raise StorageError(f"{entry.id}, all archives and what is in them: {error}") from error
    if unknown:
        _logger.info("%s: the size of %s is not known before the download", entry.id, ", ".join(unknown))


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())


def _fetch_archive(
    archive: Archive, root: Path, downloads: Path, mirrors: Sequence[str], patience: Patience | None
) -> dict[str, Any]:
    target = downloads / archive.file
    recorded = downloads / f"{archive.file}.sha256"
    sha256 = archive.sha256 or _recorded(recorded)
    urls = [*_mirrored(mirrors, archive.file), *archive.urls]
    fetched = download(urls, target, sha256=sha256, size=archive.size, patience=patience)
    if sha256 is None:
        with atomic_path(recorded) as partial:
            partial.write_text(f"{fetched.sha256}  {archive.file}\n")
        _logger.info("%s: no checksum is published; %s is recorded and checked from now on", target, fetched.sha256)
    with open_archive(target) as opened:
        places = place_members(archive, list(opened.sizes), is_image_name)
        if not places:
            raise StorageError(f"{target}: no images in it; delete it and fetch it again")
        unpacked = unpack_archive(opened, root, places)
    return {**_describe(fetched, target), "unpacked_files": len(unpacked)}


def _fetch_extra(
    entry: Entry,
    extra: ExtraFile,
    root: Path,
    downloads: Path,
    mirrors: Sequence[str],
    patience: Patience | None,
    record: dict[str, Any],
) -> None:
    name = f"{entry.id}/{extra.path}"
    urls = [*_mirrored(mirrors, name), *extra.urls]
    try:
        fetched = download(urls, downloads / name, sha256=extra.sha256, size=extra.size, patience=patience)
    except StorageError as error:
        if not extra.optional:
            raise
        _logger.warning("%s and other optional files are left out: %s", extra.path, error)
        record["left_out"].append({"path": extra.path, "reason": str(error)})
        return
    place_file(fetched.path, root / extra.path)
    record["files"].append(_describe(fetched, downloads / name))


def _describe(fetched: Downloaded, target: Path) -> dict[str, Any]:
    source = fetched.url or f"was in {target.parent}"
    return {"file": target.name, "source": source, "sha256": fetched.sha256, "size_bytes": fetched.size}


def _recorded(path: Path) -> str | None:
    return path.read_text().split()[0] if path.is_file() else None


def _mirrored(mirrors: Sequence[str], name: str) -> list[str]:
    bases = [mirror if "://" in mirror else Path(mirror).absolute().as_uri() for mirror in mirrors]
    return [f"{base.rstrip('/')}/{name}" for base in bases]
