"""PUMP's pyramid against the released code's own volumes and against a transcription of its kernels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.npyio import NpzFile
from torch import Tensor

from trigpoint.kernels import match_pyramid, reciprocal
from trigpoint.kernels import pyramid_reference as reference
from trigpoint.kernels.pyramid import PyramidMatches, plan_levels

LEVEL_TOLERANCE = 1e-5  # the released tensor operations seed their divisors with 1e-8
BACKENDS = ("reference", "auto")  # auto: the compiled twin, where it is built


@pytest.fixture(scope="module")
def kernels(shared: Path) -> NpzFile:
    return np.load(shared / "golden/pump/kernels.npz")


@pytest.fixture(scope="module", params=["pyramid_synth", "pyramid_net"])
def golden(request: pytest.FixtureRequest, shared: Path) -> dict[str, np.ndarray]:
    folder = shared / "golden/pump"
    arrays = dict(np.load(folder / f"{request.param}.npz"))
    if request.param == "pyramid_net":
        arrays |= dict(np.load(folder / "pyramid_net_level0.npz"))
    return arrays


def tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def assert_near(found: Tensor, expected: np.ndarray, tolerance: float = LEVEL_TOLERANCE) -> None:
    assert tuple(found.shape) == expected.shape
    wanted = tensor(expected).double()
    difference = (found.double() - wanted).abs() / wanted.abs().clamp(min=1)
    assert float(difference.max()) <= tolerance


def levels_of(golden: dict[str, np.ndarray]) -> list[Tensor]:
    level0 = reference.rectify(reference.correlate(tensor(golden["desc1"]), tensor(golden["desc2"])), 1.5)
    plan = plan_levels(golden["desc1"].shape[1:], golden["desc2"].shape[1:], 99, 5, 0.9)
    assert_weights = [
        np.abs(level.weights.numpy().ravel() - golden[f"weights_{level.number}"].ravel()) for level in plan
    ]
    assert max(difference.max() for difference in assert_weights) <= 1e-6
    return reference.forward_levels(level0, plan, 1.5, 0.9)


def test_levels_on_the_way_up_equal_the_releases(golden: dict[str, np.ndarray]) -> None:
    volumes = levels_of(golden)
    assert_near(reference.correlate(tensor(golden["desc1"]), tensor(golden["desc2"])), golden["corr_raw"])
    numbers = [number for number in range(9) if f"fw_{number}" in golden]
    assert numbers[-1] == len(volumes) - 1
    for number in numbers:
        assert_near(volumes[number], golden[f"fw_{number}"])


def test_levels_on_the_way_down_equal_the_releases(golden: dict[str, np.ndarray]) -> None:
    """From the release's own levels: a rounding on the way up decides between neighbours that nearly tie."""
    level0 = tensor(golden["corr_raw"]).clamp(min=0) ** 1.5
    levels = [tensor(golden[f"fw_{number}"]) for number in range(1, 9) if f"fw_{number}" in golden]
    updated = reference.backward_levels([level0, *levels])
    for number in range(len(levels)):
        assert_near(updated[number], golden[f"bw_{number}"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_read_out_equals_the_releases(golden: dict[str, np.ndarray], backend: str) -> None:
    found = match_pyramid(tensor(golden["desc1"]), tensor(golden["desc2"]), backend=backend)
    pos0, pos1 = records(found, golden)
    assert np.array_equal(pos0, golden["pos1"])
    assert_near(found.score_of_patch, golden["score1"])
    blocks = golden["score2"].shape
    assert found.score_of_block.shape == blocks
    assert np.array_equal(pos1, golden["pos2"])
    assert_near(found.score_of_block, golden["score2"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_reciprocal_matches_equal_the_releases(shared: Path, backend: str) -> None:
    golden = np.load(shared / "golden/pump/pyramid_net.npz")
    found = match_pyramid(tensor(golden["desc1"]), tensor(golden["desc2"]), backend=backend)
    pairs = reciprocal(found).numpy()
    assert len(pairs) == 86
    width0, width1 = golden["desc1"].shape[2], golden["desc2"].shape[2]
    rows = np.stack(
        [4 * (pairs[:, 0] % width0) + 2, 4 * (pairs[:, 0] // width0) + 2, pairs[:, 1] % width1, pairs[:, 1] // width1],
        1,
    )
    assert {tuple(row) for row in rows.tolist()} == {tuple(row) for row in golden["corres"][:, :4].tolist()}


def records(found: PyramidMatches, golden: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows x0, y0, x1, y1 of both sides, as the release writes them."""
    width0, width1 = golden["desc1"].shape[2], golden["desc2"].shape[2]

    def rows(patch: np.ndarray, pixel: np.ndarray) -> np.ndarray:
        return np.stack([4 * (patch % width0) + 2, 4 * (patch // width0) + 2, pixel % width1, pixel // width1], 1)

    pixel = found.pixel_of_patch.numpy().ravel()
    return rows(np.arange(len(pixel)), pixel), rows(
        found.patch_of_block.numpy().ravel(), found.pixel_of_block.numpy().ravel()
    )


@pytest.mark.parametrize(
    ("name", "border", "weighted"),
    [("l1_now", 0.9, False), ("l1_w", 0.9, True), ("l1_norm0", 0.0, False), ("l1_norm1", 1.0, False)],
)
def test_pool_and_aggregate(kernels: NpzFile, name: str, border: float, weighted: bool) -> None:
    weights = tensor(kernels["fwd_weights_l1"]) if weighted else None
    values, new_weights = reference.pool_aggregate(1, border, tensor(kernels["fwd_lower_l1"]), weights)
    assert_near(values, kernels[f"pool_agg_{name}"], 1e-6)
    if f"pool_agg_{name}_weights" in kernels:
        assert_near(new_weights, kernels[f"pool_agg_{name}_weights"], 0)


def test_aggregate_of_a_pooled_volume(kernels: NpzFile) -> None:
    values, weights = reference.aggregate(
        1, 0.9, tensor(kernels["agg_l1_pooled_in"]), tensor(kernels["fwd_weights_l1"])
    )
    assert_near(values, kernels["agg_l1_w"], 1e-6)
    assert_near(weights, kernels["agg_l1_w_weights"], 0)


def test_float16_storage_rounds_once(kernels: NpzFile) -> None:
    lower, weights = tensor(kernels["fwd_lower_l1_f16"]), tensor(kernels["fwd_weights_l1"])
    values, _ = reference.pool_aggregate(1, 0.9, lower, weights)
    assert values.dtype == torch.float16
    assert torch.equal(values, tensor(kernels["pool_agg_l1_w_f16"]))
    upper, lower = tensor(kernels["bw_upper_f16"]), tensor(kernels["bw_lower_f16"])
    added = reference.votes(1, upper, lower.shape[:2])
    assert torch.equal(reference.unpool(lower, added), tensor(kernels["bw_out_f16"]))


def test_chain_of_levels(kernels: NpzFile) -> None:
    lower, weights = tensor(kernels["chain_lower0"]), None
    for level in (1, 2, 3):
        values, weights = reference.pool_aggregate(level, 0.9, lower, weights)
        assert_near(values, kernels[f"chain_agg_l{level}"])
        assert_near(weights, kernels[f"chain_weights_l{level}"], 0)
        lower = reference.rectify(values, 1.5)
        assert_near(lower, kernels[f"chain_rect_l{level}"])


def test_no_parent_with_a_child_ends_the_pyramid(kernels: NpzFile) -> None:
    weights = tensor(kernels["chain_weights_l3"])
    values, new_weights = reference.pool_aggregate(6, 0.9, tensor(kernels["chain_rect_l3"]), weights)
    assert_near(values, kernels["nochild_l6_out"], 0)
    assert_near(new_weights, kernels["nochild_l6_weights"], 0)
    grid, size = kernels["chain_lower0"].shape[:2], kernels["chain_lower0"].shape[2:]
    assert len(plan_levels(tuple(grid), (1 << 12, 1 << 12), 99, 1, 0.9)) < 7, tuple(size)


def test_way_down_of_the_chain(kernels: NpzFile) -> None:
    upper = tensor(kernels["chain_rect_l3"])
    for level in (3, 2, 1):
        lower = tensor(kernels[f"chain_rect_l{level - 1}"] if level > 1 else kernels["chain_lower0"])
        added = reference.votes(level, upper, lower.shape[:2])
        assert_near(added, kernels[f"chain_bw_l{level}_unpooled_in"], 0)
        upper = reference.unpool(lower, added)
        assert_near(upper, kernels[f"chain_bw_out{level - 1}"], 0)


def test_largest_of_a_window_over_all_channels(kernels: NpzFile) -> None:
    """The release's `max_pool3d` is the image-1 read-out: first of equal maxima over patches and a block's pixels."""
    volume = tensor(kernels["mp3_in"])
    for item, maxima, indices in zip(volume, kernels["mp3_max"], kernels["mp3_idx"], strict=True):
        found = reference.read_out(item[:, None], 0)
        assert_near(found.score_of_block, maxima, 0)
        linear = found.patch_of_block * item.shape[1] * item.shape[2] + found.pixel_of_block
        assert np.array_equal(linear.numpy(), indices)
