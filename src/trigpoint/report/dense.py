"""The report of localization in scans: recall of each split, what became of the queries, and each of them by name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trigpoint.evaluation.dense import RECALL_THRESHOLDS
from trigpoint.report import tables
from trigpoint.report.benchmark import BenchmarkReport, metrics_and_origin, write_benchmark_report
from trigpoint.report.page import run_colors
from trigpoint.report.timings import read_timings
from trigpoint.storage.text_table import text_table
from trigpoint.types import Dataset

NOTE = (
    "Percent of the queries within 0.25, 0.5 and 1 m, each with 10 degrees; a query without a pose is a miss. Where no"
    " query pose is known there is no recall: upload the submission to visuallocalization.net."
)
RECALL = tuple(
    tables.Column(f"recall_percent/{metres:g}m_{degrees:g}deg", f"{metres:g} m, {degrees:g}° %", 1, "most")
    for metres, degrees in RECALL_THRESHOLDS
)
LOCALIZATION = (
    tables.Column("localized", "localized", best="most", of="queries", help="queries with a pose"),
    *RECALL,
    *(column for column in tables.LOCALIZATION if column.key.startswith("median")),
)
STATUSES = ("localized", "failed", "too few matches", "no pairs")
QUERY_COLUMNS = ("status", "num_inliers", "num_matches", "num_found", "num_references", "from", "error_m", "error_deg")


def write_dense_report(
    dataset: Dataset,
    work: Path,
    benchmarks: Path,
    runs: Sequence[str],
    left_out: Sequence[str],
    settings: dict[str, Any],
    output: Path,
) -> None:
    """Write the report's folder, whole or not at all; arguments and errors as `build.write_report` has them."""
    metrics, origin = metrics_and_origin(dataset, work, runs, left_out, settings, output)
    summary = {run: {"localization": values["localization"]} for run, values in metrics["runs"].items()}
    timings = read_timings(benchmarks, list(runs))
    report = dense_report(metrics, dataset)
    report.files.update({f"{run}/poses.txt": (work / run / "poses.txt").read_text(encoding="utf-8") for run in runs})
    write_benchmark_report(dataset, metrics, summary, timings, origin, report, output)


def dense_report(metrics: dict[str, Any], dataset: Dataset) -> BenchmarkReport:
    """What the page shows of metrics.json."""
    runs, colors = metrics["runs"], run_colors(metrics)
    return BenchmarkReport(
        what="Localization in scans",
        truth=_truth(dataset),
        note=NOTE,
        facts=[
            (f"{len(dataset.with_role('query')):,}", "queries"),
            (f"{len(dataset.with_role('map')):,}", "cutouts"),
            (str(len(runs)), "runs" if len(runs) != 1 else "run"),
        ],
        tables=[*_split_tables(runs, colors), *_status_tables(runs, colors), *_published_tables(metrics)],
        texts={f"{run}/queries.txt": query_table(values["queries"]) for run, values in runs.items()},
    )


def _truth(dataset: Dataset) -> str:
    known = sum(image.name in dataset.poses for image in dataset.with_role("query"))
    return f"The poses of {known:,} queries are known." if known else "The queries' poses are not public."


def _split_tables(runs: dict[str, Any], colors: dict[str, str]) -> list[dict[str, Any]]:
    splits = sorted({split for values in runs.values() for split in values["localization"]})
    found = []
    for split in splits:
        values = {run: numbers["localization"].get(split, {}) for run, numbers in runs.items()}
        columns = tables.used_columns(LOCALIZATION, list(values.values()))
        rows = tables.run_rows(columns, values, f"localization/{split}", colors)
        found.append({"title": f"Split {split}", "note": "", "columns": columns, "rows": rows, "published": []})
    return found


def _status_tables(runs: dict[str, Any], colors: dict[str, str]) -> list[dict[str, Any]]:
    values = {run: numbers["statuses"] for run, numbers in runs.items()}
    columns = tables.used_columns([tables.Column(status, status) for status in STATUSES], list(values.values()))
    rows = tables.run_rows(columns, values, "statuses", colors)
    return [{"title": "What became of the queries", "note": "", "columns": columns, "rows": rows, "published": []}]


def _published_tables(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    published = metrics.get("published", [])
    floors = sorted({floor for row in published for floor in row.get("inloc", {})})
    return [
        {
            "title": f"Published, {floor}",
            "note": "By the evaluation server, on queries whose poses are secret.",
            "columns": list(columns),
            "rows": [],
            "published": tables.published_rows(columns, published, f"inloc/{floor}"),
        }
        for floor in floors
        for columns in [
            [tables.Column(column.key.removeprefix("recall_percent/"), column.title, 1) for column in RECALL]
        ]
    ]


def query_table(rows: Sequence[dict[str, Any]]) -> str:
    """Every query in a line: its status, its numbers, and the reason where it has no pose."""
    lines = [["query", *QUERY_COLUMNS, "reason"]]
    for row in rows:
        lines.append([row["name"], *(_word(row.get(key)) for key in QUERY_COLUMNS), str(row.get("reason", ""))])
    return text_table(lines)


def _word(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
