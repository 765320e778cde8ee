"""What the page of the Image Matching Challenge shows: both tasks, by scene and by size of the bags."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trigpoint.report import tables
from trigpoint.report.benchmark import BenchmarkReport
from trigpoint.report.charts import Series, line_chart

NOTE = (
    "mAA: the share of pairs within 1, 2, ... 10 degrees, their mean. The error of a pair is the larger of rotation and"
    " translation direction, whose sign is ignored. A pair without a pose counts as wrong; so does every pair with an"
    " image that a bag's map left out. Means over scenes are unweighted."
)
MAA = "share of pairs within 1, 2, ... 10 degrees, their mean"
OVERVIEW = (
    tables.Column("mean/maa_10_percent", "mean %", 1, "most", help="of both tasks, as the challenge ranks"),
    tables.Column("stereo/mean/maa_10_percent", "stereo mAA@10° %", 1, "most", help=MAA),
    tables.Column("multiview/mean/maa_10_percent", "multiview mAA@10° %", 1, "most", help=MAA),
    tables.Column("stereo/mean/maa_5_percent", "stereo mAA@5° %", 1, "most"),
    tables.Column("multiview/mean/maa_5_percent", "multiview mAA@5° %", 1, "most"),
)
STEREO = (
    tables.Column("pairs", "pairs", help="with enough co-visibility"),
    tables.Column("failed_pairs", "failed", best="least", help="pairs without a pose"),
    tables.Column("maa_5_percent", "mAA@5° %", 1, "most", help=MAA),
    tables.Column("maa_10_percent", "mAA@10° %", 1, "most", help=MAA),
    tables.Column("mean_keypoints", "keypoints", 0, help="an image, mean over pairs"),
    tables.Column("mean_matches", "matches", 0, help="given to the estimator, mean over pairs"),
    tables.Column("mean_inliers", "inliers", 0, help="of the estimator, mean over pairs"),
    *(
        tables.Column(
            f"repeatability_percent/{px}", f"repeat. {px} px %", 1, "most", help="keypoints seen again, by depth"
        )
        for px in (1, 3)
    ),
    *(
        tables.Column(f"matching_score_percent/{px}", f"correct {px} px %", 1, "most", help="matches, by depth")
        for px in (1, 3)
    ),
)
BAGS = (
    tables.Column("bags", "bags"),
    tables.Column("reconstructed", "with a map", best="most", of="bags"),
    tables.Column("registered_percent", "images in it %", 1, "most"),
    tables.Column("maa_5_percent", "mAA@5° %", 1, "most", help=MAA),
    tables.Column("maa_10_percent", "mAA@10° %", 1, "most", help=MAA),
    tables.Column(
        "ate_percent",
        "ATE %",
        1,
        "least",
        help="RMSE of the registered centres over the spread of all; 100 without a map",
    ),
    tables.Column("points3D", "points", 0, "most", help="mean over maps"),
    tables.Column("track_length", "track length", 2, "most", help="mean over maps"),
)


def report(metrics: dict[str, Any], colors: dict[str, str], cached: Sequence[Path]) -> BenchmarkReport:
    """Tables of both tasks and curves of the stereo task; there are no files of other methods."""
    found = {run: values["imc"] for run, values in metrics["runs"].items()}
    first = next(iter(found.values()))
    scenes = list(first["stereo"]["scenes"])
    used = tables.used_columns(OVERVIEW, list(found.values()))
    overview = _table("Both tasks", "", used, tables.run_rows(used, found, "imc", colors))
    return BenchmarkReport(
        what="Image Matching Challenge",
        truth=f"Scenes: {', '.join(scenes)}; poses and intrinsics of the benchmark's own large maps.",
        note=NOTE,
        facts=[
            (str(len(scenes)), "scenes" if len(scenes) != 1 else "scene"),
            (f"{sum(values['pairs'] for values in first['stereo']['scenes'].values()):,}", "image pairs"),
            (f"{sum(_bag_counts(first)):,}", "bags"),
            (str(len(found)), "runs" if len(found) != 1 else "run"),
        ],
        tables=[
            overview,
            *(
                _section(f"Stereo, {scene}", told(first), STEREO, found, f"stereo/scenes/{scene}", colors)
                for scene in scenes
            ),
            *(
                _section(
                    f"Multiview, {scene}, bags of {size}",
                    f"incremental maps, intrinsics: {first['multiview']['intrinsics']}",
                    BAGS,
                    found,
                    f"multiview/scenes/{scene}/bags/{size}",
                    colors,
                )
                for scene in scenes
                for size in first["multiview"]["scenes"][scene]["bags"]
            ),
        ],
        charts=[_chart(scene, found, colors) for scene in scenes],
    )


def told(values: dict[str, Any]) -> str:
    """The estimator of the stereo task and what it was told."""
    stereo = values["stereo"]
    times = f" to {stereo['seed'] + stereo['repetitions'] - 1}" if stereo["repetitions"] > 1 else ""
    return (
        f"{stereo['estimator']} ({stereo['model']}), threshold {stereo['threshold_px']:g} px, confidence"
        f" {stereo['confidence']:g}, at most {stereo['max_iterations']:,} samples, seed {stereo['seed']}{times},"
        f" intrinsics {stereo['intrinsics']}, co-visibility at least {stereo['covisibility']:g}"
    )


def _bag_counts(values: dict[str, Any]) -> list[int]:
    return [size["bags"] for scene in values["multiview"]["scenes"].values() for size in scene["bags"].values()]


def _section(
    title: str, note: str, columns: tuple[tables.Column, ...], found: dict[str, Any], key: str, colors: dict[str, str]
) -> dict[str, Any]:
    values = {run: tables.lookup(numbers, key) or {} for run, numbers in found.items()}
    used = tables.used_columns(columns, list(values.values()))
    return _table(title, note, used, tables.run_rows(used, values, f"imc/{key}", colors))


def _table(title: str, note: str, columns: list[tables.Column], rows: list[tables.Row]) -> dict[str, Any]:
    return {"title": title, "note": note, "columns": columns, "rows": rows, "published": []}


def _chart(scene: str, found: dict[str, Any], colors: dict[str, str]) -> dict[str, str]:
    series = [
        Series(run, colors[run], range(11), [0.0, *values["stereo"]["scenes"][scene]["within_deg_percent"]])
        for run, values in found.items()
    ]
    svg = line_chart(series, "pose error, °", "image pairs, %", x_range=(0, 10))
    return {"title": f"Stereo, {scene}", "svg": svg}
