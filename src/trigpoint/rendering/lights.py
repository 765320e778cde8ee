"""Daylight with clouds and a sun, and the night with street lamps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trigpoint.rendering.textures import fractal_noise


@dataclass(frozen=True)
class Light:
    """One lighting of the town.

    sky: (H, W, 3) linear radiance by direction, zenith in the first row. sun_direction: (3,) unit vector to the sun.
    sun_radiance: (3,) irradiance, or None without sun. lamp_power: radiant intensity of a street lamp, 0 by day.
    ambient: (3,) radiance that a white surface reflects of the sky alone.
    """

    name: str
    sky: np.ndarray
    sun_direction: np.ndarray
    sun_radiance: np.ndarray | None
    lamp_power: float
    ambient: np.ndarray


# azimuth from east to north and height of the sun, degrees; strength of the sun
SUNS = {"day0": (235.0, 48.0, 2.6), "day1": (252.0, 42.0, 2.2), "day2": (205.0, 38.0, 2.3)}


def make_light(name: str, seed: int) -> Light:
    """The light called "day0", "day1", "day2" or "night"; the seed moves clouds and sun a little."""
    number = ["day0", "day1", "day2", "night"].index(name)
    rng = np.random.default_rng([seed, 3, number])
    if name == "night":
        return Light(name, night_sky(rng), np.array([0, 0, 1.0]), None, 6.0, np.array([0.030, 0.038, 0.062]))
    azimuth, height, strength = SUNS[name]
    a, h = np.radians([azimuth + rng.normal(0, 8), height + rng.normal(0, 3)])
    direction = np.array([np.cos(h) * np.cos(a), np.cos(h) * np.sin(a), np.sin(h)])
    return Light(
        name, day_sky(rng), direction, strength * np.array([1.0, 0.93, 0.80]), 0.0, np.array([0.30, 0.35, 0.42])
    )


def day_sky(rng: np.random.Generator) -> np.ndarray:
    """(128, 256, 3) linear: blue overhead, pale at the horizon, clouds."""
    height, width = 128, 256
    up = np.cos(np.linspace(0, np.pi, height))[:, None, None]
    blue = np.array([0.30, 0.50, 0.95]) * 0.75
    pale = np.array([0.80, 0.88, 0.98])
    sky = np.where(up > 0, pale + (blue - pale) * np.clip(up, 0, 1) ** 0.6, 0.25) * np.ones((1, width, 1))
    cloud = np.clip(fractal_noise(rng, (height, width), 60, 5) * 0.6 + 0.1, 0, 1)[..., None] * (up > 0.02)
    sky = sky * (1 - 0.75 * cloud) + cloud * 0.75 * np.array([1.0, 0.99, 0.97])
    sky[:, -8:] = sky[:, -8:] + (sky[:, :1] - sky[:, -8:]) * np.linspace(0, 1, 8)[None, :, None]
    return sky


def night_sky(rng: np.random.Generator) -> np.ndarray:
    """(128, 256, 3) linear: late dusk, brighter at the horizon."""
    height, width = 128, 256
    up = np.clip(np.cos(np.linspace(0, np.pi, height)), -1, 1)[:, None, None]
    deep, glow = np.array([0.014, 0.024, 0.060]), np.array([0.050, 0.058, 0.085])
    sky = np.where(up > 0, glow + (deep - glow) * np.clip(up, 0, 1) ** 0.5, 0.01) * np.ones((1, width, 1))
    haze = 1 + 0.15 * fractal_noise(rng, (height, width), 80, 3)[..., None]
    return sky * np.clip(haze, 0.5, 1.6)
