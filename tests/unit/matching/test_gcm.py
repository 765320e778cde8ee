"""GCM's steps on maps with a known answer."""

import numpy as np
import pytest
import torch
from torch import Tensor

from trigpoint.matching.gcm.dense import CellMatches, match_dense, unit_rows
from trigpoint.matching.gcm.plane import estimate_homography, is_believable, unwarp, warp
from trigpoint.matching.gcm.refinement import Sampler, refine

SIZE = (100, 80)


def one_parent(similarity: float = 1.0) -> CellMatches:
    zero = torch.zeros(1, 2, dtype=torch.int64)
    return CellMatches(zero, zero, torch.tensor([similarity]), torch.tensor([0.0]))


def sampler(descriptors: list[list[float]]) -> Sampler:
    """Of one block of 2x2 cells in the order of the offsets."""
    rows = torch.tensor(descriptors)
    return lambda xy: rows[2 * xy[:, 0] + xy[:, 1]]


def random_map(channels: int = 32, height: int = 6, width: int = 7) -> Tensor:
    return torch.randn(channels, height, width, generator=torch.Generator().manual_seed(0))


def test_a_shifted_map_is_matched_cell_by_cell() -> None:
    whole = random_map(width=9)
    found = match_dense(whole[:, :, :7], whole[:, :, 2:], ratio=0.5)
    assert len(found) == 6 * 5
    assert torch.equal(found.cells0 - found.cells1, torch.tensor([[2, 0]]).expand(30, 2))
    assert (found.similarity > 0.999).all() and (found.ratio < 0.01).all()
    inner = match_dense(whole[:, :, :7], whole[:, :, 2:], ratio=0.5, border_cells=1)
    assert len(inner) == 4 * 3


def test_a_cell_without_a_descriptor_takes_none_of_the_others_away() -> None:
    whole = random_map()
    damaged = whole.clone()
    damaged[:, 2, 3] = 0
    found = match_dense(damaged, whole, ratio=0.9)
    assert len(found) == 6 * 7 - 1
    assert [3, 2] not in found.cells0.tolist()


def test_neighbours_tell_repeated_cells_apart() -> None:
    """Every cell comes twice, in other surroundings."""
    cells = torch.eye(6)
    order0, order1 = [0, 1, 2, 3, 0, 4, 2, 5], [0, 4, 2, 5, 0, 1, 2, 3]
    map0, map1 = cells[order0].T[:, None], cells[order1].T[:, None]
    alone = match_dense(map0, map1, ratio=1)
    together = match_dense(map0, map1, ratio=1, context_cells=1)
    wanted = {(x, (x + 4) % 8) for x in range(1, 7)}  # the ends have no neighbours on one side

    def pairs(found: CellMatches) -> set[tuple[int, int]]:
        return set(zip(found.cells0[:, 0].tolist(), found.cells1[:, 0].tolist(), strict=True))

    assert wanted <= pairs(together)
    assert not wanted <= pairs(alone)
    np.testing.assert_allclose(match_dense(map0, map0, ratio=1, context_cells=2).similarity, 1, atol=1e-6)


def test_a_single_cell_has_no_second_best() -> None:
    found = match_dense(random_map(8, 1, 1), random_map(8, 1, 1), ratio=0.5)
    assert found.ratio.tolist() == [0.0] and len(found) == 1


def test_one_direction_lets_pass_what_the_other_refuses() -> None:
    map0 = torch.tensor([[1.0, 0.8], [0.0, 0.6]])[:, None]  # two cells, the second at an angle
    map1 = torch.tensor([[1.0, -1.0], [0.0, 0.1]])[:, None]
    found = match_dense(map0, map1, ratio=0.01, bidirectional=False)
    assert found.cells0.tolist() == [[0, 0]] and found.cells1.tolist() == [[0, 0]]
    assert len(match_dense(map0, map1, ratio=1e-9)) == 1  # equal descriptors are at distance 0
    tilted = torch.tensor([[0.99, -1.0], [0.14, 0.1]])[:, None]
    assert len(match_dense(map0, tilted, ratio=0.05, bidirectional=False)) == 1
    assert len(match_dense(map0, tilted, ratio=0.05)) == 0  # the two of the first map are alike from the other side


