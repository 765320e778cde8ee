"""The tables of the report: which numbers, how they are written, and which of a column is the best."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

ABSENT = "–"


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        key: path of the number below a row's value, parts separated by `/`.
        title: head of the column.
        decimals: written after the point; 0 for counts, with thousands separated.
        best: which of several runs is marked.
        of: key of the count that the number is out of; written `11 / 12`, and marked when it is less.
        help: what the number means, shown on hovering.
        beside: key of a number; the column is left out where it tells nothing else in any row.
    """

    key: str
    title: str
    decimals: int = 0
    best: Literal["", "most", "least"] = ""
    of: str = ""
    help: str = ""
    beside: str = ""


@dataclass(frozen=True)
class Cell:
    """One written number: `path` leads to it in metrics.json, empty for published rows and absent numbers."""

    text: str
    path: str = ""
    marks: str = ""


@dataclass(frozen=True)
class Row:
    """One row: a run, or a published result with its source."""

    name: str
    cells: list[Cell]
    color: str = ""
    source: str = ""
    origin: str = "published"  # or another word for where the source is


_AUC_HELP = "area under the recall curve of the larger of rotation and translation direction error, over all pairs"
MAPPING = (
    Column("registered", "registered", best="most", of="images", help="map images with a pose in the model"),
    Column("points3D", "points", best="most", help="3D points"),
    Column("observations", "observations", best="most", help="keypoints that see a point"),
    Column("mean_observations_per_image", "obs. / image", 1, "most"),
    Column("mean_track_length", "track length", 3, "most", help="observations per point, mean"),
    Column("mean_reprojection_error_px", "reproj. px", 3, "least", help="mean over points, pixels"),
    Column("inlier_pairs", "verified pairs", help="image pairs that passed geometric verification"),
    Column("inlier_matches", "inlier matches", best="most", help="matches of these pairs that fit their geometry"),
)
MAP_POSES = (
    Column("center_rmse_m", "centre RMSE m", 4, "least", help="camera centres after a similarity fitted to them"),
    Column("center_rmse_units", "centre RMSE", 4, "least", help="in the ground truth's unit, which has no scale"),
    Column("rotation_median_deg", "rotation median °", 3, "least", help="registered images, after the same similarity"),
    *(
        Column(f"auc_percent/{limit}", f"AUC@{limit}° %", 1, "most", help=f"{_AUC_HELP}; unregistered images as 180°")
        for limit in (1, 3, 5, 10)
    ),
)
LOCALIZATION = (
    Column("localized", "localized", best="most", of="queries", help="queries with a pose"),
    *(
        Column(f"recall_percent/{key}", title, 1, "most", help="percent of the queries within both thresholds")
        for key, title in (
            ("0.25m_2deg", "0.25 m, 2° %"),
            ("0.5m_5deg", "0.5 m, 5° %"),
            ("5m_10deg", "5 m, 10° %"),
        )
    ),
    Column("median_m", "median m", 3, "least", help="over all queries, a miss counting as infinite"),
    Column("median_units", "median", 3, "least", help="over all queries, in the ground truth's unit without scale"),
    Column("median_deg", "median °", 3, "least", help="over all queries, a miss counting as infinite"),
    *(
        Column(
            f"median_localized_{unit}",
            f"median {sign} (localized)",
            3,
            help="over localized queries only, as others report",
            beside=f"median_{unit}",
        )
        for unit, sign in (("m", "m"), ("deg", "°"))
    ),
)
RELATIVE_POSE = (
    Column("pairs", "pairs", of="eligible_pairs", help="evaluated, of the matched pairs with ground truth and cameras"),
    Column("failed_pairs", "failed", best="least", help="pairs without an estimate; they count as 180°"),
    *(
        Column(f"auc_percent/{limit}", f"AUC@{limit}° %", 1, "most", help=_AUC_HELP + ", each estimated on its own")
        for limit in (1, 3, 5, 10, 20)
    ),
)

