"""Time and memory of the rules, from the files of Snakemake's `benchmark:`."""

import csv
import math
from pathlib import Path
from typing import Any


def read_timings(folder: Path, runs: list[str]) -> dict[str, Any]:
    """Wall time, processor time and peak memory of each rule; several files of a rule (shards) are one row.

    Args:
        folder: holds `<run>/<rule>.tsv`, `<run>/<rule>/<shard>.tsv` and, for rules of the dataset, `<rule>.tsv`. A
            missing folder has no timings.
        runs: names of its subfolders that belong to runs.

    Returns:
        {"runs": {run: {rule: {"jobs", "wall_s", "cpu_s", "max_rss_mib"}}}, "dataset": {rule: ...}}: times are sums over
        the jobs, memory the largest; what Snakemake could not measure is absent.
    """
    return {
        "runs": {
            run: _rules(sorted((folder / run).rglob("*.tsv")), folder / run) for run in runs if (folder / run).is_dir()
        },
        "dataset": _rules(sorted(folder.glob("*.tsv")), folder),  # folders beside these files belong to runs
    }


def _rules(paths: list[Path], folder: Path) -> dict[str, Any]:
    """The rules of one folder in the order they ended in, so that a table reads like the run."""
    files: dict[str, list[Path]] = {}
    for path in paths:
        files.setdefault(path.relative_to(folder).parts[0].removesuffix(".tsv"), []).append(path)
    ended = {rule: max(path.stat().st_mtime for path in paths) for rule, paths in files.items()}
    return {rule: _sum(files[rule]) for rule in sorted(files, key=lambda rule: (ended[rule], rule))}


def _sum(paths: list[Path]) -> dict[str, Any]:
    rows = [row for path in paths for row in _read(path)]
    values: dict[str, Any] = {"jobs": len(rows)}
    for key, column in (("wall_s", "s"), ("cpu_s", "cpu_time"), ("max_rss_mib", "max_rss")):
        numbers = [row[column] for row in rows if column in row]
        if numbers:
            values[key] = round(max(numbers) if key == "max_rss_mib" else sum(numbers), 3)
    return values


def _read(path: Path) -> list[dict[str, float]]:
    """The rows of a benchmark file; Snakemake writes `-` or `NA` for what it could not sample."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {key: number for key, text in row.items() if (number := _number(text)) is not None}
            for row in csv.DictReader(file, delimiter="\t")
        ]


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
