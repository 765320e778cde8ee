"""Zip, tar and 7z files from outside: checked before anything is written, then merged into a folder, over nothing."""

import filecmp
import gzip
import logging
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from trigpoint.errors import StorageError
from trigpoint.storage.atomic import NO_ROOM, remove
from trigpoint.storage.download import check_room

CHUNK_BYTES = 1 << 20
SEVEN_ZIP_MAGIC = b"7z\xbc\xaf\x27\x1c"
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
)
_logger = logging.getLogger(__name__)


class Archive(ABC):
    """An opened archive whose members were all looked at: regular files with relative names, and folders."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sizes: dict[str, int] = {}  # file name -> bytes

    @abstractmethod
    def open(self, name: str) -> IO[bytes]:
        """A stream of one file."""

    def _add(self, name: str, size: int, kind: str) -> None:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name or (name[1:2] == ":" and name[:1].isalpha()):
            kind = "a path that leads out of the folder"
        if kind != "a file":
            raise StorageError(
                f"{self.path}: member '{name}' is {kind}; nothing was unpacked, get the archive from its official place"
            )
        if str(path) in self.sizes:
            raise StorageError(f"{self.path}: member '{name}' occurs twice; nothing was unpacked")
        self.sizes[str(path)] = size


class _Zip(Archive):
    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        super().__init__(path)
        self._file = file
        self._infos: dict[str, zipfile.ZipInfo] = {}
        for info in file.infolist():
            mode = info.external_attr >> 16
            kind = "a link" if stat.S_ISLNK(mode) else "encrypted" if info.flag_bits & 1 else "a file"
            if info.is_dir() and kind == "a file":
                continue
            self._add(info.filename, info.file_size, kind)
            self._infos[str(PurePosixPath(info.filename))] = info

    def open(self, name: str) -> IO[bytes]:
        return self._file.open(self._infos[name])


class _Tar(Archive):
    def __init__(self, path: Path, file: tarfile.TarFile) -> None:
        super().__init__(path)
        self._file = file
        self._infos: dict[str, tarfile.TarInfo] = {}
        for info in file:
            if info.isdir():
                continue
            kind = "a file" if info.isfile() else "a link" if info.issym() or info.islnk() else "a device"
            self._add(info.name, info.size, kind)
            self._infos[str(PurePosixPath(info.name))] = info

    def open(self, name: str) -> IO[bytes]:
        stream = self._file.extractfile(self._infos[name])
        assert stream is not None  # only regular files are listed
        return stream


class _SevenZip(Archive):
    """Its files are compressed together: all are unpacked into a folder beside the archive when one is asked for."""

    def __init__(self, path: Path, file: Any) -> None:
        super().__init__(path)
        self._file = file
        self._folder = path.with_name(f".{path.name}.unpacked")
        self._stored: dict[str, str] = {}
        for info in file.files:
            if info.is_directory:
                continue
            kind = "a link" if info.is_symlink or info.is_junction else "a device" if info.is_socket else "a file"
            self._add(info.filename, info.uncompressed, kind)
            self._stored[str(PurePosixPath(info.filename))] = info.filename
        if file.needs_password():
            raise StorageError(f"{path}: is encrypted; nothing was unpacked, get the archive from its official place")

    def open(self, name: str) -> IO[bytes]:
        if not self._folder.is_dir():
            check_room(self.path.parent, sum(self.sizes.values()))
            self._file.extractall(self._folder)
        return (self._folder / self._stored[name]).open("rb")

    def close(self) -> None:
        """Remove what was unpacked beside the archive."""
        remove(self._folder)


@contextmanager
def _open_seven_zip(path: Path) -> Iterator[Archive]:
    import py7zr
    from py7zr.exceptions import ArchiveError

    try:
        with py7zr.SevenZipFile(path) as file:
            archive = _SevenZip(path, file)
            archive.close()  # of a process that was killed
            try:
                yield archive
            finally:
                archive.close()
    except (ArchiveError, lzma.LZMAError, EOFError, struct.error) as error:
        raise StorageError(f"{path}: damaged 7z archive ({error!r}); delete it and fetch it again") from error


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """An archive, zip, 7z or tar (also compressed), with all its members checked.

    Raises:
        StorageError: neither, damaged, or with absolute paths, `..`, links, devices, or encrypted members.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as zip_file:
                yield _Zip(path, zip_file)
        elif _starts_with(path, SEVEN_ZIP_MAGIC):
            with _open_seven_zip(path) as seven_zip:
                yield seven_zip
        else:
            with tarfile.open(path) as tar_file:
                yield _Tar(path, tar_file)
    except _DAMAGED as error:
        raise StorageError(
            f"{path}: damaged, or neither zip nor 7z nor tar ({error}); delete it and fetch it again"
        ) from error
    except FileNotFoundError as error:
        raise StorageError(f"{path}: no such archive") from error


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(magic)) == magic


