"""LightGlue: loading by strict names, and what the matcher promises."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from trigpoint.errors import SettingsError, WeightsError
from trigpoint.matching.base import Matcher, create_matcher
from trigpoint.matching.lightglue import rename_keys
from trigpoint.types import Features


def described(num: int, seed: int, width: int = 128) -> Features:
    rng = np.random.default_rng(seed)
    descriptors = rng.standard_normal((num, width)).astype(np.float32)
    descriptors /= np.maximum(np.linalg.norm(descriptors, axis=1, keepdims=True), 1e-6)
    keypoints = (rng.random((num, 2)) * [639, 479]).astype(np.float32)
    return Features(keypoints, descriptors, np.ones(num, np.float32), (640, 480))


@pytest.fixture(scope="module")
def matcher(checkpoint: Callable[[str], Path]) -> Matcher:
    checkpoint("disk-lightglue")
    return create_matcher("lightglue", {})


def test_released_names_become_todays() -> None:
    released = dict.fromkeys(
        ["self_attn.3.Wqkv.weight", "cross_attn.0.to_v.bias", "log_assignment.8.r", "posenc.Wr.weight"]
    )
    assert list(rename_keys(released)) == [
        "transformers.3.self_attn.Wqkv.weight",
        "transformers.0.cross_attn.to_v.bias",
        "posenc.Wr.weight",
    ]


def test_permuted_and_shifted_features_are_matched(matcher: Matcher) -> None:
    first = described(120, 0)
    order = np.random.default_rng(1).permutation(120)
    second = Features(first.keypoints[order] * 0.9, first.descriptors[order], first.scores, (640, 480))
    matches = matcher.match(first, second)
    assert len(matches) > 100
    assert np.mean(order[matches.indices[:, 1]] == matches.indices[:, 0]) > 0.98
    assert np.all(np.diff(matches.indices[:, 0]) > 0)
    assert np.all((matches.scores >= 0.1) & (matches.scores <= 1)) and matches.indices.dtype == np.int32


def test_bfloat16_finds_nearly_the_same(matcher: Matcher) -> None:
    first = described(150, 0)
    second = Features(first.keypoints[::-1].copy(), first.descriptors[::-1].copy(), first.scores, (640, 480))
    found = {
        tuple(pair) for pair in create_matcher("lightglue", {"dtype": "bfloat16"}).match(first, second).indices.tolist()
    }
    expected = {tuple(pair) for pair in matcher.match(first, second).indices.tolist()}
    assert len(found & expected) > 0.9 * len(found | expected) > 0


@pytest.mark.parametrize("sizes", [(0, 5), (5, 0), (1, 1)])
def test_few_features_pass(matcher: Matcher, sizes: tuple[int, int]) -> None:
    matches = matcher.match(described(sizes[0], 0), described(sizes[1], 1))
    assert matches.indices.shape == (len(matches), 2) and len(matches) <= min(sizes)


def test_descriptors_of_another_width_are_refused(matcher: Matcher) -> None:
    with pytest.raises(SettingsError, match="descriptors of 64 numbers"):
        matcher.match(described(5, 0, 64), described(5, 1, 64))


def test_checkpoint_with_a_missing_tensor_is_refused(tmp_path: Path, checkpoint: Callable[[str], Path]) -> None:
    state = torch.load(checkpoint("disk-lightglue"), weights_only=True)
    state.pop("self_attn.4.Wqkv.bias")
    torch.save(state, tmp_path / "cut.pth")
    with pytest.raises(WeightsError, match=r"transformers\.4\.self_attn\.Wqkv\.bias"):
        create_matcher("lightglue", {"weights": str(tmp_path / "cut.pth")})


@pytest.mark.parametrize("values", [{"depth_confidence": 1.5}, {"min_score": -1}, {"dtype": "float16"}])
def test_wrong_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(values))):
        create_matcher("lightglue", values)
