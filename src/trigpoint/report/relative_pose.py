"""What the page of a benchmark of relative poses shows: every number under its estimator and what that was told."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trigpoint.report import tables
from trigpoint.report.benchmark import BenchmarkReport
from trigpoint.report.charts import Series, line_chart

NOTE = (
    "The error of a pair is the larger of its rotation's and its translation direction's, in degrees. A pair without a"
    " pose counts as 180°, and all pairs count. Numbers of two estimators or thresholds do not compare methods."
)
AUC_HELP = "area under the recall curve up to this error, divided by it"
AUC_LIMITS = (1, 3, 5, 10, 20)
ESTIMATOR_COLUMNS = (
    tables.Column("failed_pairs", "failed", best="least", help="pairs without a pose: 180°"),
    *(tables.Column(f"auc_percent/{limit}", f"AUC@{limit}° %", 1, "most", help=AUC_HELP) for limit in AUC_LIMITS),
    *(
        tables.Column(f"auc_range_percent/{limit}", f"range of @{limit}°", 1, help="largest less least repetition")
        for limit in (5, 10, 20)
    ),
    tables.Column("median_deg", "median °", 2, "least", help="error, over all pairs"),
    tables.Column("mean_inliers", "inliers", 0, help="of the estimator, mean over all pairs"),
)
COUNTS = (
    tables.Column("pairs", "pairs", help="with known cameras and poses of both images"),
    tables.Column("unusable_pairs", "unusable", help="with an image that cannot be used: 180°"),
    tables.Column("pairs_without_truth", "left out", help="pairs whose cameras or poses are not known"),
    tables.Column("mean_matches", "matches", 0, help="given to the estimators, mean over all pairs"),
)


def report(metrics: dict[str, Any], colors: dict[str, str], cached: Sequence[Path]) -> BenchmarkReport:
    """Tables by estimator, one beside another at AUC@5, and recall curves; there are no files of other methods."""
    found = {run: values["relative_pose"] for run, values in metrics["runs"].items()}
    first = next(iter(found.values()))
    return BenchmarkReport(
        what="Relative poses of image pairs",
        truth=f"Cameras and poses of the dataset; intrinsics {first['intrinsics']} to every estimator.",
        note=f"{NOTE} {_sign(first['ignore_sign'])}",
        facts=[
            (f"{first['pairs']:,}", "image pairs"),
            (str(len(first["estimators"])), "estimators and thresholds"),
            (str(len(found)), "runs" if len(found) != 1 else "run"),
        ],
        tables=[_overview(found, colors), *(_table(key, found, colors) for key in first["estimators"])],
        charts=[_chart(key, found, colors) for key in first["estimators"]],
    )


def told(values: dict[str, Any]) -> str:
    """What an estimator was told, with every number of a table."""
    times = f" to {values['seed'] + values['repetitions'] - 1}" if values["repetitions"] > 1 else ""
    return (
        f"{values['model']}, threshold {values['threshold_px']:g} px, confidence {values['confidence']:g}, at most"
        f" {values['max_iterations']:,} samples, seed {values['seed']}{times}, intrinsics given"
    )


def title_of(values: dict[str, Any]) -> str:
    """An estimator's name and threshold."""
    return f"{values['estimator']}, {values['threshold_px']:g} px"


def _sign(ignored: bool) -> str:
    return (
        "The sign of the translation is ignored, as in published tables."
        if ignored
        else "The translation's sign counts."
    )


def _overview(found: dict[str, Any], colors: dict[str, str]) -> dict[str, Any]:
    estimators = next(iter(found.values()))["estimators"]
    columns = [
        *COUNTS,
        *(
            tables.Column(
                f"estimators/{key}/auc_percent/5",
                title_of(values),
                1,
                "most",
                help=f"AUC@5° %: {told(values)}",
            )
            for key, values in estimators.items()
        ),
    ]
    rows = tables.run_rows(columns, found, "relative_pose", colors)
    return {"title": "AUC@5° % by estimator", "note": "", "columns": columns, "rows": rows, "published": []}


def _table(key: str, found: dict[str, Any], colors: dict[str, str]) -> dict[str, Any]:
    values = {run: numbers["estimators"][key] for run, numbers in found.items()}
    columns = tables.used_columns(ESTIMATOR_COLUMNS, list(values.values()))
    rows = tables.run_rows(columns, values, f"relative_pose/estimators/{key}", colors)
    one = next(iter(values.values()))
    return {"title": title_of(one), "note": told(one), "columns": columns, "rows": rows, "published": []}


def _chart(key: str, found: dict[str, Any], colors: dict[str, str]) -> dict[str, str]:
    values = {run: numbers["estimators"][key] for run, numbers in found.items()}
    series = [
        Series(run, colors[run], item["recall"]["error_deg"], item["recall"]["percent"]) for run, item in values.items()
    ]
    svg = line_chart(series, "pose error, °", "image pairs, %", x_range=(0, 10))
    return {"title": title_of(next(iter(values.values()))), "svg": svg}
