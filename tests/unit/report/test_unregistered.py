"""Images that a map left out are counted and listed with what they fell short of."""

import json
import re
import shutil
from pathlib import Path

import pytest

from trigpoint.cli import main
from trigpoint.mapping.components import REASONS
from trigpoint.report.unregistered import MEANINGS, reason_counts, unregistered_images
from trigpoint.storage.pairs import read_pairs, write_pairs


def metrics(*rows: dict, registered: int = 3) -> dict:
    images = [{"name": f"in{number}", "registered": True, "observations": 9} for number in range(registered)]
    return {"runs": {"sift": {"details": {"images": [*images, *rows]}}, "disk": {"details": {"images": images}}}}


def left_out(name: str, reason: str, **counts: int) -> dict:
    return {"name": name, "registered": False, "reason": reason, **counts}


def test_every_reason_has_a_meaning() -> None:
    assert tuple(MEANINGS) == REASONS


def test_reasons_are_counted_the_most_frequent_first() -> None:
    rows = [left_out("a", "no pairs"), left_out("b", "component"), left_out("c", "component")]
    assert reason_counts(metrics(*rows)) == [
        {"run": "sift", "missing": 3, "images": 6, "reasons": "2 component, 1 no pairs"}
    ]
    assert reason_counts(metrics()) == []
    assert reason_counts({"runs": {"pump": {"flow": {}}}}) == []


def test_only_what_is_known_has_a_column() -> None:
    shown = unregistered_images(metrics(left_out("a", "no matches", keypoints=1200, pairs=4, most_matches=0)))
    assert [column.key for column in shown["columns"]] == ["keypoints", "pairs", "most_matches"]
    (row,) = shown["rows"]
    assert [(cell.text, cell.path) for cell in row["cells"]] == [
        ("1,200", "runs/sift/details/images/3/keypoints"),
        ("4", "runs/sift/details/images/3/pairs"),
        ("0", "runs/sift/details/images/3/most_matches"),
    ]
    assert shown["meanings"] == {"no matches": MEANINGS["no matches"]}


@pytest.fixture
def report(finished_work: Path, tmp_path: Path) -> Path:
    """A report of a run that left one image out, by its metrics."""
    work = tmp_path / "work"
    shutil.copytree(finished_work, work, symlinks=True)
    path = work / "exact/metrics.json"
    values = json.loads(path.read_text())
    row = values["details"]["images"][-1]
    row.pop("observations")
    row |= left_out(row["name"], "component", keypoints=80, pairs=7, most_matches=60, verified_pairs=2)
    row |= {"most_inliers": 31, "group": 1, "group_images": 3}
    path.write_text(json.dumps(values))
    for run, head in (("exact", "28 map pairs, kind exhaustive"), ("noisy", "9 map pairs, kind retrieval")):
        listed = work / run / "pairs/map.txt"
        write_pairs(listed, read_pairs(listed), head)
    words = ["--dataset", str(work / "dataset.json"), "--work", str(work), "--benchmarks", str(tmp_path / "none")]
    assert main(["report", *words, "--runs", "exact", "noisy", "--output", str(work / "report")]) == 0
    return work / "report"


def test_the_page_says_how_many_and_why(report: Path, tmp_path: Path) -> None:
    page = (report / "report.html").read_text()
    assert re.search(r"exact: 1 of 8: 1 component</li>", page)
    assert "component: its verified pairs do not lead to the map." in page
    assert re.search(r'component</td><td data-path="[^"]*/keypoints">80</td>.*?most_inliers">31</td>', page)
    assert "every map image has a pose" not in page
    output = tmp_path / "both"
    assert main(["report-collection", "--id", "both", "--reports", str(report), "--output", str(output)]) == 0
    assert '<td class="short">1 / 8</td><td class="text wide">1 component</td>' in (output / "report.html").read_text()


def test_the_page_says_how_map_images_were_paired(report: Path) -> None:
    text = (report / "report.html").read_text()
    assert "Pairs: exact 28 map pairs, kind exhaustive; noisy 9 map pairs, kind retrieval." in text
