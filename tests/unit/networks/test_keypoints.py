"""Keypoints of a score map."""

import pytest
import torch

from trigpoint.networks.keypoints import local_maxima, refine_subpixel, strongest


@pytest.mark.parametrize("window", [1, 3, 5, 7])
def test_local_maxima_equal_max_pooling_with_positions_ties_included(window: int) -> None:
    scores = torch.randint(0, 6, (23, 31), generator=torch.Generator().manual_seed(window)).float()
    _, position = torch.nn.functional.max_pool2d(
        scores[None, None], window, stride=1, padding=window // 2, return_indices=True
    )
    itself = position[0, 0] == torch.arange(scores.numel()).view_as(scores)
    expected = torch.nonzero(itself & (scores > 2)).flip(1)
    assert torch.equal(local_maxima(scores, window, 2.0), expected)


def test_constant_map_has_one_maximum_without_threshold() -> None:
    assert local_maxima(torch.zeros(4, 5), 9).tolist() == [[0, 0]]
    assert local_maxima(torch.zeros(4, 5), 9, 0.0).tolist() == []


def test_equal_scores_are_taken_by_y_then_x() -> None:
    xy = torch.tensor([[4, 0], [1, 2], [3, 2], [0, 5]])
    chosen, scores = strongest(xy, torch.tensor([1.0, 2.0, 2.0, 2.0]), 2)
    assert chosen.tolist() == [[1, 2], [3, 2]] and scores.tolist() == [2.0, 2.0]
    assert len(strongest(xy, torch.ones(4), None)[0]) == len(strongest(xy, torch.ones(4), 9)[0]) == 4


def test_vertex_of_a_parabola_is_found_to_rounding() -> None:
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij")
    scores = 5 - (x - 4.3) ** 2 - 2 * (y - 2.8) ** 2
    refined = refine_subpixel(scores, torch.tensor([[4, 3]]))
    torch.testing.assert_close(refined, torch.tensor([[4.3, 2.8]]), rtol=0, atol=1e-5)


def test_border_and_flat_neighbourhoods_stay_where_they_are() -> None:
    scores = torch.zeros(5, 5)
    xy = torch.tensor([[0, 0], [4, 4], [2, 2]])
    assert torch.equal(refine_subpixel(scores, xy), xy.float())
