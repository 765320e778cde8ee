"""The CUDA side's pyramid without a GPU: its functions and its schedule, compiled for the host, equal the reference."""

from dataclasses import fields

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernel_emulation import Emulation
from trigpoint.errors import SettingsError
from trigpoint.kernels import library, match_pyramid, pyramid_cuda
from trigpoint.kernels import pyramid_reference as reference
from trigpoint.kernels.pyramid import PyramidMatches, plan_levels

GIGABYTE = 1e9
SIZES_600X450 = ((112, 150), (448, 600))
gpu = pytest.mark.gpu
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(scope="session")
def emulation(tmp_path_factory: pytest.TempPathFactory) -> Emulation:
    return Emulation.build(tmp_path_factory.mktemp("emulation"))


def assert_equal(found: PyramidMatches, expected: PyramidMatches) -> None:
    for field in fields(PyramidMatches):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        assert torch.equal(one, other) if isinstance(one, Tensor) else one == other, field.name


def eighths(shape: tuple[int, ...], largest: int, seed: int) -> Tensor:
    """Multiples of 1/8: products and sums are exact, whatever their order, and ties are many."""
    values = torch.randint(-largest, largest + 1, shape, generator=torch.Generator().manual_seed(seed))
    return values.float() / 8


sides = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(1, 40), st.integers(1, 70))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=sides,
    channels=st.integers(1, 40),
    largest=st.integers(1, 8),
    seed=st.integers(0, 1 << 30),
    power=st.sampled_from([1.0, 1.5, 2.0, 1.7]),
    positions=st.sampled_from(["stored", "recomputed"]),
    min_shape=st.integers(1, 5),
    scratch=st.sampled_from([0, 1 << 18]),
)
def test_float32_has_the_bits_of_the_reference(
    emulation: Emulation,
    sizes: tuple[int, int, int, int],
    channels: int,
    largest: int,
    seed: int,
    power: float,
    positions: str,
    min_shape: int,
    scratch: int,
) -> None:
    desc0, desc1 = eighths((channels, *sizes[:2]), largest, seed), eighths((channels, *sizes[2:]), largest, seed + 1)
    rules = {"levels": 99, "min_shape": min_shape, "power": power, "border": 0.9}
    emulation.scratch(scratch)
    found = emulation.match(desc0, desc1, positions=positions, **rules)
    assert_equal(found, reference.match_pyramid(desc0, desc1, **rules))


def halves_of_the_reference(desc0: Tensor, desc1: Tensor) -> PyramidMatches:
    """Level 0 and the scores in float32, levels from 1 on (and what level 1 is made of) rounded once to float16."""
    plan = plan_levels(tuple(desc0.shape[1:]), tuple(desc1.shape[1:]), 99, 5, 0.9)
    volumes = [reference.rectify(reference.correlate(desc0, desc1), 1.5)]
    for level in plan:
        pooled = reference.pool(volumes[-1]).half().float()
        values, _ = reference.aggregate(level.number, 0.9, pooled, level.child_weights)
        volumes.append(reference.rectify(values, 1.5).half())
    upper = volumes[-1]
    for level in reversed(plan):
        lower = volumes[level.number - 1]
        upper = reference.unpool(lower, reference.votes(level.number, upper, lower.shape[:2]).to(lower.dtype))
    return reference.read_out(upper, len(plan))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("positions", ["stored", "recomputed"])
@pytest.mark.parametrize("sizes", [(3, 5, 17, 33), (9, 8, 40, 70), (1, 1, 8, 8)])
def test_float16_levels_are_rounded_once(
    emulation: Emulation, dtype: str, positions: str, sizes: tuple[int, int, int, int]
) -> None:
    desc0, desc1 = eighths((20, *sizes[:2]), 3, 1), eighths((20, *sizes[2:]), 3, 2)
    found = emulation.match(desc0, desc1, dtype=dtype, positions=positions)
    assert_equal(found, halves_of_the_reference(desc0, desc1))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_descriptors_are_rounded_to_nearest(emulation: Emulation, dtype: str) -> None:
    generator = torch.Generator().manual_seed(3)
    # One channel: a product of two rounded numbers is exact in float32. Subnormal, large and tied ones are among them.
    desc0, desc1 = torch.rand(1, 9, 11, generator=generator) ** 8, torch.rand(1, 4, 4, generator=generator)
    desc0[0, 0, :3] = torch.tensor([3e-6, 5.9e-8, 2049.0])
    found = emulation.match(desc0, desc1, levels=0, power=1, dtype=dtype)
    rounded = [desc.to(getattr(torch, dtype)).float() for desc in (desc0, desc1)]
    assert_equal(found, reference.match_pyramid(*rounded, levels=0, min_shape=5, power=1, border=0.9))


