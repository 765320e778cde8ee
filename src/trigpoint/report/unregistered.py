"""Map images without a pose: how many of each run for which reason, and every one with what it fell short of."""

from collections import Counter
from typing import Any

from trigpoint.report import tables

# what a reason means, for the page; those of mapping/components.py, in the order an image passes them
MEANINGS = {
    "no pairs": "in no pair that was matched",
    "no keypoints": "nothing was found in it",
    "no matches": "its pairs have none",
    "no verified pairs": "no pair passed the geometric verification",
    "component": "its verified pairs do not lead to the map",
    "not registered": "they do, but the mapper found no pose",
}
COLUMNS = (
    tables.Column("keypoints", "keypoints"),
    tables.Column("pairs", "pairs", help="pairs that were matched"),
    tables.Column("most_matches", "most matches", help="of one of its pairs, before verification"),
    tables.Column("verified_pairs", "verified pairs", help="that passed the geometric verification"),
    tables.Column("most_inliers", "most verified", help="verified matches of one of its pairs"),
    tables.Column("group_images", "group", help="images that verified pairs connect it with, itself included"),
)


def unregistered_images(metrics: dict[str, Any]) -> dict[str, Any]:
    """What the page shows: `columns` that are known, a row an image in `rows`, and the `counts` of each run."""
    found = [
        (run, index, row)
        for run, values in metrics["runs"].items()
        for index, row in enumerate(values["details"]["images"])
        if not row["registered"]
    ]
    columns = tables.used_columns(COLUMNS, [row for _, _, row in found])
    rows = [
        {
            "run": run,
            "name": row["name"],
            "reason": row.get("reason", "not registered"),
            "cells": [_cell(column, row, f"runs/{run}/details/images/{index}") for column in columns],
        }
        for run, index, row in found
    ]
    meanings = {reason: MEANINGS[reason] for reason in MEANINGS if any(row["reason"] == reason for row in rows)}
    return {"columns": columns, "rows": rows, "counts": reason_counts(metrics), "meanings": meanings}


def reason_counts(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """For each run that left images out: `run`, `missing` of `images`, and the `reasons` with their counts as text."""
    found = []
    for run, values in metrics["runs"].items():
        images = values.get("details", {}).get("images", [])
        reasons = Counter(row.get("reason", "not registered") for row in images if not row["registered"])
        if reasons:
            text = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
            found.append({"run": run, "missing": reasons.total(), "images": len(images), "reasons": text})
    return found


def _cell(column: tables.Column, row: dict[str, Any], path: str) -> tables.Cell:
    value = row.get(column.key)
    return tables.Cell(tables.write_number(value, 0), f"{path}/{column.key}" if value is not None else "")
