"""Mutual nearest neighbours: the streamed form against the plain one, and both against numbers made by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trigpoint.errors import SettingsError, ShapeError
from trigpoint.kernels import library, mutual_nearest_neighbors, nearest_cpu, reference, usage
from trigpoint.kernels.nearest_neighbors import two_nearest

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
needs_library = pytest.mark.skipif(library.library_or_none() is None, reason="the kernels are not built")
BACKENDS = ["reference", "torch", pytest.param("cpu", marks=needs_library)]
DEVICES = ["cpu", pytest.param("cuda", marks=[needs_cuda, pytest.mark.gpu])]


def unit(num: int, seed: int, width: int = 16) -> torch.Tensor:
    values = torch.randn(num, width, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(values, dim=1)


def at_angles(degrees: list[float]) -> torch.Tensor:
    """Unit vectors in the plane."""
    radians = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([radians.cos(), radians.sin()], dim=1).float()


@pytest.mark.parametrize("sizes", [(1, 1), (1, 7), (7, 1), (64, 64), (65, 130), (200, 37), (128, 1000), (999, 1001)])
@pytest.mark.parametrize("device", DEVICES)
def test_streamed_two_nearest_equal_the_reference(sizes: tuple[int, int], device: str) -> None:
    desc0, desc1 = unit(sizes[0], 1).to(device), unit(sizes[1], 2).to(device)
    for block_rows in (None, 64, 192):
        actual = two_nearest(desc0, desc1, block_rows)
        for found, expected in zip(actual, reference.two_nearest(desc0, desc1), strict=True):
            torch.testing.assert_close(found.index, expected.index)
            # 1e-6: a product may be summed in another order in a block of another shape
            torch.testing.assert_close(found.best, expected.best, rtol=0, atol=1e-6)
            torch.testing.assert_close(found.second, expected.second, rtol=0, atol=1e-6)


@needs_library
@settings(max_examples=80, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 250), st.integers(1, 250)),
    width=st.integers(1, 40),
    seed=st.integers(0, 1 << 30),
    threads=st.integers(1, 3),
)
def test_compiled_two_nearest_equal_the_reference(sizes: tuple[int, int], width: int, seed: int, threads: int) -> None:
    """Multiples of 1/8: products are exact in any order of summation, and ties are many."""
    generator = torch.Generator().manual_seed(seed)
    desc0, desc1 = (torch.randint(-3, 4, (num, width), generator=generator).float() / 8 for num in sizes)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = nearest_cpu.two_nearest(desc0, desc1.T.contiguous().T)
    finally:
        torch.set_num_threads(before)
    for one, other in zip(found, reference.two_nearest(desc0, desc1), strict=True):
        assert torch.equal(one.index, other.index)
        assert torch.equal(one.best, other.best) and torch.equal(one.second, other.second)


@needs_library
def test_auto_takes_the_compiled_form_where_it_is_faster() -> None:
    before = usage.answers()
    mutual_nearest_neighbors(unit(5, 1), unit(6, 2))
    name = "cpu-" if nearest_cpu.is_faster() else "torch-cpu"
    assert [answer.startswith(name) for answer in usage.backends_since(before)] == [True]


@pytest.mark.parametrize("ratio", [None, 1.0, 0.9])
@pytest.mark.parametrize("distance", ["euclidean", "angle"])
@pytest.mark.parametrize("device", DEVICES)
def test_backends_agree(ratio: float | None, distance: str, device: str) -> None:
    desc0 = unit(300, 1).to(device)
    desc1 = torch.nn.functional.normalize(unit(170, 2).to(device) * 0.4 + desc0[:170], dim=1)
    desc1[20], desc1[40] = desc1[3], desc1[3]  # ties
    found, expected = (
        mutual_nearest_neighbors(desc0, desc1, ratio=ratio, distance=distance, max_distance=0.5, backend=backend)
        for backend in ("auto", "reference")
    )
    streamed = mutual_nearest_neighbors(desc0, desc1, ratio=ratio, distance=distance, max_distance=0.5, backend="torch")
    assert len(expected.indices) > 20
    assert torch.equal(streamed.indices, found.indices)
    torch.testing.assert_close(found.indices, expected.indices)
    torch.testing.assert_close(found.similarity, expected.similarity, rtol=0, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_hand_made_angles(backend: str) -> None:
    desc0, desc1 = at_angles([0, 40, 90]), at_angles([1, 43, 50])

    def pairs(**options: object) -> list[list[int]]:
        return mutual_nearest_neighbors(desc0, desc1, backend=backend, **options).indices.tolist()  # type: ignore[arg-type]

    assert pairs() == [[0, 0], [1, 1]]  # 90 has 50 nearest, which has 40 nearer
    assert pairs(ratio=0.5, distance="angle") == [[0, 0], [1, 1]]  # 3 against 10 degrees
    assert pairs(ratio=0.29, distance="angle") == [[0, 0]]
    assert pairs(distance="angle", max_distance=math.radians(2)) == [[0, 0]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_first_of_equal_candidates_wins_and_the_ratio_test_refuses_them(backend: str) -> None:
    desc0, desc1 = at_angles([10, 10]), at_angles([10, 10, 80])
    assert mutual_nearest_neighbors(desc0, desc1, backend=backend).indices.tolist() == [[0, 0]]
    assert mutual_nearest_neighbors(desc0, desc1, ratio=1.0, backend=backend).indices.tolist() == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_lone_candidate_passes_the_ratio_test(backend: str) -> None:
    found = mutual_nearest_neighbors(at_angles([0]), at_angles([30]), ratio=0.8, backend=backend)
    assert found.indices.tolist() == [[0, 0]]
    assert found.similarity.item() == pytest.approx(math.cos(math.radians(30)))


@pytest.mark.parametrize("sizes", [(0, 5), (5, 0), (0, 0)])
def test_nothing_matches_nothing(sizes: tuple[int, int]) -> None:
    found = mutual_nearest_neighbors(torch.zeros(sizes[0], 8), torch.zeros(sizes[1], 8), ratio=0.9)
    assert found.indices.shape == (0, 2) and found.similarity.shape == (0,)


def test_inputs_that_are_not_contiguous_are_not_changed() -> None:
    desc0, desc1 = unit(16, 1, 90).T, unit(16, 2, 70).T
    before = desc0.clone(), desc1.clone()
    found = mutual_nearest_neighbors(desc0, desc1)
    assert torch.equal(found.indices, mutual_nearest_neighbors(*before, backend="reference").indices)
    assert torch.equal(desc0, before[0]) and torch.equal(desc1, before[1])


def test_wrong_arguments_are_refused() -> None:
    good = unit(3, 1)
    with pytest.raises(ShapeError, match=r"\(3, 16\) and \(3, 8\)"):
        mutual_nearest_neighbors(good, unit(3, 1, 8))
    with pytest.raises(ShapeError, match="float16"):
        mutual_nearest_neighbors(good, good.half())
    with pytest.raises(SettingsError, match="cosine"):
        mutual_nearest_neighbors(good, good, distance="cosine")
    with pytest.raises(SettingsError, match="ratio"):
        mutual_nearest_neighbors(good, good, ratio=0.0)
