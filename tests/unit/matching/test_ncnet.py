"""NCNet's matches from scores known by hand: best cells, offsets, filters, proposals."""

import numpy as np
import pytest
import torch

from trigpoint.kernels.correlation import Correlation
from trigpoint.matching import ncnet
from trigpoint.matching.ncnet import best_of_both_sides, draw, each_once, expand, select


def scores(rows: list[list[float]], width0: int = 1, width1: int = 2) -> Correlation:
    """A volume of len(rows) cells in image 0, `width0` a row; no pooling."""
    matrix = torch.tensor(rows)
    volume = matrix.view(len(rows) // width0, width0, matrix.shape[1] // width1, width1)
    return Correlation(volume, torch.zeros_like(volume, dtype=torch.uint8), 1)


def test_best_cells_and_their_shares() -> None:
    found = best_of_both_sides(scores([[3.0, 0.0], [1.0, 0.5], [0.0, 2.0]]))
    assert found.cells.tolist() == [[0, 0, 0, 0], [0, 2, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0, 2, 1, 0]]
    assert found.mutual.tolist() == [True, True, True, False, True]
    column = torch.tensor([3.0, 1.0, 0.0]).softmax(0)
    assert float(found.scores[0]) == pytest.approx(float(column[0]))
    assert float(found.scores[2]) == pytest.approx(float(torch.tensor([3.0, 0.0]).softmax(0)[0]))


@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
def test_shares_are_those_of_the_softmax(monkeypatch: pytest.MonkeyPatch, chunk_bytes: int) -> None:
    monkeypatch.setattr(ncnet, "CHUNK_BYTES", chunk_bytes)
    volume = torch.randn(3, 4, 5, 2, generator=torch.Generator().manual_seed(0)) * 100  # exponentials overflow
    found = best_of_both_sides(Correlation(volume, torch.zeros(volume.shape, dtype=torch.uint8), 1))
    matrix = volume.reshape(12, 10)
    expected = torch.cat([matrix.softmax(dim=0).amax(dim=0), matrix.softmax(dim=1).amax(dim=1)])
    torch.testing.assert_close(found.scores, expected)


def test_offsets_of_the_pooling_are_added() -> None:
    volume, offsets = torch.zeros(1, 2, 1, 1), torch.zeros(1, 2, 1, 1, dtype=torch.uint8)
    volume[0, 1], offsets[0, 1] = 5, (1 * 2 + 0) * 4 + (0 * 2 + 1)  # row 1, column 0; row 0, column 1
    found = each_once(best_of_both_sides(Correlation(volume, offsets, 2)))
    assert found.cells.tolist() == [[0, 0, 0, 0], [2, 1, 1, 0]]


def test_filters_leave_nothing_where_nothing_passes() -> None:
    found = best_of_both_sides(scores([[3.0, 0.0], [1.0, 0.5], [0.0, 2.0]]))
    assert select(found, mutual=True, threshold=0).cells.tolist() == [[0, 0, 0, 0], [0, 2, 1, 0]]
    assert len(select(found, mutual=False, threshold=0)) == 3
    assert len(select(found, mutual=True, threshold=0.9)) == 0
    assert len(select(found, mutual=True, threshold=0.9, legacy=True)) == 2  # passed over, as released


def test_without_mutual_matches_the_release_keeps_all() -> None:
    found = best_of_both_sides(scores([[3.0, 2.0], [4.0, 1.0]]))
    one_sided = found.at(~found.mutual)
    assert len(one_sided) == 2 and len(select(one_sided, mutual=True, threshold=0)) == 0
    assert len(select(one_sided, mutual=True, threshold=0, legacy=True)) == 2


def test_drawing_repeats_what_is_too_little() -> None:
    drawn = draw(3, 7, np.random.RandomState(0))
    assert len(drawn) == 7 and set(drawn) == {0, 1, 2}
    assert drawn[:3].tolist() == drawn[3:6].tolist()
    assert draw(0, 7, np.random.RandomState(0)).tolist() == [0, 0, 0, 0]
    assert len(set(draw(50, 20, np.random.RandomState(0)))) == 20


def test_proposals_move_one_image_at_a_time() -> None:
    eight = expand(torch.tensor([[10.0, 20, 30, 40]]), 3)
    assert eight[1].tolist() == [13, 17, 30, 40] and eight[6].tolist() == [10, 20, 27, 43]
    assert len(eight) == 8
