"""The report of a dense flow benchmark: tables of errors by rate and by sequence, and how they grow with the rate."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trigpoint.errors import EmptyResultError
from trigpoint.report import tables
from trigpoint.report.benchmark import BenchmarkReport, write_benchmark_report
from trigpoint.report.build import dataset_metrics
from trigpoint.report.charts import Series, line_chart
from trigpoint.report.page import run_colors
from trigpoint.report.provenance import provenance
from trigpoint.report.timings import read_timings
from trigpoint.types import Dataset

NOTE = (
    "Errors are averaged over the points of a pair, the pairs of a sequence at a rate, then over the sequences. A point"
    " without a flow, and so every point of a pair without matches, counts with zero flow in AEPE and as wrong in PCK"
    " and Fl."
)


def write_flow_report(
    dataset: Dataset,
    work: Path,
    benchmarks: Path,
    runs: Sequence[str],
    left_out: Sequence[str],
    settings: dict[str, Any],
    output: Path,
) -> None:
    """Write report.html, {metrics,timings,provenance}.json and summary.csv into a folder, whole or not at all.

    Arguments and errors as `build.write_report` has them.
    """
    if not runs:
        raise EmptyResultError(f"{output}: a report needs a finished run; give at least one with --runs")
    metrics = dataset_metrics(dataset, work, runs)
    flow = {run: values["flow"] for run, values in metrics["runs"].items()}
    # into provenance, without this machine's folders
    stages = {run: {"flow": values.pop("made_with")} for run, values in flow.items()}
    backends = {run: values.pop("kernel_backends") for run, values in flow.items()}
    origin = provenance(dataset.id, work, list(runs), list(left_out), settings, (stages, backends))
    summary = {
        run: {"flow": {key: value for key, value in values.items() if key != "aepe_px"}} for run, values in flow.items()
    }
    timings = read_timings(benchmarks, list(runs))
    write_benchmark_report(dataset, metrics, summary, timings, origin, flow_report(flow, run_colors(metrics)), output)


def flow_report(flow: dict[str, Any], colors: dict[str, str]) -> BenchmarkReport:
    """What the page shows of run -> errors."""
    first = next(iter(flow.values()))
    return BenchmarkReport(
        what="Dense flow",
        truth="Sparse ground truth of the GLU-Net protocol.",
        note=NOTE,
        facts=[
            (f"{first['pairs']:,}", "image pairs"),
            (f"{first['points']:,}", "ground-truth points"),
            (str(len(first["sequences"])), "sequences"),
            (str(len(flow)), "runs" if len(flow) != 1 else "run"),
        ],
        tables=flow_tables(flow, colors),
        charts=flow_charts(flow, colors),
    )


def flow_tables(flow: dict[str, Any], colors: dict[str, str]) -> list[dict[str, Any]]:
    """The tables: errors by rate, then AEPE by sequence."""
    names = list(dict.fromkeys(name for values in flow.values() for name in values["sequences"]))
    by_sequence = tuple(
        tables.Column(f"sequences/{name}/aepe_px", name.replace("_", " "), 2, "least", help="AEPE px, mean over rates")
        for name in names
    )
    return [
        {
            "title": title,
            "note": "",
            "columns": used,
            "rows": tables.run_rows(used, flow, "flow", colors),
            "published": [],
        }
        for title, columns in (("Errors by rate", tables.FLOW), ("AEPE by sequence", by_sequence))
        if (used := tables.used_columns(columns, list(flow.values())))
    ]


def flow_charts(flow: dict[str, Any], colors: dict[str, str]) -> list[dict[str, str]]:
    """AEPE and PCK-3 over the rate; none where there is a single rate."""
    rates = sorted({int(rate) for values in flow.values() for rate in values["rates"]})
    if len(rates) < 2:
        return []
    charts = []
    for title, key, label, percent in (
        ("Average end-point error", "aepe_px", "AEPE, px", False),
        ("Points within 3 px", "pck_percent/3", "PCK-3, %", True),
    ):
        series = [
            Series(run, colors[run], rates, [tables.lookup(values["rates"][str(rate)], key) for rate in rates])
            for run, values in flow.items()
        ]
        svg = line_chart(series, "frames between the images", label, x_range=(rates[0], rates[-1]), percent=percent)
        charts.append({"title": title, "svg": svg})
    return charts
