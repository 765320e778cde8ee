"""`trigpoint data`: what there is, what is there, and whether it is whole."""

import zipfile
from pathlib import Path

import pytest
import yaml

from trigpoint.cli import main
from trigpoint.datasets.catalogue import catalogue_entry, place_members
from trigpoint.datasets.tree import is_image_name
from trigpoint.errors import DataError

CATALOGUE = {
    "town": {
        "title": "two photographs",
        "layout": "photos",
        "licence": "made up here",
        "by_hand": "ask the author",
        "expects": {"images": 2, "models/a.txt": 1},
        "archives": [
            {
                "file": "town.zip",
                "urls": ["http://127.0.0.1:9/town.zip"],
                "into": "images",
                "anchor": "images",
                "also": {"models": "models"},
            }
        ],
    }
}


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a catalogue of its own, and a folder that holds its archive."""
    path = tmp_path / "catalogue.yaml"
    path.write_text(yaml.safe_dump(CATALOGUE))
    monkeypatch.setenv("TRIGPOINT_CATALOGUE", str(path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mirror").mkdir()
    with zipfile.ZipFile(tmp_path / "mirror/town.zip", "w") as archive:
        for name in ("town/images/x/a.jpg", "town/images/b.jpg", "town/models/a.txt", "town/notes.txt"):
            archive.writestr(name, name)
    return tmp_path / "mirror"


def test_datasets_are_listed_with_what_is_there(mirror, capsys):
    assert main(["data", "list"]) == 0
    rows = {line.split()[0]: line.split()[1:4] for line in capsys.readouterr().out.splitlines()}
    assert rows["town"] == ["no", "1", "photos"]
    assert rows["demo"][0] == "shipped"
    assert rows["aachen_v1_1"] == ["no", "2", "aachen"]
    assert main(["data", "list", "--long"]) == 0
    text = capsys.readouterr().out
    for part in ("licence: made up here", "by hand: ask the author", "http://127.0.0.1:9/town.zip", "first fetch"):
        assert part in text


def test_fetch_check_and_path(mirror, capsys):
    assert main(["data", "check", "town"]) == 2
    assert "images: 0 of 2 files" in capsys.readouterr().err
    assert main(["data", "path", "town"]) == 2
    assert main(["data", "fetch", "town", "--mirror", str(mirror), "--tries", "1"]) == 0
    capsys.readouterr()
    assert main(["data", "path", "town"]) == 0
    root = Path(capsys.readouterr().out.strip())
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert names == ["images/b.jpg", "images/x/a.jpg", "models/a.txt"]
    assert main(["data", "check", "town"]) == 0
    assert "complete" in capsys.readouterr().out


def test_check_holds_archives_to_the_checksum_of_the_first_fetch(mirror, capsys):
    assert main(["data", "fetch", "town", "--mirror", str(mirror), "--tries", "1"]) == 0
    Path("data/downloads/town.zip").write_bytes(b"something else")
    assert main(["data", "check", "town"]) == 2
    assert "town.zip: sha256 is" in capsys.readouterr().err


def test_a_failed_fetch_says_where_else_it_can_be_had(mirror, capsys):
    assert main(["data", "fetch", "town", "--timeout-s", "1", "--tries", "1"]) == 2
    error = capsys.readouterr().err
    assert "data/downloads/town.zip" in error
    assert "ask the author" in error


@pytest.mark.parametrize("text", ["[1, 2]", "town: 3", "{"])
def test_a_catalogue_that_is_none_is_refused(tmp_path, monkeypatch, text):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    monkeypatch.setenv("TRIGPOINT_CATALOGUE", str(path))
    with pytest.raises(DataError, match=r"own\.yaml \(TRIGPOINT_CATALOGUE\)"):
        catalogue_entry("town")


def test_the_archive_of_aachen_v1_1_has_more_than_images():
    archive = catalogue_entry("aachen_v1_1").archives[1]
    places = {
        "images_upright/sequences/s/a.png": "images/images_upright/sequences/s/a.png",
        "3D-models/aachen_v_1_1/images.bin": "3D-models/aachen_v_1_1/images.bin",
        "queries/night_time_queries_with_intrinsics.txt": "queries/night_time_queries_with_intrinsics.txt",
    }
    assert place_members(archive, [*places, "README.md"], is_image_name) == places
