"""Static pictures of an image pair's correspondences: lines between the images, coloured crosses, a warped view."""

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageEnhance
from numpy.typing import NDArray

from trigpoint.export.pump_npz import correspondences_from_rows, is_dense
from trigpoint.geometry.pixels import resize_points
from trigpoint.geometry.warping import inside, warp_nearest
from trigpoint.report.drawing import GROUND, SMOOTHING, Color, Figure, Panel, hue_colors, panel_of, spread
from trigpoint.types import Image

PANEL_HEIGHT_PX = 640
MAX_ROW_WIDTH_PX = 4000  # panoramas get lower panels
MAX_LINES = 250  # more lines than this hide the photographs
MAX_CROSSES = 4000
LINE_PX, DOT_PX, CROSS_PX = 1.5, 2.6, 3.6
LINE_ALPHA = 190
UNDER_CROSSES = 0.45  # brightness of the photographs below the crosses


def draw_matches(
    image0: Image, image1: Image, rows: NDArray[np.floating], title: str, max_lines: int = MAX_LINES
) -> PIL.Image.Image:
    """Both images side by side, a dot at both ends of every match and lines between the best ones, spread evenly.

    Colours are hues of the place in image 0 around the centroid: a consistent match keeps its neighbours' colour.

    Args:
        image0, image1: decoded photographs.
        rows: (N, 6) or dense (N, 4), pixels of the originals.
        title: what made them.
        max_lines: lines drawn.
    """
    found = correspondences_from_rows(rows)
    panels = _row(image0, image1)
    visible = np.flatnonzero(panels[0].holds(found.xy[:, :2]) & panels[1].holds(found.xy[:, 2:]))
    marked = visible[spread(found.xy[visible, :2], found.scores[visible], MAX_CROSSES)]
    colors = hue_colors(found.xy[:, :2])
    lined = marked[spread(found.xy[marked, :2], found.scores[marked], max_lines)]
    figure = Figure([panels], [[_caption(image0), _caption(image1)]], _title(title, rows, len(lined), "lines"))
    layer, pen = figure.layer()
    ends = [panels[0].place(found.xy[:, :2]), panels[1].place(found.xy[:, 2:])]
    dots = np.setdiff1d(marked, lined)
    for index in [*dots, *lined[np.argsort(found.scores[lined], kind="stable")]]:
        color = _rgb(colors[index])
        if index in lined:
            _line(pen, ends[0][index], ends[1][index], color)
        for end in ends:
            _dot(pen, end[index], color, DOT_PX if index in lined else DOT_PX / 2)
    return figure.render(layer)


def draw_corres(image0: Image, image1: Image, rows: NDArray[np.floating], title: str) -> PIL.Image.Image:
    """A 2 x 2 figure: the images on top, below them darkened with a coloured cross for each correspondence.

    Correspondences of a score that is not positive are hidden. Colours as in `draw_matches`.
    """
    found = correspondences_from_rows(rows)
    shown = np.flatnonzero(found.scores > 0)
    shown = shown[spread(found.xy[shown, :2], found.scores[shown], MAX_CROSSES)]
    colors = hue_colors(found.xy[shown, :2])
    above, below = _row(image0, image1), [_darkened(panel) for panel in _row(image0, image1)]
    hidden = int((found.scores <= 0).sum())
    note = f", {hidden:,} hidden (score not above 0)" if hidden else ""
    captions = [[_caption(image0), _caption(image1)], ["", ""]]
    figure = Figure([above, below], captions, _title(title, rows, len(shown), "crosses") + note)
    layer, pen = figure.layer()
    for panel, columns in zip(below, (slice(0, 2), slice(2, 4)), strict=True):
        xy = found.xy[shown][:, columns]
        for place, color in zip(panel.place(xy)[panel.holds(xy)], colors[panel.holds(xy)], strict=True):
            _cross(pen, place, _rgb(color))
    return figure.render(layer)


