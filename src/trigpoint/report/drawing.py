"""Pictures of image pairs on a white ground: panels side by side, marks and lines that are smooth at any size."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from numpy.typing import NDArray

from trigpoint.errors import SettingsError
from trigpoint.storage.atomic import atomic_path
from trigpoint.types import Image

SMOOTHING = 3  # marks and lines are drawn so many times larger, then reduced
NUM_HUES = 128  # as PUMP's viewer: enough to tell neighbours apart, few enough to repeat exactly
GAP_PX = 14
MARGIN_PX = 18
TEXT_PX = 19
TEXT_COLOR = (28, 36, 48)
GROUND = (255, 255, 255)
FRAME = (196, 202, 210)  # around panels, which may be white at their border
PRINT_DPI = 300
FORMATS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
Color = tuple[int, int, int]


@dataclass
class Panel:
    """One picture of a figure: where it is, and how image pixels become figure pixels.

    Attributes:
        picture: reduced to the panel's size.
        size: (width, height) of the original image that coordinates belong to.
        left, top: of the panel in the figure, pixels.
    """

    picture: PIL.Image.Image
    size: tuple[int, int]
    left: float = 0.0
    top: float = 0.0

    def place(self, xy: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points (N, 2) of the image, centre of its top-left pixel at (0, 0), as corner-based points of the figure."""
        scale = np.array(self.picture.size, dtype=np.float64) / self.size
        return (np.asarray(xy, dtype=np.float64) + 0.5) * scale + [self.left, self.top]

    def holds(self, xy: NDArray[np.floating]) -> NDArray[np.bool_]:
        """(N,) whether a point lies on the image; dense correspondences may lead out of it."""
        return np.asarray(((xy >= -0.5) & (xy <= np.array(self.size) - 0.5)).all(axis=1))


@dataclass
class Figure:
    """Rows of panels with a caption below each and a title above all; marks go onto a layer of their own.

    Attributes:
        rows: panels, row by row; `layout` gives them their places.
        captions: one for each panel of each row, may be empty.
        title: above the rows.
    """

    rows: Sequence[Sequence[Panel]]
    captions: Sequence[Sequence[str]]
    title: str = ""
    _size: tuple[int, int] = field(default=(0, 0), init=False)

    def __post_init__(self) -> None:
        line = TEXT_PX + GAP_PX
        top = float(MARGIN_PX + (line if self.title else 0))
        width = 0.0
        for panels, captions in zip(self.rows, self.captions, strict=True):
            left = float(MARGIN_PX)
            for panel in panels:
                panel.left, panel.top = left, top
                left += panel.picture.width + GAP_PX
            width = max(width, left - GAP_PX + MARGIN_PX)
            top += max(panel.picture.height for panel in panels) + (line if any(captions) else GAP_PX)
        self._size = (int(width), int(top - GAP_PX + MARGIN_PX))

    def render(self, layer: PIL.Image.Image | None = None) -> PIL.Image.Image:
        """The figure with its pictures and words, and a layer of marks over the pictures."""
        canvas = PIL.Image.new("RGB", self._size, GROUND)
        frame = PIL.ImageDraw.Draw(canvas)
        for panels in self.rows:
            for panel in panels:
                canvas.paste(panel.picture, (int(panel.left), int(panel.top)))
                right, bottom = panel.left + panel.picture.width, panel.top + panel.picture.height
                frame.rectangle((panel.left - 1, panel.top - 1, right, bottom), outline=FRAME)
        if layer is not None:
            smooth = layer.resize(self._size, PIL.Image.Resampling.BOX)
            canvas.paste(smooth, mask=smooth.getchannel("A"))
        self._write(canvas)
        return canvas

    def layer(self) -> tuple[PIL.Image.Image, PIL.ImageDraw.ImageDraw]:
        """A transparent layer, SMOOTHING times larger than the figure, and the pen for it."""
        image = PIL.Image.new("RGBA", (self._size[0] * SMOOTHING, self._size[1] * SMOOTHING), (0, 0, 0, 0))
        return image, PIL.ImageDraw.Draw(image)

    def _write(self, canvas: PIL.Image.Image) -> None:
        pen = PIL.ImageDraw.Draw(canvas)
        font = PIL.ImageFont.load_default(TEXT_PX)
        pen.text((MARGIN_PX, MARGIN_PX - 4), fitted(self.title, font, self._size[0] - 2 * MARGIN_PX), TEXT_COLOR, font)
        for panels, captions in zip(self.rows, self.captions, strict=True):
            for panel, caption in zip(panels, captions, strict=True):
                below = panel.top + panel.picture.height + GAP_PX / 2
                pen.text((panel.left, below), fitted(caption, font, panel.picture.width), TEXT_COLOR, font)


