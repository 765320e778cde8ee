"""The report of a benchmark that has no map: one page of tables, curves and texts, and the numbers as files."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from trigpoint.errors import EmptyResultError
from trigpoint.report.build import dataset_metrics, write_summary
from trigpoint.report.page import asset, environment, run_colors, time_rows
from trigpoint.report.provenance import provenance
from trigpoint.storage.atomic import atomic_path
from trigpoint.storage.json_files import write_json
from trigpoint.types import Dataset

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class BenchmarkReport:
    """What one benchmark puts on the page; everything else is common.

    Attributes:
        what: is shown, as "Dense flow"; the page says "by 2 runs".
        truth: a sentence on the ground truth.
        note: how the numbers are averaged, and what counts as a failure.
        facts: (number, what it counts) of the page's head.
        tables: dictionaries `title`, `note`, `columns`, `rows`, `published`, as `tables` makes them.
        charts: dictionaries `title`, `svg`.
        legend: name -> colour of the curves, where others than the runs are drawn.
        texts: name -> text table, shown on the page and written as a file of this name.
        files: name -> text of further files.
    """

    what: str
    truth: str
    note: str
    facts: list[tuple[str, str]]
    tables: list[dict[str, Any]]
    charts: list[dict[str, str]] = field(default_factory=list)
    legend: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def metrics_and_origin(
    dataset: Dataset, work: Path, runs: Sequence[str], left_out: Sequence[str], settings: dict[str, Any], output: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """metrics.json without what the runs were made with, and provenance.json, which says that.

    Arguments and errors as `build.write_report` has them.
    """
    if not runs:
        raise EmptyResultError(f"{output}: a report needs a finished run; give at least one with --runs")
    metrics = dataset_metrics(dataset, work, runs)
    stages = {run: values.pop("made_with") for run, values in metrics["runs"].items()}
    backends = {run: values.pop("kernel_backends") for run, values in metrics["runs"].items()}
    return metrics, provenance(dataset.id, work, list(runs), list(left_out), settings, (stages, backends))


def write_benchmark_report(
    dataset: Dataset,
    metrics: dict[str, Any],
    summary: dict[str, Any],
    timings: dict[str, Any],
    origin: dict[str, Any],
    report: BenchmarkReport,
    output: Path,
) -> None:
    """Write report.html, {metrics,timings,provenance}.json, summary.csv and further files, whole or not at all.

    Args:
        dataset: for licence and unusable images.
        metrics: metrics.json; every number of a result is written from it.
        summary: run -> what of its metrics is a column of summary.csv.
        timings: timings.json.
        origin: provenance.json.
        report: of the benchmark.
        output: folder to replace.
    """
    with atomic_path(output) as folder:
        folder.mkdir()
        (folder / "report.html").write_text(render(dataset, metrics, timings, origin, report), encoding="utf-8")
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "timings.json", timings)
        write_json(folder / "provenance.json", origin)
        write_summary(folder / "summary.csv", {dataset.id: summary})
        for name, text in {**report.texts, **report.files}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    _logger.info("%s: report of %d runs", output, len(metrics["runs"]))


def render(
    dataset: Dataset,
    metrics: dict[str, Any],
    timings: dict[str, Any],
    origin: dict[str, Any],
    report: BenchmarkReport,
) -> str:
    """The page as text; arguments as `write_benchmark_report` has them."""
    colors = run_colors(metrics)
    return (
        environment()
        .get_template("benchmark.html")
        .render(
            metrics=metrics,
            provenance=origin,
            colors=colors,
            licence=dataset.licence,
            unusable=dataset.unusable,
            what=report.what,
            truth=report.truth,
            note=report.note,
            facts=report.facts,
            tables=report.tables,
            charts=report.charts,
            legend=report.legend or colors,
            texts=report.texts,
            files=[*report.texts, *report.files],
            time_rows=time_rows(timings),
            css=Markup(asset("page.css")),
        )
    )
