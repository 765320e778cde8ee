"""Where the photographs are taken: a walk through the streets for the map, and queries beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trigpoint.rendering.town import BLOCKS, RING, Bend

# focal length over image width: three cameras with about 62, 58 and 65 degrees across
FOCAL_RATIO = {"db": 0.83, "nexus4": 0.90, "nexus5x": 0.785}
# The walk in the plan, metres: along the square, back through the north street, then up the middle street.
WALK = ((0, 0), (14, 0), (28.5, -0.3), (30.2, 6.5), (28.5, 13), (14, 13), (0, 13), (0, 0))
MIDDLE = ((14, 0), (14, 13))
CLEAR_AHEAD_M = 3.2  # no wall nearer than this in the middle of a picture
CLEAR_AROUND_M = 1.1


@dataclass(frozen=True)
class View:
    """One photograph to take.

    name: relative to images_upright. kind: key of FOCAL_RATIO. focal_px: pixels, with the principal point in
        the middle.
    R: (3, 3) and t: (3,) metres, x_cam = R x_world + t, camera x right, y down, z forward.
    light: which light it is taken in, e.g. "day0". level: how hard the picture is, 0 to 1 (night only).
    """

    name: str
    kind: str
    width: int
    height: int
    focal_px: float
    R: np.ndarray
    t: np.ndarray
    light: str
    level: float = 0.0


@dataclass(frozen=True)
class Standpoint:
    """Plan position (x, y) and height in metres; yaw from east to north, pitch upwards, roll, degrees."""

    x: float
    y: float
    z: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float


def cam_from_world(
    position: np.ndarray, yaw_deg: float, pitch_deg: float, roll_deg: float
) -> tuple[np.ndarray, np.ndarray]:
    """(3, 3) R and (3,) t of a camera at `position` (3,) metres that looks along yaw (from +x to +y) and pitch
    (upwards), degrees.
    """
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    forward = np.array([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    down = np.cross(forward, right)
    R = np.stack([np.cos(roll) * right + np.sin(roll) * down, -np.sin(roll) * right + np.cos(roll) * down, forward])
    return R, -R @ position


def clear_distance_m(x: float, y: float, yaw_deg: float) -> float:
    """Metres from a plan position along `yaw_deg` to the nearest wall; 0 inside one."""
    direction = np.array([np.cos(np.radians(yaw_deg)), np.sin(np.radians(yaw_deg))])
    steps = np.arange(0, 40, 0.1)
    px, py = x + steps * direction[0], y + steps * direction[1]
    x0, x1, y0, y1 = RING
    hit = (px < x0) | (px > x1) | (py < y0) | (py > y1)
    for a, b, c, d in BLOCKS:
        hit |= (px > a - 0.3) & (px < b + 0.3) & (py > c - 0.3) & (py < d + 0.3)
    return float(steps[np.argmax(hit)]) if hit.any() else 40.0


def is_clear(stand: Standpoint) -> bool:
    """Whether a person can stand there and has something to photograph at a fair distance, not a wall before
    the nose.
    """
    around = min(clear_distance_m(stand.x, stand.y, yaw) for yaw in range(0, 360, 30))
    ahead = min(clear_distance_m(stand.x, stand.y, stand.yaw_deg + side) for side in (-15, 0, 15))
    return around >= CLEAR_AROUND_M and ahead >= CLEAR_AHEAD_M


def _along(points: tuple, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`count` positions spread evenly on a polyline: (count, 2) metres, (count,) heading degrees (not
    wrapped), (count,) metres walked.
    """
    corners = np.asarray(points, float)
    lengths = np.linalg.norm(np.diff(corners, axis=0), axis=1)
    walked = np.concatenate([[0], np.cumsum(lengths)])
    at = (np.arange(count) + 0.5) * walked[-1] / count
    position = np.stack([np.interp(at, walked, corners[:, k]) for k in range(2)], 1)
    fine = np.linspace(-1.6, 1.6, 9)  # the heading turns over three metres around a corner
    headings = np.unwrap(np.radians([np.degrees(np.arctan2(d[1], d[0])) for d in np.diff(corners, axis=0)]))
    segment = np.clip(np.searchsorted(walked, at[:, None] + fine, side="right") - 1, 0, len(lengths) - 1)
    return position, np.degrees(headings[segment].mean(axis=1)), at


