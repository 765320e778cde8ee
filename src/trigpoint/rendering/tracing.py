"""Ray tracing with Mitsuba 3 (Jakob et al.), the one module that imports it.

Only the variant `scalar_rgb` is used: it needs no LLVM, and with a box filter its result does not depend on
the number of threads.
Mitsuba's camera has x to the left and y up, and its (0, 0) is the corner of the first pixel, so a centred
principal point is
cx = width / 2 in the corner convention.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from trigpoint.errors import TrigpointError
from trigpoint.rendering.cameras import View
from trigpoint.rendering.lights import Light
from trigpoint.rendering.meshes import Mesh
from trigpoint.rendering.town import Town

NEAR_M, FAR_M = 0.05, 300.0
LAMPS_AT_ONCE = 3  # one pass each, and further ones hardly shine
DIRECT = {"type": "direct", "emitter_samples": 1, "bsdf_samples": 0}
EMITTED = {"type": "path", "max_depth": 1}


def load_mitsuba(num_threads: int) -> Any:
    """The module `mitsuba`, set up for `num_threads` threads.

    Raises:
        TrigpointError: it is not installed.
    """
    try:
        import drjit  # comes with Mitsuba
        import mitsuba
    except ImportError as error:
        raise TrigpointError("rendering needs Mitsuba 3: run pip install 'trigpoint[render]'") from error
    mitsuba.set_variant("scalar_rgb")
    mitsuba.set_log_level(mitsuba.LogLevel.Error)
    drjit.set_thread_count(num_threads)
    return mitsuba


class Tracer:
    """A town loaded into Mitsuba, and pictures of it."""

    def __init__(self, town: Town, num_threads: int = 2) -> None:
        self.mitsuba = load_mitsuba(num_threads)
        self.town = town
        self._load_shapes()
        self.scenes: dict[str, Any] = {}

    def _load_shapes(self) -> None:
        """Every surface twice: as it reflects light, and shining in its own colours, from which albedo is read
        in one ray a sample.

        Windows with a lamp behind them stand apart: only the night has them.
        """
        self.shapes, self.glow, painted = {}, {}, {"type": "scene"}
        with tempfile.TemporaryDirectory() as folder:
            for index, surface in enumerate(self.town.surfaces):
                path = Path(folder) / f"{index}.ply"
                write_ply(path, surface.mesh, surface.is_thin)
                shape = {"type": "ply", "filename": str(path), "face_normals": True}
                if surface.is_lit:
                    self.glow[f"glow{index}"] = self._load_shining(
                        shape, 0.25 * surface.texture**0.4 * np.array([1.0, 0.80, 0.48]), 0.0
                    )
                    continue
                texture = self._texture(surface.texture)
                material = {"type": "twosided", "material": {"type": "diffuse", "reflectance": texture}}
                self.shapes[f"shape{index}"] = self.mitsuba.load_dict(shape | {"bsdf": material})
                painted[f"shape{index}"] = self._load_shining(shape, surface.texture, 1.0)
        self.painted = self.mitsuba.load_dict(painted)

    def _load_shining(self, shape: dict[str, Any], image: np.ndarray, weight: float) -> Any:
        emitter = {"type": "area", "radiance": self._texture(image), "sampling_weight": weight}
        return self.mitsuba.load_dict(shape | {"emitter": emitter, "bsdf": {"type": "diffuse", "reflectance": 0.0}})

    def _texture(self, image: np.ndarray) -> dict[str, Any]:
        # Mitsuba's v = 0 is the first row, ours the last
        flipped = np.ascontiguousarray(np.round(np.clip(image[::-1], 0, 1) * 255).astype(np.uint8))
        return {"type": "bitmap", "bitmap": self.mitsuba.Bitmap(flipped), "wrap_mode": "mirror"}

    def _scene(self, key: str, parts: dict[str, Any]) -> Any:
        if key not in self.scenes:
            self.scenes[key] = self.mitsuba.load_dict({"type": "scene"} | self.shapes | parts)
        return self.scenes[key]

    def _sky(self, light: Light, weight: float) -> dict[str, Any]:
        """The sky as something to be seen; it is no light to sample from, so one sun or lamp a scene leaves no
        noise.
        """
        bitmap = self.mitsuba.Bitmap(np.ascontiguousarray(light.sky.astype(np.float32)))
        upright = self.mitsuba.ScalarTransform4f().rotate([1, 0, 0], 90)
        return {"type": "envmap", "bitmap": bitmap, "to_world": upright, "sampling_weight": weight}

    def _sunlight(self, view: View, light: Light, spp: int) -> np.ndarray:
        """(H, W, 3) what the sun alone makes, and the sky behind it."""
        sun = {
            "type": "directional",
            "direction": (-light.sun_direction).tolist(),
            "irradiance": rgb(light.sun_radiance),
        }
        return self._render(self._scene(light.name, {"sun": sun, "sky": self._sky(light, 0.0)}), view, DIRECT, spp)

    def _lamplight(self, view: View, light: Light, spp: int) -> np.ndarray:
        """(H, W, 3) what street lamps and lit windows make, and the sky behind them."""
        total = self._render(self._scene(light.name, self.glow | {"sky": self._sky(light, 1.0)}), view, EMITTED, spp)
        for lamp in nearest_lamps(self.town.lamps, view):
            power = rgb(np.array([1.0, 0.70, 0.38]) * light.lamp_power)
            bulb = {"type": "point", "position": self.town.lamps[lamp].tolist(), "intensity": power}
            total = total + self._render(self._scene(f"lamp{lamp}", {"bulb": bulb}), view, DIRECT, spp)
        return total

    def _sensor(self, view: View, spp: int) -> Any:
        world_from_cam = np.eye(4)
        world_from_cam[:3, :3] = view.R.T @ np.diag([-1.0, -1.0, 1.0])
        world_from_cam[:3, 3] = -view.R.T @ view.t
        fov_deg = float(np.degrees(2 * np.arctan(view.width / 2 / view.focal_px)))
        # the middle of the pixel for a single sample: depth is exact there
        sampler = {"type": "stratified", "sample_count": spp, "jitter": spp > 1}
        film = {
            "type": "hdrfilm",
            "width": view.width,
            "height": view.height,
            "rfilter": {"type": "box"},
            "pixel_format": "rgb",
        }
        place = self.mitsuba.ScalarTransform4f(world_from_cam)
        lens = {"type": "perspective", "fov": fov_deg, "fov_axis": "x", "near_clip": NEAR_M, "far_clip": FAR_M}
        return self.mitsuba.load_dict(lens | {"to_world": place, "film": film, "sampler": sampler})

    def _render(self, scene: Any, view: View, integrator: dict[str, Any], spp: int, seed: int = 0) -> np.ndarray:
        """(H, W, 3) float32."""
        made = self.mitsuba.load_dict(integrator)
        return np.array(
            self.mitsuba.render(scene, sensor=self._sensor(view, spp), integrator=made, spp=spp, seed=seed)
        )[..., :3]

    def light_of(self, view: View, light: Light, spp: int) -> np.ndarray:
        """(H, W, 3) float32 linear light of `view` with `spp` (a square number) rays a pixel."""
        made = self._lamplight(view, light, spp) if light.sun_radiance is None else self._sunlight(view, light, spp)
        albedo = self._render(self.painted, view, EMITTED, spp)
        return made + albedo * ambient_light(self.depth_of(view), view, light)

    def depth_of(self, view: View) -> np.ndarray:
        """(H, W) float32 metres along the camera's z axis at the middle of every pixel; 0 where there is only sky."""
        along_ray = self._render(self.painted, view, {"type": "depth"}, 1)[..., 0]
        y, x = np.mgrid[0 : view.height, 0 : view.width] + 0.5
        slant = np.sqrt(1 + ((x - view.width / 2) ** 2 + (y - view.height / 2) ** 2) / view.focal_px**2)
        # Mitsuba measures along the ray from where it leaves the near plane
        return np.where(along_ray > 0, along_ray / slant + NEAR_M, 0).astype(np.float32)


