"""The town: where houses, square, church and street furniture stand, as textured meshes. Pure numpy, a
function of the seed.

Plan (metres, x east, y north, before bending): two blocks of houses in a ring of houses, and a market square
in the east.

    y 16  +----------- north row -----------+
          |  street  y 13                   |
    west  |  [block 1]   [block 2]  market  | church
    row   |  street  y 0              square| and houses
    y -3  +----------- south row -----------+
         x -3   3..11     17..25     25..39
"""

# ruff: noqa: RUF005 (numpy arrays are added here, not concatenated)

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from trigpoint.rendering.facades import Facade, draw_facade
from trigpoint.rendering.meshes import UNIT_UV, Mesh, add_box, add_cylinder, add_wall
from trigpoint.rendering.textures import brick, cobbles, crate_goods, leaves, plaster, roof_tiles, stone, stripes, wood

FACADE_PPM = 110.0  # texture pixels per metre: one image pixel at 4.5 m with a focal length of 500 px
BLOCKS = ((3.0, 11.0, 3.0, 10.0), (17.0, 25.0, 3.0, 10.0))  # x0, x1, y0, y1
RING = (-3.0, 39.0, -3.0, 16.0)
LAMP_SPOTS = (
    (2.1, 2.2),
    (11.7, 10.9),
    (16.2, 2.1),
    (25.8, 10.8),
    (-2.1, 7.0),
    (14.0, 15.2),
    (7.0, -2.2),
    (21.5, -2.2),
    (6.0, 15.2),
    (22.0, 15.2),
    (27.0, 2.0),
)
LAMP_HEIGHT_M = 3.1


@dataclass(frozen=True)
class Surface:
    """A mesh with its texture; `texture` (H, W, 3) float32 sRGB. `is_lit`: shines at night.
    `is_thin`: has no inside, so both sides are to be seen."""

    mesh: Mesh
    texture: np.ndarray
    is_lit: bool = False
    is_thin: bool = False


@dataclass(frozen=True)
class Town:
    """surfaces: everything to be seen. lamps: (L, 3) metres, the bulbs. bend: how plan turns into world."""

    surfaces: list[Surface]
    lamps: np.ndarray
    bend: Bend


@dataclass(frozen=True)
class Bend:
    """A smooth bending of the plan that makes streets crooked; heights stay.

    x' = x + sway_x sin(y / 8 + phase_x), y' = y + sway_y sin(x / 9 + phase_y), metres.
    """

    sway_x: float
    sway_y: float
    phase_x: float
    phase_y: float

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """World of plan coordinates, (..., 3) metres both."""
        points = np.asarray(points, float)
        x = points[..., 0] + self.sway_x * np.sin(points[..., 1] / 8 + self.phase_x)
        y = points[..., 1] + self.sway_y * np.sin(points[..., 0] / 9 + self.phase_y)
        return np.stack([x, y, points[..., 2]], -1)


def build_town(seed: int) -> Town:
    """The whole town of one seed."""
    rng = np.random.default_rng([seed, 1])
    bend = Bend(*rng.uniform(0.4, 0.9, 2), *rng.uniform(0, 2 * np.pi, 2))
    surfaces = _build_ground(rng) + _build_blocks(rng) + _build_ring(rng) + _build_church(rng) + _build_furniture(rng)
    for surface in surfaces:
        surface.mesh.vertices[:] = [bend(v) for v in surface.mesh.vertices]
    lamps = bend(np.array([[x, y, LAMP_HEIGHT_M + 0.12] for x, y in LAMP_SPOTS]))
    return Town(surfaces, lamps, bend)


def _build_ground(rng: np.random.Generator) -> list[Surface]:
    """Cobbles in 14 m tiles of their own, so that no stretch of street repeats."""
    surfaces = []
    step = 14.0
    for x in np.arange(-6, 44, step):
        for y in np.arange(-6, 20, step):
            mesh = Mesh()
            cells = np.arange(8) / 7
            u, v = np.meshgrid(cells[:-1], cells[:-1], indexing="ij")
            corners = np.stack([u, v], -1)[:, :, None] + np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) / 7
            ground = np.concatenate([corners * step + [x, y], np.zeros((7, 7, 4, 1))], -1)
            mesh.add_quads(ground, corners)
            surfaces.append(Surface(mesh, cobbles(rng, (980, 980), 70.0, rng.uniform(0.14, 0.2))))
    return surfaces