def map_standpoints(rng: np.random.Generator, count: int) -> list[Standpoint]:
    """The walk: `count` standpoints, looking in turn half left and half right of the way, and through the
    middle street.
    """
    loop = sum(np.hypot(*np.diff(np.array(WALK, float), axis=0).T))
    cross = sum(np.hypot(*np.diff(np.array(MIDDLE, float), axis=0).T))
    in_middle = max(1, round(count * cross / (loop + cross)))
    stands = []
    for points, number in ((WALK, count - in_middle), (MIDDLE, in_middle)):
        position, heading, _ = _along(points, number)
        for k in range(number):
            stands.append(_clear_standpoint(rng, position[k], heading[k], 27.0 if k % 2 else -27.0))
    return stands


def _clear_standpoint(
    rng: np.random.Generator, position: np.ndarray, heading_deg: float, side_deg: float
) -> Standpoint:
    """A standpoint near `position`, turned by about `side_deg`; the turn shrinks until no wall is in the way."""
    for attempt in range(60):
        x, y = position + rng.normal(0, 0.22, 2)
        turn = side_deg * (1 - attempt / 60) + rng.normal(0, 4)
        stand = Standpoint(x, y, rng.uniform(1.58, 1.78), heading_deg + turn, rng.normal(5, 2), rng.normal(0, 1.2))
        if is_clear(stand):
            return stand
    return stand


def query_standpoints(
    rng: np.random.Generator, stands: list[Standpoint], count: int, spread_m: float, turn_deg: float
) -> list[Standpoint]:
    """`count` standpoints, each `spread_m` or so beside a map standpoint and turned by up to `turn_deg`,
    spread over the whole walk.
    """
    chosen = np.linspace(0, len(stands), count, endpoint=False) + rng.uniform(0, len(stands) / count, count)
    queries = []
    for index in chosen.astype(int):
        near = stands[index]
        for _ in range(100):
            angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, spread_m)
            turn, pitch = rng.uniform(-turn_deg, turn_deg), rng.normal(6, 2.5)
            x, y = near.x + away * np.cos(angle), near.y + away * np.sin(angle)
            stand = Standpoint(x, y, rng.uniform(1.4, 1.95), near.yaw_deg + turn, pitch, rng.normal(0, 2.0))
            if is_clear(stand):
                break
        else:
            stand = near
        queries.append(stand)
    return queries


def _view(
    name: str, kind: str, size: tuple[int, int], stand: Standpoint, bend: Bend, light: str, level: float = 0.0
) -> View:
    position = bend(np.array([stand.x, stand.y, stand.z]))
    step = np.array([np.cos(np.radians(stand.yaw_deg)), np.sin(np.radians(stand.yaw_deg)), 0.0])
    ahead = bend(np.array([stand.x, stand.y, stand.z]) + 0.1 * step) - position  # the bend turns the look, too
    R, t = cam_from_world(position, np.degrees(np.arctan2(ahead[1], ahead[0])), stand.pitch_deg, stand.roll_deg)
    return View(name, kind, *size, FOCAL_RATIO[kind] * size[0], R, t, light, level)


def plan_views(
    seed: int, bend: Bend, size: tuple[int, int], map_images: int, day_queries: int, night_queries: int
) -> list[View]:
    """All photographs of a scene, in the order map, day, night; `size` is (width, height) in pixels."""
    rng = np.random.default_rng([seed, 2])
    stands = map_standpoints(rng, map_images)
    views = []
    for k, stand in enumerate(stands):
        light = "day0" if k < 0.7 * map_images else "day1"
        views.append(_view(f"db/{k + 1:04d}.jpg", "db", size, stand, bend, light))
    for k, stand in enumerate(query_standpoints(rng, stands, day_queries, 1.8, 14.0)):
        name = f"query/day/nexus4/IMG_20140520_18{20 + k // 60:02d}{k % 60:02d}.jpg"
        views.append(_view(name, "nexus4", size, stand, bend, "day2"))
    levels = rng.permutation((np.arange(night_queries) + 0.5) / max(night_queries, 1))
    for k, stand in enumerate(query_standpoints(rng, stands, night_queries, 1.4, 12.0)):
        name = f"query/night/nexus5x/IMG_20161227_17{10 + k // 60:02d}{k % 60:02d}.jpg"
        views.append(_view(name, "nexus5x", size, stand, bend, "night", float(levels[k])))
    return views
