"""Keypoints and matches of HDF5 files over their photographs: pictures, pages, a window.

Reads DISK's folders (keypoints.h5, matches.h5) and our own (features.h5, matches.h5). Marks are those of DISK's viewer:
white discs with a black edge for keypoints, green lines between white circles for matches.
"""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import PIL.Image
import PIL.ImageDraw
from markupsafe import Markup
from numpy.typing import NDArray

from trigpoint.datasets.images import load_image
from trigpoint.errors import DataError, SettingsError, StorageError
from trigpoint.export.disk_h5 import open_foreign, rows_of, two_rows
from trigpoint.report.drawing import SMOOTHING, Figure, Panel, panel_of
from trigpoint.report.page import asset, environment
from trigpoint.report.scene import jpeg_address
from trigpoint.storage.atomic import atomic_path
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.matches import MatchReader
from trigpoint.types import Image

LONGER_SIDE_PX = 1000  # of a photograph with keypoints: 10 inches of 100 dots
PAIR_WIDTH_PX = 2400  # of two photographs side by side
DISC_PX = 2.1  # radius; an area of 7 square points
EDGE_PX = 0.5
LINE_PX = 1.0
GREEN = (0, 128, 0)
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
PICTURE_PX = 1600  # longer side in a page
JPEG_QUALITY = 88
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeypointView:
    """One photograph with keypoints (N, 2) in pixels of the original, centre of the top-left pixel at (0, 0)."""

    image: Image
    xy: NDArray[np.floating]


@dataclass(frozen=True)
class MatchView:
    """Two photographs with the ends (M, 2) of their matches."""

    image0: Image
    image1: Image
    xy0: NDArray[np.floating]
    xy1: NDArray[np.floating]

    @property
    def rows(self) -> NDArray[np.float32]:
        """(M, 6) rows of PUMP's files; the score of every match is 1."""
        ones, zeros = np.ones(len(self.xy0)), np.zeros(len(self.xy0))
        return np.column_stack([self.xy0, self.xy1, ones, zeros]).astype(np.float32)


class Source(Protocol):
    """What a folder of HDF5 files offers."""

    def file_name(self, name: str) -> str:
        """Name of the photograph, relative to the image folder."""

    def names(self) -> list[str]: ...

    def keypoints(self, name: str) -> NDArray[np.floating]: ...

    def pairs(self) -> list[tuple[str, str]]: ...

    def indices(self, pair: tuple[str, str]) -> NDArray[np.integer]: ...


class _OwnFiles:
    """features.h5 and matches.h5."""

    def __init__(self, features: FeatureReader, matches: MatchReader | None) -> None:
        self._features = features
        self._matches = matches

    def file_name(self, name: str) -> str:
        return name

    def names(self) -> list[str]:
        return self._features.names()

    def keypoints(self, name: str) -> NDArray[np.floating]:
        return self._features.keypoints(name)

    def pairs(self) -> list[tuple[str, str]]:
        return [] if self._matches is None else self._matches.pairs()

    def indices(self, pair: tuple[str, str]) -> NDArray[np.integer]:
        assert self._matches is not None
        return self._matches.read(*pair).indices


class _DiskFiles:
    """keypoints.h5 and matches.h5 of DISK."""

    def __init__(self, folder: Path, extension: str) -> None:
        self._extension = extension
        with open_foreign(folder / "keypoints.h5") as file:
            self._keypoints = {key: rows_of(file, key, 2) for key in sorted(file)}
        self._matches: dict[tuple[str, str], NDArray[np.integer]] = {}
        if (folder / "matches.h5").is_file():
            with open_foreign(folder / "matches.h5") as file:
                self._matches = {(a, b): two_rows(file[a], b) for a in sorted(file) for b in sorted(file[a])}

    def file_name(self, name: str) -> str:
        return f"{name}.{self._extension.lstrip('.')}"

    def names(self) -> list[str]:
        return list(self._keypoints)

    def keypoints(self, name: str) -> NDArray[np.floating]:
        if name not in self._keypoints:
            raise DataError(f"matches.h5 names '{name}', of which keypoints.h5 has nothing")
        return self._keypoints[name]

    def pairs(self) -> list[tuple[str, str]]:
        return list(self._matches)

    def indices(self, pair: tuple[str, str]) -> NDArray[np.integer]:
        return self._matches[pair]


def views(
    folder: Path, images: Path, mode: str, extension: str = "jpg", only: Sequence[str] = ()
) -> Iterator[KeypointView | MatchView]:
    """What to show, one photograph or pair after the other.

    Args:
        folder: with features.h5 or keypoints.h5, and matches.h5.
        images: folder with the photographs.
        mode: `keypoints` or `matches`.
        extension: of the photographs of DISK's files, which know only stems.
        only: names of images; then only these, and only pairs with one of them.

    Raises:
        StorageError: neither kind of file is there, or one is damaged.
        DataError: there is nothing to show, or a name of `only` is in no file.
        ImageError: a photograph is missing or damaged.
    """
    if (folder / "features.h5").is_file():
        has_matches = (folder / "matches.h5").is_file()
        with FeatureReader(folder / "features.h5") as features:
            if not has_matches:
                yield from _views(_OwnFiles(features, None), folder, images, mode, only)
            else:
                with MatchReader(folder / "matches.h5") as matches:
                    yield from _views(_OwnFiles(features, matches), folder, images, mode, only)
    elif (folder / "keypoints.h5").is_file():
        yield from _views(_DiskFiles(folder, extension), folder, images, mode, only)
    else:
        raise StorageError(f"{folder}: neither features.h5 nor DISK's keypoints.h5 is there")


