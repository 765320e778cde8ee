"""The sequential quantiser on points whose keypoints are known by hand."""

import numpy as np
import pytest

from trigpoint.errors import SettingsError, ShapeError
from trigpoint.matching.quantization import ImageQuantizer, QuantizationSettings, unique_matches


def quantized(points: list[tuple[float, float]], **settings: float) -> tuple[list[int], list[list[float]]]:
    quantizer = ImageQuantizer(QuantizationSettings(**settings))
    ids = quantizer.add(np.array(points, dtype=np.float64).reshape(-1, 2))
    return ids.tolist(), quantizer.keypoints().tolist()


def test_each_point_pulls_its_keypoint_half_the_way() -> None:
    assert quantized([(10, 10), (13, 10), (11, 10), (20, 10)]) == ([0, 0, 0, 1], [[11.25, 10], [20, 10]])


def test_cells_do_not_see_each_other() -> None:
    assert quantized([(47.5, 5), (48.5, 5), (-0.5, 5)]) == ([0, 1, 2], [[47.5, 5], [48.5, 5], [-0.5, 5]])


def test_the_distance_itself_founds_a_keypoint_and_ties_go_to_the_first() -> None:
    assert quantized([(10, 10), (14, 10), (12, 10)]) == ([0, 1, 0], [[11, 10], [14, 10]])


def test_without_cells_equal_points_alone_join() -> None:
    assert quantized([(1, 2), (1, 2.0000001), (1, 2)], cell_px=0)[0] == [0, 1, 0]


def test_no_points_give_no_keypoints() -> None:
    quantizer = ImageQuantizer(QuantizationSettings())
    assert quantizer.add(np.zeros((0, 2), np.float32)).shape == (0,)
    assert quantizer.keypoints().shape == (0, 2)


def test_a_match_is_kept_if_it_is_the_best_of_both_ends() -> None:
    indices = np.array([(0, 0), (0, 1), (1, 1), (2, 2), (2, 3)])
    scores = np.array([0.5, 0.9, 0.7, 0.4, 0.4])
    assert unique_matches(indices, scores).tolist() == [1, 3]
    assert unique_matches(indices[:0], scores[:0]).tolist() == []


def test_wrong_shapes_and_settings_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(3,\)"):
        ImageQuantizer(QuantizationSettings()).add(np.zeros(3))
    with pytest.raises(SettingsError, match="cell_px"):
        QuantizationSettings(cell_px=-1)
