"""The report of a dense flow benchmark: tables of errors by rate and by sequence, and how they grow with the rate."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from trigpoint.errors import EmptyResultError
from trigpoint.report import tables
from trigpoint.report.build import dataset_metrics, write_summary
from trigpoint.report.charts import Series, line_chart
from trigpoint.report.page import asset, environment, run_colors, time_rows
from trigpoint.report.provenance import provenance
from trigpoint.report.timings import read_timings
from trigpoint.storage.atomic import atomic_path
from trigpoint.storage.json_files import write_json
from trigpoint.types import Dataset

_logger = logging.getLogger(__name__)


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
    timings = read_timings(benchmarks, list(runs))
    origin = provenance(dataset.id, work, list(runs), list(left_out), settings, flow)
    for values in flow.values():
        del values["made_with"], values["kernel_backends"]  # in provenance, without this machine's folders
    summary = {
        run: {"flow": {key: value for key, value in values.items() if key != "aepe_px"}} for run, values in flow.items()
    }
    with atomic_path(output) as folder:
        folder.mkdir()
        (folder / "report.html").write_text(render(dataset, metrics, timings, origin), encoding="utf-8")
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "timings.json", timings)
        write_json(folder / "provenance.json", origin)
        write_summary(folder / "summary.csv", {dataset.id: summary})
    _logger.info("%s: report of %d runs", output, len(runs))


def render(dataset: Dataset, metrics: dict[str, Any], timings: dict[str, Any], origin: dict[str, Any]) -> str:
    """The page as text; every number of a result is written from `metrics`."""
    colors = run_colors(metrics)
    flow = {run: values["flow"] for run, values in metrics["runs"].items()}
    first = next(iter(flow.values()))
    return (
        environment()
        .get_template("flow.html")
        .render(
            metrics=metrics,
            provenance=origin,
            colors=colors,
            licence=dataset.licence,
            unusable=dataset.unusable,
            facts=[
                (f"{first['pairs']:,}", "image pairs"),
                (f"{first['points']:,}", "ground-truth points"),
                (str(len(first["sequences"])), "sequences"),
                (str(len(flow)), "runs" if len(flow) != 1 else "run"),
            ],
            tables=flow_tables(flow, colors),
            charts=flow_charts(flow, colors),
            time_rows=time_rows(timings),
            css=Markup(asset("page.css")),
        )
    )


def flow_tables(flow: dict[str, Any], colors: dict[str, str]) -> list[dict[str, Any]]:
    """The tables: errors by rate, then AEPE by sequence."""
    names = list(dict.fromkeys(name for values in flow.values() for name in values["sequences"]))
    by_sequence = tuple(
        tables.Column(f"sequences/{name}/aepe_px", name.replace("_", " "), 2, "least", help="AEPE px, mean over rates")
        for name in names
    )
    return [
        {"title": title, "columns": used, "rows": tables.run_rows(used, flow, "flow", colors)}
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
