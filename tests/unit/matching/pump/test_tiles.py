"""Crops: they cover the images, end, and their records come together."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trigpoint.matching.pump.records import PairRecords, Side
from trigpoint.matching.pump.tiles import CropPair, CropRecords, coarse_sizes, plan_crops, tile_corners


@given(st.integers(1, 700), st.sampled_from([16, 64, 100]), st.sampled_from([0.25, 0.5, 0.9, 1.0]))
def test_tiles_are_whole_and_cover_every_patch(side: int, tile: int, overlap: float) -> None:
    corners = tile_corners(side, tile, overlap)
    assert corners[0] == 0 and all(corner % 4 == 0 for corner in corners)
    assert all(b - a <= tile for a, b in itertools.pairwise(corners))
    assert corners[-1] + tile >= side // 4 * 4 and (side <= tile or corners[-1] + tile <= side)


def test_released_tiles_may_be_short() -> None:
    assert tile_corners(150, 64, 0.5, legacy=True) == [0, 28, 56, 88]
    assert tile_corners(150, 64, 0.5) == [0, 28, 56, 84]


def test_coarse_images_are_reduced_by_one_factor() -> None:
    assert coarse_sizes((150, 120), (140, 110), 96) == (96, 90)
    assert coarse_sizes((90, 50), (96, 20), 96) == (0, 0)


def test_every_group_of_matches_gets_its_crop() -> None:
    rng = np.random.default_rng(0)
    near = np.column_stack([rng.uniform(0, 60, (40, 2)), rng.uniform(30, 55, (40, 2)), np.ones(40)])
    far = np.column_stack([rng.uniform(0, 60, (30, 2)), rng.uniform(320, 345, (30, 2)), np.ones(30)])
    stray = np.array([[30.0, 30.0, 200.0, 390.0, 1.0]])
    coarse = np.concatenate([near, far, stray])
    crops = plan_crops(coarse, (64, 64), (400, 400), tile_px=64, overlap=0.5, min_share=0.1)
    assert [crop.corner0 for crop in crops] == [(0, 0), (0, 0)]
    (x, y), (u, v) = (crop.corner1 for crop in crops)
    assert max(x, y) <= 30 and min(u, v) >= 281
    everything = plan_crops(coarse, (64, 64), (400, 400), tile_px=64, overlap=0.5, min_share=0.0)
    assert len(everything) == 3


def test_matches_on_two_sides_of_their_median_are_all_used() -> None:
    sides = [[5.0, 5.0, x, 5.0, 1.0] for x in (0.0, 0.0, 300.0, 390.0)]
    crops = plan_crops(np.array(sides), (64, 64), (400, 64), tile_px=64, overlap=0.5, min_share=0.0)
    assert {crop.corner1[0] for crop in crops} == {0, 268, 336}


def test_no_coarse_matches_no_crops() -> None:
    assert plan_crops(np.zeros((0, 6)), (64, 64), (64, 64), tile_px=32, overlap=0.5, min_share=0.1) == []


@pytest.mark.parametrize("scores", [(1.0, 2.0), (2.0, 1.0)])
def test_the_higher_score_stays(scores: tuple[float, float]) -> None:
    whole = CropRecords((40, 30), (40, 30))
    for score, corner in zip(scores, (4, 8), strict=True):
        xyxy = np.full((2, 2, 4), 2, dtype=np.int64)
        side = Side(xyxy, np.full((2, 2), score, dtype=np.float32))
        whole.add(PairRecords(side, side), CropPair((corner, 0), (0, corner)))
    side0 = whole.records().side0
    assert side0.scores.shape == (8, 10)
    winner = 4 if scores[0] > scores[1] else 8
    assert side0.scores[0, 2] == 2.0 and side0.xyxy[0, 2].tolist() == [winner + 2, 2, 2, winner + 2]
    assert side0.scores[0, [0, 4]].tolist() == [0, 0] and side0.xyxy[0, 0].tolist() == [-1] * 4
