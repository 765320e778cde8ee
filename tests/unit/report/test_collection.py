"""A collection's page: all datasets in one table, links to each report."""

import csv
import json
import re

import pytest

from trigpoint.cli import main

FILES = ("report.html", "timings.json", "provenance.json", "summary.csv")


@pytest.fixture
def reports(tmp_path):
    """Two folders as `trigpoint report` writes them, with little in them."""
    folders = []
    for dataset, registered in (("scene_a", 5), ("scene_b", 7)):
        folder = tmp_path / dataset / "report"
        folder.mkdir(parents=True)
        run = {"mapping": {"registered": registered, "images": 7, "points3D": 1234}, "details": {}}
        published = [{"method": "SIFT", "source": "table of 2017", "registered": 6, "points3D": 4321}]
        metrics = {"dataset": dataset, "runs": {"sift": run, "disk": run}, "published": published}
        (folder / "metrics.json").write_text(json.dumps(metrics))
        for name in FILES:
            (folder / name).write_text(f"{name} of {dataset}")
        folders.append(folder)
    return folders


def collect(reports, output):
    return main(["report-collection", "--id", "both", "--output", str(output), "--reports", *map(str, reports)])


def test_page_holds_all_scenes_and_links_to_their_reports(reports, tmp_path):
    assert collect(reports, tmp_path / "both") == 0
    text = (tmp_path / "both" / "report.html").read_text()
    links = re.findall(r'href="([^"#]+)"', text)
    assert set(links) == {"scene_a/report.html", "scene_b/report.html"}
    assert all((tmp_path / "both" / link).is_file() for link in links)
    assert 'data-path="datasets/scene_a/runs/sift/mapping/registered">5 / 7<' in text
    assert text.count('SIFT <span class="small">[1]</span>') == 2
    assert text.count("<td>4,321</td>") == 2
    assert "published rows</label>: [1] table of 2017.</p>" in text
    metrics = json.loads((tmp_path / "both" / "metrics.json").read_text())
    assert metrics["datasets"]["scene_b"]["runs"]["disk"]["mapping"]["registered"] == 7
    with (tmp_path / "both" / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["dataset"], row["run"], row["mapping.registered"]) for row in rows] == [
        ("scene_a", "sift", "5"),
        ("scene_a", "disk", "5"),
        ("scene_b", "sift", "7"),
        ("scene_b", "disk", "7"),
    ]


def test_incomplete_report_and_second_report_are_refused(reports, tmp_path, capsys):
    assert collect([reports[0], reports[0]], tmp_path / "both") == 2
    assert "second report" in capsys.readouterr().err
    (reports[1] / "timings.json").unlink()
    assert collect(reports, tmp_path / "both") == 2
    assert "timings.json: no such file" in capsys.readouterr().err
    assert not (tmp_path / "both").exists()
