"""Which scales and rotations are matched."""

import pytest

from trigpoint.matching.pump.enumeration import common_levels, enumerate_views, is_swapped, levels_for


def test_scales_are_half_octaves_within_the_bounds() -> None:
    views = enumerate_views(0.25, 4, 0, 0, 45)
    assert [round(view.scale, 4) for view in views] == [0.25, 0.3536, 0.5, 0.7071, 1, 1.4142, 2, 2.8284, 4]
    assert [view.code for view in views] == [*range(-32, 33, 8)]
    assert views[0].reductions == (0.25, 1) and views[-1].reductions == (1, 0.25)


def test_the_half_turn_is_listed_once() -> None:
    views = enumerate_views(1, 1, -180, 180, 45)
    assert [view.angle_deg for view in views] == [180, 135, 90, 45, 0, -45, -90, -135]
    assert sorted(view.code for view in views) == [*range(8)]


def test_bounds_may_be_zero_or_leave_nothing() -> None:
    assert [view.angle_deg for view in enumerate_views(1, 1, 0, 90, 45)] == [0, -45, -90]
    assert enumerate_views(1.1, 1.2, 0, 0, 45) == []


@pytest.mark.parametrize(("swap", "expected"), [(1, True), (0, False), (-1, False)])
def test_the_larger_image_gives_the_patches(swap: int, expected: bool) -> None:
    assert is_swapped((100, 20), (30, 30), swap) is expected
    assert is_swapped((30, 30), (100, 20), swap) is (swap == -1)
    assert not is_swapped((30, 40), (50, 30), swap)


def test_levels_follow_the_smaller_image() -> None:
    assert levels_for((600, 450), (800, 600)) == 7
    assert levels_for((3, 3), (800, 600)) == 0
    assert common_levels([((64, 48), (64, 40)), ((64, 48), (640, 400))], 5, 0) == 3
    assert common_levels([((64, 48), (64, 40))], 5, 2) == 2
