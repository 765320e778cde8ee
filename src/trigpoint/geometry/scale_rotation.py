"""One number for a relative scale in half-octaves and a rotation in eighths of a turn, PUMP's `scale_rot_code`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

CODES_PER_SCALE = 8  # rotations by 45 degrees
STEP_DEG = 45.0


def encode_scale_rot(scale: ArrayLike, angle_deg: ArrayLike) -> NDArray[np.int64]:
    """Codes of relative scales and rotations.

    Args:
        scale: positive; image 1 shows the scene this many times larger than image 0. Rounded to half-octaves.
        angle_deg: any angle, rounded to multiples of 45.

    Returns:
        `8 s + r` in the arguments' common shape: s = round(2 log2 scale), may be negative; r = 0 .. 7 eighths of a
        turn of -angle. Halves are rounded to even.

    Source: the field `scale_rot_code` of PUMP's correspondence files (Revaud et al., CVPR 2022, naver/pump).
    """
    half_octaves = np.rint(2 * np.log2(np.asarray(scale, dtype=np.float64)))
    eighths = np.rint((-np.asarray(angle_deg, dtype=np.float64) % 360) / STEP_DEG) % CODES_PER_SCALE
    return (CODES_PER_SCALE * half_octaves + eighths).astype(np.int64)


def decode_scale_rot(codes: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scales and rotations of codes, the inverse of `encode_scale_rot`.

    Args:
        codes: whole numbers of any type.

    Returns:
        scale, and angle_deg in (-180, 180], float64 in the shape of `codes`.
    """
    whole = np.asarray(codes).astype(np.int64)
    half_octaves, eighths = np.divmod(whole, CODES_PER_SCALE)
    angle = -((STEP_DEG * eighths + 180) % 360 - 180)
    return np.exp2(half_octaves / 2), np.asarray(angle, dtype=np.float64)
