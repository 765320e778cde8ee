"""`trigpoint summary`: print the table of a finished dataset and where its report lies."""

import argparse
import sys
from pathlib import Path
from typing import Any

from trigpoint.errors import StorageError
from trigpoint.storage.json_files import read_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=Path, help="results folder of one dataset, e.g. results/demo")


def run(args: argparse.Namespace) -> None:
    path = args.results / "metrics.json"
    if not path.is_file():
        raise StorageError(f"{path}: there is no such file; make it with: snakemake --cores 8 {args.results}")
    metrics = read_json(path)
    for name, values in metrics["runs"].items():
        if "mapping" not in values:
            raise StorageError(f"{path}: {name} made no map; its numbers are in {args.results / 'summary.csv'}")
    rows = [
        [
            "run",
            "registered",
            "points3D",
            "reproj. px",
            "split",
            "localized",
            "recall % 0.25m,2° / 0.5m,5° / 5m,10°",
            "median m / °",
        ]
    ]
    for name, values in metrics["runs"].items():
        rows += run_rows(name, values)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")
    sys.stdout.write(f"\nreport: {args.results / 'report.html'}\n")


def run_rows(name: str, values: dict[str, Any]) -> list[list[str]]:
    """The lines of one run: one for each split of its queries, or one for the map alone."""
    mapping = values["mapping"]
    head = [
        name,
        f"{mapping['registered']}/{mapping['images']}",
        str(mapping["points3D"]),
        f"{mapping['mean_reprojection_error_px']:.3f}" if "mean_reprojection_error_px" in mapping else "-",
    ]
    rows = [
        [
            *head,
            split,
            f"{numbers['localized']}/{numbers['queries']}",
            " / ".join(f"{value:.1f}" for value in numbers.get("recall_percent", {}).values()) or "-",
            f"{numbers['median_m']:.3f} / {numbers['median_deg']:.2f}" if "median_m" in numbers else "-",
        ]
        for split, numbers in values.get("localization", {}).items()
    ]
    return rows or [[*head, "-", "-", "-", "-"]]
