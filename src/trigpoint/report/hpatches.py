"""What the report shows of HPatches: a group of tables for each protocol, curves, and the originals' text tables."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trigpoint.errors import DataError
from trigpoint.evaluation.hpatches_cache import read_cached
from trigpoint.evaluation.hpatches_ime import text_table
from trigpoint.report import tables
from trigpoint.report.benchmark import BenchmarkReport
from trigpoint.report.charts import Series, line_chart, run_color
from trigpoint.report.hpatches_columns import (
    D2NET,
    D2NET_SPLITS,
    HOMOGRAPHY,
    IME,
    MATCHING,
    SPLITS,
    WITHIN,
)
from trigpoint.report.hpatches_texts import mma_text, posfeat_text
from trigpoint.report.tables import Column
from trigpoint.storage.csv_files import csv_text

CURVE_PX = range(1, 11)
MAX_SEQUENCE_COLUMNS = 12  # beyond, sequences.csv is easier to read
TOOLBOX = "Image-matching toolbox"
NOTE = (
    "Accuracies are shares of a pair's matches within so many pixels of where the true homography puts them, averaged"
    " over the pairs; a pair without matches counts as 0, as does one with an image that cannot be used. Published and"
    " cached rows are of all 108 sequences, in 540 pairs."
)


def report(metrics: dict[str, Any], colors: dict[str, str], cached: Sequence[Path]) -> BenchmarkReport:
    """The page's tables, curves and files.

    Args:
        metrics: metrics.json of the dataset; what cached files hold becomes its key `cached`.
        colors: run -> colour.
        cached: `<method>.npy` of other tools.

    Raises:
        DataError: a cached file cannot be read, or two are of one name, or of a run's.
    """
    runs = {run: values["hpatches"] for run, values in metrics["runs"].items()}
    others = _cached(cached, list(runs))
    if others:
        metrics["cached"] = others
    published = metrics.get("published", [])
    first = next(iter(runs.values()))
    legend = {**colors, **{name: run_color(len(colors) + number) for number, name in enumerate(others)}}
    return BenchmarkReport(
        what="Matching of planar scenes (HPatches)",
        truth="True homographies between image 1 of each sequence and the others.",
        note=NOTE,
        facts=[
            (str(first["sequences_evaluated"]), "sequences"),
            (f"{first['pairs']:,}", "image pairs"),
            (str(len(runs)), "runs" if len(runs) != 1 else "run"),
            *([(str(len(others)), "cached results")] if others else []),
        ],
        tables=[
            *d2net_tables(runs, colors, published, others),
            *immatch_tables(runs, colors, published, others),
            *ime_tables(runs, colors, published),
        ],
        charts=charts(runs, others, legend),
        legend=legend,
        texts=texts(runs, others, published),
        files={"sequences.csv": csv_text(rows)} if (rows := sequence_rows(runs)) else {},
    )


def _cached(paths: Sequence[Path], runs: list[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        if path.stem in found or path.stem in runs:
            raise DataError(f"{path}: a run or another file is called {path.stem}; rename it")
        found[path.stem] = read_cached(path)
    return found


def _sections(runs: dict[str, Any], protocol: str) -> dict[str, Any]:
    return {run: values[protocol] for run, values in runs.items() if protocol in values}


def _table(
    title: str,
    note: str,
    columns: tuple[Column, ...],
    values: dict[str, Any],
    section: str,
    colors: dict[str, str],
    further: Sequence[tables.Row] = (),
) -> list[dict[str, Any]]:
    """A table, or none where no run has a number for it; `further` rows have a cell for each column."""
    used = tables.used_columns(columns, list(values.values()))
    if not used:
        return []
    kept = [columns.index(column) for column in used]
    rows = [replace(row, cells=[row.cells[index] for index in kept]) for row in further]
    rows = [row for row in rows if any(cell.text != tables.ABSENT for cell in row.cells)]
    return [
        {
            "title": title,
            "note": note,
            "columns": used,
            "rows": tables.run_rows(used, values, f"hpatches/{section}", colors),
            "published": rows,
        }
    ]


def _further(
    columns: tuple[Column, ...], protocol: str, published: Sequence[dict[str, Any]], cached: dict[str, Any]
) -> list[tables.Row]:
    """Rows of cached files, then published ones."""
    entries = [
        {"method": name, "source": "files of other methods' results", "numbers": values}
        for name, values in cached.items()
    ]
    rows = [replace(row, origin="cached") for row in tables.published_rows(columns, entries, "numbers")]
    return [*rows, *tables.published_rows(columns, published, protocol)]


def d2net_tables(
    runs: dict[str, Any], colors: dict[str, str], published: Sequence[dict[str, Any]], cached: dict[str, Any]
) -> list[dict[str, Any]]:
    """MMA over all pairs, by kind of sequence, and of each sequence if there are few."""
    values = _sections(runs, "d2net")
    top_k = {section.get("top_k") for section in values.values()} - {None}
    kinds = "; ".join(f"{run}: {section['matching']}" for run, section in values.items())
    note = f"Matches: {kinds}." + (f" Features: the strongest {top_k.pop()} of an image." if top_k else "")
    names = list(dict.fromkeys(name for section in values.values() for name in section["sequences"]))
    by_sequence = tuple(
        Column(f"sequences/{name}/accuracy/3", name, 3, "most", help=f"{WITHIN} 3 px, pairs of {name}")
        for name in names
    )
    found = []
    for title, columns in (("D2-Net", D2NET), ("D2-Net, by kind of sequence", D2NET_SPLITS)):
        found += _table(title, note, columns, values, "d2net", colors, _further(columns, "d2net", published, cached))
    if len(names) <= MAX_SEQUENCE_COLUMNS:
        found += _table("D2-Net, MMA@3 of each sequence", note, by_sequence, values, "d2net", colors)
    return found


def immatch_tables(
    runs: dict[str, Any], colors: dict[str, str], published: Sequence[dict[str, Any]], cached: dict[str, Any]
) -> list[dict[str, Any]]:
    """Matching and homographies, for each score threshold."""
    sections = _sections(runs, "immatch")
    thresholds = list(dict.fromkeys(key for section in sections.values() for key in section["scores"]))
    found = []
    for threshold in thresholds:
        values = {run: own["scores"][threshold] for run, own in sections.items() if threshold in own["scores"]}
        first = next(iter(sections.values()))
        where = "" if threshold == "0" else f", scores of at least {threshold}"
        frame = f"Errors in {first['frame']}." + (" Divided by 52 and 56 sequences." if first["legacy"] else "")
        solver = f"{frame} Estimator: {first['solver']}; it moves these numbers, and published ones may have another."
        in_toolbox = {name: {"features": own["features"], "matching": own} for name, own in cached.items()}
        section = f"immatch/scores/{threshold}"
        for part, columns in MATCHING.items():
            further = _further(columns, "immatch", published, in_toolbox)
            title = f"{TOOLBOX}, matching {part}{where}"
            found += _table(title, frame, columns, values, section, colors, further)
        for part, columns in HOMOGRAPHY.items():
            further = _further(columns, "immatch", published, {})
            title = f"{TOOLBOX}, homographies {part}{where}"
            found += _table(title, solver, columns, values, section, colors, further)
    return found


def ime_tables(
    runs: dict[str, Any], colors: dict[str, str], published: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Matching and homographies as DFM and GCM report them."""
    values = _sections(runs, "ime")
    if not values:
        return []
    legacy = any(section["legacy"] for section in values.values())
    as_published = " As published: x and y of the corners are exchanged, and the last pair is left out."
    notes = {"mma": "", "homography": f"Estimator: {next(iter(values.values()))['solver']}."}
    found = []
    for title, key in (("matching", "mma"), ("homographies", "homography")):
        note = notes[key] + (as_published if legacy else "")
        for part, columns in IME[key].items():
            further = _further(columns, "ime", published, {})
            found += _table(f"IME, {title} {part}", note, columns, values, "ime", colors, further)
    return found


