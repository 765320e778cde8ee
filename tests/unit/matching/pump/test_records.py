"""Records, their numbers, and agreement by whole numbers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trigpoint import kernels
from trigpoint.matching.pump.agreement import agreed, agreed_as_released
from trigpoint.matching.pump.records import empty_side, num_ids, record_ids, records_of


def random_maps(size0: tuple[int, int], size1: tuple[int, int], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Few channels and coarse values, so that there are ties and agreements."""
    generator = torch.Generator().manual_seed(seed)
    desc0 = torch.randint(-2, 3, (3, *size0), generator=generator).float()
    desc1 = torch.randint(-2, 3, (3, *size1), generator=generator).float()
    return desc0 / 4, desc1 / 4


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_agreement_is_the_kernels_own(h0: int, w0: int, h1: int, w1: int, seed: int) -> None:
    desc0, desc1 = random_maps((h0, w0), (4 * h1, 4 * w1), seed)
    matches = kernels.match_pyramid(desc0, desc1, backend="reference")
    records, sizes = records_of(matches, 4 * w1), ((4 * w0, 4 * h0), (4 * w1, 4 * h1))
    ids0, ids1 = (record_ids(side.xyxy, *sizes).reshape(-1) for side in (records.side0, records.side1))
    found = records.side0.xyxy.reshape(-1, 4)[agreed(ids0, ids1)]
    patch, pixel = kernels.reciprocal(matches).numpy().T
    expected = np.stack([4 * (patch % w0) + 2, 4 * (patch // w0) + 2, pixel % (4 * w1), pixel // (4 * w1)], axis=1)
    assert {*map(tuple, found)} == {*map(tuple, expected)} and len(found) == len(expected)


def test_ids_tell_records_apart_at_any_size() -> None:
    size0, size1 = (6000, 4000), (5000, 3000)
    x0, y0, x1, y1 = (np.array([0, 1, 2998]) for _ in range(4))
    xyxy = np.stack(np.meshgrid(x0, y0, x1, y1), axis=-1).reshape(-1, 4)
    ids = record_ids(xyxy, size0, size1)
    assert len(np.unique(ids)) == len(xyxy) and ids.min() == 0 and ids.max() < num_ids(size0, size1)
    # the release's key cannot tell these neighbours apart
    close = np.array([[1598, 1058, 800, 600], [1598, 1058, 801, 600]], dtype=np.float32)
    assert len(agreed_as_released(close, close, (1600, 1060, 1600, 1060))) == 1


def test_swapping_exchanges_sides_and_columns() -> None:
    desc0, desc1 = random_maps((3, 4), (8, 16), 0)
    records = records_of(kernels.match_pyramid(desc0, desc1, backend="reference"), 16)
    swapped = records.swapped()
    np.testing.assert_array_equal(swapped.side0.xyxy, records.side1.xyxy[..., [2, 3, 0, 1]])
    np.testing.assert_array_equal(swapped.swapped().side0.xyxy, records.side0.xyxy)
    np.testing.assert_array_equal(swapped.side1.scores, records.side0.scores)


def test_empty_sides_agree_on_nothing() -> None:
    side = empty_side((9, 5))
    assert side.xyxy.shape == (2, 3, 4)
    ids = record_ids(side.xyxy, (9, 5), (9, 5)).reshape(-1)
    assert len(agreed(ids, ids)) == 0


@pytest.mark.parametrize("ids0", [[], [5, 5, 3, -1, 9]])
def test_records_agreed_on_are_listed_once_in_order(ids0: list[int]) -> None:
    found = agreed(np.array(ids0, dtype=np.int64), np.array([3, 5, -1, 7]))
    assert found.tolist() == ([2, 0] if ids0 else [])