def unpack_archive(archive: Archive, target: Path, places: Mapping[str, str] | None = None) -> list[str]:
    """Put files of an archive below a folder: all of them or, after an error, none.

    They are unpacked beside their places first. A file that is there with the same content stays; one with another
    content is never overwritten.

    Args:
        archive: opened.
        target: folder, made if absent.
        places: file name in the archive -> path below `target`; absent: everything under its own name.

    Returns:
        The paths below `target`, sorted.

    Raises:
        StorageError: damaged, no room, or a file with another content is in the way.
    """
    places = {name: name for name in archive.sizes} if places is None else dict(places)
    if len(set(places.values())) != len(places):
        raise StorageError(f"{archive.path}: two of its files would get the same name; nothing was unpacked")
    target.mkdir(parents=True, exist_ok=True)
    check_room(target, sum(archive.sizes[name] for name in places))
    staging = target / f".{archive.path.name}.unpacking"
    remove(staging)
    try:
        for name, place in places.items():
            _extract(archive, name, staging / place)
        moves = _plan(archive, staging, target, sorted(places.values()))
        for source, destination in moves:
            destination.parent.mkdir(parents=True, exist_ok=True)
            source.rename(destination)
    except (FileExistsError, NotADirectoryError) as error:
        raise StorageError(f"{archive.path}: one of its folders has the name of a file ({error.filename})") from error
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StorageError(f"{target}: no room left on the disk; free some and run again") from error
        raise
    finally:
        remove(staging)
    _logger.info("%s: %d files unpacked, %d were there", archive.path.name, len(moves), len(places) - len(moves))
    return sorted(places.values())


def place_file(source: Path, destination: Path) -> None:
    """Copy one file to its place, whole or not at all.

    Raises:
        StorageError: a file with another content is there.
    """
    if destination.exists():
        _check_same(source, destination, str(source))
        return
    destination.parent.mkdir(parents=True, exist_ok=True)
    staging = destination.with_name(f".{destination.name}.unpacking")
    shutil.copyfile(source, staging)
    staging.rename(destination)


def _extract(archive: Archive, name: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as source, path.open("xb") as stream:
        shutil.copyfileobj(source, stream, CHUNK_BYTES)
        stream.flush()
        os.fsync(stream.fileno())
    if path.stat().st_size != archive.sizes[name]:
        raise StorageError(f"{archive.path}: member '{name}' is truncated; delete the archive and fetch it again")


def _plan(archive: Archive, staging: Path, target: Path, places: list[str]) -> list[tuple[Path, Path]]:
    moves = []
    for place in places:
        destination = target / place
        if destination.exists():
            _check_same(staging / place, destination, str(archive.path))
        else:
            moves.append((staging / place, destination))
    return moves


def _check_same(source: Path, destination: Path, origin: Any) -> None:
    if not destination.is_file() or not filecmp.cmp(source, destination, shallow=False):
        raise StorageError(
            f"{destination} is there with another content than in {origin}; nothing was overwritten: move it away"
        )