def _split(rng: np.random.Generator, length_m: float, target_m: float) -> np.ndarray:
    """Borders of houses along `length_m`, each roughly `target_m` wide; from 0 to `length_m`."""
    count = max(1, round(length_m / target_m))
    widths = rng.uniform(0.8, 1.25, count)
    return np.concatenate([[0], np.cumsum(widths) / widths.sum()]) * length_m


def _build_blocks(rng: np.random.Generator) -> list[Surface]:
    surfaces = []
    for x0, x1, y0, y1 in BLOCKS:
        borders = x0 + _split(rng, x1 - x0, 4.0)
        for k, (left, right) in enumerate(pairwise(borders)):
            sides = ["south", "north"] + ["west"] * (k == 0) + ["east"] * (k == len(borders) - 2)
            surfaces += build_house(
                rng, (left, right, y0 + rng.uniform(-0.25, 0.25), y1 + rng.uniform(-0.25, 0.25)), sides
            )
    return surfaces


def _build_ring(rng: np.random.Generator) -> list[Surface]:
    """The rows of houses around; each shows one side to the streets."""
    x0, x1, y0, y1 = RING
    surfaces = []
    for y, out, side in ((y0, -1, "north"), (y1, 1, "south")):
        borders = x0 - 1 + _split(rng, x1 - x0 + 2, 4.3)
        for left, right in pairwise(borders):
            front = y + rng.uniform(-0.2, 0.2)
            surfaces += build_house(rng, (left, right, *sorted((front, y + out * 6))), [side])
    for x, out, side in ((x0, -1, "east"), (x1 + 1, 1, "west")):
        borders = y0 + _split(rng, y1 - y0, 4.3)
        for low, high in pairwise(borders):
            front = x + rng.uniform(-0.2, 0.2)
            surfaces += build_house(rng, (*sorted((front, x + out * 6)), low, high), [side])
    return surfaces


SIDES = {
    "south": ((0, 2), (1.0, 0.0)),
    "north": ((1, 3), (-1.0, 0.0)),
    "west": ((0, 3), (0.0, -1.0)),
    "east": ((1, 2), (0.0, 1.0)),
}  # which two of x0, x1, y0, y1 are the lower left corner seen from outside, and the direction to the right


def build_house(rng: np.random.Generator, box: tuple[float, float, float, float], sides: list[str]) -> list[Surface]:
    """A gabled house on `box` = (x0, x1, y0, y1) with a drawn front on each of `sides`, bare walls elsewhere."""
    x0, x1, y0, y1 = box
    eaves_m, ridge_m = rng.uniform(5.6, 8.4), rng.uniform(1.7, 2.6)
    along_x = rng.random() < 0.35 if (y1 - y0) > 0.6 * (x1 - x0) else True
    gabled = {"west", "east"} if along_x else {"south", "north"}
    surfaces = []
    for side, (corner, direction) in SIDES.items():
        origin = np.array([box[corner[0]], box[corner[1]], 0.0])
        width_m = (x1 - x0) if direction[0] else (y1 - y0)
        gable_m = ridge_m if side in gabled else 0.0
        ppm = FACADE_PPM if side in sides else 24.0
        facade = draw_facade(rng, width_m, eaves_m, gable_m, ppm, side in sides)
        surfaces += _build_front(facade, origin, np.array([*direction, 0.0]), eaves_m, gable_m, side in sides)
    return surfaces + _build_roof(rng, box, eaves_m, ridge_m, along_x)


def _build_front(
    facade: Facade, origin: np.ndarray, right: np.ndarray, eaves_m: float, gable_m: float, relief: bool
) -> list[Surface]:
    mesh, lit = Mesh(), Mesh()
    wide, tall = facade.width_m, facade.height_m
    add_wall(mesh, origin, right, (wide, eaves_m), tall, facade.reliefs if relief else [])
    if gable_m > 0:
        corners = (
            origin
            + np.array([right * 0, right * wide, right * wide / 2])
            + np.array([[0, 0, eaves_m], [0, 0, eaves_m], [0, 0, tall]])
        )
        mesh.add(corners, np.array([[0, eaves_m / tall], [1, eaves_m / tall], [0.5, 1]]), np.array([[0, 1, 2]]))
    outward = np.cross(right, [0, 0, 1.0])
    for a, b, low, high, behind in facade.lit_windows:
        x, z = np.array([a, b, b, a]), np.array([low, low, high, high])
        corners = origin + x[:, None] * right + z[:, None] * [0, 0, 1] - behind * outward
        lit.add_quads(corners, np.stack([x / wide, z / tall], 1))
    surfaces = [Surface(mesh, facade.texture)]
    return surfaces + ([Surface(lit, facade.texture, is_lit=True)] if lit.count else [])


