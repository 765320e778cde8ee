"""From pixels to a network's input."""

import numpy as np
import torch

from trigpoint.networks.preprocessing import fit_longer_side, pad_to_multiple, shrink, to_tensor


def test_longer_side_is_met_and_small_images_stay() -> None:
    assert fit_longer_side((4000, 3000), 1024) == (1024, 768)
    assert fit_longer_side((300, 4000), 1024) == (77, 1024)
    assert fit_longer_side((640, 480), 1024) == (640, 480)
    assert fit_longer_side((4000, 3000), None) == (4000, 3000)
    assert fit_longer_side((1, 5000), 1024) == (1, 1024)


def test_shrinking_averages_the_area() -> None:
    stripes = np.zeros((8, 8, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    assert np.all(shrink(stripes, (4, 4)) == 100)
    assert shrink(stripes, (8, 8)) is stripes


def test_padding_is_zero_right_and_below() -> None:
    image = pad_to_multiple(to_tensor(np.full((17, 16, 3), 255, dtype=np.uint8)), 16)
    assert image.shape == (3, 32, 16)
    assert torch.all(image[:, :17] == 1) and torch.all(image[:, 17:] == 0)
