"""Triangle meshes with texture coordinates: quads, boxes, cylinders, walls with relief. World: metres, z up."""

# ruff: noqa: RUF005 (numpy arrays are added here, not concatenated)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Mesh:
    """Faces collected piece by piece.

    vertices: list of (V, 3) metres; uvs: list of (V, 2), u to the right, v up, [0, 1] is the whole texture;
    faces: list of (F, 3) indices, already shifted to the joined arrays.
    """

    vertices: list[np.ndarray] = field(default_factory=list)
    uvs: list[np.ndarray] = field(default_factory=list)
    faces: list[np.ndarray] = field(default_factory=list)
    count: int = 0

    def add(self, vertices: np.ndarray, uvs: np.ndarray, faces: np.ndarray) -> None:
        """Append `vertices` (V, 3) metres, `uvs` (V, 2), `faces` (F, 3) that count from 0 within this piece."""
        self.vertices.append(np.asarray(vertices, float))
        self.uvs.append(np.asarray(uvs, float))
        self.faces.append(np.asarray(faces, int) + self.count)
        self.count += len(vertices)

    def add_quads(self, corners: np.ndarray, uvs: np.ndarray) -> None:
        """Append Q quads; `corners` (Q, 4, 3) metres in order around each quad, `uvs` (Q, 4, 2)."""
        corners, uvs = np.asarray(corners, float).reshape(-1, 4, 3), np.asarray(uvs, float).reshape(-1, 4, 2)
        first = 4 * np.arange(len(corners))[:, None]
        faces = np.concatenate([first + [0, 1, 2], first + [0, 2, 3]])
        self.add(corners.reshape(-1, 3), uvs.reshape(-1, 2), faces)

    def joined(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(V, 3) vertices in metres, (V, 2) texture coordinates, (F, 3) faces of everything added; at least
        one piece.
        """
        return np.concatenate(self.vertices), np.concatenate(self.uvs), np.concatenate(self.faces)


UNIT_UV = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)


def add_box(mesh: Mesh, low: np.ndarray, high: np.ndarray, uv_per_m: float | None = None) -> None:
    """Append an axis-aligned box, `low` and `high` (3,) metres; each side shows the whole texture, or
    `uv_per_m` of it a metre.
    """
    (x0, y0, z0), (x1, y1, z1) = low, high
    sides = np.array(
        [
            [[x0, y0, z0], [x1, y0, z0], [x1, y0, z1], [x0, y0, z1]],
            [[x1, y0, z0], [x1, y1, z0], [x1, y1, z1], [x1, y0, z1]],
            [[x1, y1, z0], [x0, y1, z0], [x0, y1, z1], [x1, y1, z1]],
            [[x0, y1, z0], [x0, y0, z0], [x0, y0, z1], [x0, y1, z1]],
            [[x0, y0, z1], [x1, y0, z1], [x1, y1, z1], [x0, y1, z1]],
            [[x0, y1, z0], [x1, y1, z0], [x1, y0, z0], [x0, y0, z0]],
        ],
        float,
    )
    uvs = np.tile(UNIT_UV, (6, 1, 1))
    if uv_per_m is not None:
        wide = np.linalg.norm(sides[:, 1] - sides[:, 0], axis=1)
        tall = np.linalg.norm(sides[:, 3] - sides[:, 0], axis=1)
        uvs = uvs * np.stack([wide, tall], 1)[:, None] * uv_per_m
    mesh.add_quads(sides, uvs)


def add_cylinder(
    mesh: Mesh, base: np.ndarray, radii: tuple[float, ...], heights: tuple[float, ...], sides: int = 10
) -> None:
    """Append a stack of cone frusta around the vertical through `base` (3,): `radii` at `heights` above it,
    metres; a lid on top.
    """
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    levels = np.array([[[*(r * p), h] for p in ring] for r, h in zip(radii, heights, strict=True)]) + np.asarray(
        base, float
    )
    v = (np.asarray(heights) - heights[0]) / max(heights[-1] - heights[0], 1e-6)
    for k in range(len(radii) - 1):
        low, high = levels[k], levels[k + 1]
        u = angle / (2 * np.pi)
        uv = [np.stack([u[:-1], u[1:], u[1:], u[:-1]], 1), np.repeat([[v[k], v[k], v[k + 1], v[k + 1]]], sides, 0)]
        mesh.add_quads(np.stack([low[:-1], low[1:], high[1:], high[:-1]], 1), np.stack(uv, -1))
    center = np.asarray(base, float) + [0, 0, heights[-1]]
    fan = np.stack([np.zeros(sides, int), 1 + np.arange(sides), 2 + np.arange(sides)], 1)
    mesh.add(np.vstack([center, levels[-1]]), np.vstack([[0.5, 0.5], 0.5 + 0.5 * ring]), fan)


@dataclass(frozen=True)
class Relief:
    """A rectangle of a wall that stands back (`depth_m` > 0) or out (< 0). Metres: x to the right, z up from
    the wall's foot.
    """

    x0: float
    x1: float
    z0: float
    z1: float
    depth_m: float


def wall_cells(width_m: float, height_m: float, reliefs: list[Relief]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The wall cut into cells at every edge of a relief.

    Returns:
        xs: (I + 1,) and zs: (J + 1,) cell borders, metres.
        depth: (I, J) metres behind the wall's plane; a later relief covers an earlier one.
    """
    inside = [r for r in reliefs if r.x1 > r.x0 and r.z1 > r.z0]
    xs = np.unique(np.clip([0, width_m] + [x for r in inside for x in (r.x0, r.x1)], 0, width_m))
    zs = np.unique(np.clip([0, height_m] + [z for r in inside for z in (r.z0, r.z1)], 0, height_m))
    mid_x, mid_z = (xs[1:] + xs[:-1]) / 2, (zs[1:] + zs[:-1]) / 2
    depth = np.zeros((len(mid_x), len(mid_z)))
    for r in inside:
        depth[np.ix_((mid_x > r.x0) & (mid_x < r.x1), (mid_z > r.z0) & (mid_z < r.z1))] = r.depth_m
    return xs, zs, depth


def add_wall(
    mesh: Mesh,
    origin: np.ndarray,
    right: np.ndarray,
    size_m: tuple[float, float],
    texture_height_m: float,
    reliefs: list[Relief],
) -> None:
    """Append a vertical wall whose texture is projected straight onto its relief.

    Args:
        origin: (3,) lower left corner seen from outside, metres. The outside is at right x up.
        right: (3,) horizontal unit vector.
        size_m: width and height, metres.
        texture_height_m: what the texture's height stands for; its foot is the wall's.
    """
    width_m, height_m = size_m
    xs, zs, depth = wall_cells(width_m, height_m, reliefs)
    outward = np.cross(right, [0.0, 0.0, 1.0])

    def place(x: np.ndarray, z: np.ndarray, behind: np.ndarray) -> np.ndarray:
        return origin + x[..., None] * right + z[..., None] * np.array([0, 0, 1.0]) - behind[..., None] * outward

    def texture(x: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.stack([x / width_m, z / texture_height_m], -1)

    x0, z0 = np.meshgrid(xs[:-1], zs[:-1], indexing="ij")
    x1, z1 = np.meshgrid(xs[1:], zs[1:], indexing="ij")
    x, z = np.stack([x0, x1, x1, x0], -1), np.stack([z0, z0, z1, z1], -1)
    mesh.add_quads(place(x, z, np.repeat(depth[..., None], 4, -1)), texture(x, z))
    i, j = np.nonzero(np.diff(depth, axis=0))
    _add_steps(
        mesh,
        place,
        texture,
        np.stack([xs[i + 1]] * 2, 1),
        np.stack([zs[j], zs[j + 1]], 1),
        depth[i, j],
        depth[i + 1, j],
        (1, 0),
    )
    i, j = np.nonzero(np.diff(depth, axis=1))
    _add_steps(
        mesh,
        place,
        texture,
        np.stack([xs[i], xs[i + 1]], 1),
        np.stack([zs[j + 1]] * 2, 1),
        depth[i, j],
        depth[i, j + 1],
        (0, 1),
    )


def _add_steps(
    mesh: Mesh,
    place: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    texture: Callable[[np.ndarray, np.ndarray], np.ndarray],
    x: np.ndarray,
    z: np.ndarray,
    depth0: np.ndarray,
    depth1: np.ndarray,
    axis: tuple[int, int],
) -> None:
    """Close the gaps between neighbouring cells of unequal depth; texture comes from a strip of the outer cell
    beside the edge.
    """
    if len(x) == 0:
        return
    behind = np.stack([depth0, depth0, depth1, depth1], 1)
    x4, z4 = np.concatenate([x, x[:, ::-1]], 1), np.concatenate([z, z[:, ::-1]], 1)
    # towards the outer (less deep) cell, as far as the step is deep
    strip = np.where(depth0 < depth1, -1, 1)[:, None] * np.abs(behind - np.minimum(depth0, depth1)[:, None])
    mesh.add_quads(place(x4, z4, behind), texture(x4 + axis[0] * strip, z4 + axis[1] * strip))
