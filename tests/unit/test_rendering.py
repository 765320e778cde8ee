"""The rendered town: exact poses and depth, the same bytes for the same seed, files that other code can read."""

import json

import numpy as np
import pytest

from trigpoint.datasets.cameras_gt import read_cameras_gt
from trigpoint.rendering import tracing
from trigpoint.rendering.cameras import View, cam_from_world, plan_views
from trigpoint.rendering.lights import make_light
from trigpoint.rendering.meshes import Mesh, Relief, add_box, add_wall, wall_cells
from trigpoint.rendering.sensor import motion_kernel
from trigpoint.rendering.town import Bend, Surface, Town
from trigpoint.rendering.tree import SceneSettings, nvm_line, render_scene

STRAIGHT = Bend(0.0, 0.0, 0.0, 0.0)


def small_town(seed: int = 0) -> Town:
    """A textured box of 2 x 2 x 2 m around (0, 5, 1) on a floor, and one lamp; loads in milliseconds."""
    texture = np.random.default_rng(seed).uniform(0.1, 0.9, (32, 32, 3)).astype(np.float32)
    box, floor = Mesh(), Mesh()
    add_box(box, np.array([-1.0, 4.0, 0.0]), np.array([1.0, 6.0, 2.0]))
    add_box(floor, np.array([-20.0, -20.0, -1.0]), np.array([60.0, 40.0, 0.0]))
    return Town([Surface(box, texture), Surface(floor, texture)], np.array([[3.0, 2.0, 3.0]] * 3), STRAIGHT)


def view_at(position: tuple, yaw_deg: float, pitch_deg: float = 0.0) -> View:
    R, t = cam_from_world(np.array(position, float), yaw_deg, pitch_deg, 0.0)
    return View("db/0001.jpg", "db", 64, 48, 60.0, R, t, "day0")


