"""Downloads end with the right file or one line that names address, cause and cure, whatever the server does."""

import hashlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from trigpoint.errors import StorageError
from trigpoint.storage.download import Patience, check_room, download

DATA = bytes(range(256)) * 400
SHA256 = hashlib.sha256(DATA).hexdigest()
QUICK = Patience(timeout_s=2.0, tries=3, backoff_s=0.01, slow_s=0.2, slow_bytes=50_000)


class Request(NamedTuple):
    path: str
    range: str | None


class Server(http.server.ThreadingHTTPServer):
    """Serves DATA; the path says with which fault, `requests` keeps what was asked for."""

    daemon_threads = True
    requests: list[Request]
    etag: str


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args):
        pass

    def do_GET(self):
        fault = self.path.strip("/").split("/")[0]
        wanted = self.headers.get("Range")
        self.server.requests.append(Request(self.path, wanted))
        seen = sum(request.path == self.path for request in self.server.requests)
        if fault == "missing":
            self.send_error(404)
        elif fault == "busy" and seen == 1:
            self.send_response(503)
            self.send_header("Retry-After", "0")
            self.end_headers()
        elif fault == "always-busy":
            self.send_error(503)
        elif fault == "redirect":
            self.send_response(302)
            self.send_header("Location", "/whole")
            self.end_headers()
        elif fault == "other":
            self.reply(DATA[::-1], None)
        elif fault == "stop-always" or (fault == "stop-once" and seen == 1):
            self.reply(DATA, wanted, stop_after=40_000)
        elif fault == "no-range":
            self.reply(DATA, None, stop_after=40_000 if seen == 1 else None)
        elif fault == "trickle":
            self.reply(DATA, None, trickle=True)
        else:
            self.reply(DATA, wanted)

    def reply(self, data: bytes, wanted: str | None, stop_after: int | None = None, trickle: bool = False):
        start = 0
        if wanted and self.headers.get("If-Range") == self.server.etag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        body = data[start:]
        self.send_header("ETag", self.server.etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for block in [body[:stop_after]] if not trickle else [body[i : i + 100] for i in range(0, 2000, 100)]:
            self.wfile.write(block)
            self.wfile.flush()
            if trickle:
                threading.Event().wait(0.05)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.requests = []
        running.etag = '"one"'
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def url(server: Server, path: str) -> str:
    return f"http://127.0.0.1:{server.server_port}/{path}"


def fetch(server: Server, tmp_path: Path, *paths: str, sha256: str | None = SHA256, **options) -> Path:
    target = tmp_path / "downloads/file.bin"
    result = download([url(server, path) for path in paths], target, sha256=sha256, patience=QUICK, **options)
    assert result.path == target
    assert result.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert sorted(path.name for path in target.parent.iterdir()) == ["file.bin"]
    return target


@pytest.mark.parametrize("path", ["whole", "redirect", "busy", "stop-once", "no-range"])
def test_the_file_arrives_whole(server, tmp_path, path):
    assert fetch(server, tmp_path, path).read_bytes() == DATA


def test_a_broken_off_download_continues_where_it_stopped(server, tmp_path):
    fetch(server, tmp_path, "stop-once")
    assert [request.range for request in server.requests] == [None, "bytes=40000-"]


def test_a_later_run_resumes_what_an_earlier_one_left(server, tmp_path):
    target = tmp_path / "downloads/file.bin"
    with pytest.raises(StorageError, match="broke off after 40000"):
        download([url(server, "stop-always")], target, patience=Patience(tries=1))
    assert (tmp_path / "downloads/file.bin.part").stat().st_size == 40_000
    fetch(server, tmp_path, "stop-always")
    assert [request.range for request in server.requests] == [None, "bytes=40000-", "bytes=80000-"]


def test_a_changed_file_starts_anew(server, tmp_path):
    target = tmp_path / "downloads/file.bin"
    with pytest.raises(StorageError):
        download([url(server, "stop-once")], target, patience=Patience(tries=1))
    part = tmp_path / "downloads/file.bin.part"
    part.write_bytes(b"\0" * part.stat().st_size)  # the old version's bytes
    server.etag = '"two"'
    assert fetch(server, tmp_path, "stop-once").read_bytes() == DATA


def test_a_part_of_unknown_origin_is_not_continued(server, tmp_path):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/file.bin.part").write_bytes(b"\0" * 40_000)
    assert fetch(server, tmp_path, "whole").read_bytes() == DATA
    assert server.requests[0].range is None


def test_a_part_that_is_complete_is_taken(server, tmp_path):
    target = tmp_path / "downloads/file.bin"
    with pytest.raises(StorageError):
        download([url(server, "stop-once")], target, patience=Patience(tries=1))
    (tmp_path / "downloads/file.bin.part").write_bytes(DATA)
    fetch(server, tmp_path, "stop-once")
    assert server.requests[-1].range == f"bytes={len(DATA)}-"


def test_a_part_that_is_too_long_starts_anew(server, tmp_path):
    target = tmp_path / "downloads/file.bin"
    with pytest.raises(StorageError):
        download([url(server, "stop-once")], target, patience=Patience(tries=1))
    (tmp_path / "downloads/file.bin.part").write_bytes(DATA + b"\0")
    assert fetch(server, tmp_path, "stop-once").read_bytes() == DATA


def test_addresses_are_tried_in_order(server, tmp_path):
    fetch(server, tmp_path, "missing", "always-busy", "other", "whole")
    asked = [request.path for request in server.requests]
    assert asked == ["/missing", *["/always-busy"] * 3, "/other", "/whole"]


def test_a_trickle_is_left_for_the_next_address(server, tmp_path):
    fetch(server, tmp_path, "trickle", "whole")
    assert [request.path for request in server.requests] == ["/trickle", "/whole"]


def test_a_dead_address_is_left_at_once(server, tmp_path):
    target = tmp_path / "file.bin"
    result = download(["http://127.0.0.1:9/x", url(server, "whole")], target, sha256=SHA256, patience=QUICK)
    assert result.url == url(server, "whole")


def test_a_wrong_checksum_is_refused_and_nothing_is_left(server, tmp_path):
    with pytest.raises(StorageError, match=f"/other: .*expected {SHA256}.*get it by hand and put it at"):
        fetch(server, tmp_path, "other")
    assert list((tmp_path / "downloads").iterdir()) == []


def test_a_wrong_size_is_refused_before_it_is_loaded(server, tmp_path):
    with pytest.raises(StorageError, match=f"has {len(DATA)} bytes, expected 5"):
        fetch(server, tmp_path, "whole", size=5)


def test_every_address_is_named_when_all_fail(server, tmp_path):
    with pytest.raises(StorageError, match=r"missing: 404.*always-busy: 503") as caught:
        fetch(server, tmp_path, "missing", "always-busy")
    assert "\n" not in str(caught.value)


def test_what_is_there_is_checked_and_taken_without_asking(server, tmp_path):
    target = tmp_path / "downloads/file.bin"
    target.parent.mkdir()
    target.write_bytes(DATA)
    fetch(server, tmp_path, "missing")
    target.write_bytes(b"something else")
    with pytest.raises(StorageError, match="not the published file; move it away"):
        fetch(server, tmp_path, "whole")
    assert target.read_bytes() == b"something else"
    assert server.requests == []


def test_local_files_are_addresses_too(tmp_path):
    source = tmp_path / "mir ror/file.bin"
    source.parent.mkdir()
    source.write_bytes(DATA)
    result = download([source.as_uri()], tmp_path / "out/file.bin", sha256=SHA256, patience=QUICK)
    assert result.path.read_bytes() == DATA
    with pytest.raises(StorageError, match="not reached"):
        download([(tmp_path / "none").as_uri()], tmp_path / "out/none", patience=QUICK)
    with pytest.raises(StorageError, match="starts with http, https, file"):
        download(["ftp://example.org/x"], tmp_path / "out/none", patience=QUICK)


def test_no_room_is_said_before_loading(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StorageError, match="GB needed"):
        fetch(server, tmp_path, "whole", "other")
    assert [request.path for request in server.requests] == ["/whole"]
    check_room(tmp_path, 1000)
