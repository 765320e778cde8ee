"""`trigpoint match` and `trigpoint view-corres` through main, each of their options, on two small photographs."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from trigpoint.cli import main
from trigpoint.export.pump_npz import read_corres, write_corres


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A textured photograph, and the same one moved by 8 px to the left and 4 px up."""
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(3)
    noise = PIL.Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    large = noise.resize((400, 320), PIL.Image.Resampling.BICUBIC)
    large.crop((0, 0, 360, 280)).save(folder / "first photo.png")
    large.crop((8, 4, 368, 284)).save(folder / "second.png")
    return folder / "first photo.png", folder / "second.png"


def run(*words: object) -> int:
    return main([str(word) for word in words])


def test_matches_are_written_and_drawn(photographs: tuple[Path, Path], tmp_path: Path) -> None:
    corres, view = tmp_path / "corres", tmp_path / "view.jpg"
    options = ["--method", "sift", "--matcher", "colmap_sift", "--matcher-settings", '{"ratio": 0.8}']
    options += ["--device", "cpu", "--num-threads", "1", "--max-lines", "10"]
    assert run("match", *photographs, *options, "--output", corres, "--view", view) == 0
    rows = read_corres(corres)
    assert len(rows) > 50
    np.testing.assert_allclose(np.median(rows[:, :2] - rows[:, 2:4], axis=0), [8, 4], atol=0.1)
    assert (rows[:, 5] == 0).all()
    with PIL.Image.open(view) as picture:
        assert picture.width > 1000