def _build_roof(rng: np.random.Generator, box: tuple, eaves_m: float, ridge_m: float, along_x: bool) -> list[Surface]:
    """Two slopes that overhang the walls, and chimneys."""
    x0, x1, y0, y1 = box
    over = 0.28
    low = eaves_m - over * ridge_m / max(((y1 - y0) if along_x else (x1 - x0)) / 2, 1)
    top = eaves_m + ridge_m
    if along_x:
        mid, a, b = (y0 + y1) / 2, x0 - 0.04, x1 + 0.04
        slopes = [[[a, e, low], [b, e, low], [b, mid, top], [a, mid, top]] for e in (y0 - over, y1 + over)]
    else:
        mid, a, b = (x0 + x1) / 2, y0 - 0.12, y1 + 0.12
        slopes = [[[e, a, low], [e, b, low], [mid, b, top], [mid, a, top]] for e in (x0 - over * 0.3, x1 + over * 0.3)]
    roof, stack = Mesh(), Mesh()
    roof.add_quads(np.array(slopes) + [0, 0, 0.03], np.tile(UNIT_UV, (2, 1, 1)))
    x, y = rng.uniform(x0 + 0.8, x1 - 0.8), rng.uniform(y0 + 0.8, y1 - 0.8)
    add_box(
        stack, np.array([x - 0.3, y - 0.25, eaves_m]), np.array([x + 0.3, y + 0.25, top + rng.uniform(0.2, 0.8)]), 0.5
    )
    return [
        Surface(roof, roof_tiles(rng, (300, 420), 70.0), is_thin=True),
        Surface(stack, brick(rng, (160, 160), 80.0)),
    ]


def _build_church(rng: np.random.Generator) -> list[Surface]:
    """A tower with a spire that stands out over the east side of the square, and a taller house front as its nave."""
    tower, spire = Mesh(), Mesh()
    low, high = np.array([37.6, 4.2, 0]), np.array([41.5, 8.4, 13.0])
    for side in ("west", "south", "north"):
        corner, direction = SIDES[side]
        box = (low[0], high[0], low[1], high[1])
        origin = np.array([box[corner[0]], box[corner[1]], 0.0])
        wide = high[0] - low[0] if direction[0] else high[1] - low[1]
        add_wall(tower, origin, np.array([*direction, 0.0]), (wide, 13.0), 13.0, [])
    center = (low + high) / 2 * [1, 1, 0]
    add_cylinder(spire, center, (3.0, 2.2, 0.05), (13.0, 13.8, 20.0), 8)
    return [Surface(tower, _tower_texture(rng)), Surface(spire, roof_tiles(rng, (500, 700), 60.0))]


def _tower_texture(rng: np.random.Generator) -> np.ndarray:
    """Ashlar with a portal, a rose window, a clock and slits; 4.2 x 13 m."""
    facade = draw_facade(rng, 4.2, 13.0, 0.0, 90.0, windows=False)
    image = stone(rng, facade.texture.shape[:2], 90.0, (0.3, 0.5))
    height, width = image.shape[:2]
    y, x = np.mgrid[0:height, 0:width] / 90.0
    x, z = x - 2.1, 13.0 - y
    portal = (np.abs(x) < 1.0) & ((z < 2.3) | (np.hypot(x, z - 2.3) < 1.0))
    image[portal] = wood(rng, (height, width), 90.0, np.array([0.33, 0.2, 0.12]))[portal]
    for radius_m, tone in ((1.15, 0.8), (1.0, 0.3)):
        image[np.hypot(x, z - 5.4) < radius_m] *= tone
    spokes = (np.hypot(x, z - 5.4) < 1.0) & (np.mod(np.arctan2(z - 5.4, x) * 12 / (2 * np.pi), 1) < 0.25)
    image[spokes] = 0.6
    dial = np.hypot(x, z - 9.6)
    image[dial < 0.95] = [0.85, 0.83, 0.75]
    ticks = (dial > 0.72) & (dial < 0.9) & (np.mod(np.arctan2(z - 9.6, x) * 12 / (2 * np.pi) + 0.1, 1) < 0.2)
    hands = (dial < 0.7) & (
        (np.abs(x - 0.4 * (z - 9.6)) < 0.05) & (z > 9.6) | (np.abs(z - 9.6 - 0.2 * x) < 0.05) & (x > 0)
    )
    image[ticks | hands] = 0.08
    return image.astype(np.float32)