def panel_of(image: Image, height: int) -> Panel:
    """A panel of a given height."""
    width = max(1, round(image.size[0] * height / image.size[1]))
    picture = PIL.Image.fromarray(image.pixels).resize((width, height), PIL.Image.Resampling.LANCZOS)
    return Panel(picture, image.size)


def fitted(text: str, font: "PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont", width: float) -> str:
    """The text, its middle left out where it is wider than so many pixels."""
    if font.getlength(text) <= width:
        return text
    for keep in range(len(text) - 2, 0, -1):
        shorter = f"{text[: (keep + 1) // 2]}...{text[len(text) - keep // 2 :]}"
        if font.getlength(shorter) <= width:
            return shorter
    return ""


def hue_colors(xy: NDArray[np.floating]) -> NDArray[np.uint8]:
    """A colour (N, 3) for each point: the hue is its polar angle around the centroid, in NUM_HUES steps.

    Source: PUMP's viewer (naver/pump, tools/viz).
    """
    if not len(xy):
        return np.zeros((0, 3), dtype=np.uint8)
    offset = np.asarray(xy, dtype=np.float64) - np.mean(xy, axis=0, dtype=np.float64)
    turn = (np.arctan2(offset[:, 1], offset[:, 0]) / (2 * np.pi)) % 1
    hue = np.floor(turn * NUM_HUES) / NUM_HUES * 6
    ramp = np.abs((hue[:, None] + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
    return (255 * ramp.clip(0, 1)).round().astype(np.uint8)


def spread(xy: NDArray[np.floating], scores: NDArray[np.floating], maximum: int) -> NDArray[np.int64]:
    """Indices of at most `maximum` points, spread evenly: the best of each cell of a grid; all of them if they are few.

    Args:
        xy: (N, 2).
        scores: (N,), higher is better; the first of equal ones wins.
        maximum: positive.

    Returns:
        (K,) ascending.
    """
    if len(xy) <= maximum:
        return np.arange(len(xy))
    offset = np.asarray(xy, dtype=np.float64) - np.min(xy, axis=0)
    extent = np.maximum(offset.max(axis=0), 1.0)
    cell = np.sqrt(extent.prod() / maximum)
    while True:
        columns = int(extent[0] // cell) + 1
        keys = (offset[:, 1] // cell).astype(np.int64) * columns + (offset[:, 0] // cell).astype(np.int64)
        order = np.lexsort((np.arange(len(keys)), -np.asarray(scores, dtype=np.float64), keys))
        first = np.flatnonzero(np.diff(keys[order], prepend=-1))
        if len(first) <= maximum:
            return np.sort(order[first])
        cell *= 1.05


def save_picture(picture: PIL.Image.Image, output: Path) -> None:
    """Write a picture in the format its name says, whole or not at all.

    Raises:
        SettingsError: a name of another format.
    """
    check_picture_name(output)
    with atomic_path(output) as partial, partial.open("wb") as stream:
        kind = PIL.Image.registered_extensions()[output.suffix.lower()]
        picture.save(stream, kind, dpi=(PRINT_DPI, PRINT_DPI), **({"quality": 95} if kind in ("JPEG", "WEBP") else {}))


def check_picture_name(output: Path) -> None:
    """Refuse, before any work is done, a name whose format cannot be written."""
    if output.suffix.lower() not in FORMATS:
        raise SettingsError(f"{output}: pictures are written as one of {', '.join(FORMATS)}; choose such a name")
