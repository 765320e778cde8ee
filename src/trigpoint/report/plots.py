"""The charts of a dataset's report, from its metrics.json alone."""

from typing import Any

import numpy as np

from trigpoint.geometry.metrics import recall_curve
from trigpoint.report.charts import Series, bar_chart, heat_map, line_chart

POSITION_RANGE_M = (0.001, 10.0)
ROTATION_RANGE_DEG = (0.01, 30.0)
MARKS = {"m": (0.25, 0.5, 5.0), "deg": (2.0, 5.0, 10.0)}  # the thresholds of the localization table


def localization_charts(metrics: dict[str, Any], colors: dict[str, str]) -> list[dict[str, str]]:
    """For each split the share of queries within a position error, and within a rotation error."""
    splits = sorted({split for values in metrics["runs"].values() for split in values.get("localization", {})})
    charts = []
    for split in splits:
        for key, label, limits in (
            ("error_m", "position error, m", POSITION_RANGE_M),
            ("error_deg", "rotation error, °", ROTATION_RANGE_DEG),
        ):
            series = _query_curves(metrics, colors, split, key, limits)
            if series:
                marks = MARKS[key.removeprefix("error_")]
                svg = line_chart(series, label, "queries, %", x_range=limits, log_x=True, marks=marks)
                charts.append({"title": f"Localization, {split}: {label.split(',')[0]}", "svg": svg})
    return charts


def _query_curves(
    metrics: dict[str, Any], colors: dict[str, str], split: str, key: str, limits: tuple[float, float]
) -> list[Series]:
    series = []
    for run, values in metrics["runs"].items():
        rows = [row for row in values["details"].get("queries", []) if row["split"] == split]
        errors = [row.get(key, np.inf) for row in rows if row["has_ground_truth"]]
        if not np.isfinite(errors).any():
            continue
        found, shares = recall_curve(errors)
        x = [limits[0], *np.repeat(found, 2), limits[1]]
        y = [0.0, *np.repeat([0.0, *shares], 2)[1:-1], shares[-1]]
        inside = int(np.searchsorted(found, limits[1], side="right"))
        cut = 2 * inside + 1
        level = shares[inside - 1] if inside else 0.0
        series.append(Series(run, colors[run], [*x[:cut], limits[1]], [100 * value for value in [*y[:cut], level]]))
    return series


def map_charts(metrics: dict[str, Any], colors: dict[str, str]) -> list[dict[str, str]]:
    """Recall of the map's relative poses; histograms of tracks, reprojection errors and verified matches."""
    charts = []
    curves = [
        Series(run, colors[run], table["error_deg"], table["percent"])
        for run, values in metrics["runs"].items()
        if (table := values["details"].get("pose_recall"))
    ]
    if curves:
        svg = line_chart(curves, "relative pose error in the map, °", "image pairs, %", x_range=(0, 10))
        charts.append({"title": "Map: relative poses", "svg": svg})
    for key, title, label, what in (
        ("track_length", "Map: track lengths", "images that see a point", "points, %"),
        ("reprojection_error_px", "Map: reprojection errors", "mean reprojection error of a point, px", "points, %"),
        ("inlier_matches", "Verified matches of image pairs", "verified matches", "verified pairs, %"),
    ):
        tables = {run: values["details"]["histograms"][key] for run, values in metrics["runs"].items()}
        if any(sum(table["counts"]) for table in tables.values()):
            charts.append({"title": title, "svg": _histogram(tables, colors, label, what)})
    return charts


def _histogram(tables: dict[str, dict[str, Any]], colors: dict[str, str], x_label: str, y_label: str) -> str:
    edges = next(iter(tables.values()))["lower_edges"]
    last = max(i for table in tables.values() for i, count in enumerate(table["counts"]) if count)
    series = []
    for run, table in tables.items():
        counts = table["counts"][: last + 1]
        total = max(sum(counts), 1)
        series.append(Series(run, colors[run], counts, [100 * count / total for count in counts]))
    return bar_chart(series, [_bin_label(edges, i) for i in range(last + 1)], x_label, y_label)


def _bin_label(edges: list[float], index: int) -> str:
    low = edges[index]
    if index + 1 == len(edges):
        return f"{low:g}+"
    high = edges[index + 1]
    if isinstance(low, int) and high > low + 1:
        return f"{low}–{high - 1}"
    return f"{low:g}"


def pair_heat_maps(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """For each run a picture of the verified matches between all map images; one scale for all runs."""
    tables = {run: values["details"].get("pairs") for run, values in metrics["runs"].items()}
    largest = max((max(table["inliers"], default=0) for table in tables.values() if table), default=0)
    maps = []
    for run, table in tables.items():
        if not table or not table["inliers"]:
            continue
        names = [row["name"] for row in metrics["runs"][run]["details"]["images"]]
        values = np.zeros((len(names), len(names)))
        values[table["image0"], table["image1"]] = table["inliers"]
        values += values.T
        maps.append({"run": run, "address": heat_map(values, largest), "size": len(names), "largest": largest})
    return maps
