"""Nearest lookup with clamping."""

import numpy as np
import pytest

from trigpoint.errors import ShapeError
from trigpoint.geometry.warping import warp_nearest

PIXELS = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)


def test_places_are_rounded_to_even_and_clamped() -> None:
    targets = np.array([[[0.5, 0.0], [1.5, 2.4], [-7.0, 1.0], [3.2, 99.0]]])
    np.testing.assert_array_equal(warp_nearest(PIXELS, targets)[0, :, 0], [0, 10, 4, 11])


@pytest.mark.parametrize(
    ("pixels", "targets"),
    [
        (PIXELS[:0], np.zeros((1, 1, 2))),
        (PIXELS[..., 0], np.zeros((1, 1, 2))),
        (PIXELS, np.zeros((1, 2))),
        (PIXELS, np.full((1, 1, 2), np.nan)),
    ],
)
def test_what_cannot_be_looked_up_is_refused(pixels: np.ndarray, targets: np.ndarray) -> None:
    with pytest.raises(ShapeError):
        warp_nearest(pixels, targets)