def charts(runs: dict[str, Any], cached: dict[str, Any], legend: dict[str, str]) -> list[dict[str, str]]:
    """D2-Net's three panels of accuracy over the threshold, and IME's homographies."""
    matching = {**_sections(runs, "d2net"), **cached}
    homography = {run: section["homography"] for run, section in _sections(runs, "ime").items()}
    found = []
    for values, title, label in (
        (matching, "Matching accuracy", "matches, %"),
        (homography, "Homography accuracy", "image pairs, %"),
    ):
        for split in SPLITS:
            series = [
                Series(
                    name,
                    legend[name],
                    list(CURVE_PX),
                    [100 * section[split]["accuracy"][str(px)] for px in CURVE_PX],
                )
                for name, section in values.items()
                if split in section
            ]
            if series:
                svg = line_chart(series, "threshold, px", label, x_range=(1, 10))
                found.append({"title": f"{title}, {split}", "svg": svg})
    return found


def texts(runs: dict[str, Any], cached: dict[str, Any], published: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The originals' text tables by file name."""
    d2net = {**_sections(runs, "d2net"), **cached}
    given = {entry["method"]: entry["d2net"] for entry in published if "d2net" in entry}
    found = {}
    if d2net:
        found["hseq.txt"] = posfeat_text({**d2net, **{f"{name} (published)": own for name, own in given.items()}})
        found["mma.txt"] = mma_text(d2net)
    ime = _sections(runs, "ime")
    for table in ("mma", "homography"):
        if ime:
            found[f"overall_results_{table}.csv"] = text_table({run: own[table] for run, own in ime.items()}, table)
    return found


def sequence_rows(runs: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each run and sequence: D2-Net's numbers."""
    return [
        {
            "run": run,
            "sequence": name,
            "pairs": own["pairs"],
            "matches": own["matches"],
            **{f"mma_{threshold}px": share for threshold, share in own["accuracy"].items()},
        }
        for run, section in _sections(runs, "d2net").items()
        for name, own in section["sequences"].items()
    ]
