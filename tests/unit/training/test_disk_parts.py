"""Where the parts of DISK's training differ from the release on purpose, and what the goldens leave open."""

import pytest
import torch

from trigpoint.errors import ShapeError
from trigpoint.evaluation.disk_validation import selection_score
from trigpoint.training.disk_matching import MatchDistribution
from trigpoint.training.views import View


def view(width: int, height: int, depth: torch.Tensor | None = None) -> View:
    K = torch.tensor([[50.0, 0, (width - 1) / 2], [0, 50.0, (height - 1) / 2], [0, 0, 1]])
    return View(torch.rand(3, height, width), K, torch.eye(3), torch.zeros(3), depth)


def test_a_centred_principal_point_stays_in_the_centre_when_scaled() -> None:
    for frame, size in (((20, 20), (20, 10)), ((80, 10), (20, 10)), ((160, 160), (160, 80))):
        scaled = view(40, 20).scaled(frame)
        assert scaled.size == size
        torch.testing.assert_close(scaled.K[:2, 2], torch.tensor([(size[0] - 1) / 2, (size[1] - 1) / 2]))
    assert view(40, 20).scaled((20, 20), legacy=True).K[0, 2] == 19.5 / 2


def test_depth_is_that_of_the_nearest_pixel_unless_legacy() -> None:
    posed = view(2, 1, torch.tensor([[1.0, 2.0]]))
    xy = torch.tensor([[0.4, 0.0], [0.6, 0.0], [1.9, 0.9], [2.0, 0.0], [-0.1, 0.0], [torch.nan, 0.0]])
    assert posed.depth_at(xy).nan_to_num(-1).tolist() == [1, 2, 2, -1, -1, -1]
    assert posed.depth_at(xy, legacy=True).nan_to_num(-1).tolist() == [1, 1, 2, -1, -1, -1]
    assert view(2, 1).depth_at(xy).isnan().all() and view(2, 1).points_at(xy).isnan().all()


def test_a_point_is_projected_to_where_it_was_seen() -> None:
    posed = view(40, 20, torch.full((20, 40), 3.0))
    xy = torch.tensor([[3.0, 4.0], [39.0, 19.0]])
    torch.testing.assert_close(posed.project(posed.points_at(xy)), xy)


def test_draws_come_as_often_as_their_probabilities_say() -> None:
    generator = torch.Generator().manual_seed(0)
    distribution = MatchDistribution(torch.randn(3, 4, generator=generator))
    counts, num = torch.zeros(3, 4), 4000
    for _ in range(num):
        rows, columns = distribution.sample(generator).T
        counts[rows, columns] += 1
    torch.testing.assert_close(counts / num, distribution.log_probabilities().exp(), rtol=0, atol=0.03)


def test_the_score_needs_pairs() -> None:
    for shape in ((0, 2), (4,)):
        with pytest.raises(ShapeError):
            selection_score(torch.zeros(shape).numpy())