def test_views_that_are_not_contiguous(emulation: Emulation) -> None:
    whole = eighths((33, 41, 16), 4, 5).permute(2, 0, 1)
    patches = eighths((16, 48, 40), 4, 6)[:, 2::4, 2::4]
    found = emulation.match(patches, whole)
    assert_equal(found, reference.match_pyramid(patches, whole, levels=99, min_shape=5, power=1.5, border=0.9))


@pytest.mark.parametrize(("positions", "most"), [("recomputed", 3.4), ("stored", 4.0)])
def test_memory_of_a_600x450_pair(emulation: Emulation, positions: str, most: float) -> None:
    emulation.scratch(80 << 20)
    grid, size = SIZES_600X450
    plan = plan_levels(grid, size, 99, 5, 0.9)
    desc0, desc1 = torch.zeros(1).expand(128, *grid), torch.zeros(1).expand(128, *size)
    tables = pyramid_cuda.Tables(plan, torch.device("cpu"))
    problem = pyramid_cuda._problem(desc0, desc1, plan, tables, 1.5, library.FLOAT16)
    workspace = pyramid_cuda._choose_positions(emulation.library, problem, positions, torch.device("cpu"))
    assert (workspace + 4 * (desc0.numel() + desc1.numel())) / GIGABYTE < most


def test_what_32_bit_indices_cannot_count_is_refused(emulation: Emulation) -> None:
    wide, small = torch.zeros(1).expand(1, 1 << 14, 1 << 14), torch.zeros(1, 4, 4)
    tables = pyramid_cuda.Tables((), torch.device("cpu"))
    problem = pyramid_cuda._problem(wide, small, (), tables, 1.5, library.FLOAT32)
    with pytest.raises(SettingsError, match="patches"):
        pyramid_cuda._choose_positions(emulation.library, problem, "stored", torch.device("cpu"))


@gpu
@needs_cuda
@pytest.mark.parametrize("positions", ["stored", "recomputed"])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (3, 5, 17, 33), (12, 15, 48, 60), (31, 44, 127, 181)])
def test_on_a_gpu(positions: str, sizes: tuple[int, int, int, int]) -> None:
    desc0, desc1 = eighths((40, *sizes[:2]), 4, 1), eighths((40, *sizes[2:]), 4, 2)
    expected = {"float32": match_pyramid(desc0, desc1, backend="reference")}
    expected["float16"] = expected["bfloat16"] = halves_of_the_reference(desc0, desc1)
    for dtype, wanted in expected.items():
        found = match_pyramid(desc0.cuda(), desc1.cuda(), dtype=dtype, positions=positions, backend="cuda")
        assert_equal(PyramidMatches(*(on_cpu(getattr(found, field.name)) for field in fields(found))), wanted)


def on_cpu(value: Tensor | int) -> Tensor | int:
    return value.cpu() if isinstance(value, Tensor) else value


@gpu
@needs_cuda
@pytest.mark.parametrize(("positions", "most"), [("recomputed", 3.4), ("stored", 4.0)])
def test_memory_on_a_gpu(positions: str, most: float) -> None:
    desc0, desc1 = (torch.nn.functional.normalize(torch.randn(128, *size), dim=0).cuda() for size in SIZES_600X450)
    torch.cuda.reset_peak_memory_stats()
    match_pyramid(desc0, desc1, dtype="float16", positions=positions, backend="cuda")
    assert torch.cuda.max_memory_allocated() / GIGABYTE < most


def test_a_named_backend_that_is_missing_is_an_error() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SettingsError, match="backend 'cuda': the tensors are on cpu"):
        match_pyramid(torch.zeros(1, 1, 1), torch.zeros(1, 4, 4), backend="cuda")
