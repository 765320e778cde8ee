"""One page for several datasets: their runs side by side, with each dataset's own report beside it."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from trigpoint.errors import EmptyResultError, StorageError
from trigpoint.report import tables
from trigpoint.report.build import write_summary
from trigpoint.report.charts import run_color
from trigpoint.report.page import asset, environment
from trigpoint.report.unregistered import reason_counts
from trigpoint.storage.atomic import atomic_path
from trigpoint.storage.json_files import read_json, write_json

REPORT_FILES = ("report.html", "metrics.json", "summary.csv", "timings.json", "provenance.json")


def write_collection(collection: str, reports: Sequence[Path], output: Path) -> None:
    """Write report.html, metrics.json and summary.csv of a collection, and a copy of each dataset's report below it.

    Args:
        collection: its id.
        reports: folders that `trigpoint report` wrote, in the order of the tables.
        output: folder to replace.

    Raises:
        EmptyResultError: no reports.
        StorageError: a report is incomplete, or two are of one dataset.
    """
    if not reports:
        raise EmptyResultError(f"{output}: a collection needs at least one report; give them with --reports")
    folders: dict[str, Path] = {}
    datasets: dict[str, Any] = {}
    for folder in reports:
        for name in REPORT_FILES:
            if not (folder / name).is_file():
                raise StorageError(f"{folder / name}: no such file; `trigpoint report` writes it")
        metrics = read_json(folder / "metrics.json")
        dataset = metrics["dataset"]
        if dataset in folders:
            raise StorageError(f"{folder}: a second report of dataset '{dataset}', after {folders[dataset]}")
        folders[dataset], datasets[dataset] = folder, metrics
    numbers = {"collection": collection, "datasets": datasets}
    with atomic_path(output) as made:
        made.mkdir()
        (made / "report.html").write_text(render_collection(numbers), encoding="utf-8")
        write_json(made / "metrics.json", numbers)
        write_summary(made / "summary.csv", {dataset: metrics["runs"] for dataset, metrics in datasets.items()})
        for dataset, folder in folders.items():
            (made / dataset).mkdir()
            for name in REPORT_FILES:
                shutil.copyfile(folder / name, made / dataset / name)


def render_collection(numbers: dict[str, Any]) -> str:
    """The page as text: one table for each section, a group of rows for each dataset."""
    runs = list(dict.fromkeys(run for metrics in numbers["datasets"].values() for run in metrics["runs"]))
    colors = {run: run_color(index) for index, run in enumerate(runs)}
    return (
        environment()
        .get_template("collection.html")
        .render(
            collection=numbers["collection"],
            datasets=list(numbers["datasets"]),
            runs=runs,
            sources=list(
                dict.fromkeys(
                    str(row.get("source", ""))
                    for metrics in numbers["datasets"].values()
                    for row in metrics.get("published", [])
                )
            ),
            tables=[table for table in _tables(numbers, colors) if table["groups"]],
            missing=[
                {"dataset": dataset, "color": colors[item["run"]], **item}
                for dataset, metrics in numbers["datasets"].items()
                for item in reason_counts(metrics)
            ],
            css=Markup(asset("page.css")),
        )
    )


def _tables(numbers: dict[str, Any], colors: dict[str, str]) -> list[dict[str, Any]]:
    splits = sorted(
        {
            split
            for metrics in numbers["datasets"].values()
            for values in metrics["runs"].values()
            for split in values.get("localization", {})
        }
    )
    wanted = [("Maps", tables.MAPPING, "mapping"), ("Map poses against ground truth", tables.MAP_POSES, "mapping")]
    wanted += [(f"Localization of queries, {split}", tables.LOCALIZATION, f"localization/{split}") for split in splits]
    wanted += [("Relative poses of image pairs", tables.RELATIVE_POSE, "relative_pose")]
    wanted += [("Dense flow", tables.FLOW, "flow")]
    return [_table(title, columns, section, numbers, colors) for title, columns, section in wanted]


def _table(
    title: str,
    columns: tuple[tables.Column, ...],
    section: str,
    numbers: dict[str, Any],
    colors: dict[str, str],
) -> dict[str, Any]:
    values = {
        dataset: {run: tables.lookup(item, section) or {} for run, item in metrics["runs"].items()}
        for dataset, metrics in numbers["datasets"].items()
    }
    used = tables.used_columns(columns, [item for runs in values.values() for item in runs.values()])
    groups = [
        {
            "dataset": dataset,
            "rows": tables.run_rows(used, runs, section, colors),
            "published": tables.published_rows(
                used, numbers["datasets"][dataset].get("published", []), "" if section == "mapping" else section
            ),
        }
        for dataset, runs in values.items()
        if tables.used_columns(used, list(runs.values()))
    ]
    return {"title": title, "columns": used, "groups": groups}
