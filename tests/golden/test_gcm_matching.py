"""GCM's matching on a real pair, step by step, against the published code's results."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trigpoint.matching.gcm.plane import warp
from trigpoint.methods.gcm import Gcm
from trigpoint.methods.gcm_maps import GcmMaps, View
from trigpoint.methods.gcm_matching import GcmResult, HierarchicalMatcher
from trigpoint.methods.gcm_settings import GcmSettings

Golden = np.lib.npyio.NpzFile
LEAST_SHARE = 0.99  # of matches that both have: near-ties may fall otherwise
CASES: dict[str, dict[str, Any]] = {
    "coarsevgg19_r95": {"configuration": "VGG_dstlR2D2_95"},
    "coarsevgg19_r60": {"configuration": "VGG_dstlR2D2_6"},
    "avg_r2d2stu_r95": {"configuration": "Avg_R2D2_95"},
    "coarsevgg19_onestage": {"configuration": "VGG_dstlR2D2_95", "enable_two_stage": False},
    "coarsevgg19_m1": {"configuration": "VGG_dstlR2D2_95", "ratio_th": [-1, -1, -1, 1, 1]},
    "vgg19_dfm": {"configuration": "DFM"},
}


@pytest.fixture(scope="module")
def views(shared: Path) -> tuple[View, View]:
    with np.load(shared / "golden/gcm/images.npz") as content:
        return View(content["image_a"], ("a",)), View(content["image_b"], ("b",))


class Remembering(GcmMaps):
    """Keeps maps of warped images, too: several cases have the same."""

    def _get(self, kind: str, view: View, compute: Callable[[View], Any], count: Callable[[Any], int]) -> Any:
        keyed = View(view.pixels, view.key or (hashlib.sha256(view.pixels.tobytes()).hexdigest(),))
        return super()._get(kind, keyed, compute, count)


@pytest.fixture(scope="module")
def matchers(
    shared: Path, filled_vgg19: Path, monkeypatch_module: pytest.MonkeyPatch
) -> Callable[[str], HierarchicalMatcher]:
    monkeypatch_module.setattr("trigpoint.methods.gcm.GcmMaps", Remembering)
    student = str(shared / "weights/dstl_r2d2.pt")
    maps: dict[str, GcmMaps] = {}

    def create(name: str) -> HierarchicalMatcher:
        weights = student if name.startswith("avg") else str(filled_vgg19)
        settings = GcmSettings(**CASES[name], weights=weights, fine_weights_path=student, legacy=True)
        networks = str(settings.model)
        if networks not in maps:
            maps[networks] = Gcm(settings).matcher.maps
        return HierarchicalMatcher(maps[networks], settings)

    return create


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module", params=CASES)
def case(
    request: pytest.FixtureRequest,
    shared: Path,
    views: tuple[View, View],
    matchers: Callable[[str], HierarchicalMatcher],
) -> tuple[str, Golden, HierarchicalMatcher, GcmResult]:
    golden = np.load(shared / f"golden/gcm/match_{request.param}.npz")
    matcher = matchers(request.param)
    with torch.inference_mode():
        result = matcher.match(*views)
    return request.param, golden, matcher, result


def share(found: NDArray, expected: NDArray, decimals: int = 0) -> float:
    """Of matches (N, 4) that both sets have, of the larger one."""
    sets = [{tuple(row) for row in np.round(rows, decimals).tolist()} for rows in (found, expected)]
    return len(sets[0] & sets[1]) / max(len(sets[0]), len(sets[1]))


def test_every_step_has_the_releases_matches(case: tuple[str, Golden, HierarchicalMatcher, GcmResult]) -> None:
    name, golden, _, result = case
    steps = sorted(key.removesuffix("_a") for key in golden.files if key.startswith("step") and key.endswith("_a"))
    assert len(steps) == len(result.stages)
    for step, stage in zip(steps, result.stages, strict=True):
        found = torch.cat([stage.cells0, stage.cells1], dim=1).numpy()
        expected = np.hstack([golden[f"{step}_a"], golden[f"{step}_b"]])
        assert share(found, expected) > LEAST_SHARE, f"{name} {step}: {len(found)} and {len(expected)}"


def test_the_result_with_the_releases_plane(
    case: tuple[str, Golden, HierarchicalMatcher, GcmResult], views: tuple[View, View]
) -> None:
    _, golden, matcher, result = case
    np.testing.assert_allclose(result.H_init, golden["H_init"], rtol=0.01, atol=0.01)
    if np.array_equal(golden["H_init"], np.eye(3)):
        found = result
    else:
        with torch.inference_mode():
            found = matcher.match(*views, golden["H_init"])
    expected = np.hstack([golden["final_a"], golden["final_b"]])
    assert share(np.hstack([found.xy0, found.xy1]), expected, decimals=6) > LEAST_SHARE
    H = found.homography()
    assert H is not None
    np.testing.assert_allclose(H, golden["H"], rtol=0.02, atol=0.5)


def test_the_warped_image(shared: Path, views: tuple[View, View]) -> None:
    with np.load(shared / "golden/gcm/match_coarsevgg19_r95.npz") as golden:
        warped = warp(views[1].pixels, golden["H_init"], views[0].size)
        differences = np.abs(warped.astype(int) - golden["warped_b"].astype(int))
    assert (differences > 1).mean() < 1e-3


def test_the_backbones_maps(
    shared: Path, matchers: Callable[[str], HierarchicalMatcher], views: tuple[View, View]
) -> None:
    with torch.inference_mode():
        maps = matchers("coarsevgg19_r95").maps.pyramid(views[0])
    with np.load(shared / "golden/gcm/match_coarsevgg19_r95.npz") as golden:
        for name, found in zip(("conv2_2", "relu3_2", "relu4_2", "conv5_2", "conv5_3"), maps, strict=True):
            close(found, golden[f"act_a_{name}"])
            spread = torch.stack([found.mean(), found.std()]).numpy()
            np.testing.assert_allclose(spread, golden[f"act_a_{name}_mean_std"], rtol=1e-3, atol=1e-4)


def test_the_averaged_students_maps(
    shared: Path, matchers: Callable[[str], HierarchicalMatcher], views: tuple[View, View]
) -> None:
    with torch.inference_mode():
        maps = matchers("avg_r2d2stu_r95").maps.pyramid(views[0])
    assert len(maps) == 6 and maps[4] is maps[5]
    with np.load(shared / "golden/gcm/match_avg_r2d2stu_r95.npz") as golden:
        for name, found in zip(("fmap", "fmap_dw2", "fmap_dw4", "fmap_dw8", "fmap_dw16"), maps, strict=False):
            close(found, golden[f"map_{name}"])


def close(found: torch.Tensor, expected: NDArray) -> None:
    """A map thinned out: some channels, and about 20 x 25 cells."""
    channels, step = found.shape[0] // len(expected), max(1, found.shape[1] // 20)
    thinned = found[::channels, ::step, ::step]
    np.testing.assert_allclose(thinned.numpy(), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
