"""House fronts: wall, windows, doors, shutters, signs, drawn into one texture of their own, with the relief
that goes with it.

Coordinates on a front: metres, x to the right, z up from the street; pixels only inside `Canvas`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from trigpoint.rendering.meshes import Relief
from trigpoint.rendering.textures import brick, crate_goods, fractal_noise, plaster, stone, stripes, weathered, wood

GROUND_FLOOR_M = 3.0
UPPER_FLOOR_M = 2.6
WALLS: dict[str, Callable] = {"plaster": plaster, "brick": brick, "stone": stone, "timber": plaster}


@dataclass
class Canvas:
    """A texture being drawn: `image` (H, W, 3) float32 sRGB, `ppm` pixels per metre, foot of the wall at the
    last row.
    """

    image: np.ndarray
    ppm: float

    def view(self, x0: float, x1: float, z0: float, z1: float) -> np.ndarray:
        """The pixels of a rectangle in metres, as a view that can be written to; clipped to the canvas."""
        height, width = self.image.shape[:2]
        cols = np.clip(np.round(np.array([x0, x1]) * self.ppm).astype(int), 0, width)
        rows = np.clip(height - np.round(np.array([z1, z0]) * self.ppm).astype(int), 0, height)
        return self.image[rows[0] : rows[1], cols[0] : cols[1]]

    def fill(self, x0: float, x1: float, z0: float, z1: float, color: np.ndarray) -> None:
        """Paint a rectangle with one colour (3,)."""
        self.view(x0, x1, z0, z1)[:] = color

    def paste(self, x0: float, x1: float, z0: float, z1: float, draw: Callable[[tuple[int, int]], np.ndarray]) -> None:
        """Paint a rectangle with `draw((H, W))`; nothing where it lies outside."""
        view = self.view(x0, x1, z0, z1)
        if min(view.shape[:2]) > 2:
            view[:] = draw(view.shape[:2])

    def line(self, points: np.ndarray, color: np.ndarray, width_m: float) -> None:
        """Draw a polyline through `points` (N, 2) metres."""
        height = self.image.shape[0]
        pixels = np.stack([points[:, 0] * self.ppm, height - points[:, 1] * self.ppm], 1).astype(np.int32)
        thickness = max(int(width_m * self.ppm), 1)
        cv2.polylines(
            self.image, [pixels.reshape(-1, 1, 2)], False, np.asarray(color, float).tolist(), thickness, cv2.LINE_AA
        )


@dataclass(frozen=True)
class Facade:
    """A finished front.

    texture: (H, W, 3) float32 sRGB. width_m, height_m: what it covers. reliefs: see `Relief`.
    lit_windows: (x0, x1, z0, z1, depth_m) of panes with a lamp behind them at night.
    """

    texture: np.ndarray
    width_m: float
    height_m: float
    reliefs: list[Relief]
    lit_windows: list[tuple[float, float, float, float, float]]


def draw_facade(
    rng: np.random.Generator, width_m: float, eaves_m: float, gable_m: float, ppm: float, windows: bool = True
) -> Facade:
    """A front `width_m` wide, `eaves_m` high, with `gable_m` more of wall above the eaves (0 for none)."""
    height_m = eaves_m + gable_m
    style = rng.choice(list(WALLS), p=[0.34, 0.22, 0.16, 0.28])
    shape = (max(int(height_m * ppm), 8), max(int(width_m * ppm), 8))
    canvas = Canvas(np.array(WALLS[style](rng, shape, ppm), np.float32), ppm)
    facade = Facade(canvas.image, width_m, height_m, [], [])
    _draw_plinth(rng, canvas, facade)
    if style == "timber":
        _draw_beams(rng, canvas, facade, eaves_m)
    _draw_band(rng, canvas, facade)
    if windows:
        _draw_ground_floor(rng, canvas, facade)
        _draw_upper_floors(rng, canvas, facade, eaves_m)
    _draw_extras(rng, canvas, facade, eaves_m)
    grey = facade.texture.mean(-1, keepdims=True)
    facade.texture[:] = grey + 0.68 * (facade.texture - grey)  # paint that has seen years of sun
    return facade


def _draw_plinth(rng: np.random.Generator, canvas: Canvas, facade: Facade) -> None:
    """A foot of stone that stands out a little, dirty below."""
    height_m = rng.uniform(0.3, 0.7)
    canvas.paste(0, facade.width_m, 0, height_m, lambda shape: stone(rng, shape, canvas.ppm, (0.15, 0.3)))
    dirt = canvas.view(0, facade.width_m, 0, 1.3)
    dirt *= np.linspace(1, 0.65, len(dirt), dtype=np.float32)[:, None, None]
    facade.reliefs.append(Relief(0, facade.width_m, 0, height_m, -0.05))


def _draw_beams(rng: np.random.Generator, canvas: Canvas, facade: Facade, eaves_m: float) -> None:
    """Half-timber above the ground floor: sills, posts and braces."""
    color = np.array([0.20, 0.14, 0.10]) * rng.uniform(0.7, 1.6) + rng.uniform(0, 0.05, 3)
    posts = np.unique(
        np.concatenate(
            [[0.08], np.sort(rng.uniform(0.5, facade.width_m - 0.5, int(facade.width_m))), [facade.width_m - 0.08]]
        )
    )
    levels = np.arange(GROUND_FLOOR_M, facade.height_m, UPPER_FLOOR_M / 2)
    for z in levels:
        canvas.line(
            np.array([[0, z + 0.1], [facade.width_m, z + 0.1 + rng.normal(0, 0.02)]]),
            color * rng.uniform(0.8, 1.2),
            0.16,
        )
    for x in posts:
        canvas.line(
            np.array([[x, GROUND_FLOOR_M], [x + rng.normal(0, 0.03), facade.height_m]]),
            color * rng.uniform(0.8, 1.2),
            0.16,
        )
    for left, right in pairwise(posts):
        for z in levels[:-1]:
            if rng.random() < 0.45:
                z0, z1 = (z, z + UPPER_FLOOR_M / 2) if rng.random() < 0.5 else (z + UPPER_FLOOR_M / 2, z)
                canvas.line(np.array([[left, z0], [right, z1]]), color * rng.uniform(0.8, 1.2), 0.13)
    facade.reliefs.append(Relief(0, facade.width_m, GROUND_FLOOR_M, eaves_m, -0.04))


def _draw_band(rng: np.random.Generator, canvas: Canvas, facade: Facade) -> None:
    """A moulding between ground floor and first floor, sometimes with a painted frieze."""
    z0, z1 = GROUND_FLOOR_M - 0.12, GROUND_FLOOR_M + rng.uniform(0.02, 0.12)
    canvas.paste(0, facade.width_m, z0, z1, lambda shape: stone(rng, shape, canvas.ppm, (0.2, 0.3)))
    facade.reliefs.append(Relief(0, facade.width_m, z0, z1, -0.09))


def _draw_upper_floors(rng: np.random.Generator, canvas: Canvas, facade: Facade, eaves_m: float) -> None:
    count = max(1, int((facade.width_m - 0.3) / rng.uniform(1.25, 1.75)))
    wide, tall = rng.uniform(0.7, 0.95), rng.uniform(1.15, 1.5)
    style = {
        "frame": _frame_color(rng),
        "shutters": rng.random() < 0.5,
        "shutter": rng.uniform(0.1, 0.55, 3),
        "bars": rng.integers(1, 4, 2),
    }
    centers = (np.arange(count) + 0.5) * facade.width_m / count
    floor_m = GROUND_FLOOR_M + 0.55
    while floor_m + tall + 0.2 < eaves_m:
        for x in centers:
            _draw_window(rng, canvas, facade, (x + rng.normal(0, 0.03), floor_m), (wide, tall), style)
        floor_m += UPPER_FLOOR_M
    if facade.height_m - eaves_m > 1.6:
        _draw_window(
            rng,
            canvas,
            facade,
            (facade.width_m / 2, eaves_m + 0.15),
            (0.7, 0.9),
            style | {"shutters": False},
            flat=True,
        )


def _frame_color(rng: np.random.Generator) -> np.ndarray:
    return np.array([0.85, 0.83, 0.78]) if rng.random() < 0.55 else rng.uniform(0.1, 0.5, 3)


def _draw_window(
    rng: np.random.Generator,
    canvas: Canvas,
    facade: Facade,
    foot: tuple[float, float],
    size: tuple[float, float],
    style: dict,
    flat: bool = False,
) -> None:
    """One window: `foot` is the middle of its sill, `size` width and height, metres; `flat` ones get no relief."""
    (x, z), (wide, tall) = foot, size
    x0, x1, z1 = x - wide / 2, x + wide / 2, z + tall
    surround = 0.09
    canvas.paste(
        x0 - surround,
        x1 + surround,
        z - 0.02,
        z1 + surround * 1.6,
        lambda shape: stone(rng, shape, canvas.ppm, (0.2, 0.4)),
    )
    canvas.paste(x0, x1, z, z1, lambda shape: _pane(rng, shape, style["frame"], style["bars"]))
    if style["shutters"]:
        for left in (x0 - 0.42 * wide - surround, x1 + surround):
            canvas.paste(left, left + 0.42 * wide, z, z1, lambda shape: _shutter(rng, shape, style["shutter"]))
    if flat:
        return
    depth = 0.14
    facade.reliefs.append(Relief(x0, x1, z, z1, depth))
    box = rng.random() < 0.35
    if box:
        canvas.paste(x0 - 0.05, x1 + 0.05, z - 0.2, z + 0.12, lambda shape: _flowers(rng, shape))
    else:
        canvas.fill(x0 - 0.12, x1 + 0.12, z - 0.09, z, np.array([0.66, 0.64, 0.6]) * rng.uniform(0.7, 1.1))
    facade.reliefs.append(
        Relief(x0 - 0.1, x1 + 0.1, z - 0.2 if box else z - 0.09, z + 0.12 if box else z, -0.16 if box else -0.08)
    )
    if rng.random() < 0.3:
        facade.lit_windows.append((x0 + 0.03, x1 - 0.03, z + 0.14, z1 - 0.03, depth - 0.005))


def _pane(rng: np.random.Generator, shape: tuple[int, int], frame: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """Dark glass with a curtain or a blurred reflection behind wooden bars."""
    height, width = shape
    glass = fractal_noise(rng, shape, width, 4)[..., None] * 0.04 + np.linspace(0.26, 0.10, height)[:, None, None] * [
        0.8,
        0.95,
        1.1,
    ]
    if rng.random() < 0.6:
        fold = np.sin(np.linspace(0, rng.uniform(20, 60), width)) * 0.06 + rng.uniform(0.4, 0.75)
        edge = int(width * rng.uniform(0.15, 0.5))
        for side in (slice(0, edge), slice(width - edge, width)):
            glass[:, side] = fold[None, side, None] * rng.uniform(0.8, 1.0, 3)
    line = max(2, int(0.05 * width))
    image = np.clip(glass, 0.02, 1).astype(np.float32)
    for k in range(bars[0] + 1):
        c = int(k * (width - line) / bars[0])
        image[:, c : c + line] = frame
    for k in range(bars[1] + 1):
        r = int(k * (height - line) / bars[1])
        image[r : r + line] = frame
    return np.clip(image * rng.normal(1, 0.03, (height, width, 1)), 0.01, 1)


def _shutter(rng: np.random.Generator, shape: tuple[int, int], color: np.ndarray) -> np.ndarray:
    height, width = shape
    slats = 0.75 + 0.25 * (np.arange(height) % 6 > 1)
    image = np.broadcast_to(color * rng.uniform(0.8, 1.2), (height, width, 3)) * slats[:, None, None]
    image[:3], image[-3:], image[:, :3], image[:, -3:] = color * 1.2, color * 0.8, color * 1.1, color * 0.7
    return weathered(rng, np.clip(image, 0, 1), width * 2.0, 1.5)


def _flowers(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    height, width = shape
    image = np.full((height, width, 3), [0.35, 0.22, 0.15], np.float32)
    palette = rng.uniform(0.3, 1.0, (2, 3)) * [1, 0.5, 0.8]
    for _ in range(260):
        x, y = rng.uniform(0, width), rng.uniform(0, 0.72) * height
        color = palette[rng.integers(2)] if rng.random() < 0.4 else np.array([0.15, 0.38, 0.12]) * rng.uniform(0.5, 1.5)
        cv2.circle(image, (int(x), int(y)), int(rng.uniform(1, 4)), np.clip(color, 0, 1).tolist(), -1, cv2.LINE_AA)
    return image


def _draw_ground_floor(rng: np.random.Generator, canvas: Canvas, facade: Facade) -> None:
    """A door, and beside it a shop window with sign and awning, or house windows."""
    width_m = facade.width_m
    door_left = rng.random() < 0.5
    door_x = 0.75 if door_left else width_m - 0.75
    _draw_door(rng, canvas, facade, door_x)
    free = (1.5, width_m - 0.3) if door_left else (0.3, width_m - 1.5)
    if free[1] - free[0] < 0.9:
        return
    if rng.random() < 0.55:
        _draw_shop(rng, canvas, facade, free)
    else:
        style = {
            "frame": _frame_color(rng),
            "shutters": False,
            "shutter": rng.uniform(0.1, 0.5, 3),
            "bars": rng.integers(1, 4, 2),
        }
        count = max(1, int((free[1] - free[0]) / 1.3))
        for k in range(count):
            x = free[0] + (k + 0.5) * (free[1] - free[0]) / count
            _draw_window(rng, canvas, facade, (x, 1.05), (0.85, 1.35), style)


def _draw_door(rng: np.random.Generator, canvas: Canvas, facade: Facade, x: float) -> None:
    wide, tall = rng.uniform(0.85, 1.0), rng.uniform(2.0, 2.3)
    x0, x1 = x - wide / 2, x + wide / 2
    canvas.paste(x0 - 0.13, x1 + 0.13, 0, tall + 0.2, lambda shape: stone(rng, shape, canvas.ppm, (0.25, 0.4)))
    color = rng.uniform(0.08, 0.45, 3)
    canvas.paste(x0, x1, 0, tall, lambda shape: wood(rng, shape, canvas.ppm, color, rng.uniform(0.1, 0.3)))
    for z0, z1 in ((0.25, 0.85), (1.0, 1.75)):
        for side in (0.12, 0.55):
            left = x0 + side * wide
            canvas.fill(left, left + 0.33 * wide, z0, z1, color * rng.uniform(0.5, 1.5))
            canvas.fill(left + 0.03, left + 0.33 * wide - 0.03, z0 + 0.03, z1 - 0.03, color * rng.uniform(0.8, 1.3))
    canvas.fill(x1 - 0.12, x1 - 0.06, 0.95, 1.05, np.array([0.8, 0.7, 0.35]))
    canvas.paste(x0 + 0.05, x1 - 0.05, 1.82, tall - 0.05, lambda shape: _pane(rng, shape, color, np.array([3, 1])))
    number = glyphs(rng, (26, 34), 2, np.array([0.1, 0.15, 0.5]), np.array([0.92, 0.92, 0.9]))
    canvas.paste(x1 + 0.16, x1 + 0.42, 1.5, 1.7, lambda shape: cv2.resize(number, shape[::-1]))
    facade.reliefs.append(Relief(x0, x1, 0, tall, 0.18))


def _draw_shop(rng: np.random.Generator, canvas: Canvas, facade: Facade, free: tuple[float, float]) -> None:
    """A shop window full of goods, a sign with letters above it, an awning over it."""
    x0, x1 = free[0] + 0.1, free[1] - 0.1
    canvas.fill(x0 - 0.08, x1 + 0.08, 0.55, 2.32, rng.uniform(0.1, 0.5, 3))
    canvas.paste(x0, x1, 0.65, 2.25, lambda shape: crate_goods(rng, shape) * 0.75)
    for x in np.linspace(x0, x1, 3)[1:-1]:
        canvas.fill(x - 0.025, x + 0.025, 0.65, 2.25, np.array([0.2, 0.17, 0.15]))
    facade.reliefs.append(Relief(x0, x1, 0.65, 2.25, 0.12))
    back, ink = rng.uniform(0.05, 0.95, 3), rng.uniform(0.05, 0.95, 3)
    ink = np.clip(back + 0.6 * np.sign(0.5 - back.mean()), 0, 1) * 0.7 + 0.3 * ink
    letters = int(rng.integers(4, 9))
    canvas.paste(x0, x1, 2.36, 2.8, lambda shape: glyphs(rng, shape, letters, ink, back))
    facade.reliefs.append(Relief(x0, x1, 2.36, 2.8, -0.1))
    if rng.random() < 0.6:
        canvas.paste(x0, x1, 1.98, 2.3, lambda shape: stripes(rng, shape, int((x1 - x0) / 0.22) + 1))
        facade.reliefs.append(Relief(x0, x1, 1.98, 2.3, -0.42))
    if rng.random() < 0.5:
        facade.lit_windows.append((x0 + 0.02, x1 - 0.02, 0.67, 1.96, 0.115))


def glyphs(
    rng: np.random.Generator, shape: tuple[int, int], count: int, ink: np.ndarray, back: np.ndarray
) -> np.ndarray:
    """A board with `count` invented letters, each a few random strokes; (H, W, 3)."""
    height, width = shape
    board = np.ones((height, width, 3), np.float32) * np.asarray(back, np.float32)
    cell = width / (count + 1)
    for k in range(count):
        origin = np.array([(k + 0.6) * cell, 0.2 * height])
        knots = rng.integers(0, 3, (rng.integers(4, 7), 2)) / 2 * [0.7 * cell, 0.6 * height]
        points = (origin + knots).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(board, [points], False, np.asarray(ink, float).tolist(), max(height // 11, 1), cv2.LINE_AA)
    board[:2], board[-2:], board[:, :2], board[:, -2:] = ink, ink, ink, ink
    return np.clip(board * rng.normal(1, 0.03, (height, width, 1)), 0.01, 1).astype(np.float32)


def _draw_extras(rng: np.random.Generator, canvas: Canvas, facade: Facade, eaves_m: float) -> None:
    """Posters, a drainpipe, ivy, iron anchors."""
    for _ in range(rng.integers(0, 4)):
        x, z = rng.uniform(0.1, max(facade.width_m - 0.6, 0.2)), rng.uniform(0.8, 1.5)
        canvas.paste(x, x + 0.42, z, z + 0.58, lambda shape: _poster(rng, shape))
    if rng.random() < 0.7:
        x = rng.choice([0.12, facade.width_m - 0.12])
        canvas.line(np.array([[x, 0.1], [x, eaves_m]]), np.array([0.32, 0.36, 0.34]) * rng.uniform(0.5, 1.4), 0.09)
    if rng.random() < 0.3:
        _draw_ivy(rng, canvas)
    for _ in range(rng.integers(0, 6)):
        x, z = rng.uniform(0.3, facade.width_m - 0.3), rng.uniform(GROUND_FLOOR_M, eaves_m)
        cross = np.array([[-0.15, 0.2], [0.15, -0.2], [0, 0], [0.15, 0.2], [-0.15, -0.2]]) + np.array([x, z])
        canvas.line(cross, np.array([0.12, 0.11, 0.11]), 0.04)


def _poster(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    height, width = shape
    image = np.ones((height, width, 3), np.float32) * rng.uniform(0.3, 0.95, 3).astype(np.float32)
    for _ in range(rng.integers(3, 8)):
        center, radius = (rng.uniform(0, 1, 2) * (width, 0.6 * height)).astype(int), int(rng.uniform(0.08, 0.3) * width)
        cv2.circle(image, center.tolist(), radius, rng.uniform(0, 1, 3).tolist(), -1, cv2.LINE_AA)
    for row in range(3):
        top = int((0.66 + 0.11 * row) * height)
        strip = image[top : top + height // 10]
        strip[:] = glyphs(
            rng, strip.shape[:2], int(rng.integers(5, 10)), rng.uniform(0, 0.3, 3), rng.uniform(0.7, 1, 3)
        )
    return image


def _draw_ivy(rng: np.random.Generator, canvas: Canvas) -> None:
    height, width = canvas.image.shape[:2]
    spread = fractal_noise(rng, (height, width), 1.5 * canvas.ppm, 5) + np.linspace(-2.2, 1.0, height)[:, None]
    side = np.abs(np.linspace(-1, 1, width) - rng.choice([-1, 1])) < rng.uniform(0.5, 1.1)
    mask = (spread > 0) & side[None]
    leaf = fractal_noise(rng, (height, width), 0.1 * canvas.ppm, 3)[..., None]
    green = np.array([0.16, 0.27, 0.09]) + leaf * np.array([0.06, 0.09, 0.03])
    canvas.image[mask] = np.clip(green, 0.02, 1)[mask]
