"""The report of one dataset: a folder with the page and the numbers it shows."""

import csv
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trigpoint.errors import EmptyResultError
from trigpoint.report.page import render_page, run_colors
from trigpoint.report.pair_views import pair_views
from trigpoint.report.provenance import provenance
from trigpoint.report.scene import scene_data
from trigpoint.report.timings import read_timings
from trigpoint.storage.atomic import atomic_path
from trigpoint.storage.json_files import read_json, write_json
from trigpoint.types import Dataset

SECTIONS = ("mapping", "localization", "relative_pose", "merging", "flow", "hpatches", "imc")
_logger = logging.getLogger(__name__)


def write_report(
    dataset: Dataset,
    work: Path,
    benchmarks: Path,
    runs: Sequence[str],
    left_out: Sequence[str],
    settings: dict[str, Any],
    output: Path,
) -> None:
    """Write report.html, {metrics,timings,provenance}.json and summary.csv into a folder, whole or not at all.

    Args:
        dataset: the prepared dataset.
        work: its work folder, with one folder for each run.
        benchmarks: folder with Snakemake's benchmark files of the dataset; may be missing.
        runs: finished runs, in the order of the tables.
        left_out: configured runs that the page names as left out.
        settings: `config`, `commit` and `seed`, for provenance.
        output: folder to replace.

    Raises:
        EmptyResultError: no runs.
        StorageError: a file of a run is missing or damaged.
    """
    if not runs:
        raise EmptyResultError(f"{output}: a report needs a finished run; give at least one with --runs")
    metrics = dataset_metrics(dataset, work, runs)
    timings = read_timings(benchmarks, list(runs))
    origin = provenance(dataset.id, work, list(runs), list(left_out), settings)
    scene = scene_data(dataset, work, runs, list(run_colors(metrics).values()))
    pairs = pair_views(dataset, work, runs)
    heads = [list_heads(work, runs, role) for role in ("map", "query")]
    page = render_page(dataset, metrics, timings, origin, scene, pairs, *heads)
    with atomic_path(output) as folder:
        folder.mkdir()
        (folder / "report.html").write_text(page, encoding="utf-8")
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "timings.json", timings)
        write_json(folder / "provenance.json", origin)
        write_summary(folder / "summary.csv", {dataset.id: metrics["runs"]})
    _logger.info("%s: report of %d runs, %.1f MB", output, len(runs), len(page) / 1e6)


def dataset_metrics(dataset: Dataset, work: Path, runs: Sequence[str]) -> dict[str, Any]:
    """metrics.json of the dataset: what `trigpoint evaluate` wrote of each run, and published rows if there are any."""
    found = {run: read_json(work / run / "metrics.json", "metrics") for run in runs}
    without_head = {
        run: {key: value for key, value in numbers.items() if key not in ("kind", "run")}
        for run, numbers in found.items()
    }
    published = {"published": list(dataset.published)} if dataset.published else {}
    return {"dataset": dataset.id, "runs": without_head, **published}


def list_heads(work: Path, runs: Sequence[str], role: str) -> dict[str, str]:
    """Run -> how its pairs of a role were chosen, of the runs whose list says so."""
    return {run: head for run in runs if (head := list_head(work / run / "pairs" / f"{role}.txt"))}


def list_head(path: Path) -> str:
    """What a pair list says of itself in its first line; empty without such a list."""
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8") as file:
        line = file.readline()
    return line.removeprefix("#").strip() if line.startswith("#") else ""


def write_summary(output: Path, datasets: dict[str, dict[str, Any]]) -> None:
    """One row for each run of each dataset, one column for each number that any has; unknown ones are empty.

    Args:
        output: CSV file to write.
        datasets: dataset -> run -> its metrics.
    """
    rows = [
        (dataset, run, flat({key: values[key] for key in SECTIONS if key in values}))
        for dataset, runs in datasets.items()
        for run, values in runs.items()
    ]
    columns = list(dict.fromkeys(column for _, _, row in rows for column in row))
    with output.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["dataset", "run", *columns])
        for dataset, run, row in rows:
            writer.writerow([dataset, run, *(row.get(column, "") for column in columns)])


def flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested numbers by dotted names."""
    found: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{prefix}.{key}" if prefix else key
        found |= flat(item, name) if isinstance(item, dict) else {name: item}
    return found
