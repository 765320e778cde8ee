"""A rendered scene on disk, laid out as Aachen Day-Night v1 is: images, intrinsics, NVM model, query lists,
exact poses.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from trigpoint.log import progress
from trigpoint.rendering.cameras import View, plan_views
from trigpoint.rendering.lights import make_light
from trigpoint.rendering.sensor import day_shot, night_shot, photograph
from trigpoint.rendering.town import build_town
from trigpoint.rendering.tracing import Tracer
from trigpoint.storage.atomic import atomic_path

GENERATOR_VERSION = 2  # raised when the same seed gives other pictures
LICENCE = "Apache-2.0. The pictures are computed by `trigpoint render-scene`; they show no real place and no person.\n"


@dataclass(frozen=True, kw_only=True)
class SceneSettings:
    """What to render. Pictures are a function of these numbers and of GENERATOR_VERSION."""

    seed: int = 0
    map_images: int = 60
    day_queries: int = 20
    night_queries: int = 16
    width: int = 640
    height: int = 480
    spp: int = 4  # rays a pixel; a square number
    quality: int = 84  # of the JPEG files


def render_scene(output: Path, settings: SceneSettings, depth: bool = False, num_threads: int = 2) -> None:
    """Render a town and write its tree to `output`, whole or not at all; with depth images if `depth`.

    Raises:
        TrigpointError: Mitsuba is not installed.
    """
    town = build_town(settings.seed)
    tracer = Tracer(town, num_threads)
    size = settings.width, settings.height
    views = plan_views(
        settings.seed, town.bend, size, settings.map_images, settings.day_queries, settings.night_queries
    )
    with atomic_path(output) as folder:
        for index, view in enumerate(progress(views, "images rendered")):
            picture = take_picture(tracer, view, settings, index)
            path = folder / "images" / "images_upright" / view.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_jpeg(picture, settings.quality))
            if depth:
                target = folder / "depth" / f"{view.name}.npz"
                target.parent.mkdir(parents=True, exist_ok=True)
                np.savez_compressed(target, depth=tracer.depth_of(view))
        write_tables(folder, views)
        (folder / "licence.txt").write_text(LICENCE)
        facts = {"generator": "trigpoint render-scene", "generator_version": GENERATOR_VERSION, **asdict(settings)}
        (folder / "scene.json").write_text(json.dumps(facts, indent=2) + "\n")


def take_picture(tracer: Tracer, view: View, settings: SceneSettings, index: int) -> np.ndarray:
    """(H, W, 3) uint8 picture of `view`, the `index`-th of the scene."""
    rng = np.random.default_rng([settings.seed, 4, index])
    light = tracer.light_of(view, make_light(view.light, settings.seed), settings.spp)
    shot = night_shot(rng, view.level) if view.light == "night" else day_shot(rng)
    return photograph(rng, light, shot)


def encode_jpeg(picture: np.ndarray, quality: int) -> bytes:
    """`picture` (H, W, 3) uint8 as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def write_tables(folder: Path, views: list[View]) -> None:
    """Write cameras_gt.txt, 3D-models/ and queries/ below `folder`."""
    (folder / "3D-models").mkdir(parents=True, exist_ok=True)
    (folder / "queries").mkdir(exist_ok=True)
    database = [view for view in views if view.kind == "db"]
    (folder / "3D-models" / "database_intrinsics.txt").write_text("".join(map(intrinsics_line, database)))
    nvm = ["NVM_V3\n", "\n", f"{len(database)}\n", *map(nvm_line, database), "\n", "0\n"]
    (folder / "3D-models" / "aachen_cvpr2018_db.nvm").write_text("".join(nvm))
    for time, kind in (("day", "nexus4"), ("night", "nexus5x")):
        lines = [intrinsics_line(view) for view in views if view.kind == kind]
        (folder / "queries" / f"{time}_time_queries_with_intrinsics.txt").write_text("".join(lines))
    head = (
        "# name fx fy cx cy R00 R01 R02 R10 R11 R12 R20 R21 R22 tx ty tz width height; x_cam = R x_world + t, metres\n"
    )
    (folder / "cameras_gt.txt").write_text(head + "# pixel_origin: corner\n" + "".join(map(ground_truth_line, views)))


def intrinsics_line(view: View) -> str:
    """`name SIMPLE_RADIAL width height f cx cy k`, as the lists of Aachen have it."""
    values = numbers(view.focal_px, view.width / 2, view.height / 2)
    return f"{view.name} SIMPLE_RADIAL {view.width} {view.height} {values} 0\n"


def nvm_line(view: View) -> str:
    """`name focal qw qx qy qz cx cy cz distortion 0`: rotation world to camera, and the camera's centre."""
    x, y, z, w = Rotation.from_matrix(view.R).as_quat(canonical=True)
    return f"{view.name} {numbers(view.focal_px, w, x, y, z, *(-view.R.T @ view.t))} 0 0\n"


def ground_truth_line(view: View) -> str:
    """One line of cameras_gt.txt."""
    values = numbers(view.focal_px, view.focal_px, view.width / 2, view.height / 2, *view.R.ravel(), *view.t)
    return f"{view.name} {values} {view.width} {view.height}\n"


def numbers(*values: float) -> str:
    """All digits of each value, separated by blanks."""
    return " ".join(repr(float(value)) for value in values)
