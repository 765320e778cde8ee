"""Downloads that can be interrupted anywhere: resumed where the server vouches for the rest, checked, then renamed."""

import email.message
import hashlib
import http.client
import json
import logging
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from trigpoint.errors import StorageError
from trigpoint.storage.atomic import NO_ROOM

SCHEMES = ("http", "https", "file")
CHUNK_BYTES = 1 << 18
PROGRESS_S = 15.0  # between two lines about a running download
BUSY_STATUS = (408, 429, 500, 502, 503, 504)  # worth another try; any other error status is final for its address
MAX_RETRY_AFTER_S = 30.0
HTTP_PARTIAL, HTTP_RANGE_NOT_SATISFIABLE = 206, 416
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to wait for whom."""

    timeout_s: float = 20.0  # for a connection, and for the next bytes of it
    tries: int = 4  # of one address that is busy or breaks off
    backoff_s: float = 1.0  # before the second try, doubled for each further one
    slow_s: float = 60.0  # an address that gives less than slow_bytes in this time is left for the next one
    slow_bytes: int = 60_000


@dataclass(frozen=True)
class Downloaded:
    """A checked file: where it lies, where it came from (empty if it was there), its sha256 and size in bytes."""

    path: Path
    url: str
    sha256: str
    size: int


@dataclass(frozen=True)
class _Origin:
    """What a half-loaded file belongs to; a rest is only fetched if all of it still holds."""

    url: str
    validator: str  # ETag or date of change
    size: int | None


class _GiveUpError(Exception):
    """This address will not deliver; the next one may."""


class _TryAgainError(Exception):
    """This address may deliver after a pause of `wait_s` or the usual one."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def download(
    urls: Sequence[str],
    target: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    patience: Patience | None = None,
) -> Downloaded:
    """Fetch a file from the first address that delivers it whole.

    A file that is there already is checked and taken. A half-loaded one (`<target>.part`) is resumed if the server
    still has the same file. Addresses are http, https or file.

    Args:
        urls: tried in order.
        target: where the file goes; its folder is made.
        sha256: hexadecimal, checked if given.
        size: bytes, checked if given.
        patience: time-outs and tries.

    Raises:
        StorageError: no address delivered the right file, or no room; the message says what each one did.
    """
    if target.exists():
        return _take_existing(target, sha256, size)
    target.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for url in urls:
        try:
            _fetch(url, target, size, patience or Patience())
        except (_GiveUpError, _TryAgainError) as error:
            failures.append(f"{url}: {error}")
            _logger.warning("%s: %s", url, error)
            continue
        try:
            actual = check_file(_part(target), sha256, size)
        except StorageError as error:
            _discard(target)
            failures.append(f"{url}: {error}")
            _logger.warning("%s: %s", url, error)
            continue
        size_bytes = _part(target).stat().st_size
        _finish(target)
        _logger.info("%s: %.1f MB from %s", target.name, size_bytes / 1e6, url)
        return Downloaded(target, url, actual, size_bytes)
    tried = "; ".join(failures) or "no address is known"
    raise StorageError(f"{target.name} could not be fetched ({tried}); get it by hand and put it at {target}")


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_file(path: Path, sha256: str | None, size: int | None) -> str:
    """The file's sha256.

    Raises:
        StorageError: size or checksum is another than the one given.
    """
    found = path.stat().st_size
    if size is not None and found != size:
        raise StorageError(f"{path}: {found} bytes, expected {size}")
    actual = sha256_of(path)
    if sha256 is not None and actual != sha256.lower():
        raise StorageError(f"{path}: sha256 is {actual}, expected {sha256.lower()}")
    return actual


def check_room(folder: Path, num_bytes: int) -> None:
    """Refuse to start writing what does not fit.

    Raises:
        StorageError: the disk of `folder` has fewer bytes left.
    """
    free = shutil.disk_usage(folder).free
    if num_bytes > free:
        raise StorageError(
            f"{folder}: {num_bytes / 1e9:.2f} GB needed, {free / 1e9:.2f} GB free; free some or choose another place"
        )


def loaded_bytes(target: Path) -> int:
    """Bytes of a half-loaded file that lie there already; its server decides whether they may be kept."""
    return _part(target).stat().st_size if _part(target).is_file() else 0


def _take_existing(target: Path, sha256: str | None, size: int | None) -> Downloaded:
    try:
        actual = check_file(target, sha256, size)
    except StorageError as error:
        raise StorageError(f"{error}: it is not the published file; move it away and run again") from error
    _logger.info("%s is there already", target)
    return Downloaded(target, "", actual, target.stat().st_size)


def _fetch(url: str, target: Path, size: int | None, patience: Patience) -> None:
    """Complete `<target>.part` from one address, trying again while it is busy or breaks off."""
    if urlsplit(url).scheme not in SCHEMES:
        raise _GiveUpError(f"an address starts with {', '.join(SCHEMES)}")
    for attempt in range(patience.tries):
        try:
            _fetch_once(url, target, size, patience)
            return
        except _TryAgainError as error:
            if attempt + 1 == patience.tries:
                raise
            pause = patience.backoff_s * 2**attempt if error.wait_s is None else error.wait_s
            _logger.info("%s: %s; again in %.1f s", url, error, pause)
            time.sleep(pause)