def _views(
    source: Source, folder: Path, images: Path, mode: str, only: Sequence[str]
) -> Iterator[KeypointView | MatchView]:
    for name in only:
        if name not in source.names():
            raise DataError(f"{folder}: there is nothing of '{name}'; known: {', '.join(source.names()[:5])}, ...")
    if mode == "keypoints":
        for name in only or source.names():
            yield KeypointView(load_image(images, source.file_name(name)), source.keypoints(name))
        return
    pairs = [pair for pair in source.pairs() if not only or set(only) & set(pair)]
    if not pairs:
        raise DataError(f"{folder}: matches.h5 is missing or holds no such pair")
    for pair in pairs:
        image0, image1 = (load_image(images, source.file_name(name)) for name in pair)
        indices = source.indices(pair)
        xy0, xy1 = (source.keypoints(name)[rows] for name, rows in zip(pair, indices.T, strict=True))
        yield MatchView(image0, image1, xy0, xy1)


def draw_view(view: KeypointView | MatchView) -> PIL.Image.Image:
    """A picture: a photograph with its keypoints, or two at one scale with their matches."""
    if isinstance(view, KeypointView):
        scale = LONGER_SIDE_PX / max(view.image.size)
        panels = [_scaled_panel(view.image, scale)]
        title = f"{len(view.xy):,} keypoints"
    else:
        sizes = view.image0.size, view.image1.size
        scale = min(PAIR_WIDTH_PX / sum(size[0] for size in sizes), LONGER_SIDE_PX / max(size[1] for size in sizes))
        panels = [_scaled_panel(image, scale) for image in (view.image0, view.image1)]
        title = f"{len(view.xy0):,} matches"
    figure = Figure([panels], [[caption(panel_image) for panel_image in _images(view)]], title)
    layer, pen = figure.layer()
    if isinstance(view, KeypointView):
        _discs(pen, panels[0].place(view.xy))
    else:
        ends = panels[0].place(view.xy0), panels[1].place(view.xy1)
        for start, end in zip(*ends, strict=True):
            pen.line((*_large(start), *_large(end)), (*GREEN, 255), round(LINE_PX * SMOOTHING))
        for places in ends:
            _discs(pen, places)
    return figure.render(layer)


def _images(view: KeypointView | MatchView) -> list[Image]:
    return [view.image] if isinstance(view, KeypointView) else [view.image0, view.image1]


def caption(image: Image) -> str:
    """Name and size of a photograph."""
    return f"{image.name}  ({image.size[0]} x {image.size[1]} px)"


def _scaled_panel(image: Image, scale: float) -> Panel:
    return panel_of(image, max(1, round(image.size[1] * scale)))


def _discs(pen: PIL.ImageDraw.ImageDraw, places: NDArray[np.float64]) -> None:
    for place in places:
        x, y = _large(place)
        for radius, color in ((DISC_PX + EDGE_PX, BLACK), (DISC_PX, WHITE)):
            reach = radius * SMOOTHING
            pen.ellipse((x - reach, y - reach, x + reach, y + reach), (*color, 255))


def _large(place: NDArray[np.float64]) -> tuple[float, float]:
    return float(place[0]) * SMOOTHING, float(place[1]) * SMOOTHING


def write_keypoint_page(output: Path, view: KeypointView) -> None:
    """One HTML file with a photograph and its keypoints as marks that tell their number and place; no network."""
    page = (
        environment()
        .get_template("keypoints.html")
        .render(
            caption=caption(view.image),
            size=view.image.size,
            picture=jpeg_address(view.image.pixels, PICTURE_PX, JPEG_QUALITY),
            points=[(f"{x:.2f}", f"{y:.2f}", f"{x + 0.5:.2f}", f"{y + 0.5:.2f}") for x, y in view.xy.tolist()],
            radius=f"{DISC_PX * max(view.image.size) / LONGER_SIDE_PX:.2f}",
            css=Markup(asset("page.css")),
        )
    )
    with atomic_path(output) as partial:
        partial.write_text(page, encoding="utf-8")


def show_window(picture: PIL.Image.Image, title: str) -> None:
    """Show a picture until a key is pressed.

    Raises:
        SettingsError: there is no display.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise SettingsError("there is no display to open a window on; write pictures with --save DIR")
    import cv2

    cv2.namedWindow(title, cv2.WINDOW_NORMAL)
    cv2.imshow(title, np.asarray(picture)[:, :, ::-1])
    cv2.waitKey(0)
    cv2.destroyWindow(title)