def project(view: View, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) pixels in the corner convention and (N,) depth of `points` (N, 3)."""
    cam = points @ view.R.T + view.t
    return cam[:, :2] / cam[:, 2:] * view.focal_px + [view.width / 2, view.height / 2], cam[:, 2]


@pytest.fixture(scope="module")
def tracer() -> tracing.Tracer:
    pytest.importorskip("mitsuba", reason="mitsuba, the extra 'render', is not installed")
    return tracing.Tracer(small_town())


def test_camera_looks_along_yaw_with_x_right_and_y_down():
    R, t = cam_from_world(np.array([1.0, 2.0, 3.0]), 90.0, 0.0, 0.0)
    np.testing.assert_allclose(R @ [1, 7, 3] + t, [0, 0, 5], atol=1e-12)
    np.testing.assert_allclose(R @ [2, 7, 4] + t, [1, -1, 5], atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1)


def test_depth_of_a_wall_is_its_distance_and_its_edge_is_where_it_projects(tracer):
    view = view_at((0.25, 0.0, 1.21), 90.0)
    depth = tracer.depth_of(view)
    edges, _ = project(view, np.array([[-1.0, 4.0, 1.2], [1.0, 4.0, 1.2], [0.25, 4.0, 2.0]]))
    row = depth[24]
    on_wall = np.flatnonzero(np.abs(row - 4.0) < 1e-3)
    # a pixel is on the wall exactly if its middle, at + 0.5 from its corner, is between the projected edges
    assert on_wall[0] == np.ceil(edges[0, 0] - 0.5)
    assert on_wall[-1] == np.floor(edges[1, 0] - 0.5)
    assert np.flatnonzero(np.abs(depth[:, 32] - 4.0) < 1e-3)[0] == np.ceil(edges[2, 1] - 0.5)


def test_depth_of_two_views_agrees(tracer):
    view0, view1 = view_at((0.3, 0.0, 1.2), 90.0, -8.0), view_at((-1.4, 0.5, 1.6), 70.0, -12.0)
    depth0, depth1 = tracer.depth_of(view0), tracer.depth_of(view1)
    y, x = np.nonzero(depth0 > 0)
    rays = np.stack([(x + 0.5 - 32) / 60, (y + 0.5 - 24) / 60, np.ones(len(x))], 1)
    world = (rays * depth0[y, x, None] - view0.t) @ view0.R
    pixel, z = project(view1, world)
    column, line = np.floor(pixel).astype(int).T
    seen = (column > 0) & (column < 63) & (line > 0) & (line < 47) & (z > 0)
    # inverse depth is linear on a plane; where the neighbourhood in view 1 is one plane, interpolate at the exact place
    inverse = 1 / np.where(depth1 > 0, depth1, 1e3)
    curved = np.abs(np.diff(inverse, 2, axis=1, prepend=0, append=0)) + np.abs(
        np.diff(inverse, 2, axis=0, prepend=0, append=0)
    )
    flat = seen.copy()
    flat[seen] = curved[line[seen], column[seen]] < 1e-6
    dy, dx = np.gradient(inverse)
    at = inverse[line[flat], column[flat]]
    at = (
        at
        + dx[line[flat], column[flat]] * (pixel[flat, 0] - column[flat] - 0.5)
        + dy[line[flat], column[flat]] * (pixel[flat, 1] - line[flat] - 0.5)
    )
    agree = np.abs(1 / at - z[flat]) < 2e-3 * z[flat]
    assert flat.sum() > 500
    assert agree.mean() > 0.8  # the rest is hidden behind the box in one of the two


def test_day_and_night_differ_and_the_lamp_lights_the_floor(tracer):
    view = view_at((0.3, 0.0, 1.2), 90.0, -10.0)
    day = tracer.light_of(view, make_light("day0", 0), 1)
    night = tracer.light_of(view, make_light("night", 0), 1)
    assert np.isfinite(day).all() and np.isfinite(night).all()
    assert day[40:].mean() > 2 * night[40:].mean()
    assert night[40:, :, 0].mean() > night[40:, :, 2].mean()


def test_tree_is_the_same_for_the_same_seed_and_another_for_another(tmp_path, monkeypatch):
    pytest.importorskip("mitsuba", reason="mitsuba, the extra 'render', is not installed")
    monkeypatch.setattr("trigpoint.rendering.tree.build_town", small_town)
    trees = []
    for folder, seed, threads in (("a", 1, 1), ("b", 1, 2), ("c", 2, 1)):
        settings = SceneSettings(seed=seed, map_images=3, day_queries=1, night_queries=1, width=32, height=24, spp=1)
        render_scene(tmp_path / folder, settings, depth=folder == "a", num_threads=threads)
        files = sorted(
            p.relative_to(tmp_path / folder)
            for p in (tmp_path / folder).rglob("*")
            if p.is_file() and p.suffix != ".npz"
        )
        trees.append({str(p): (tmp_path / folder / p).read_bytes() for p in files})
    assert trees[0] == trees[1]
    assert trees[0].keys() == trees[2].keys()
    assert trees[0]["cameras_gt.txt"] != trees[2]["cameras_gt.txt"]
    assert trees[0]["images/images_upright/db/0001.jpg"] != trees[2]["images/images_upright/db/0001.jpg"]
    check_tree(tmp_path / "a")


def check_tree(root) -> None:
    cameras = read_cameras_gt(root / "cameras_gt.txt")
    assert len(cameras) == 5
    assert all((root / "images" / "images_upright" / name).is_file() for name in cameras)
    assert len(list((root / "depth").rglob("*.npz"))) == 5
    nvm = (root / "3D-models" / "aachen_cvpr2018_db.nvm").read_text().split("\n")
    assert nvm[:3] == ["NVM_V3", "", "3"] and len(nvm[3].split()) == 11
    for time in ("day", "night"):
        name, model, width, height, f, cx, cy, k = (
            (root / "queries" / f"{time}_time_queries_with_intrinsics.txt").read_text().split()
        )
        assert (model, width, height, cx, cy, k) == ("SIMPLE_RADIAL", "32", "24", "16.0", "12.0", "0")
        assert name in cameras and float(f) > 0
    assert json.loads((root / "scene.json").read_text())["seed"] == 1


def test_nvm_has_the_centre_and_the_rotation_from_world():
    view = view_at((4.0, 5.0, 6.0), 30.0, 10.0)
    values = np.array(nvm_line(view).split()[1:], float)
    np.testing.assert_allclose(values[5:8], [4, 5, 6], atol=1e-12)
    w, x, y, z = values[1:5]
    assert 2 * (x * y - w * z) == pytest.approx(view.R[0, 1])


def test_views_are_a_function_of_the_seed_and_the_map_is_a_closed_walk():
    views = plan_views(3, STRAIGHT, (64, 48), 60, 4, 4)
    again, other = plan_views(3, STRAIGHT, (64, 48), 60, 4, 4), plan_views(4, STRAIGHT, (64, 48), 60, 4, 4)
    assert all(np.array_equal(a.t, b.t) for a, b in zip(views, again, strict=True))
    assert not any(np.array_equal(a.t, b.t) for a, b in zip(views, other, strict=True))
    centers = np.array([-v.R.T @ v.t for v in views if v.kind == "db"])
    near = np.sort(np.linalg.norm(centers[:, None] - centers, axis=2), axis=1)[:, 1]
    assert near.max() < 3.0
    assert len({v.name for v in views}) == len(views) == 68


def test_a_window_stands_back_from_its_wall():
    xs, zs, depth = wall_cells(4.0, 3.0, [Relief(1.0, 2.0, 1.0, 2.0, 0.2)])
    assert xs.tolist() == [0, 1, 2, 4] and zs.tolist() == [0, 1, 2, 3]
    assert depth[1, 1] == 0.2 and depth.sum() == pytest.approx(0.2)
    mesh = Mesh()
    add_wall(mesh, np.zeros(3), np.array([1.0, 0, 0]), (4.0, 3.0), 3.0, [Relief(1.0, 2.0, 1.0, 2.0, 0.2)])
    vertices, _, faces = mesh.joined()
    assert vertices[:, 1].max() == pytest.approx(0.2) and vertices[:, 1].min() == 0  # outside is -y here
    assert len(faces) == 2 * (9 + 4)  # nine cells and the four sides of the recess


def test_a_smear_does_not_shift_the_picture():
    kernel = motion_kernel(3.3, 40.0)
    rows, cols = np.mgrid[: len(kernel), : len(kernel)]
    assert kernel.sum() == pytest.approx(1)
    assert (kernel * rows).sum() == pytest.approx(len(kernel) // 2) == (kernel * cols).sum()