def _fetch_once(url: str, target: Path, size: int | None, patience: Patience) -> None:
    part = _part(target)
    offset = _resumable_bytes(target, url)
    request = urllib.request.Request(url, headers={"User-Agent": "trigpoint", "Accept-Encoding": "identity"})
    if offset:
        request.add_header("Range", f"bytes={offset}-")
        request.add_header("If-Range", _read_origin(target).validator)
    try:
        with urllib.request.urlopen(request, timeout=patience.timeout_s) as response:
            start = _start_of(response, offset)
            total = _total_size(response.headers, start)
            if size is not None and total is not None and total != size:
                raise _GiveUpError(f"has {total} bytes, expected {size}")
            _write_origin(target, _Origin(url, _validator(response.headers), total))
            check_room(target.parent, (total or 0) - start)
            _copy(response, part, start, total, patience)
    except urllib.error.HTTPError as error:
        _judge_status(error, target, offset)
    except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise _TryAgainError(f"broke off ({error or type(error).__name__})") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError | ConnectionResetError):
            raise _TryAgainError(f"broke off ({error.reason})") from error
        raise _GiveUpError(f"not reached ({error.reason})") from error
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StorageError(f"{target}: no room left on the disk; free some and run again") from error
        raise _TryAgainError(f"broke off ({error})") from error


def _judge_status(error: urllib.error.HTTPError, target: Path, offset: int) -> None:
    if error.code == HTTP_RANGE_NOT_SATISFIABLE and offset:
        if error.headers.get("Content-Range", "").strip() == f"bytes */{offset}":
            return  # nothing is missing: it broke off after the last byte
        _discard(target)
        raise _TryAgainError("has no such rest (416), starting anew", 0.0) from error
    if error.code in BUSY_STATUS:
        wait = error.headers.get("Retry-After", "")
        raise _TryAgainError(
            f"{error.code} {error.reason}", min(float(wait), MAX_RETRY_AFTER_S) if wait.isdecimal() else None
        ) from error
    raise _GiveUpError(f"{error.code} {error.reason}") from error


def _copy(response: Any, part: Path, start: int, total: int | None, patience: Patience) -> None:
    """Append the response to the first `start` bytes of the part; a rest that never comes is an error."""
    done = start
    window, window_bytes, said = time.monotonic(), 0, time.monotonic()
    with part.open("r+b" if start else "wb") as stream:
        stream.truncate(start)
        stream.seek(start)
        while block := response.read1(CHUNK_BYTES) if hasattr(response, "read1") else response.read(CHUNK_BYTES):
            stream.write(block)
            done += len(block)
            window_bytes += len(block)
            now = time.monotonic()
            if now - window > patience.slow_s:
                if window_bytes < patience.slow_bytes:
                    raise _GiveUpError(f"too slow ({window_bytes} bytes in {now - window:.0f} s)")
                window, window_bytes = now, 0
            if now - said > PROGRESS_S:
                said = now
                of_total = f" of {total / 1e6:.1f}" if total else ""
                _logger.info("%s: %.1f%s MB", part.name.removesuffix(".part"), done / 1e6, of_total)
    if total is not None and done != total:
        raise _TryAgainError(f"broke off after {done} of {total} bytes")


def _start_of(response: Any, offset: int) -> int:
    """Where the response's bytes belong: the offset asked for, or 0 if the server sends the whole file."""
    if not offset or getattr(response, "status", None) != HTTP_PARTIAL:
        return 0
    if not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
        raise _GiveUpError("sent another part than it was asked for")
    return offset


def _total_size(headers: email.message.Message, start: int) -> int | None:
    length = headers.get("Content-Length")
    return start + int(length) if length is not None and length.isdecimal() else None


def _validator(headers: email.message.Message) -> str:
    """What proves that a file is still the same: a strong ETag, or the date of change."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified", "")


def _resumable_bytes(target: Path, url: str) -> int:
    """Bytes of the part that may be kept: those of this address, if it has a validator."""
    origin = _read_origin(target)
    if origin.url != url or not origin.validator or not _part(target).is_file():
        return 0
    found = _part(target).stat().st_size
    return found if origin.size is None or found <= origin.size else 0


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _origin_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.part.json")


def _read_origin(target: Path) -> _Origin:
    try:
        return _Origin(**json.loads(_origin_path(target).read_text()))
    except (FileNotFoundError, ValueError, TypeError):  # none, or cut short by a crash: the part starts anew
        return _Origin("", "", None)


def _write_origin(target: Path, origin: _Origin) -> None:
    if _read_origin(target) != origin:
        _origin_path(target).write_text(json.dumps(asdict(origin)))


def _discard(target: Path) -> None:
    _part(target).unlink(missing_ok=True)
    _origin_path(target).unlink(missing_ok=True)


def _finish(target: Path) -> None:
    with _part(target).open("rb") as stream:
        os.fsync(stream.fileno())
    _part(target).replace(target)
    _origin_path(target).unlink(missing_ok=True)
