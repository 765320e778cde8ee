"""Codes of scale and rotation."""

import numpy as np
import pytest

from trigpoint.geometry.scale_rotation import decode_scale_rot, encode_scale_rot


@pytest.mark.parametrize(
    ("scale", "angle", "code"),
    [(1, 0, 0), (2, 0, 16), (0.5, 0, -16), (1, 45, 7), (1, -45, 1), (1, 180, 4), (1, -180, 4), (2**0.5, 405, 15)],
)
def test_codes_by_hand(scale: float, angle: float, code: int) -> None:
    assert encode_scale_rot(scale, angle) == code


def test_decoding_and_encoding_are_inverse() -> None:
    codes = np.arange(-200, 200)
    scale, angle = decode_scale_rot(codes.astype(np.float32))
    assert angle.min() > -180 and angle.max() == 180
    np.testing.assert_array_equal(encode_scale_rot(scale, angle), codes)
    np.testing.assert_array_equal(encode_scale_rot(scale * 1.15, angle + 20), codes)
