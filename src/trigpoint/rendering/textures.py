"""Procedural surface textures: plaster, brick, stone, timber, roof tiles, cobbles, wood, leaves.

All textures are (H, W, 3) float32 sRGB in [0, 1], row 0 at the top. `ppm` is the resolution in pixels per metre.
Own work; the irregular cells are the Voronoi idea of Worley, "A cellular texture basis function" (SIGGRAPH 1996).
"""

from __future__ import annotations

import cv2
import numpy as np

PLASTER_COLORS = np.array(
    [
        [0.86, 0.78, 0.62], [0.80, 0.66, 0.48], [0.74, 0.52, 0.42], [0.68, 0.72, 0.70], [0.88, 0.84, 0.76],
        [0.62, 0.68, 0.56], [0.58, 0.64, 0.72], [0.84, 0.70, 0.62], [0.78, 0.74, 0.50], [0.66, 0.50, 0.46],
    ],
    dtype=np.float32,
)  # fmt: skip
BRICK_COLORS = np.array([[0.55, 0.29, 0.22], [0.62, 0.38, 0.27], [0.48, 0.27, 0.24], [0.64, 0.50, 0.38]], np.float32)
STONE_COLORS = np.array([[0.60, 0.58, 0.53], [0.66, 0.60, 0.50], [0.52, 0.52, 0.54], [0.58, 0.50, 0.45]], np.float32)
TILE_COLORS = np.array([[0.56, 0.27, 0.19], [0.45, 0.25, 0.20], [0.36, 0.35, 0.37], [0.60, 0.36, 0.24]], np.float32)


def fractal_noise(
    rng: np.random.Generator, shape: tuple[int, int], coarsest_px: float, octaves: int, gain: float = 0.6
) -> np.ndarray:
    """Sum of smooth random fields, each of half the wavelength of the one before.

    Args:
        shape: (H, W) of the result.
        coarsest_px: wavelength of the first field, pixels.
        octaves: number of fields, at least 1.
        gain: amplitude ratio of successive fields.

    Returns:
        (H, W) float32, mean about 0, standard deviation 1.
    """
    height, width = shape
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        cell_px = max(coarsest_px / 2**octave, 1.0)
        grid = rng.standard_normal((int(height / cell_px) + 2, int(width / cell_px) + 2)).astype(np.float32)
        total += gain**octave * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return (total - total.mean()) / max(float(total.std()), 1e-6)