MERGING = (
    Column("correspondences", "correspondences", help="of the method, over all pairs of map images"),
    Column("matches", "matches", help="between shared keypoints, one to one"),
    Column("lost_percent", "lost %", 1, "least", help="no keypoint in reach, beaten by a better one, few, or weak"),
    Column("lost/far", "too far", help="an end without a keypoint in reach"),
    Column("lost/rival", "beaten", help="a better correspondence of the pair holds one of the keypoints"),
    Column("lost/few", "in small pairs", help="of pairs that were left with too few matches"),
    Column("lost/weak", "weak", help="left out by their score before they were quantised"),
    Column("joined", "joined", help="became equal to another one of their pair; not lost"),
    Column("mean_shift_px", "shift px", 2, "least", help="from a point to its shared keypoint, mean over matches"),
    Column("keypoints", "keypoints", help="shared, of all map images"),
    Column("matched_once_percent", "in one pair %", 1, "least", help="of the matched keypoints: two-view tracks"),
    Column("queries/correspondences", "of queries", help="correspondences of pairs with a query"),
    Column("queries/lost_percent", "lost %", 1, "least", help="of those: a map image has no keypoint there, or beaten"),
)

_AEPE_HELP = "end-point error, mean over points, pairs, then sequences; a point without a flow counts with zero flow"
FLOW = (
    Column("mean/aepe_px", "AEPE px", 2, "least", help=f"{_AEPE_HELP}; mean over the rates"),
    *(
        Column(f"rates/{rate}/aepe_px", f"rate {rate}", 2, "least", help=f"{_AEPE_HELP}; {rate} frames apart")
        for rate in (3, 5, 7, 9, 11, 13, 15)
    ),
    *(
        Column(f"mean/pck_percent/{px}", f"PCK-{px} %", 1, "most", help=f"points with an error up to {px} px")
        for px in (1, 3, 5)
    ),
    Column("mean/fl_percent", "Fl %", 1, "least", help="points with an error above 3 px and 5 % of the flow's length"),
    Column("pairs", "pairs"),
    Column("failed_pairs", "failed pairs", best="least", help="pairs without a flow at any point"),
    Column("points_without_flow", "points without flow", best="least"),
)


def lookup(value: Any, key: str) -> Any:
    """The value at a path of keys separated by `/`; None if there is none."""
    for part in key.split("/"):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return value


def write_number(value: float | None, decimals: int) -> str:
    """A number as the tables write it; an absent one is a dash."""
    return ABSENT if value is None else f"{value:,.{decimals}f}"


def used_columns(columns: Sequence[Column], values: Sequence[dict[str, Any]]) -> list[Column]:
    """The columns that at least one row has a number for, one that is not in the column beside it."""
    return [column for column in columns if any(_tells(column, value) for value in values)]


def _tells(column: Column, value: dict[str, Any]) -> bool:
    number = lookup(value, column.key)
    return number is not None and not (column.beside and lookup(value, column.beside) == number)


def run_rows(
    columns: Sequence[Column], values: dict[str, dict[str, Any]], section: str, colors: dict[str, str]
) -> list[Row]:
    """Rows of the runs.

    Args:
        columns: of the table.
        values: run -> its numbers of this section; a run without the section has an empty one.
        section: path of the numbers below the run in metrics.json.
        colors: run -> colour.
    """
    best = {column.key: _best(column, list(values.values())) for column in columns}
    return [
        Row(
            run,
            [_cell(column, numbers, f"runs/{run}/{section}/{column.key}", best[column.key]) for column in columns],
            color=colors[run],
        )
        for run, numbers in values.items()
    ]


def published_rows(columns: Sequence[Column], published: Sequence[dict[str, Any]], section: str = "") -> list[Row]:
    """Rows of published results that have a number for one of the columns; `section` is a key that holds them."""
    rows = []
    for entry in published:
        numbers = lookup(entry, section) if section else entry
        if numbers is None or not used_columns(columns, [numbers]):
            continue
        cells = [Cell(write_number(lookup(numbers, column.key), column.decimals)) for column in columns]
        rows.append(Row(str(entry.get("method", "published")), cells, source=str(entry.get("source", ""))))
    return rows


def _best(column: Column, values: list[dict[str, Any]]) -> float | None:
    """The value to mark, as it is written; none for a column without order, or where all runs are equal."""
    found = [lookup(value, column.key) for value in values]
    numbers = {round(number, column.decimals) for number in found if number is not None}
    if not column.best or len(numbers) < 2:
        return None
    return max(numbers) if column.best == "most" else min(numbers)


def _cell(column: Column, numbers: dict[str, Any], path: str, best: float | None) -> Cell:
    value = lookup(numbers, column.key)
    if value is None:
        return Cell(ABSENT, marks="absent")
    marks = ["best"] if best is not None and round(value, column.decimals) == best else []
    text = write_number(value, column.decimals)
    total = lookup(numbers, column.of) if column.of else None
    if total is not None:
        text = f"{text} / {write_number(total, 0)}"
        marks += ["short"] if value < total else []
    return Cell(text, path, " ".join(marks))
