"""report.html: one file with everything in it, rendered from metrics.json, timings.json and provenance.json."""

import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from trigpoint.report import pair_views, plots, tables
from trigpoint.report.charts import run_color
from trigpoint.report.unregistered import unregistered_images
from trigpoint.types import Dataset

UNITS = {"metre": ("m", "m"), "arbitrary": ("units", "units of the ground truth")}
TIME_COLUMNS = (("jobs", 0), ("wall_s", 1), ("cpu_s", 1), ("max_rss_mib", 0))


def render_page(
    dataset: Dataset,
    metrics: dict[str, Any],
    timings: dict[str, Any],
    provenance: dict[str, Any],
    scene: dict[str, Any],
    pairs: list[dict[str, Any]],
    map_pairs: dict[str, str] | None = None,
    query_pairs: dict[str, str] | None = None,
) -> str:
    """The page as text.

    Args:
        dataset: for the head: counts, licence, unusable images.
        metrics: metrics.json of the dataset; every number of a result is written from it.
        timings: timings.json.
        provenance: provenance.json.
        scene: of `scene.scene_data`, embedded for the 3D view.
        pairs: of `pair_views.pair_views`.
        map_pairs: run -> how the pairs of its map images were chosen.
        query_pairs: the same of its queries.
    """
    colors = run_colors(metrics)
    unit, unit_word = UNITS[dataset.pose_unit]
    return (
        environment()
        .get_template("template.html")
        .render(
            metrics=metrics,
            provenance=provenance,
            colors=colors,
            head={
                "licence": dataset.licence,
                "unusable": [{"name": name, "reason": reason} for name, reason in dataset.unusable],
            },
            facts=facts(dataset, metrics),
            truth_sentence=truth_sentence(dataset),
            has_truth=bool(scene["truth"]),
            splits=scene["splits"],
            tables=result_tables(metrics, provenance, colors, map_pairs or {}),
            charts=plots.localization_charts(metrics, colors) + plots.map_charts(metrics, colors),
            heat_maps=plots.pair_heat_maps(metrics),
            pair_views=pairs,
            max_lines=pair_views.MAX_LINES,
            queries=query_rows(metrics, unit),
            query_pairs=query_pairs or {},
            submissions=[dataset.submission.format(run=run) for run in metrics["runs"]] if dataset.submission else [],
            unit_word=unit_word,
            unregistered=unregistered_images(metrics),
            time_rows=time_rows(timings),
            scene=embedded_json(scene),
            css=Markup(asset("page.css")),
            viewer_js=Markup(asset("viewer.js")),
            page_js=Markup(asset("page.js")),
        )
    )


def environment() -> jinja2.Environment:
    """Templates of this folder; everything written into them is escaped."""
    loader = jinja2.FunctionLoader(asset)
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False)


def asset(name: str) -> str:
    """The text of a file beside this module."""
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def embedded_json(value: Any) -> Markup:
    """JSON for a `<script>` element: no text in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def run_colors(metrics: dict[str, Any]) -> dict[str, str]:
    """Run -> its colour on the page."""
    return {run: run_color(index) for index, run in enumerate(metrics["runs"])}


def facts(dataset: Dataset, metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """The counts in the page's head."""
    queries = dataset.with_role("query")
    rows: list[dict[str, Any]] = [{"value": f"{len(dataset.with_role('map')):,}", "label": "map images"}]
    for split in sorted({query.split for query in queries}):
        count = sum(query.split == split for query in queries)
        rows.append({"value": f"{count:,}", "label": f"queries, {split}" if split else "queries"})
    if dataset.unusable:
        rows.append(
            {
                "value": f"{len(dataset.unusable):,}",
                "label": "unusable image" + "s" * (len(dataset.unusable) > 1),
                "bad": True,
            }
        )
    rows.append({"value": str(len(metrics["runs"])), "label": "run" if len(metrics["runs"]) == 1 else "runs"})
    return rows


def truth_sentence(dataset: Dataset) -> str:
    """What the errors are measured against."""
    if not dataset.poses:
        return "No ground-truth poses: sizes and fit of the maps say little about their accuracy."
    unit = "metres" if dataset.pose_unit == "metre" else "a unit without scale"
    shared = f"Ground-truth poses of {len(dataset.poses):,} images, in {unit}."
    if not dataset.reference_images:
        return shared
    return f"{shared} Those of {len(dataset.reference_images):,} images may be used as given."


def intrinsics_sentence(provenance: dict[str, Any]) -> str:
    """Whether cameras were given or estimated, by run where they differ; empty for databases that do not say."""
    found = {run: stages.get("database", {}).get("intrinsics") for run, stages in provenance["runs"].items()}
    known = {run: word for run, word in found.items() if word}
    words = {"given": "given with the dataset", "estimate": "estimated"}
    if len(set(known.values())) == 1:
        word = next(iter(known.values()))
        return f"Intrinsics: {words.get(word, word)}."
    parts = ", ".join(f"{run} {words.get(word, word)}" for run, word in known.items())
    return f"Intrinsics: {parts}." if parts else ""


