"""Histograms of a map, for the plots of the report."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from trigpoint.storage.colmap import DatabaseSummary

TRACK_LENGTHS = (*range(2, 16), 20, 30, 50)  # lower edges; the last bin is open
REPROJECTION_ERRORS_PX = tuple(
    round(0.1 * step, 1) for step in range(41)
)  # the last bin is open: COLMAP filters at 4 px
INLIER_MATCHES = (1, 15, 30, 60, 125, 250, 500, 1000, 2000, 4000)  # lower edges; 15 is COLMAP's least for a pair

RECALL_ERRORS_DEG = tuple(round(0.1 * step, 1) for step in range(101))  # up to the widest threshold of the tables
MAX_IMAGES_OF_PAIR_TABLE = 100  # beyond, a table of all pairs would be most of metrics.json


def histogram(values: ArrayLike, lower_edges: tuple[float, ...]) -> dict[str, Any]:
    """Counts of values (N,) by lower edges of bins, the last bin open; values below the first edge are left out."""
    numbers = np.asarray(values, dtype=np.float64)
    counts, _ = np.histogram(numbers, bins=[*lower_edges, np.inf])
    return {"lower_edges": list(lower_edges), "counts": [int(count) for count in counts]}


def map_histograms(model: Any, inlier_counts: ArrayLike) -> dict[str, Any]:
    """Track lengths and reprojection errors of a pycolmap.Reconstruction's points; verified matches of pairs."""
    points = list(model.points3D.values())
    return {
        "track_length": histogram([point.track.length() for point in points], TRACK_LENGTHS),
        "reprojection_error_px": histogram(
            [point.error for point in points if point.has_error()], REPROJECTION_ERRORS_PX
        ),
        "inlier_matches": histogram(inlier_counts, INLIER_MATCHES),
    }


def recall_table(errors_deg: ArrayLike) -> dict[str, Any]:
    """Percent of errors (N,) not above each angle of a fixed grid; empty for no errors."""
    errors = np.sort(np.asarray(errors_deg, dtype=np.float64))
    if not len(errors):
        return {}
    shares = np.searchsorted(errors, RECALL_ERRORS_DEG, side="right") / len(errors)
    return {"error_deg": list(RECALL_ERRORS_DEG), "percent": [float(round(100 * share, 3)) for share in shares]}


def pair_table(names: list[str], database: DatabaseSummary) -> dict[str, list[int]]:
    """Matches and verified matches of each matched pair, images by their row in `names`; empty for many images."""
    if len(names) > MAX_IMAGES_OF_PAIR_TABLE:
        return {}
    row = {name: index for index, name in enumerate(names)}
    pairs = sorted(
        (*sorted((row[name0], row[name1])), count, database.inliers.get((name0, name1), 0))
        for (name0, name1), count in database.matches.items()
        if name0 in row and name1 in row
    )
    columns = list(zip(*pairs, strict=True)) or [(), (), (), ()]
    return dict(zip(("image0", "image1", "matches", "inliers"), map(list, columns), strict=True))
