"""PUMP's warping demo: nearest lookup with clamping, against the authors' numbers."""

from pathlib import Path

import numpy as np

from trigpoint.geometry.warping import warp_nearest


def test_warped_image_is_the_original_ones(shared: Path) -> None:
    golden = np.load(shared / "golden/pump/warp.npz")
    np.testing.assert_array_equal(warp_nearest(golden["img"], golden["absolute_flow"]), golden["warped"])