def _build_furniture(rng: np.random.Generator) -> list[Surface]:
    """Lamp posts, trees, market stalls, barrels, tubs, a fountain: always 1.3 m or more away from the walked lines."""
    surfaces = _build_lamps(rng) + _build_fountain(rng)
    for x, y in ((27.6, 14.0), (35.5, 14.3), (35.8, -1.4), (-1.9, 11.4), (12.1, 14.9)):
        surfaces += _build_tree(
            rng, np.array([x + rng.normal(0, 0.2), y + rng.normal(0, 0.2), 0]), rng.uniform(0.75, 1.1)
        )
    for x, y in ((33.5, 2.2), (34.6, 10.4), (36.2, 12.6), (35.9, 1.6)):
        surfaces += _build_stall(rng, np.array([x + rng.normal(0, 0.3), y + rng.normal(0, 0.3), 0]))
    for _ in range(16):
        x0, x1, y0, y1 = BLOCKS[rng.integers(2)]
        x, y = rng.uniform(x0, x1), rng.uniform(y0, y1)
        edge = rng.integers(4)
        spot = np.array([*((x, y0 - 0.6), (x, y1 + 0.6), (x0 - 0.6, y), (x1 + 0.6, y))[edge], 0.0])
        surfaces += _build_barrel(rng, spot) if rng.random() < 0.5 else _build_tub(rng, spot)
    for _ in range(14):
        x = rng.uniform(-1, 35)
        spot = np.array([x, rng.choice([-2.35, 15.35]), 0.0])
        surfaces += _build_barrel(rng, spot) if rng.random() < 0.5 else _build_tub(rng, spot)
    return surfaces


def _build_lamps(rng: np.random.Generator) -> list[Surface]:
    posts, lanterns = Mesh(), Mesh()
    for x, y in LAMP_SPOTS:
        add_cylinder(posts, np.array([x, y, 0]), (0.12, 0.12, 0.05, 0.04, 0.04), (0, 0.4, 0.45, 2.8, LAMP_HEIGHT_M), 8)
        add_cylinder(lanterns, np.array([x, y, LAMP_HEIGHT_M + 0.25]), (0.22, 0.03), (0.0, 0.22), 6)
    iron = np.full((16, 16, 3), [0.13, 0.15, 0.14], np.float32) * rng.uniform(0.7, 1.3, (16, 16, 1)).astype(np.float32)
    return [Surface(posts, iron), Surface(lanterns, iron)]


def _build_fountain(rng: np.random.Generator) -> list[Surface]:
    basin, statue = Mesh(), Mesh()
    center = np.array([34.0, 6.3, 0])
    add_cylinder(basin, center, (1.5, 1.5, 1.6, 1.35, 1.3), (0, 0.55, 0.65, 0.65, 0.45), 8)
    add_cylinder(
        statue,
        center,
        (0.4, 0.3, 0.22, 0.75, 0.7, 0.2, 0.28, 0.12, 0.2, 0.02),
        (0.4, 0.9, 1.3, 1.6, 1.65, 1.7, 2.1, 2.4, 2.6, 2.9),
        12,
    )
    return [
        Surface(basin, stone(rng, (120, 900), 90.0, (0.25, 0.35))),
        Surface(statue, stone(rng, (300, 300), 90.0, (0.2, 0.5))),
    ]


