"""What a phone camera does to the light: exposure, vignette, blur, noise, white balance, gamma, 8 bits."""

# ruff: noqa: RUF005 (numpy arrays are added here, not concatenated)

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Shot:
    """Settings of one photograph.

    brightness: sRGB value that the metered mean of the scene gets, before noise. balance: (3,) gains of red,
        green, blue.
    shot_noise, read_noise: variance is shot_noise * signal + read_noise^2, signal 1 is white.
    defocus_px: standard deviation of the blur. motion_px: length and direction_deg of a straight smear.
        vignette: loss in the corners.
    denoise: steps of 255 that the phone takes for noise and smears away, and detail with them; 0 for none.
    """

    brightness: float
    balance: tuple[float, float, float]
    shot_noise: float
    read_noise: float
    defocus_px: float
    motion_px: float
    direction_deg: float
    vignette: float
    denoise: float = 0.0


def day_shot(rng: np.random.Generator) -> Shot:
    """A picture by day: well exposed, little noise, no two alike."""
    balance = tuple(rng.normal(1, 0.03, 3) + [0.02, 0, -0.02])
    return Shot(rng.uniform(0.40, 0.54), balance, 0.0004, 0.004, 0.45, 0.0, 0.0, rng.uniform(0.1, 0.3))


def night_shot(rng: np.random.Generator, level: float) -> Shot:
    """A picture by night, from an easy one (`level` 0) to one that is dark, noisy and shaken (1)."""
    balance = tuple(rng.normal(1, 0.05, 3) + [0.04, 0, -0.05])
    # tuned so that SIFT loses about half of the queries and DISK few of them
    return Shot(
        brightness=0.27 - 0.08 * level + rng.uniform(-0.02, 0.02),
        balance=balance,
        shot_noise=0.0075 * 2.0**level,
        read_noise=0.028 * 1.3**level,
        defocus_px=0.9 + 0.5 * level,
        motion_px=rng.uniform(0.0, 2.5 + 2.5 * level),
        direction_deg=rng.uniform(0, 180),
        vignette=rng.uniform(0.25, 0.45),
        denoise=45 * 1.5**level,
    )


def photograph(rng: np.random.Generator, light: np.ndarray, shot: Shot) -> np.ndarray:
    """The 8-bit picture of linear `light` (H, W, 3) float; (H, W, 3) uint8 sRGB."""
    height, width = light.shape[:2]
    luminance = light @ np.array([0.2126, 0.7152, 0.0722])
    below = luminance[int(height * 0.25) :]
    metered = max(float(np.minimum(below, np.percentile(below, 97)).mean()), 1e-6)  # the sky above does not count
    linear = light * (srgb_to_linear(np.array(shot.brightness)) / metered) * np.asarray(shot.balance)
    y, x = np.mgrid[0:height, 0:width]
    radius2 = ((x + 0.5 - width / 2) ** 2 + (y + 0.5 - height / 2) ** 2) / (width**2 + height**2) * 4
    linear = linear * (1 - shot.vignette * radius2)[..., None]
    linear = cv2.GaussianBlur(np.minimum(linear, 4.0), (0, 0), shot.defocus_px * width / 640 + 1e-3)
    if shot.motion_px > 0.3:
        linear = cv2.filter2D(linear, -1, motion_kernel(shot.motion_px * width / 640, shot.direction_deg))
    deviation = np.sqrt(np.maximum(linear, 0) * shot.shot_noise + shot.read_noise**2)
    noise = rng.standard_normal(linear.shape)
    noise = 0.75 * noise + 0.25 * noise.mean(-1, keepdims=True) * np.sqrt(3)
    linear = (
        linear + deviation * cv2.GaussianBlur(noise, (0, 0), 0.5) * 1.6
    )  # the camera's own smoothing makes noise coarse
    shoulder = np.where(linear > 0.8, 1 - 0.2 * np.exp(-(linear - 0.8) / 0.2), linear)
    picture = np.round(linear_to_srgb(np.clip(shoulder, 0, 1)) * 255).astype(np.uint8)
    for _ in range(2 if shot.denoise > 0 else 0):
        picture = np.asarray(cv2.bilateralFilter(picture, 9, shot.denoise, 2.0 * width / 640), dtype=np.uint8)
    return picture


def motion_kernel(length_px: float, direction_deg: float) -> np.ndarray:
    """(K, K) kernel of a straight smear, symmetric about its middle so that the picture does not shift; sums to 1."""
    size = 2 * int(np.ceil(length_px / 2)) + 3
    kernel = np.zeros((size, size))
    for s in np.linspace(-0.5, 0.5, 41) * length_px:
        x, y = size // 2 + s * np.cos(np.radians(direction_deg)), size // 2 + s * np.sin(np.radians(direction_deg))
        i, j = int(np.floor(y)), int(np.floor(x))
        for di, wi in ((0, 1 - y + i), (1, y - i)):
            for dj, wj in ((0, 1 - x + j), (1, x - j)):
                kernel[i + di, j + dj] += wi * wj
    return kernel / kernel.sum()


def srgb_to_linear(value: np.ndarray) -> np.ndarray:
    """Light of an sRGB value in [0, 1] (IEC 61966-2-1)."""
    value = np.asarray(value, float)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(light: np.ndarray) -> np.ndarray:
    """sRGB value of light in [0, 1] (IEC 61966-2-1)."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
