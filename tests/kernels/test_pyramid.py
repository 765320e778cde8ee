"""The compiled pyramid against the reference: equal bits, ties included, on inputs whose products are exact."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trigpoint.errors import SettingsError, ShapeError
from trigpoint.kernels import (
    backend_in_use,
    estimate_pyramid,
    library,
    match_pyramid,
    pyramid_cpu,
    pyramid_reference,
    reciprocal,
)
from trigpoint.kernels.pyramid import PyramidMatches, plan_levels

POSITIONS = ("stored", "recomputed")
needs_library = pytest.mark.skipif(not library.library_path().is_file(), reason="run `make kernels` first")


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def assert_equal(found: PyramidMatches, expected: PyramidMatches) -> None:
    for field in fields(PyramidMatches):
        first, second = getattr(found, field.name), getattr(expected, field.name)
        assert torch.equal(first, second) if isinstance(first, Tensor) else first == second, field.name


def quantized(seed: int, channels: int, size: tuple[int, int], steps: int) -> Tensor:
    """Multiples of 1/4 of few values: exact products, many ties, negative ones, and for 0 steps nothing but zeros."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-steps, steps + 1, (channels, *size), generator=generator).float() / 4


sides = st.integers(1, 70)
grids = st.tuples(st.integers(1, 18), st.integers(1, 18))


@needs_library
@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    channels=st.integers(1, 5),
    steps=st.integers(0, 5),
    grid=grids | st.tuples(sides, st.just(1)) | st.tuples(st.just(2), sides),
    size=st.tuples(sides, sides),
    power=st.sampled_from([1.5, 1.0, 2.0, 1.25]),
    border=st.sampled_from([0.9, 0.0, 1.0]),
    levels=st.sampled_from([99, 99, 0, 1, 2, 3]),
    min_shape=st.integers(1, 6),
)
def test_compiled_equals_reference(
    seed: int,
    channels: int,
    steps: int,
    grid: tuple[int, int],
    size: tuple[int, int],
    power: float,
    border: float,
    levels: int,
    min_shape: int,
) -> None:
    desc0, desc1 = quantized(seed, channels, grid, steps), quantized(seed + 1, channels, size, steps)
    asked = {"levels": levels, "min_shape": min_shape, "power": power, "border": border}
    expected = pyramid_reference.match_pyramid(desc0, desc1, **asked)
    for positions in POSITIONS:
        for num_threads in (1, 2):
            torch.set_num_threads(num_threads)
            assert_equal(match_pyramid(desc0, desc1, **asked, positions=positions, backend="cpu"), expected)


@needs_library
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), grid=grids, size=st.tuples(sides, sides), wide=st.booleans())
def test_wide_grids_and_descriptors(seed: int, grid: tuple[int, int], size: tuple[int, int], wide: bool) -> None:
    """More patches than a task holds, in rows of any length; 128 channels of 0 and 1."""
    grid = (grid[0] + 20, grid[1] + 20) if wide else grid
    channels = 1 if wide else 128
    desc0, desc1 = quantized(seed, channels, grid, 2), quantized(seed + 1, channels, size, 2)
    expected = match_pyramid(desc0, desc1, backend="reference")
    for positions in POSITIONS:
        assert_equal(match_pyramid(desc0, desc1, positions=positions, backend="cpu"), expected)