def _build_tree(rng: np.random.Generator, base: np.ndarray, scale: float) -> list[Surface]:
    """A trunk, and a crown of loose leaf clusters."""
    trunk, crown = Mesh(), Mesh()
    add_cylinder(trunk, base, (0.17 * scale, 0.1 * scale, 0.06), (0, 1.6 * scale, 3.4 * scale), 7)
    count = 1500
    direction = rng.standard_normal((count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    blobs = rng.uniform(-1, 1, (9, 3)) * [0.75, 0.75, 0.8] * scale + base + [0, 0, 3.2 * scale]
    centers = blobs[rng.integers(9, size=count)] + direction * (rng.uniform(0.4, 0.8, (count, 1)) * scale)
    _add_leaf_quads(rng, crown, centers, 0.13)
    bark = wood(rng, (200, 60), 60.0, np.array([0.3, 0.24, 0.19]), 0.05)
    return [Surface(trunk, bark), Surface(crown, leaves(rng, (64, 64)), is_thin=True)]


def _add_leaf_quads(rng: np.random.Generator, mesh: Mesh, centers: np.ndarray, size_m: float) -> None:
    """Small squares of random direction at `centers` (N, 3), each showing one spot of the texture."""
    count = len(centers)
    a = rng.standard_normal((count, 3))
    b = np.cross(a, rng.standard_normal((count, 3)))
    a *= size_m / np.linalg.norm(a, axis=1, keepdims=True)
    b *= 0.6 * size_m / np.linalg.norm(b, axis=1, keepdims=True)
    corners = np.stack([centers - a, centers - b, centers + a, centers + b], 1)
    spots = rng.uniform(0.05, 0.9, (count, 1, 2)) + UNIT_UV * 0.05
    mesh.add_quads(corners, spots)


def _build_stall(rng: np.random.Generator, base: np.ndarray) -> list[Surface]:
    """A market stall: table with crates, four posts, a striped roof."""
    table, goods, cloth = Mesh(), Mesh(), Mesh()
    wide, deep = rng.uniform(0.8, 1.2), rng.uniform(0.55, 0.75)
    add_box(table, base + [-wide, -deep, 0.0], base + [wide, deep, 0.8])
    for x in (-wide, wide - 0.07):
        for y in (-deep, deep - 0.07):
            add_box(table, base + [x, y, 0.8], base + [x + 0.07, y + 0.07, 2.2])
    add_box(goods, base + [-wide * 0.95, -deep * 0.95, 0.8], base + [wide * 0.95, deep * 0.95, 0.98])
    for sign in (-1, 1):
        ridge = [[-wide - 0.2, 0, 2.65], [wide + 0.2, 0, 2.65]]
        eaves = [[wide + 0.2, sign * (deep + 0.3), 2.1], [-wide - 0.2, sign * (deep + 0.3), 2.1]]
        cloth.add_quads(base + np.array(eaves[::-1] + ridge[::-1]), UNIT_UV)
    wooden = wood(rng, (120, 260), 100.0, np.array([0.42, 0.30, 0.2]))
    return [
        Surface(table, wooden),
        Surface(goods, crate_goods(rng, (300, 400))),
        Surface(cloth, stripes(rng, (200, 400), 7), is_thin=True),
    ]


def _build_barrel(rng: np.random.Generator, base: np.ndarray) -> list[Surface]:
    mesh = Mesh()
    size = rng.uniform(0.8, 1.1)
    add_cylinder(
        mesh, base, (0.24 * size, 0.31 * size, 0.31 * size, 0.24 * size), (0, 0.3 * size, 0.55 * size, 0.85 * size), 12
    )
    image = wood(rng, (160, 320), 170.0, np.array([0.40, 0.27, 0.17]), 0.12)
    for row in (15, 50, 105, 140):
        image[row : row + 7] = 0.17
    return [Surface(mesh, image)]


def _build_tub(rng: np.random.Generator, base: np.ndarray) -> list[Surface]:
    """A stone tub with a bush."""
    tub, bush = Mesh(), Mesh()
    add_box(tub, base + [-0.3, -0.3, 0], base + [0.3, 0.3, 0.45])
    centers = base + [0, 0, 0.75] + rng.standard_normal((260, 3)) * [0.17, 0.17, 0.17]
    _add_leaf_quads(rng, bush, centers, 0.08)
    return [Surface(tub, plaster(rng, (90, 120), 150.0)), Surface(bush, leaves(rng, (48, 48)), is_thin=True)]