def test_a_match_passes_by_its_partners_ratio() -> None:
    """Children 0 and 1 of the first block belong to 1 and 0 of the second, and only the latter has a rival."""
    x, y, z, rival = [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.9, 0.0, 0.436]
    nearly_y, far = [0.0, 0.99, 0.0, 0.14], [-1.0, 0.0, -1.0, 0.0]
    samplers = sampler([x, y, z, rival]), sampler([nearly_y, x, far, far])
    found = refine(one_parent(), *samplers, ratio=0.1)
    assert torch.cat([found.cells0, found.cells1], 1).tolist() == [[0, 0, 0, 1]]
    released = refine(one_parent(), *samplers, ratio=0.1, legacy=True)  # each judged by the other's ratio
    assert torch.cat([released.cells0, released.cells1], 1).tolist() == [[0, 1, 0, 0]]


def test_at_most_two_children_the_nearest() -> None:
    axes = torch.eye(4).tolist()
    blurred = [[1.0, 0.3, 0, 0], [0, 1.0, 0.2, 0], [0, 0, 1.0, 0.1], [0.05, 0, 0, 1.0]]
    found = refine(one_parent(), sampler(axes), sampler(blurred), ratio=1.0)
    assert found.cells0.tolist() == [[1, 0], [1, 1]]
    assert torch.equal(found.cells0, found.cells1)


def test_few_matches_stay_few_unless_as_released() -> None:
    parents = match_dense(random_map(), random_map(), ratio=1.0)
    flat = torch.ones(32, 12, 14)

    def sample(xy: Tensor) -> Tensor:
        return flat[:, xy[:, 1], xy[:, 0]].T

    assert len(refine(parents, sample, sample, ratio=0.5)) == 0
    corners = refine(parents, sample, sample, ratio=0.5, legacy=True)
    assert torch.equal(corners.cells0, 2 * parents.cells0)
    nothing = parents.where(torch.zeros(len(parents), dtype=torch.bool))
    assert len(refine(nothing, sample, sample, ratio=1.0)) == 0


def test_parents_in_portions_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = torch.randn(16, 12, 14, generator=torch.Generator().manual_seed(1))

    def sample(xy: Tensor) -> Tensor:
        return fine[:, xy[:, 1], xy[:, 0]].T

    parents = match_dense(random_map(), random_map(), ratio=1.0)
    whole = refine(parents, sample, sample, ratio=1.0)
    monkeypatch.setattr("trigpoint.matching.gcm.refinement.PARENTS_AT_ONCE", 5)
    parts = refine(parents, sample, sample, ratio=1.0)
    assert torch.equal(whole.cells0, parts.cells0) and torch.equal(whole.cells1, parts.cells1)


def test_rows_of_length_zero_stay_zero() -> None:
    found = unit_rows(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0], [0.6, 0.8]]))


def test_the_plane_of_points_with_outliers() -> None:
    rng = np.random.default_rng(0)
    H = np.array([[1.1, -0.1, 5], [0.1, 0.9, -3], [1e-4, 0, 1]])
    xy1 = rng.random((60, 2)) * 90
    xy0 = unwarp(xy1, np.linalg.inv(H))
    xy0[:15] += 40
    found = estimate_homography(xy0, xy1, 1.0)
    assert found is not None and found[1] == 45
    np.testing.assert_allclose(found[0] / found[0][2, 2], H, atol=1e-6)
    assert estimate_homography(xy0[:3], xy1[:3], 1.0) is None
    assert estimate_homography(np.ones((9, 2)), xy1[:9], 1.0) is None


@pytest.mark.parametrize(
    ("H", "num_inliers", "believed"),
    [
        (np.eye(3), 8, True),
        (np.eye(3), 7, False),
        (-np.eye(3), 8, True),  # the same map
        (np.diag([3.9, 3.9, 1]), 20, True),
        (np.diag([4.1, 4.1, 1]), 20, False),
        (np.diag([0.2, 0.2, 1]), 20, False),
        (np.diag([-1.0, 1, 1]), 20, False),  # mirrored
        (np.array([[1.0, 0, 0], [0, 1, 0], [-0.02, 0, 1]]), 20, False),  # the horizon is in the image
        (np.array([[1.0, 2, 0], [2, 4, 0], [0, 0, 1]]), 20, False),  # everything on a line
    ],
)
def test_which_planes_are_believed(H: np.ndarray, num_inliers: int, believed: bool) -> None:
    assert is_believable(H, num_inliers, SIZE) is believed


def test_warping_by_whole_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (80, 100, 3)).astype(np.uint8)
    shifted = warp(pixels, np.array([[1.0, 0, 7], [0, 1, 3], [0, 0, 1]]), (60, 50))
    assert shifted.shape == (50, 60, 3)
    np.testing.assert_array_equal(shifted[3:, 7:], pixels[:47, :53])
    assert not shifted[:3].any() and not shifted[:, :7].any()
