"""NCNet's correlation and mutual filter: the CPU twin against the reference, the reference against loops."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trigpoint.errors import SettingsError, ShapeError
from trigpoint.kernels import correlation, library, usage
from trigpoint.kernels import correlation_reference as reference
from trigpoint.kernels.correlation import correlate_4d, mutual_matching

needs_library = pytest.mark.skipif(library.library_or_none() is None, reason="the kernels are not built")
BACKENDS = ["reference", "torch", pytest.param("cpu", marks=needs_library)]


def eighths(shape: tuple[int, ...], seed: int) -> Tensor:
    """Multiples of 1/8: sums are exact in any order, and ties are many."""
    return torch.randint(-4, 5, shape, generator=torch.Generator().manual_seed(seed)).float() / 8


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pooling", [1, 2])
def test_correlation_and_pooling_equal_loops(backend: str, pooling: int) -> None:
    desc0, desc1 = eighths((3, 4, 2), 1), eighths((3, 2, 6), 2)
    found = correlate_4d(desc0, desc1, pooling=pooling, backend=backend)
    assert found.volume.shape == tuple(side // pooling for side in (4, 2, 2, 6))
    for cell in np.ndindex(*found.volume.shape):
        products = []
        for inside in itertools.product(range(pooling), repeat=4):
            a, b, c, d = (pooling * at + offset for at, offset in zip(cell, inside, strict=True))
            products.append(float(desc0[:, a, b] @ desc1[:, c, d]))
        assert float(found.volume[cell]) == max(products)
        assert int(found.offsets[cell]) == products.index(max(products))


@needs_library
@settings(max_examples=60, deadline=None)
@given(
    cells=st.tuples(*[st.integers(1, 12)] * 4),
    channels=st.integers(1, 20),
    pooling=st.sampled_from([1, 2]),
    seed=st.integers(0, 1 << 30),
    transposed=st.booleans(),
)
def test_cpu_equals_the_reference(
    cells: tuple[int, int, int, int], channels: int, pooling: int, seed: int, transposed: bool
) -> None:
    sides = [pooling * cell for cell in cells]
    desc0, desc1 = eighths((channels, *sides[:2]), seed), eighths((channels, *sides[2:]), seed + 1)
    if transposed:
        desc0, desc1 = (desc.transpose(1, 2).contiguous().transpose(1, 2) for desc in (desc0, desc1))
    found, expected = (correlate_4d(desc0, desc1, pooling=pooling, backend=name) for name in ("cpu", "reference"))
    assert torch.equal(found.volume, expected.volume)
    assert torch.equal(found.offsets, expected.offsets)
    assert torch.equal(mutual_matching(found.volume, backend="cpu"), reference.mutual_matching(found.volume))


@pytest.mark.parametrize("pooling", [1, 2, 3])
@pytest.mark.parametrize("block_bytes", [1, 2000])
def test_blocks_of_rows_equal_the_whole(monkeypatch: pytest.MonkeyPatch, pooling: int, block_bytes: int) -> None:
    monkeypatch.setitem(correlation.BLOCK_BYTES, "cpu", block_bytes)
    desc0, desc1 = eighths((5, 5 * pooling, 2 * pooling), 1), eighths((5, 2 * pooling, 3 * pooling), 2)
    found, expected = (correlate_4d(desc0, desc1, pooling=pooling, backend=name) for name in ("torch", "reference"))
    assert torch.equal(found.volume, expected.volume) and torch.equal(found.offsets, expected.offsets)


def test_mutual_matching_by_hand() -> None:
    volume = torch.tensor([[1.0, 0.5], [0.25, -2.0]]).view(2, 1, 1, 2)
    floor = reference.FLOOR
    filtered = mutual_matching(volume, backend="reference").flatten().tolist()
    assert filtered[0] == pytest.approx(1 / (1 + floor) ** 2)
    assert filtered[1] == pytest.approx(0.5 * (0.5 / (1 + floor)) * (0.5 / (0.5 + floor)))
    assert filtered[3] == pytest.approx(-2 * (-2 / (0.25 + floor)) * (-2 / (0.5 + floor)))


@needs_library
def test_auto_takes_the_library_but_for_gradients() -> None:
    desc0, desc1 = eighths((5, 4, 4), 1), eighths((5, 6, 4), 2)
    before = usage.answers()
    mutual_matching(correlate_4d(desc0, desc1, pooling=2).volume)
    assert all(name.startswith("cpu-") for name in usage.backends_since(before))
    before = usage.answers()
    leaf = desc0.clone().requires_grad_()
    mutual_matching(correlate_4d(leaf, desc1, pooling=2).volume).sum().backward()
    assert usage.backends_since(before) == {"reference"}
    assert leaf.grad is not None and float(leaf.grad.abs().sum()) > 0
    with pytest.raises(SettingsError, match="no gradients"):
        correlate_4d(leaf, desc1, backend="cpu")


@pytest.mark.parametrize("backend", BACKENDS)
def test_correlation_pooling_and_filter_equal_the_releases(shared: Path, backend: str) -> None:
    golden = np.load(shared / "golden/patch2pix/ncnet.npz")
    desc0, desc1 = (torch.from_numpy(golden[f"feat{number}_norm"])[0] for number in (1, 2))
    full = correlate_4d(desc0, desc1, backend=backend)
    np.testing.assert_allclose(full.volume, golden["corr4d"][0, 0], rtol=0, atol=1e-6)
    pooled = correlate_4d(desc0, desc1, pooling=2, backend=backend)
    np.testing.assert_allclose(pooled.volume, np.squeeze(golden["pool_ksize2"]), rtol=0, atol=1e-6)
    bits = np.stack([pooled.offsets.numpy() >> shift & 1 for shift in (3, 2, 1, 0)])
    assert np.array_equal(bits, np.squeeze(golden["delta_ijkl"]))
    filtered = mutual_matching(pooled.volume, backend=backend)
    np.testing.assert_allclose(filtered, np.squeeze(golden["mutual1"]), rtol=1e-5, atol=1e-7)


def test_wrong_arguments_are_refused() -> None:
    good = eighths((3, 4, 4), 1)
    with pytest.raises(ShapeError, match="multiples of pooling 2"):
        correlate_4d(good, eighths((3, 4, 5), 1), pooling=2)
    with pytest.raises(ShapeError, match=r"\(3, 4, 4\) and \(2, 4, 4\)"):
        correlate_4d(good, eighths((2, 4, 4), 1))
    with pytest.raises(ShapeError, match="float16"):
        correlate_4d(good, good.half())
    with pytest.raises(SettingsError, match="pooling 5"):
        correlate_4d(good, good, pooling=5)
    with pytest.raises(SettingsError, match="cuda"):
        mutual_matching(torch.zeros(1, 1, 1, 1), backend="cuda")
    with pytest.raises(ShapeError, match=r"\(3, 4, 4\)"):
        mutual_matching(good)
