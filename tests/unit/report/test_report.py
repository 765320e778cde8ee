"""The whole report of a finished synthetic run: self-contained, and its numbers are those of the JSON beside it."""

import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from trigpoint.cli import main
from trigpoint.report.tables import lookup

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
SETTINGS = {"seed": 7, "commit": "abc1234", "config": {"root": "/home/somebody/photos", "runs": ["exact", "noisy"]}}


class Cells(HTMLParser):
    """Collects addresses, ids, and the text of cells that say where their number comes from."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.cells: list[tuple[str, str, str]] = []
        self._open: tuple[str, str] | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.addresses += [values[key] for key in ("src", "href", "data", "poster") if values.get(key)]
        if "id" in values:
            self.ids.append(values["id"])
        for key in ("data-path", "data-time"):
            if values.get(key):
                self._open = (key, values[key])

    def handle_data(self, data):
        if self._open:
            self.cells.append((*self._open, data))
            self._open = None


@pytest.fixture(scope="module")
def report(finished_work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    work = folder / "work"
    shutil.copytree(finished_work, work)
    poses = (work / "noisy" / "poses.txt").read_text().splitlines()
    (work / "noisy" / "poses.txt").write_text("\n".join(poses[:-1]) + "\n")  # one query fails
    localization = json.loads((work / "noisy" / "localization.json").read_text())
    localization["queries"][-1]["status"] = "too few matches"
    localization["queries"][-1]["reason"] = "12 are needed"
    pairs = (work / "noisy" / "pairs" / "query.txt").read_text()
    (work / "noisy" / "pairs" / "query.txt").write_text(f"# 18 query pairs, kind <file>\n{pairs}")
    (work / "noisy" / "localization.json").write_text(json.dumps(localization))
    files = {name: work / "noisy" / f"{name}.h5" for name in ("features", "matches")}
    files |= {"pairs": work / "noisy" / "pairs" / "map.txt", "database": work / "noisy" / "database.db"}
    files |= {"model": work / "noisy" / "model", "mapping": work / "noisy" / "mapping.json"}
    files |= {"poses": work / "noisy" / "poses.txt", "localization": work / "noisy" / "localization.json"}
    files |= {"dataset": work / "dataset.json", "output": work / "noisy" / "metrics.json"}
    words = [word for key, value in files.items() for word in (f"--{key}", str(value))]
    assert main(["evaluate", "--run", "noisy", *words]) == 0
    benchmarks = folder / "benchmarks"
    (benchmarks / "exact").mkdir(parents=True)
    (benchmarks / "exact" / "map.tsv").write_text(HEAD + "1.5\t0:00:01\t300\t1\t1\t1\t0\t0\t90\t1.25\n")
    assert main(arguments(work, folder / "report", benchmarks)) == 0
    return folder / "report"


def arguments(work: Path, output: Path, benchmarks: Path, runs: tuple[str, ...] = ("exact", "noisy")) -> list[str]:
    return [
        *("report", "--settings", json.dumps(SETTINGS), "--dataset", str(work / "dataset.json")),
        *("--work", str(work), "--benchmarks", str(benchmarks), "--runs", *runs),
        *("--left-out", "disk_2k", "--output", str(output)),
    ]


def test_page_needs_nothing_from_outside(report):
    text = (report / "report.html").read_text()
    outside = [address for address in Cells(text).addresses if not address.startswith(("#", "data:"))]
    assert outside == []
    assert not re.search(r"@import|url\((?!['\"]?data:)|\bfetch\(|XMLHttpRequest|import\(", text)
    assert len(text) < 15e6


def test_every_number_on_the_page_is_one_of_the_json_files(report):
    sources = {
        "data-path": json.loads((report / "metrics.json").read_text()),
        "data-time": json.loads((report / "timings.json").read_text()),
    }
    cells = Cells((report / "report.html").read_text()).cells
    assert len(cells) > 60
    for key, path, text in cells:
        written = text.split(" / ", maxsplit=1)[0].replace(",", "")
        value = lookup_rows(sources[key], path)
        decimals = len(written.partition(".")[2])
        assert written == f"{value:.{decimals}f}", path


def lookup_rows(value, path):
    for part in path.split("/"):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def test_failures_are_counted_and_shown(report):
    metrics = json.loads((report / "metrics.json").read_text())
    split = metrics["runs"]["noisy"]["localization"]["synthetic"]
    assert (split["queries"], split["localized"]) == (3, 2)
    assert split["recall_percent"]["5m_10deg"] == pytest.approx(200 / 3)
    text = (report / "report.html").read_text()
    assert "2 / 3" in text
    assert "too few matches: 12 are needed" in text
    assert "noisy: 18 query pairs, kind &lt;file&gt;." in text
    row = metrics["runs"]["exact"]["details"]["queries"][0]
    assert (row["cluster"], row["num_references"]) == (0, 8)
    assert 'data-path="runs/exact/details/queries/0/cluster">0<' in text
    assert "left out of this report: disk_2k" in text


def test_submissions_are_named_where_the_dataset_has_a_server(finished_work, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(finished_work, work)
    values = json.loads((work / "dataset.json").read_text())
    (work / "dataset.json").write_text(json.dumps({**values, "submission": "eval_[{run}].txt"}))
    assert main(arguments(work, tmp_path / "report", tmp_path / "benchmarks", ("exact",))) == 0
    assert "<code>submissions/eval_[exact].txt</code>." in (tmp_path / "report/report.html").read_text()


def test_ids_are_unique_and_links_lead_somewhere(report):
    found = Cells((report / "report.html").read_text())
    assert len(set(found.ids)) == len(found.ids)
    assert {address[1:] for address in found.addresses if address.startswith("#")} <= set(found.ids)


def test_places_of_this_machine_are_nowhere(report):
    for name in ("report.html", "metrics.json", "provenance.json", "timings.json", "summary.csv"):
        text = (report / name).read_text()
        assert "/home/somebody" not in text, name
        assert str(report.parent) not in text, name


def test_summary_holds_a_row_for_each_run(report):
    with (report / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    metrics = json.loads((report / "metrics.json").read_text())
    assert [row["run"] for row in rows] == ["exact", "noisy"]
    for row in rows:
        for column, value in row.items():
            if column.startswith("mapping.auc") and value:
                assert float(value) == lookup(metrics["runs"][row["run"]], column.replace(".", "/"))
    assert "mapping.auc_percent.5" in rows[0]


def test_provenance_holds_settings_versions_and_commit(report):
    provenance = json.loads((report / "provenance.json").read_text())
    assert provenance["commit"] == "abc1234"
    assert provenance["seed"] == 7
    assert provenance["runs"]["exact"]["features"] == {"method": "synthetic", "seed": 0}
    assert provenance["versions"]["pycolmap"].startswith("4.2")


def test_missing_file_is_one_line_that_names_it(finished_work, tmp_path, capsys):
    assert main(arguments(finished_work, tmp_path / "report", tmp_path, ("exact", "absent"))) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "absent/metrics.json" in message
    assert "trigpoint evaluate" in message
    assert not (tmp_path / "report").exists()
