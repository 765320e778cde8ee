"""Histograms of a map, for the plots of the report."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

TRACK_LENGTHS = (*range(2, 16), 20, 30, 50)  # lower edges; the last bin is open
REPROJECTION_ERRORS_PX = tuple(
    round(0.1 * step, 1) for step in range(41)
)  # the last bin is open: COLMAP filters at 4 px
INLIER_MATCHES = (1, 15, 30, 60, 125, 250, 500, 1000, 2000, 4000)  # lower edges; 15 is COLMAP's least for a pair


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