def nearest_lamps(lamps: np.ndarray, view: View) -> np.ndarray:
    """Indices of the lamps that light the middle of the view best, ascending."""
    center = -view.R.T @ view.t
    aim = center + 4.5 * view.R[2] * [1, 1, 0]
    return np.sort(np.argsort(np.linalg.norm(lamps - aim, axis=1), kind="stable")[:LAMPS_AT_ONCE])


def rgb(value: np.ndarray | None) -> dict[str, Any]:
    """Mitsuba's way to write three numbers."""
    return {"type": "rgb", "value": np.asarray(value, float).tolist()}


def write_ply(path: Path, mesh: Mesh, is_thin: bool = False) -> None:
    """Write a mesh as binary PLY with texture coordinates u, v; a thin one gets a back side, a millimetre behind."""
    vertices, uvs, faces = mesh.joined()
    if is_thin:
        corners = vertices[faces]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        back = (corners - 0.001 * normal[:, None])[:, ::-1].reshape(-1, 3)
        faces = np.vstack([faces, np.arange(len(back)).reshape(-1, 3) + len(vertices)])
        vertices, uvs = np.vstack([vertices, back]), np.vstack([uvs, uvs[mesh.joined()[2]][:, ::-1].reshape(-1, 2)])
    names = ["x", "y", "z", "u", "v"]
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(vertices)}",
        *(f"property float {n}" for n in names),
    ]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header\n"]
    rows = np.zeros(len(faces), [("count", "u1"), ("index", "<i4", (3,))])
    rows["count"], rows["index"] = 3, faces
    path.write_bytes("\n".join(header).encode() + np.hstack([vertices, uvs]).astype("<f4").tobytes() + rows.tobytes())


def ambient_light(depth: np.ndarray, view: View, light: Light) -> np.ndarray:
    """What the open sky and the walls around send onto each pixel, (H, W, 3), from the depth image alone.

    Surfaces that look up get more of the sky; what lies behind its surroundings gets less.
    Source: Luft, Colditz, Deussen, "Image enhancement by unsharp masking the depth buffer" (SIGGRAPH 2006).
    """
    y, x = np.mgrid[0 : view.height, 0 : view.width] + 0.5
    filled = np.where(depth > 0, depth, 60.0)
    points = (
        np.stack([(x - view.width / 2) / view.focal_px, (y - view.height / 2) / view.focal_px, np.ones_like(x)], -1)
        * filled[..., None]
    )
    world = points @ view.R
    normal = np.cross(np.gradient(world, axis=0), np.gradient(world, axis=1))
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    facing_up = cv2.GaussianBlur(np.abs(normal[..., 2]), (0, 0), 0.7 * view.width / 640 + 1e-3)
    inverse = 1 / filled
    shade = np.ones_like(filled)
    for radius in (3.0, 12.0, 40.0):
        hidden = cv2.GaussianBlur(inverse, (0, 0), radius * view.width / 640) / inverse - 1
        shade *= 1 - 0.3 * np.clip(hidden * 6 / radius**0.5, -0.3, 1)
    return (light.ambient * ((0.75 + 0.45 * facing_up) * shade)[..., None]).astype(np.float32)
