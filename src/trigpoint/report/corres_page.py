"""One HTML file to browse an image pair's correspondences: the mouse over one image marks the match in the other."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from trigpoint.errors import DataError
from trigpoint.export.pump_npz import correspondences_from_rows, is_dense
from trigpoint.geometry.scale_rotation import decode_scale_rot
from trigpoint.report.drawing import hue_colors, spread
from trigpoint.report.page import asset, embedded_json, environment
from trigpoint.report.scene import jpeg_address
from trigpoint.storage.atomic import atomic_path
from trigpoint.types import Image

MAX_ROWS = 50_000  # in the page, spread evenly: 2 MB; the nearest of so many is found in under a millisecond
PICTURE_PX = 1600  # longer side of a picture in the page
JPEG_QUALITY = 88
MAX_CROSSES = 8_000  # more of them hide the photographs, so they are drawn when the reader asks


def read_fundamental(path: Path) -> NDArray[np.float64]:
    """A fundamental matrix from a text file of nine numbers.

    Raises:
        DataError: another content.
    """
    try:
        words = path.read_text(encoding="utf-8").split()
        F = np.array([float(word) for word in words]).reshape(3, 3)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected a text file with the 3 x 3 numbers of F ({error})") from error
    if not np.isfinite(F).all() or not F.any():
        raise DataError(f"{path}: expected nine finite numbers, not all of them zero")
    return F


def write_corres_page(
    output: Path,
    image0: Image,
    image1: Image,
    rows: NDArray[np.floating],
    title: str,
    F: NDArray[np.floating] | None = None,
) -> None:
    """Write the page of `render_corres_page`, whole or not at all."""
    page = render_corres_page(image0, image1, rows, title, F)
    with atomic_path(output) as partial:
        partial.write_text(page, encoding="utf-8")


def render_corres_page(
    image0: Image,
    image1: Image,
    rows: NDArray[np.floating],
    title: str,
    F: NDArray[np.floating] | None = None,
) -> str:
    """The page as text, with pictures and correspondences in it.

    Args:
        image0, image1: decoded photographs.
        rows: (N, 6) or dense (N, 4), pixels of the originals.
        title: what made them.
        F: (3, 3) fundamental matrix, x1^T F x0 = 0 in the same pixels; the page then draws epipolar lines.
    """
    values = page_data(image0, image1, rows, F)
    return (
        environment()
        .get_template("corres.html")
        .render(
            title=title,
            images=[image0, image1],
            dense=is_dense(rows),
            total=len(rows),
            shown=values["count"],
            max_crosses=MAX_CROSSES,
            hidden=values["hidden"],
            has_F=F is not None,
            data=embedded_json(values),
            css=Markup(asset("page.css") + asset("corres.css")),
            script=Markup(asset("corres.js")),
        )
    )


def page_data(
    image0: Image, image1: Image, rows: NDArray[np.floating], F: NDArray[np.floating] | None
) -> dict[str, Any]:
    """What the page's script reads; correspondences of a score that is not positive are left out.

    Arrays are base64 of little-endian numbers, row by row.
    """
    found = correspondences_from_rows(rows)
    positive = np.flatnonzero(found.scores > 0)
    shown = positive[spread(found.xy[positive, :2], found.scores[positive], MAX_ROWS)]
    values: dict[str, Any] = {
        "sizes": [list(image.size) for image in (image0, image1)],
        "pictures": [jpeg_address(image.pixels, PICTURE_PX, JPEG_QUALITY) for image in (image0, image1)],
        "count": len(shown),
        "hidden": len(rows) - len(positive),
        "xy": _encoded(found.xy[shown], "<f4"),
        "rows": _encoded(shown, "<i4"),
        "colors": _encoded(hue_colors(found.xy[shown, :2]), "u1"),
    }
    if not is_dense(rows):
        scale, angle_deg = decode_scale_rot(rows[shown, 5])
        values |= {
            "scores": _encoded(found.scores[shown], "<f4"),
            "scale": _encoded(scale, "<f4"),
            "angle_deg": _encoded(angle_deg, "<f4"),
        }
    return values | ({"F": np.asarray(F, dtype=np.float64).ravel().tolist()} if F is not None else {})


def _encoded(values: NDArray[Any], kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode()
