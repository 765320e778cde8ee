"""Files and directories that appear under their name whole or not at all."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trigpoint.errors import StorageError

# What the system says when there is no room: disk full, quota reached, file size limit.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_path(output: str | os.PathLike[str]) -> Iterator[Path]:
    """Where to write so that `output` appears whole or not at all.

    Yields `<output>.<pid>.partial`, which does not exist yet; the body makes a file or a directory there. When the
    body ends it is flushed to the disk and renamed, replacing what was there; when the body raises it is removed.
    What killed processes left behind is removed on the way in.

    Raises:
        StorageError: the body wrote nothing, or there was no room on the disk.
    """
    path = Path(output)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    remove(partial)
    try:
        yield partial
        if not partial.exists():
            raise StorageError(f"{path}: nothing was written to {partial.name}")
        _flush_tree(partial)
        _replace(partial, path)
        _flush(path.parent)
    except BaseException as error:
        remove(partial)
        if _is_no_room(error):
            raise StorageError(f"{path}: no room left on the disk; free some or choose another place") from error
        raise


def remove(path: Path) -> None:
    """Remove a file, link or directory tree if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_no_room(error: BaseException) -> bool:
    # HDF5 reports the system's error number in its text only
    numbers = {getattr(error, "errno", None), *(int(text) for text in re.findall(r"errno = (\d+)", str(error)))}
    return bool(numbers & set(NO_ROOM))


def _remove_leftovers(path: Path) -> None:
    pattern = re.compile(re.escape(path.name) + r"\.(\d+)\.(partial|replaced)")
    for sibling in path.parent.iterdir():
        match = pattern.fullmatch(sibling.name)
        if match and not _is_running(int(match[1])):
            remove(sibling)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _replace(partial: Path, path: Path) -> None:
    """Rename; a directory can replace only an empty one, so an existing tree steps aside first."""
    if path.is_dir() and not path.is_symlink():
        aside = path.with_name(f"{path.name}.{os.getpid()}.replaced")
        path.rename(aside)
        partial.rename(path)
        shutil.rmtree(aside)
    else:
        partial.replace(path)


def _flush_tree(path: Path) -> None:
    if path.is_dir():
        for folder, _, names in os.walk(path):
            for name in names:
                _flush(Path(folder) / name)
            _flush(Path(folder))
    else:
        _flush(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
