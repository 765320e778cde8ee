"""`trigpoint view-h5` on DISK's files and on our own: pictures, pages, a window."""

import re
from pathlib import Path

import h5py
import numpy as np
import PIL.Image
import pytest

from trigpoint.cli import main
from trigpoint.report import h5_views
from trigpoint.report.h5_views import KeypointView, MatchView, draw_view
from trigpoint.types import Image


@pytest.fixture
def disk_files(tmp_path: Path) -> tuple[Path, Path]:
    """Two grey photographs of 200 x 100 and 100 x 120 px, three keypoints each, two matches."""
    images, files = tmp_path / "images", tmp_path / "h5"
    images.mkdir()
    files.mkdir()
    PIL.Image.new("RGB", (200, 100), (90, 90, 90)).save(images / "a.jpg")
    PIL.Image.new("RGB", (100, 120), (90, 90, 90)).save(images / "b.jpg")
    with h5py.File(files / "keypoints.h5", "w") as file:
        file["a"] = np.array([[20, 30], [150, 70], [199, 99]], np.float32)
        file["b"] = np.array([[10, 10], [50, 60], [99, 119]], np.float32)
    with h5py.File(files / "matches.h5", "w") as file:
        file["a/b"] = np.array([[0, 1], [1, 2]])
        file.create_group("b")
    return files, images


def run(*words: object) -> int:
    return main(["view-h5", *map(str, words)])


def grey(name: str, width: int, height: int) -> Image:
    return Image(name, np.full((height, width, 3), 90, np.uint8), (width, height))


def white_places(picture: PIL.Image.Image, left: int, top: int, width: int, height: int) -> np.ndarray:
    """Pixels (N, 2) that are white, in coordinates of a panel."""
    panel = np.asarray(picture)[top : top + height, left : left + width]
    return np.argwhere((panel > 240).all(axis=2))[:, ::-1]


def test_a_disc_lies_on_its_keypoint() -> None:
    picture = draw_view(KeypointView(grey("a", 500, 250), np.array([[100.0, 60.0]])))
    at = white_places(picture, 18, 18 + 33, 1000, 500)  # margin and title of a figure; twice enlarged
    np.testing.assert_allclose(at.mean(axis=0), [200.5, 120.5], atol=0.5)


def test_matches_are_green_lines_between_discs() -> None:
    view = MatchView(grey("a", 400, 300), grey("b", 400, 300), np.array([[10.0, 20.0]]), np.array([[390.0, 280.0]]))
    pixels = np.asarray(draw_view(view)).astype(int)
    green = (pixels[..., 1] > 100) & (pixels[..., 0] < 60) & (pixels[..., 2] < 60)
    x = np.argwhere(green)[:, 1]
    assert green.sum() > 1000 and x.min() < 100 and x.max() > pixels.shape[1] - 100


@pytest.mark.parametrize(("mode", "count"), [("keypoints", 2), ("matches", 1)])
def test_pictures_and_pages_are_numbered(disk_files: tuple[Path, Path], tmp_path: Path, mode: str, count: int) -> None:
    assert run(*disk_files, mode, "--save", tmp_path / "out") == 0
    assert run(*disk_files, mode, "--save", tmp_path / "out", "--format", "html") == 0
    expected = {f"{number}.{end}" for number in range(1, count + 1) for end in ("png", "html")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected
    with PIL.Image.open(tmp_path / "out" / "1.png") as picture:
        assert picture.width > 1000


def test_a_page_tells_the_keypoints_places(disk_files: tuple[Path, Path], tmp_path: Path) -> None:
    assert run(*disk_files, "keypoints", "--save", tmp_path, "--format", "html", "--only", "a") == 0
    page = (tmp_path / "1.html").read_text()
    assert not (tmp_path / "2.html").exists()
    assert re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', page) == [
        ("20.50", "30.50"), ("150.50", "70.50"), ("199.50", "99.50")
    ]  # fmt: skip
    assert "<title>1: 150.00, 70.00</title>" in page and 'viewBox="0 0 200 100"' in page
    assert "http://" not in page and "https://" not in page


def test_a_run_of_ours_is_shown_too(finished_work: Path, tmp_path: Path) -> None:
    import json

    images = json.loads((finished_work / "dataset.json").read_text())["image_root"]
    name = "map/view 000.png"
    assert run(finished_work / "exact", images, "matches", "--save", tmp_path, "--only", name) == 0
    assert len(list(tmp_path.glob("*.png"))) == 7 + 3  # seven other map images, three queries


def test_a_window_shows_one_picture_after_the_other(disk_files, monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    shown = []
    monkeypatch.setenv("DISPLAY", ":0")
    for name in ("namedWindow", "waitKey", "destroyWindow"):
        monkeypatch.setattr(cv2, name, lambda *_: None)
    monkeypatch.setattr(cv2, "imshow", lambda title, pixels: shown.append((title, pixels.shape)))
    assert run(*disk_files, "keypoints") == 0
    assert [title for title, _ in shown] == ["trigpoint view-h5: keypoints"] * 2
    assert all(shape[2] == 3 for _, shape in shown)


def test_what_cannot_be_shown_is_said(disk_files, tmp_path: Path, monkeypatch, capsys) -> None:
    files, images = disk_files
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(h5_views.sys, "platform", "linux")
    cases = [
        ((files, images, "keypoints"), "no display to open a window on; write pictures with --save"),
        ((files, images, "keypoints", "--format", "html"), "say where with --save DIR"),
        ((images, images, "keypoints", "--save", tmp_path), "neither features.h5 nor DISK's keypoints.h5"),
        ((files, images, "keypoints", "--save", tmp_path, "--only", "c"), "there is nothing of 'c'"),
        ((files, images, "keypoints", "--save", tmp_path, "--image-extension", "png"), "a.png: cannot be read"),
    ]
    for words, message in cases:
        assert run(*words) == 2
        assert message in capsys.readouterr().err
    (files / "matches.h5").unlink()
    assert run(files, images, "matches", "--save", tmp_path) == 2
    assert "matches.h5 is missing or holds no such pair" in capsys.readouterr().err
