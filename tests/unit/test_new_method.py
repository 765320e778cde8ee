"""The example of a method outside the tree, as `pip install` would put it there, and the commands about methods."""

import json
import os
import tomllib
from pathlib import Path

import pytest

from trigpoint.cli import main
from trigpoint.errors import ContractError
from trigpoint.methods import base, conformance
from trigpoint.methods.base import METHODS, SPEEDS, create_method
from trigpoint.methods.listing import method_rows
from trigpoint.types import Features, Image

EXAMPLE = Path(__file__).parents[2] / "examples/new_method"
MAX_LINES = 60  # of everything that the example consists of


@pytest.fixture
def mops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The example installed: its folder on the path, its entry points where pip writes them."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    info = tmp_path / "trigpoint_mops-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in rows.items())
        for group, rows in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))
    for folder in (tmp_path, EXAMPLE):
        monkeypatch.syspath_prepend(folder)
    return "mops"


def test_the_example_is_short() -> None:
    files = [EXAMPLE / "pyproject.toml", *sorted((EXAMPLE / "trigpoint_mops").glob("*.py"))]
    assert len(files) == 3
    assert sum(len(path.read_text().splitlines()) for path in files) < MAX_LINES


@pytest.mark.parametrize("check", conformance.FEATURE_CHECKS, ids=lambda check: check.__name__)
def test_the_example_keeps_its_promises(mops: str, check) -> None:
    check(create_method(mops, {}))


def test_check_method_says_which_promises_hold(mops: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-method", mops, "--settings", '{"max_keypoints": 100}']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(conformance.FEATURE_CHECKS) and all(line.startswith("holds") for line in lines)


def test_check_method_names_the_promise_that_is_broken(
    mops: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import trigpoint_mops.method

    honest = trigpoint_mops.method.Mops.extract

    def half_a_pixel_off(self, image: Image) -> Features:
        found = honest(self, image)
        factor = image.size[0] / image.pixels.shape[1]
        return Features(found.keypoints - (factor - 1) / 2, found.descriptors, found.scores, found.image_size)

    monkeypatch.setattr(trigpoint_mops.method.Mops, "extract", half_a_pixel_off)
    assert main(["check-method", mops]) == 2
    written = capsys.readouterr()
    broken = [line for line in written.out.splitlines() if line.startswith("broken")]
    assert len(broken) == 1 and "pixels of the original" in broken[0] and "1.000 px off" in broken[0]
    assert "mops breaks 1 promises" in written.err


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"keypoints": lambda xy: xy[:, :1]}, "expected"),
        ({"keypoints": lambda xy: xy.astype("float64")}, "float64, not float32"),
        ({"keypoints": lambda xy: xy + 500}, "lies outside"),
        ({"scores": lambda scores: scores[:-1]}, "scores are"),
        ({"descriptors": lambda rows: rows * float("nan")}, "descriptors are not all finite"),
    ],
)
def test_features_that_break_a_promise_are_refused(mops: str, changed, words: str) -> None:
    image = conformance.picture((64, 64))
    found = create_method(mops, {}).extract(image)
    values = {name: getattr(found, name) for name in ("keypoints", "descriptors", "scores")}
    values |= {name: change(values[name]) for name, change in changed.items()}
    with pytest.raises(ContractError, match=words):
        conformance.check_features(Features(**values, image_size=found.image_size), image)


def test_methods_lists_everything_with_terms_and_speed(mops: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == [*METHODS, mops]
    assert rows[mops] == {
        "name": "mops",
        "interface": "feature",
        "speed": "fast",
        "licence": "Apache-2.0 (OpenCV)",
        "weights": "none",
    }
    for name in METHODS:
        assert rows[name]["licence"] != "not stated" and rows[name]["speed"] != "not stated", name
        assert rows[name]["speed"] in SPEEDS or METHODS[name].package
    assert main(["methods"]) == 0
    assert "mops  " in capsys.readouterr().out


def test_weights_are_said_to_be_there_or_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIGPOINT_CACHE", str(tmp_path))
    before = {row.name: row.weights for row in method_rows()}
    assert before["disk"] == "trigpoint fetch-weights disk-depth"
    assert before["pump"] == "trigpoint fetch-weights pump-stytrf --file PATH"
    assert before["sift"] == "none"
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/disk-depth-save.pth").touch()
    assert {row.name: row.weights for row in method_rows()}["disk"] == "disk-depth, in the cache"


def test_a_package_that_fails_does_not_hide_the_others(mops: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import trigpoint_mops

    monkeypatch.delattr(trigpoint_mops, "ENTRY")
    rows = {row.name: row for row in method_rows()}
    assert rows[mops].weights.startswith("cannot be loaded: ") and "ENTRY" in rows[mops].weights
    assert os.fspath(base.__file__) and rows["sift"].interface == "feature"