def weathered(rng: np.random.Generator, image: np.ndarray, ppm: float, strength: float = 1.0) -> np.ndarray:
    """`image` with large stains, fine grain, rain streaks and pits; (H, W, 3) float32 in [0, 1]."""
    height, width = image.shape[:2]
    stains = fractal_noise(rng, (height, width), 1.2 * ppm, 7, 0.65)
    grain = fractal_noise(rng, (height, width), 0.06 * ppm, 3, 0.9)
    streaks = cv2.resize(
        rng.standard_normal((max(height // int(0.8 * ppm), 2), width // 3 + 2)).astype(np.float32), (width, height)
    )
    pits = fractal_noise(rng, (height, width), 0.16 * ppm, 2)
    shade = 1 + strength * (0.085 * stains + 0.05 * grain + 0.03 * streaks - 0.22 * (pits > 2.0))
    tint = (
        fractal_noise(rng, (height, width), 2.0 * ppm, 3)[..., None]
        * np.array([0.02, 0.0, -0.025], np.float32)
        * strength
    )
    return np.clip(image * shade[..., None] + tint, 0.01, 1).astype(np.float32)


def brick(rng: np.random.Generator, shape: tuple[int, int], ppm: float) -> np.ndarray:
    """Running bond of 24 x 7.5 cm bricks with a tone of its own for each brick and uneven mortar joints."""
    height, width = shape
    base = BRICK_COLORS[rng.integers(len(BRICK_COLORS))]
    wobble = fractal_noise(rng, shape, 0.5 * ppm, 3) * 0.006
    rows, cols = np.mgrid[0:height, 0:width].astype(np.float32)
    row_m, col_m = rows / ppm + wobble, cols / ppm + wobble[::-1]
    row = np.floor(row_m / 0.075).astype(int)
    col = np.floor(col_m / 0.24 + 0.5 * (row % 2)).astype(int)
    tones = rng.normal(1, 0.16, (int(row.max()) + 2, int(col.max()) + 3)).astype(np.float32)
    image = base * tones[row, col][..., None]
    joint = (np.mod(row_m, 0.075) < 0.011) | (np.mod(col_m + 0.12 * (row % 2), 0.24) < 0.012)
    image[joint] = np.array([0.70, 0.67, 0.61], np.float32) * rng.uniform(0.75, 1.0)
    return weathered(rng, image, ppm)


def stone(
    rng: np.random.Generator, shape: tuple[int, int], ppm: float, course_m: tuple[float, float] = (0.22, 0.45)
) -> np.ndarray:
    """Ashlar of uneven courses; every block has its own tone, and the joints are dark."""
    height, width = shape
    base = STONE_COLORS[rng.integers(len(STONE_COLORS))]
    image = np.empty((height, width, 3), np.float32)
    top = 0
    while top < height:
        bottom = min(height, top + int(rng.uniform(*course_m) * ppm))
        left = -int(rng.uniform(0, 0.4) * ppm)
        while left < width:
            right = left + int(rng.uniform(1.0, 2.6) * (course_m[0] + course_m[1]) / 2 * ppm)
            color = base * rng.normal(1, 0.12) + rng.normal(0, 0.02, 3)
            image[top:bottom, max(left, 0) : right] = color * 0.55
            image[top + 2 : bottom, max(left + 2, 0) : right] = color
            left = right
        top = bottom
    rough = fractal_noise(rng, shape, 0.25 * ppm, 5, 0.8)[..., None]
    return weathered(rng, np.clip(image * (1 + 0.07 * rough), 0, 1), ppm)


def plaster(rng: np.random.Generator, shape: tuple[int, int], ppm: float) -> np.ndarray:
    """Painted plaster with cracks, and patches where it fell off the bricks."""
    height, width = shape
    color = PLASTER_COLORS[rng.integers(len(PLASTER_COLORS))] + rng.normal(0, 0.03, 3).astype(np.float32)
    image = weathered(rng, np.broadcast_to(color, (height, width, 3)), ppm, rng.uniform(1.2, 1.9))
    holes = fractal_noise(rng, shape, 1.1 * ppm, 5, 0.55)
    threshold = rng.uniform(1.5, 2.6)
    bare, rim = holes > threshold, (holes > threshold - 0.09) & (holes <= threshold)
    image[bare] = brick(rng, shape, ppm)[bare]
    image[rim] *= 0.7
    for _ in range(rng.integers(3, 9)):
        start = rng.uniform(0, 1, 2) * (width, height)
        walk = start + np.cumsum(rng.normal([rng.normal(0, 2), 3], 4.0, (rng.integers(15, 60), 2)), axis=0)
        dark = (color * rng.uniform(0.45, 0.7)).tolist()
        cv2.polylines(image, [walk.astype(np.int32).reshape(-1, 1, 2)], False, dark, 1, cv2.LINE_AA)
    return np.clip(image, 0.01, 1)


def wood(
    rng: np.random.Generator, shape: tuple[int, int], ppm: float, color: np.ndarray, plank_m: float = 0.14
) -> np.ndarray:
    """Vertical planks with grain; `color` (3,) sRGB."""
    height, width = shape
    plank = (np.arange(width) / ppm / plank_m).astype(int)
    tones = rng.normal(1, 0.12, plank.max() + 1)[plank].astype(np.float32)
    grain = cv2.resize(rng.standard_normal((max(height // 40, 2), width)).astype(np.float32), (width, height))
    image = np.asarray(color, np.float32) * (tones[None, :] * (1 + 0.13 * grain))[..., None]
    image[:, np.flatnonzero(np.diff(plank))] *= 0.45
    return weathered(rng, np.clip(image, 0, 1), ppm, 0.9)


def roof_tiles(rng: np.random.Generator, shape: tuple[int, int], ppm: float) -> np.ndarray:
    """Rows of tiles, 18 x 22 cm, each with its own tone, and moss."""
    height, width = shape
    base = TILE_COLORS[rng.integers(len(TILE_COLORS))]
    rows, cols = np.mgrid[0:height, 0:width].astype(np.float32) / ppm
    row = np.floor(rows / 0.22).astype(int)
    col = np.floor(cols / 0.18 + 0.5 * (row % 2)).astype(int)
    tones = rng.normal(1, 0.2, (row.max() + 1, col.max() + 2)).astype(np.float32)
    curve = 0.7 + 0.3 * np.sin(np.pi * np.mod(cols / 0.18 + 0.5 * (row % 2), 1)) * (0.6 + 0.4 * np.mod(rows / 0.22, 1))
    image = base * (tones[row, col] * curve)[..., None]
    moss = fractal_noise(rng, shape, 0.9 * ppm, 4) > 1.4
    image[moss] = image[moss] * 0.5 + np.array([0.15, 0.19, 0.08], np.float32)
    return weathered(rng, np.clip(image, 0, 1), ppm, 0.8)


def voronoi(rng: np.random.Generator, shape: tuple[int, int], cell_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Irregular cells around jittered grid points.

    Returns:
        cell: (H, W) int, number of the cell, from 1.
        joint: (H, W) bool, true where two cells meet.
    """
    height, width = shape
    seeds = np.ones(shape, np.uint8)
    grid_y, grid_x = np.mgrid[0 : height / cell_px, 0 : width / cell_px]
    grid_x = grid_x + 0.5 * (np.arange(grid_x.shape[0]) % 2)[:, None]
    y = (grid_y + rng.uniform(0.25, 0.75, grid_y.shape)) * cell_px
    x = (grid_x + rng.uniform(0.2, 0.8, grid_x.shape)) * cell_px
    seeds[np.clip(y, 0, height - 1).astype(int), np.clip(x, 0, width - 1).astype(int)] = 0
    _, cell = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    joint = np.zeros(shape, bool)
    joint[1:] |= cell[1:] != cell[:-1]
    joint[:, 1:] |= cell[:, 1:] != cell[:, :-1]
    return cell, joint


def cobbles(rng: np.random.Generator, shape: tuple[int, int], ppm: float, cell_m: float = 0.17) -> np.ndarray:
    """Cobblestones, each with its own tone, worn and stained in large patches."""
    cell, joint = voronoi(rng, shape, cell_m * ppm)
    tones = rng.normal(1, 0.17, int(cell.max()) + 1).astype(np.float32)
    tints = rng.normal(0, 0.022, (int(cell.max()) + 1, 3)).astype(np.float32)
    image = np.array([0.50, 0.48, 0.45], np.float32) * tones[cell][..., None] + tints[cell]
    image[joint] *= 0.5
    return weathered(rng, np.clip(image, 0, 1), ppm, 1.2)


def leaves(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Patches of leaf colours, to be picked from by texture coordinates."""
    hue = fractal_noise(rng, shape, 12, 3)[..., None]
    image = np.array([0.24, 0.36, 0.13], np.float32) + hue * np.array([0.07, 0.09, 0.02], np.float32)
    return np.clip(image * (1 + 0.15 * rng.standard_normal((*shape, 1))), 0.02, 1).astype(np.float32)


def stripes(rng: np.random.Generator, shape: tuple[int, int], count: int) -> np.ndarray:
    """Awning cloth with `count` stripe pairs of a random colour on off-white."""
    height, width = shape
    color = rng.uniform(0.1, 0.75, 3)
    dark = (np.arange(width) * 2 * count // width) % 2 == 0
    image = np.where(dark[None, :, None], color, [0.85, 0.82, 0.74]) * np.ones((height, 1, 1))
    return weathered(rng, image.astype(np.float32), width / 3, 1.0)


def crate_goods(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Fruit and pots seen from above: overlapping coloured discs with highlights."""
    height, width = shape
    image = np.full((height, width, 3), 0.12, np.float32)
    columns = rng.integers(3, 6)
    palette = rng.uniform(0.15, 0.9, (columns, 3))
    for _ in range(900):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        color = np.clip(palette[int(x / width * columns)] * rng.normal(1, 0.15), 0, 1)
        radius = int(rng.uniform(0.018, 0.035) * width) + 1
        cv2.circle(image, (int(x), int(y)), radius, (color * 0.6).tolist(), -1, cv2.LINE_AA)
        cv2.circle(image, (int(x) - 1, int(y) - 1), max(radius - 2, 1), color.tolist(), -1, cv2.LINE_AA)
    for column in range(1, columns):
        image[:, column * width // columns - 2 : column * width // columns + 2] = [0.4, 0.3, 0.2]
    return image