@needs_library
@pytest.mark.parametrize("instructions", ["generic", "avx2", "avx512"])
def test_lesser_instruction_sets(instructions: str) -> None:
    """Each in a process of its own: the choice is made once. What the processor lacks falls to the next lesser one."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import test_pyramid as t, torch\n"
        "for seed in range(12):\n"
        "    sizes = torch.randint(1, 60, (4,), generator=torch.Generator().manual_seed(seed)).tolist()\n"
        "    a, b = t.quantized(seed, 3, (sizes[0] // 5 + 1, sizes[1] // 5 + 1), 2), t.quantized(99, 3, sizes[2:], 2)\n"
        "    t.assert_equal(t.match_pyramid(a, b, backend='cpu'), t.match_pyramid(a, b, backend='reference'))\n"
        "    t.assert_equal(t.match_pyramid(a, b, backend='cpu', dtype='bfloat16'), t.match_pyramid(a, b))\n"
        "print(t.backend_in_use('cpu'))"
    )
    environment = {**os.environ, "TRIGPOINT_ISA": instructions}
    command = [sys.executable, "-c", program, str(Path(__file__).parent)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    order = ["cpu-generic", "cpu-avx2", "cpu-avx512"]
    assert order.index(done.stdout.strip()) <= order.index(f"cpu-{instructions}")


def one_patch(size: tuple[int, int], background: float, values: dict[tuple[int, int], float]) -> tuple[Tensor, Tensor]:
    """Descriptors of one channel whose correlation is the given map."""
    pixels = torch.full(size, background)
    for position, value in values.items():
        pixels[position] = value
    return torch.ones(1, 1, 1), pixels[None]


def reference_scores(desc0: Tensor, desc1: Tensor) -> Tensor:
    level0 = pyramid_reference.rectify(pyramid_reference.correlate(desc0, desc1), 1.5)
    plan = plan_levels(desc0.shape[1:], desc1.shape[1:], 99, 5, 0.9)
    return pyramid_reference.backward_levels(pyramid_reference.forward_levels(level0, plan, 1.5, 0.9))[0]


@needs_library
@pytest.mark.parametrize("positions", POSITIONS)
def test_pooled_maximum_is_not_the_voted_one_at_the_border(positions: str) -> None:
    desc0, desc1 = one_patch((16, 16), 0.01, {(5, 15): 1, (5, 14): 0.25})
    assert float(reference_scores(desc0, desc1)[0, 0, 5, 14]) == 1.125
    expected = match_pyramid(desc0, desc1, backend="reference")
    found = match_pyramid(desc0, desc1, positions=positions, backend="cpu")
    assert_equal(found, expected)
    assert float(found.score_of_block[1, 3]) == 1.125


@needs_library
@pytest.mark.parametrize("positions", POSITIONS)
def test_values_that_rectify_equally_tie(positions: str) -> None:
    first, larger = 0.3968525826931, 0.39685261249542236
    desc0, desc1 = one_patch((16, 16), 0.0, {(5, 5): first, (6, 6): larger})
    found = match_pyramid(desc0, desc1, positions=positions, backend="cpu")
    assert float(desc1[0, 6, 6]) > float(desc1[0, 5, 5])
    assert int(found.pixel_of_patch) == 5 * 16 + 5
    assert_equal(found, match_pyramid(desc0, desc1, backend="reference"))


@needs_library
@pytest.mark.parametrize("positions", POSITIONS)
def test_a_block_may_be_won_without_a_vote(positions: str) -> None:
    desc0, desc1 = one_patch((16, 16), 0.0, {(7, 8): 1, (8, 8): 0.9})
    found = match_pyramid(desc0, desc1, positions=positions, backend="cpu")
    assert int(found.pixel_of_block[2, 2]) == 8 * 16 + 8
    assert float(found.score_of_block[2, 2]) == pytest.approx(0.854, abs=1e-3)
    assert_equal(found, match_pyramid(desc0, desc1, backend="reference"))


@needs_library
@pytest.mark.parametrize("positions", POSITIONS)
def test_tiny_values_that_underflow_tie(positions: str) -> None:
    desc0, desc1 = one_patch((16, 16), -1.0, {(3, 3): 1e-33, (4, 4): 2e-33, (9, 9): 3e-28, (10, 10): 3.0001e-28})
    assert_equal(
        match_pyramid(desc0, desc1, positions=positions, backend="cpu"),
        match_pyramid(desc0, desc1, backend="reference"),
    )


@needs_library
def test_real_valued_descriptors_agree_within_rounding() -> None:
    generator = torch.Generator().manual_seed(0)
    desc1 = torch.nn.functional.normalize(torch.randn(128, 37, 45, generator=generator), dim=0)
    noise = torch.randn(128, 9, 11, generator=generator)
    desc0 = torch.nn.functional.normalize(desc1[:, 2::4, 2::4] + 0.05 * noise, dim=0)
    expected = match_pyramid(desc0, desc1, backend="reference")
    found = match_pyramid(desc0, desc1, backend="cpu")
    assert torch.equal(found.pixel_of_patch, expected.pixel_of_patch)
    assert torch.allclose(found.score_of_patch, expected.score_of_patch, atol=1e-5)
    assert torch.equal(reciprocal(found), reciprocal(expected))


@needs_library
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), channels=st.integers(1, 9), grid=grids, size=st.tuples(sides, sides))
def test_bfloat16_products(seed: int, channels: int, grid: tuple[int, int], size: tuple[int, int]) -> None:
    """Small integers are exact in bfloat16, whichever instructions multiply them; an odd channel has no partner."""
    desc0, desc1 = quantized(seed, channels, grid, 3), quantized(seed + 1, channels, size, 3)
    found = match_pyramid(desc0, desc1, dtype="bfloat16", backend="cpu")
    assert_equal(found, match_pyramid(desc0, desc1, backend="reference"))


@needs_library
def test_bfloat16_rounds_the_descriptors() -> None:
    desc0, desc1 = one_patch((16, 16), 0.0, {(5, 5): 1.001, (8, 8): 1.002})  # both round to 1
    assert int(match_pyramid(desc0, desc1, backend="cpu").pixel_of_patch) == 8 * 16 + 8
    assert int(match_pyramid(desc0, desc1, dtype="bfloat16", backend="cpu").pixel_of_patch) == 5 * 16 + 5


@needs_library
def test_strided_views_are_read_in_place() -> None:
    desc1 = quantized(1, 4, (32, 24), 3)
    view = quantized(0, 4, (40, 36), 3).transpose(1, 2)[:, 2::4, 2::4]
    assert not view.is_contiguous()
    expected = match_pyramid(view, desc1, backend="reference")
    assert_equal(match_pyramid(view, desc1, backend="cpu"), expected)
    assert_equal(match_pyramid(view.contiguous(), desc1.flip(0).flip(0), backend="cpu"), expected)


@needs_library
def test_workspace_is_kept_between_calls_of_other_sizes_and_can_be_freed() -> None:
    large, small = (
        (quantized(0, 3, (20, 20), 2), quantized(1, 3, (50, 60), 2)),
        (
            quantized(2, 3, (3, 4), 2),
            quantized(3, 3, (9, 20), 2),
        ),
    )
    expected = [match_pyramid(*pair, backend="reference") for pair in (large, small)]
    for pair, wanted in ((large, expected[0]), (small, expected[1]), (large, expected[0])):
        assert_equal(match_pyramid(*pair, backend="cpu"), wanted)
    loaded = library.load_library()
    assert loaded.tp_cpu_workspace_bytes() > 0
    pyramid_cpu.free_workspace()
    assert loaded.tp_cpu_workspace_bytes() == 0


@needs_library
def test_estimate_is_what_is_taken(tmp_path: Path) -> None:
    desc0, desc1 = quantized(0, 3, (30, 40), 2), quantized(1, 3, (120, 160), 2)
    for positions in POSITIONS:
        pyramid_cpu.free_workspace()
        match_pyramid(desc0, desc1, positions=positions, backend="cpu")
        taken = library.load_library().tp_cpu_workspace_bytes()
        cost = estimate_pyramid(3, (30, 40), (120, 160), positions=positions)
        assert 0 <= taken - cost.bytes < 2 << 20  # rounded up to huge pages
        assert cost.flops == 2 * 3 * 30 * 40 * 120 * 160 * (1 if positions == "stored" else 2)
        assert cost.num_levels == 5


@needs_library
def test_positions_follow_the_free_memory(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    class Memory:
        available = 0

    monkeypatch.setattr(pyramid_cpu.psutil, "virtual_memory", Memory)
    pyramid_cpu.free_workspace()
    desc0, desc1 = quantized(0, 1, (40, 40), 2), quantized(1, 1, (20, 20), 2)
    with pytest.raises(SettingsError, match="smaller images"):
        match_pyramid(desc0, desc1)
    Memory.available = estimate_pyramid(1, (40, 40), (20, 20), positions="recomputed").bytes
    with caplog.at_level(logging.INFO, logger="trigpoint"):
        found = match_pyramid(desc0, desc1)
    assert "positions recomputed" in caplog.text
    assert_equal(found, match_pyramid(desc0, desc1, backend="reference"))


@needs_library
def test_calls_from_several_threads_do_not_share_a_workspace() -> None:
    pairs = [(quantized(seed, 3, (9, 8), 2), quantized(seed + 50, 3, (40, 33), 2)) for seed in range(12)]
    expected = [match_pyramid(*pair, backend="reference") for pair in pairs]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda pair: match_pyramid(*pair, backend="cpu"), pairs))
    for first, second in zip(found, expected, strict=True):
        assert_equal(first, second)


def test_reciprocal_keeps_what_both_sides_choose() -> None:
    matches = PyramidMatches(
        pixel_of_patch=torch.tensor([[5, 6, 23]]),
        score_of_patch=torch.ones(1, 3),
        patch_of_block=torch.tensor([[1, 0]]),
        pixel_of_block=torch.tensor([[6, 7]]),
        score_of_block=torch.ones(1, 2),
        num_levels=1,
    )
    assert reciprocal(matches).tolist() == [[1, 6]]


def test_without_a_build_auto_warns_once_and_a_named_backend_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(library.PATH_VARIABLE, raising=False)
    monkeypatch.setattr(library, "DEFAULT_PATH", tmp_path / "absent.so")
    library._warn_once.cache_clear()
    desc0, desc1 = quantized(0, 2, (3, 3), 2), quantized(1, 2, (9, 9), 2)
    with caplog.at_level(logging.WARNING, logger="trigpoint"):
        for _ in range(2):
            assert_equal(match_pyramid(desc0, desc1), match_pyramid(desc0, desc1, backend="reference"))
    assert caplog.text.count("make kernels") == 1
    assert backend_in_use("cpu") == "reference"
    with pytest.raises(SettingsError, match="make kernels"):
        match_pyramid(desc0, desc1, backend="cpu")
    assert estimate_pyramid(2, (3, 3), (9, 9)).bytes > 4 * 9 * 81


def test_a_named_library_that_is_missing_or_none_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desc0, desc1 = quantized(0, 2, (3, 3), 2), quantized(1, 2, (9, 9), 2)
    monkeypatch.setenv(library.PATH_VARIABLE, str(tmp_path / "absent.so"))
    with pytest.raises(SettingsError, match=r"absent\.so"):
        match_pyramid(desc0, desc1)
    (tmp_path / "text.so").write_text("no library")
    monkeypatch.setenv(library.PATH_VARIABLE, str(tmp_path / "text.so"))
    with pytest.raises(SettingsError, match="cannot be loaded"):
        match_pyramid(desc0, desc1)


def test_arguments_are_checked() -> None:
    good, other = quantized(0, 2, (3, 3), 2), quantized(1, 2, (9, 9), 2)
    for desc0, desc1 in (
        (good[0], other),
        (good[:1], other),
        (good[:, :0], other),
        (good.double(), other.double()),
    ):
        with pytest.raises(ShapeError):
            match_pyramid(desc0, desc1)
    for wrong in ({"power": 0.5}, {"border": 1.5}, {"levels": -1}, {"dtype": "int8"}, {"positions": "none"}):
        with pytest.raises(SettingsError):
            match_pyramid(good, other, **wrong)
    with pytest.raises(SettingsError):
        match_pyramid(good, other, backend="cuda")