def pairs_sentence(map_pairs: dict[str, str]) -> str:
    """How map images were paired, by run where they differ; empty if no list says."""
    if len(set(map_pairs.values())) == 1:
        return f"Pairs: {next(iter(map_pairs.values()))}."
    return f"Pairs: {'; '.join(f'{run} {text}' for run, text in map_pairs.items())}." if map_pairs else ""


def result_tables(
    metrics: dict[str, Any], provenance: dict[str, Any], colors: dict[str, str], map_pairs: dict[str, str]
) -> list[dict[str, Any]]:
    """The tables of the results section; one without a number is left out."""
    runs: dict[str, Any] = metrics["runs"]
    published = metrics.get("published", [])
    made = f"{intrinsics_sentence(provenance)} {pairs_sentence(map_pairs)}".strip()
    found = [
        _table("Maps", tables.MAPPING, runs, "mapping", colors, published, note=made),
        _table(
            "Map poses against ground truth",
            tables.MAP_POSES,
            runs,
            "mapping",
            colors,
            published,
            note="Over all pairs of map images with ground truth; a pair with an unregistered image counts as 180°.",
        ),
    ]
    for split in sorted({split for values in runs.values() for split in values.get("localization", {})}):
        title = f"Localization of queries, {split}" if split != "all" else "Localization of queries"
        section = f"localization/{split}"
        note = (
            "A query without a pose is a miss in every recall and an infinite error in the median. A map made without"
            " reference poses is laid over the ground truth by a robust similarity of its camera centres first."
        )
        found.append(_table(title, tables.LOCALIZATION, runs, section, colors, published, note, published_in=section))
    two_view = next((values["relative_pose"] for values in runs.values() if "relative_pose" in values), None)
    if two_view:
        note = (
            f"Each matched pair on its own: {two_view['estimator']}, {two_view['threshold_px']:g} px,"
            f" seed {two_view['seed']}, given intrinsics."
        )
        found.append(
            _table(
                "Relative poses of image pairs",
                tables.RELATIVE_POSE,
                runs,
                "relative_pose",
                colors,
                published,
                note,
                published_in="relative_pose",
            )
        )
    note = "What became of the correspondences of methods that match image pairs, whose points the pairs do not share."
    merged = {run: values for run, values in runs.items() if "merging" in values}
    found.append(_table("Merged keypoints", tables.MERGING, merged, "merging", colors, [], note))
    return [table for table in found if table["columns"]]


def _table(
    title: str,
    columns: tuple[tables.Column, ...],
    runs: dict[str, Any],
    section: str,
    colors: dict[str, str],
    published: Sequence[dict[str, Any]],
    note: str = "",
    published_in: str = "",
) -> dict[str, Any]:
    values = {run: tables.lookup(numbers, section) or {} for run, numbers in runs.items()}
    used = tables.used_columns(columns, list(values.values()))
    return {
        "title": title,
        "note": note,
        "columns": used,
        "rows": tables.run_rows(used, values, section, colors),
        "published": tables.published_rows(used, published, published_in),
    }


def query_rows(metrics: dict[str, Any], unit: str) -> dict[str, list[dict[str, Any]]]:
    """Run -> a row for each of its queries; empty where no run has any."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run, values in metrics["runs"].items():
        rows = values["details"].get("queries", [])
        if rows:
            found[run] = [_query_row(run, index, row, unit) for index, row in enumerate(rows)]
    return found


def _query_row(run: str, index: int, row: dict[str, Any], unit: str) -> dict[str, Any]:
    columns = (
        ("num_references", 0),
        ("cluster", 0),
        ("num_matches", 0),
        ("num_inliers", 0),
        (f"error_{unit}", 3),
        ("error_deg", 3),
    )
    cells = [
        tables.Cell(
            tables.write_number(row.get(key), decimals),
            f"runs/{run}/details/queries/{index}/{key}" if key in row else "",
        )
        for key, decimals in columns
    ]
    outcome = row.get("status", "localized" if row["localized"] else "no pose")
    if row.get("reason"):
        outcome += f": {row['reason']}"
    return {key: row[key] for key in ("name", "split", "localized")} | {"outcome": outcome, "cells": cells}


def time_rows(timings: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows by run and rule; a total after each run."""
    rows = []
    for run, rules in [*timings["runs"].items(), ("", timings["dataset"])]:
        base = f"runs/{run}" if run else "dataset"
        for rule, values in rules.items():
            cells = [
                tables.Cell(
                    tables.write_number(values.get(key), decimals), f"{base}/{rule}/{key}" if key in values else ""
                )
                for key, decimals in TIME_COLUMNS
            ]
            rows.append({"run": run, "rule": rule, "cells": cells, "total": False})
        if run and len(rules) > 1:
            rows.append({"run": run, "rule": "all rules", "cells": _total(rules), "total": True})
    return rows


def _total(rules: dict[str, Any]) -> list[tables.Cell]:
    cells = []
    for key, decimals in TIME_COLUMNS:
        numbers = [values[key] for values in rules.values() if key in values]
        total = (max(numbers) if key == "max_rss_mib" else sum(numbers)) if numbers else None
        cells.append(tables.Cell(tables.write_number(total, decimals)))
    return cells
