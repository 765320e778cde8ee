"""Archives are looked at first, merged whole, and never overwrite."""

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import py7zr
import pytest

from trigpoint.errors import StorageError
from trigpoint.storage.archives import open_archive, place_file, unpack_archive

FILES = {"top/a.jpg": b"a" * 1000, "top/sub/b c.jpg": b"b" * 2000}


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("top/", b"")
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, files: dict[str, bytes], kind: bytes = tarfile.REGTYPE, link: str = "") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            info.size = len(data) if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(data))
    return path


def make_7z(path: Path, files: dict[str, bytes]) -> Path:
    with py7zr.SevenZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(data, name)
    return path


def unpack(path: Path, target: Path, places=None) -> list[str]:
    with open_archive(path) as archive:
        return unpack_archive(archive, target, places)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("make", [make_zip, make_tar, make_7z])
def test_files_are_unpacked_where_they_belong(tmp_path, make):
    path = make(tmp_path / "x.archive", FILES)
    assert unpack(path, tmp_path / "all") == sorted(FILES)
    assert content(tmp_path / "all") == FILES
    unpack(path, tmp_path / "some", {"top/sub/b c.jpg": "images/b c.jpg"})
    assert content(tmp_path / "some") == {"images/b c.jpg": FILES["top/sub/b c.jpg"]}


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("name", ["/etc/passwd", "../out.jpg", "top/../../out.jpg", "C:/out.jpg"])
def test_paths_that_lead_out_are_refused_before_anything_is_written(tmp_path, make, name):
    path = make(tmp_path / "x.archive", {**FILES, name: b"x"})
    with pytest.raises(StorageError, match=r"x\.archive: member .*leads out.*nothing was unpacked"):
        unpack(path, tmp_path / "target")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(("kind", "link"), [(tarfile.SYMTYPE, "/etc"), (tarfile.LNKTYPE, "a"), (tarfile.FIFOTYPE, "")])
def test_links_and_devices_in_tar_are_refused(tmp_path, kind, link):
    path = make_tar(tmp_path / "x.tar", {"innocent.jpg": b""}, kind, link)
    with pytest.raises(StorageError, match=r"'innocent\.jpg' is a (link|device)"):
        unpack(path, tmp_path / "target")


def test_links_and_duplicates_in_zip_are_refused(tmp_path):
    link = zipfile.ZipInfo("innocent.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(StorageError, match=r"'innocent\.jpg' is a link"):
        unpack(tmp_path / "x.zip", tmp_path / "target")
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as archive:
        archive.writestr("a", "1")
        archive.writestr("./a", "2")
    with pytest.raises(StorageError, match="occurs twice"):
        unpack(tmp_path / "y.zip", tmp_path / "target")


def test_existing_files_stay_and_other_content_is_never_overwritten(tmp_path):
    path = make_zip(tmp_path / "x.zip", FILES)
    mine = tmp_path / "target/top/sub/b c.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(StorageError, match=r"another content.*nothing was overwritten"):
        unpack(path, tmp_path / "target")
    assert content(tmp_path / "target") == {"top/sub/b c.jpg": b"mine"}
    mine.write_bytes(FILES["top/sub/b c.jpg"])
    before = mine.stat().st_mtime_ns
    unpack(path, tmp_path / "target")
    assert content(tmp_path / "target") == FILES
    assert mine.stat().st_mtime_ns == before


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "text"])
def test_damaged_archives_leave_nothing(tmp_path, make, damage):
    path = make(tmp_path / "x.archive", FILES)
    data = path.read_bytes()
    flipped = data[:60] + bytes(255 - byte for byte in data[60:80]) + data[80:]
    path.write_bytes({"truncated": data[: len(data) // 2], "flipped": flipped, "text": b"no archive"}[damage])
    with pytest.raises(StorageError, match=r"x\.archive: (damaged|member)"):
        unpack(path, tmp_path / "target")
    assert content(tmp_path) == {"x.archive": path.read_bytes()}


def test_a_file_that_is_also_a_folder_is_refused(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"a": b"1", "a/b": b"2"})
    with pytest.raises(StorageError, match="the name of a file"):
        unpack(path, tmp_path / "target")
    assert content(tmp_path / "target") == {}


def test_two_files_for_one_place_are_refused(tmp_path):
    path = make_zip(tmp_path / "x.zip", FILES)
    with pytest.raises(StorageError, match="the same name"):
        unpack(path, tmp_path / "target", dict.fromkeys(FILES, "images/a.jpg"))


def test_place_file_never_overwrites(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"1")
    place_file(source, tmp_path / "sub/target")
    place_file(source, tmp_path / "sub/target")
    assert (tmp_path / "sub/target").read_bytes() == b"1"
    source.write_bytes(b"2")
    with pytest.raises(StorageError, match="another content"):
        place_file(source, tmp_path / "sub/target")


def test_a_7z_archive_leaves_nothing_beside_itself(tmp_path):
    path = make_7z(tmp_path / "x.7z", FILES)
    (tmp_path / ".x.7z.unpacked").mkdir()  # of a process that was killed
    unpack(path, tmp_path / "target")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["target", "x.7z"]


@pytest.mark.parametrize("name", ["../out.jpg", "top/../../out.jpg"])
def test_7z_paths_that_lead_out_are_refused(tmp_path, name):
    path = make_7z(tmp_path / "x.7z", {"a": b"x"})
    with pytest.MonkeyPatch.context() as patch:
        # the library itself refuses to write such a name
        patch.setattr(py7zr.py7zr.ArchiveFile, "filename", property(lambda self: name))
        with pytest.raises(StorageError, match=r"x\.7z: member .*leads out.*nothing was unpacked"):
            unpack(path, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_damaged_7z_archive_is_one_line(tmp_path):
    path = make_7z(tmp_path / "x.7z", FILES)
    data = bytearray(path.read_bytes())
    data[40:60] = bytes(20)
    path.write_bytes(data)
    with pytest.raises(StorageError, match=r"x\.7z: damaged 7z archive"):
        unpack(path, tmp_path / "target")
    assert not list((tmp_path / "target").glob("**/*.jpg"))