def test_settings_come_from_json_and_from_single_options(photographs: tuple[Path, Path], tmp_path: Path) -> None:
    options = ["--method", "sift", "--settings", json.dumps({"max_keypoints": 500, "upright": False})]
    counts = []
    for more in ([], ["--set", "max_keypoints=20", "--set", "upright=true"], ["--resize", "120"]):
        assert run("match", *photographs, *options, *more, "--output", tmp_path / "c.npz") == 0
        counts.append(len(read_corres(tmp_path / "c.npz")))
    assert counts[0] > 3 * counts[1] > 0
    assert counts[0] > counts[2] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method", "sifft"], "did you mean 'sift'"),
        (["--method", "sift", "--set", "max_keypoint=3"], "did you mean 'max_keypoints'"),
        (["--method", "sift", "--matcher", "mutual"], "no matcher is called 'mutual'"),
        (["--method", "sift", "--weights", "w.pt"], "sift has no network"),
        (["--method", "disk", "--weights", "nowhere.pt"], "nowhere.pt"),
        (["--method", "disk", "--resize", "320", "160"], "disk has no such setting"),
        (["--method", "sift", "--set", "upright.x=1", "--set", "upright.x.y=1"], "no object with keys"),
        (["--method", "sift", "--view", "matches.svg"], "pictures are written as"),
        (["--method", "sift", "--num-threads", "-1"], "--num-threads"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    photographs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert run("match", *photographs, *options, "--output", tmp_path / "c.npz") == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_missing_photograph_is_named(photographs: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    assert run("match", photographs[0], tmp_path / "no.jpg", "--method", "sift", "--output", tmp_path / "c.npz") == 2
    assert "no.jpg" in capsys.readouterr().err.splitlines()[-1]


def test_no_matches_are_a_file_and_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("black", "white"):
        PIL.Image.new("RGB", (64, 64), name).save(tmp_path / f"{name}.png")
    words = ["--method", "sift", "--output", tmp_path / "c.npz", "--view", tmp_path / "m.png"]
    assert run("match", tmp_path / "black.png", tmp_path / "white.png", *words) == 0
    assert read_corres(tmp_path / "c.npz").shape == (0, 6)
    assert "WARNING" in capsys.readouterr().err


@pytest.fixture
def corres(photographs: tuple[Path, Path], tmp_path: Path) -> Path:
    x, y = np.meshgrid(np.arange(20.0, 340, 20), np.arange(20.0, 260, 20))
    xy0 = np.column_stack([x.ravel(), y.ravel()])
    codes = np.where(np.arange(len(xy0)) % 2, 8, -1)
    write_corres(tmp_path / "given.npz", np.column_stack([xy0, xy0 - [8, 4], np.linspace(0, 5, len(xy0)), codes]))
    return tmp_path / "given.npz"


@pytest.mark.parametrize(
    ("output", "files"), [("out", ["out.html", "out.png"]), ("a.b.html", ["a.b.html"]), ("a.PNG", ["a.PNG"])]
)
def test_view_corres_writes_page_and_picture(
    photographs: tuple[Path, Path], corres: Path, tmp_path: Path, output: str, files: list[str]
) -> None:
    F = tmp_path / "F.txt"
    F.write_text("0 0 4\n0 0 -8\n-4 8 0\n")
    options = ["--corres", corres, "--fundamental", F, "--title", "By <hand>"]
    assert run("view-corres", *photographs, *options, "--output", tmp_path / "made" / output) == 0
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == sorted(files)
    for path in (tmp_path / "made").glob("*.html"):
        text = path.read_text()
        assert "By &lt;hand&gt;" in text
        assert "epipolar" in text
        assert "1 hidden" in text
        assert not [word for word in ("http://", "https://", "src=") if word in text.replace("image.src", "")]


def test_a_bad_fundamental_matrix_is_refused(photographs, corres: Path, tmp_path: Path, capsys) -> None:
    F = tmp_path / "F.txt"
    for text in ("1 2 3", "a b c d e f g h i", "0 0 0 0 0 0 0 0 0"):
        F.write_text(text)
        words = ["--corres", corres, "--fundamental", F, "--output", tmp_path / "x.html"]
        assert run("view-corres", *photographs, *words) == 2
        assert "F.txt" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "x.html").exists()


def test_warp_matches_builds_the_view_and_writes_all_three_files(
    photographs: tuple[Path, Path], tmp_path: Path
) -> None:
    options = ["--method", "sift", "--matcher", "colmap_sift", "--num-threads", "1"]
    assert run("warp", *photographs, *options, "--output", tmp_path / "made") == 0
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"corres.npz", "warp.png", "warped.png"}
    first, view = (
        np.asarray(PIL.Image.open(path).convert("RGB")).astype(int)
        for path in (photographs[0], tmp_path / "made/warped.png")
    )
    assert view.shape == first.shape
    assert np.abs(view - first)[20:-20, 20:-20].mean() < 3
    assert (view[:, :7] == 255).all()  # the second photograph begins 8 px further


def test_warp_takes_a_file_and_may_clamp(photographs: tuple[Path, Path], corres: Path, tmp_path: Path) -> None:
    for name, more in (("masked", ["--locality", "12", "--min-cc-size", "3"]), ("clamped", ["--clamp"])):
        assert run("warp", *photographs, "--corres", corres, *more, "--output", tmp_path / name) == 0
    masked, clamped = (np.asarray(PIL.Image.open(tmp_path / name / "warped.png")) for name in ("masked", "clamped"))
    assert (masked[:, :7] == 255).all()
    np.testing.assert_array_equal(clamped[100, :7], clamped[100, 7:8].repeat(7, axis=0))
    assert run("warp", *photographs, "--corres", corres, "--output", tmp_path / "only.png") == 0
    with PIL.Image.open(tmp_path / "only.png") as figure:
        assert figure.width > 2000


def test_too_few_matches_for_a_view_are_said(photographs: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    write_corres(tmp_path / "few.npz", np.zeros((3, 6)))
    options = ["--corres", tmp_path / "few.npz", "--min-cc-size", "0"]
    assert run("warp", *photographs, *options, "--output", tmp_path / "made") == 2
    assert "3 matches are too few for a view" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "made").exists()
