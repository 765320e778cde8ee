"""How much a scan, looked at from a pose, resembles the query: dense gradient descriptors of both pictures compared.

Source: Taira et al., InLoc, CVPR 2018, Section 4.3 (view synthesis, median distance of dense RootSIFT). Points are
drawn, the nearest in front, and holes of a few pixels are filled; descriptors are 4 x 4 cells of 8 directions, upright,
square roots of shares, on a grid.
"""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trigpoint.datasets.images import load_image
from trigpoint.datasets.inloc import scan_of, world_points
from trigpoint.storage import colmap
from trigpoint.types import Camera, DatasetImage, Pose

CELL_PX = 4  # side of a descriptor's cells
NUM_CELLS = 4  # along each side of a descriptor
DIRECTIONS = 8
STEP_PX = 4  # between descriptors
FILL_PX = 3  # holes of the drawing up to so far from a point are filled
LEAST_SEEN = 0.8  # part of a descriptor's patch that the scan must cover
LEAST_DESCRIPTORS = 25  # fewer in common, and the pose is not comparable
POINTS_OF_A_CUTOUT = 400_000  # larger ones are thinned: a picture of 480 px has 173,000 pixels
SCANS_IN_MEMORY = 2


class Verifier:
    """Compares queries with what the scans look like from a pose; the scans used last stay in memory.

    Args:
        root: folder of the dataset's images.
        longer_px: longer side of the pictures that are compared.
    """

    def __init__(self, root: Path, longer_px: int) -> None:
        self._root, self._longer_px = root, longer_px
        self._scans: dict[tuple[str, ...], tuple[NDArray[np.float32], NDArray[np.uint8]]] = {}
        self._lock = Lock()

    def distance(self, image: DatasetImage, pose: Pose, cutouts: Sequence[str]) -> float:
        """Median distance of the descriptors where both pictures have one; infinite where too few do.

        Args:
            image: the query, with its camera.
            pose: cam_from_world to judge.
            cutouts: views of one scan that are drawn.
        """
        assert image.camera is not None
        query = load_image(str(self._root), image.name)
        scale = min(1.0, self._longer_px / max(image.size))
        size = (max(1, round(image.size[0] * scale)), max(1, round(image.size[1] * scale)))
        points, greys = self._scan(tuple(sorted(cutouts)))
        drawing, seen = draw_points(points, greys, pose, image.camera, size)
        return descriptor_distance(_grey(query.pixels, size), drawing, seen)

    def _scan(self, cutouts: tuple[str, ...]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Points (N, 3) and grey values (N,) of some views of a scan."""
        assert len({scan_of(name) for name in cutouts}) == 1
        with self._lock:
            if cutouts not in self._scans:
                while len(self._scans) >= SCANS_IN_MEMORY:
                    self._scans.pop(next(iter(self._scans)))
                parts = [self._cutout(name) for name in cutouts]
                self._scans[cutouts] = np.concatenate([p for p, _ in parts]), np.concatenate([g for _, g in parts])
            return self._scans[cutouts]

    def _cutout(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        points = world_points(self._root, name)
        height, width = points.shape[:2]
        grey = _grey(load_image(str(self._root), name).pixels, (width, height))
        step = max(1, int(np.ceil(np.sqrt(height * width / POINTS_OF_A_CUTOUT))))
        points, greys = points[::step, ::step].reshape(-1, 3), grey[::step, ::step].reshape(-1)
        valid = np.isfinite(points).all(axis=1)
        return points[valid].astype(np.float32), greys[valid]


def draw_points(
    points: NDArray[np.floating], greys: NDArray[np.uint8], pose: Pose, camera: Camera, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """What points look like from a pose, the nearest in front.

    Args:
        points: (N, 3) in the world.
        greys: (N,) of the points.
        pose: cam_from_world.
        camera: of the picture at its full size.
        size: (width, height) of the drawing.

    Returns:
        (H, W) grey values, small holes filled with the nearest drawn pixel, and where something is drawn.
    """
    width, height = size
    drawing, seen = np.zeros((height, width), np.uint8), np.zeros((height, width), dtype=bool)
    in_camera = points.astype(np.float64) @ pose.rotation.T + pose.translation
    in_front = in_camera[:, 2] > 1e-6
    in_camera, greys = in_camera[in_front], greys[in_front]
    xy = _project(in_camera, camera) * (np.array(size) / (camera.width, camera.height))
    column, row = np.floor(np.clip(xy, -1, 1 << 20)).astype(np.int64).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    order = np.argsort(-in_camera[inside, 2], kind="stable")  # of several in one pixel the last one written stays
    row, column, greys = row[inside][order], column[inside][order], greys[inside][order]
    drawing[row, column], seen[row, column] = greys, True
    if not seen.any():
        return drawing, seen
    distance, label = cv2.distanceTransformWithLabels(
        (~seen).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    value_of = np.zeros(int(label.max()) + 1, np.uint8)
    value_of[label[seen]] = drawing[seen]
    return value_of[label], distance <= FILL_PX


def descriptor_distance(
    picture0: NDArray[np.uint8], picture1: NDArray[np.uint8], seen1: NDArray[np.bool_] | None = None
) -> float:
    """Median distance of the dense descriptors of two grey pictures (H, W) of one size; infinite if too few are seen.

    Args:
        picture0: grey values.
        picture1: grey values.
        seen1: where the second one has values; descriptors mostly outside are left out. None: everywhere.
    """
    shape = picture0.shape
    if min(shape) < CELL_PX * NUM_CELLS:
        return float("inf")
    seen = np.ones(shape, np.float32) if seen1 is None else seen1.astype(np.float32)
    covered = _on_grid(cv2.boxFilter(seen, -1, (CELL_PX * NUM_CELLS,) * 2), NUM_CELLS * CELL_PX // 2)
    desc0, desc1 = dense_descriptors(picture0), dense_descriptors(picture1)
    textured = (np.abs(desc0).sum(axis=-1) > 0) & (np.abs(desc1).sum(axis=-1) > 0)
    used = (covered >= LEAST_SEEN) & textured
    if used.sum() < LEAST_DESCRIPTORS:
        return float("inf")
    return float(np.median(np.linalg.norm(desc0[used] - desc1[used], axis=-1)))


def dense_descriptors(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(h, w, 128) square roots of histograms of gradients with sum 1, STEP_PX apart; 0 where there is no gradient."""
    smooth = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1.0)
    dx, dy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    strength, angle = np.hypot(dx, dy), np.arctan2(dy, dx) * (DIRECTIONS / (2 * np.pi)) % DIRECTIONS
    lower = np.floor(angle)
    share = angle - lower
    cells = []
    for direction in range(DIRECTIONS):
        weight = np.where(lower % DIRECTIONS == direction, 1 - share, 0) + np.where(
            (lower + 1) % DIRECTIONS == direction, share, 0
        )
        summed = cv2.boxFilter((strength * weight).astype(np.float32), -1, (CELL_PX, CELL_PX))
        cells += [
            _on_grid(summed, CELL_PX // 2 + CELL_PX * i, CELL_PX // 2 + CELL_PX * j)
            for i in range(NUM_CELLS)
            for j in range(NUM_CELLS)
        ]
    stacked = np.maximum(np.stack(cells, axis=-1), 0)  # running sums end a little below zero
    total = stacked.sum(axis=-1, keepdims=True)
    return np.sqrt(np.where(total > 1e-3, stacked / np.maximum(total, 1e-3), 0)).astype(np.float32)


def _grey(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Grey values of an RGB picture (H, W, 3), resampled to (width, height)."""
    grey = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
    return np.asarray(grey, dtype=np.uint8)


def _on_grid(values: NDArray[Any], row: int, column: int | None = None) -> NDArray[Any]:
    """Values at the grid of descriptors, `row` and `column` px from each one's corner."""
    column = row if column is None else column
    side = NUM_CELLS * CELL_PX
    height, width = values.shape
    return values[row : height - side + row + 1 : STEP_PX, column : width - side + column + 1 : STEP_PX]


def _project(in_camera: NDArray[np.float64], camera: Camera) -> NDArray[np.float64]:
    """Pixels (N, 2) of points in front of a camera, COLMAP's convention."""
    if len(in_camera) == 0:
        return np.zeros((0, 2))
    return np.asarray(colmap.to_colmap_camera(camera).img_from_cam(in_camera), dtype=np.float64).reshape(-1, 2)