def build_view(
    image1: Image, targets_xy: NDArray[np.floating], *, clamp: bool = False
) -> tuple[NDArray[np.uint8], float]:
    """Image 0's view from the nearest pixels of image 1.

    Args:
        image1: that is looked up.
        targets_xy: (H0, W0, 2) places in it for each pixel of image 0; NaN where there is none.
        clamp: a place outside takes the border's pixel; otherwise, and where there is no place, the view is white.

    Returns:
        (H0, W0, 3), and the share 0 to 1 of its pixels that lie in image 1.
    """
    width, height = image1.size
    seen = inside(targets_xy, image1.size)
    drawn = np.isfinite(targets_xy).all(axis=-1) if clamp else seen
    places = np.where(drawn[..., None], targets_xy, 0).clip(0, (width - 1, height - 1))
    if image1.pixels.shape[:2] != (height, width):  # decoded at reduced size
        decoded = (image1.pixels.shape[1], image1.pixels.shape[0])
        places = resize_points(places.reshape(-1, 2), image1.size, decoded).reshape(places.shape)
    view = warp_nearest(image1.pixels, places)
    view[~drawn] = GROUND
    return view, float(seen.mean())


def draw_warp(image0: Image, image1: Image, view: NDArray[np.uint8], title: str) -> PIL.Image.Image:
    """Three panels: image 0, image 1, and image 0's view built from image 1's pixels."""
    built = Image(name="built", pixels=view, size=(view.shape[1], view.shape[0]))
    captions = [_caption(image0), _caption(image1), f"view of {image0.name} from pixels of {image1.name}"]
    return Figure([_row(image0, image1, built)], [captions], title).render()


def _row(*images: Image) -> list[Panel]:
    """Panels of one height."""
    proportions = sum(image.size[0] / image.size[1] for image in images)
    height = max(1, min(PANEL_HEIGHT_PX, int(MAX_ROW_WIDTH_PX / proportions)))
    return [panel_of(image, height) for image in images]


def _title(title: str, rows: NDArray[np.floating], drawn: int, what: str) -> str:
    kind = "dense correspondences" if is_dense(rows) else "matches"
    some = f", {drawn:,} {what} drawn" if drawn < len(rows) else ""
    return f"{title}: {len(rows):,} {kind}{some}"


def _caption(image: Image) -> str:
    return f"{image.name}  ({image.size[0]} x {image.size[1]} px)"


def _darkened(panel: Panel) -> Panel:
    panel.picture = PIL.ImageEnhance.Brightness(panel.picture).enhance(UNDER_CROSSES)
    return panel


def _rgb(color: NDArray[np.uint8]) -> Color:
    return int(color[0]), int(color[1]), int(color[2])


def _line(pen: PIL.ImageDraw.ImageDraw, start: NDArray[np.float64], end: NDArray[np.float64], color: Color) -> None:
    pen.line(_scaled(start) + _scaled(end), (*color, LINE_ALPHA), round(LINE_PX * SMOOTHING))


def _dot(pen: PIL.ImageDraw.ImageDraw, center: NDArray[np.float64], color: Color, radius: float) -> None:
    for size, fill in ((radius + 0.7, (255, 255, 255)), (radius, color)):
        x, y = _scaled(center)
        reach = size * SMOOTHING
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), (*fill, 255))


def _cross(pen: PIL.ImageDraw.ImageDraw, center: NDArray[np.float64], color: Color) -> None:
    x, y = _scaled(center)
    reach, width = CROSS_PX * SMOOTHING, round(LINE_PX * SMOOTHING)
    pen.line((x - reach, y - reach, x + reach, y + reach), (*color, 255), width)
    pen.line((x - reach, y + reach, x + reach, y - reach), (*color, 255), width)


def _scaled(place: NDArray[np.float64]) -> tuple[float, float]:
    return float(place[0]) * SMOOTHING, float(place[1]) * SMOOTHING
