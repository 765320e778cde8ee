"""R2D2's extractor: its levels, thresholds and settings, and which checkpoints it takes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trigpoint.errors import SettingsError, WeightsError
from trigpoint.methods.conformance import picture
from trigpoint.methods.r2d2 import GcmStudent, GcmStudentSettings, R2d2, R2d2Settings
from trigpoint.networks.r2d2_keypoints import ExtractionOptions, searched_scales
from trigpoint.networks.r2d2_net import STUDENT, TEACHER, ConvolutionSpec, PatchNet, load_patch_net
from trigpoint.types import Image

SMALL: dict[str, Any] = {
    "min_size_px": 64,
    "max_size_px": 128,
    "repeatability_threshold": 0,
    "reliability_threshold": 0,
}


def state_of(layers: tuple[ConvolutionSpec, ...]) -> dict[str, Any]:
    torch.manual_seed(0)
    return PatchNet(layers).state_dict()


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("student") / "student.pt"
    state = state_of(STUDENT)
    state["sal.weight"] *= 1e4  # so that pixels differ in repeatability
    torch.save({"net": "Student_Quad_L2Net_ConfCFS()", "state_dict": state}, path)
    return str(path)


def test_levels_are_those_of_the_authors_defaults() -> None:
    scales = searched_scales(1448, ExtractionOptions())
    assert [round(1448 * scale) for scale, _ in scales] == [1448, 1218, 1024, 861, 724, 609, 512, 430, 362, 304, 256]
    assert [searched for _, searched in scales] == [False, False, *[True] * 9]


@pytest.mark.parametrize(
    ("options", "longer_px", "expected"),
    [
        (ExtractionOptions(), 200, [1.0]),  # smaller than the least size
        (ExtractionOptions(scale_factor=1), 2048, [0.5]),
        (ExtractionOptions(scale_factor=1), 500, [1.0]),
        (ExtractionOptions(scale_factor=2, max_scale=0.5, min_scale=0.25), 2000, [0.5, 0.25]),
        (ExtractionOptions(scale_factor=2, min_size_px=600, max_size_px=700), 1000, [1.0]),  # none in between
    ],
)
def test_searched_scales(options: ExtractionOptions, longer_px: int, expected: list[float]) -> None:
    assert [scale for scale, searched in searched_scales(longer_px, options) if searched] == expected


def test_checkpoints_of_both_networks_load_with_and_without_a_prefix() -> None:
    for layers, count in ((TEACHER, 484_387), (STUDENT, 290_627)):
        state = state_of(layers)
        assert sum(p.numel() for p in PatchNet(layers).parameters()) == count
        for content in (state, {"state_dict": {f"module.{key}": value for key, value in state.items()}}):
            assert load_patch_net(content, "here").layers == layers
    with pytest.raises(WeightsError, match="here is no checkpoint of R2D2"):
        load_patch_net({"state_dict": {"a": torch.zeros(1)}}, "here")


def test_the_best_are_kept_and_come_first(student: str) -> None:
    every = GcmStudent(GcmStudentSettings(weights=student, max_keypoints=None, **SMALL)).extract(picture((120, 90)))
    best = GcmStudent(GcmStudentSettings(weights=student, max_keypoints=40, **SMALL)).extract(picture((120, 90)))
    assert len(every) > 40 and len(best) == 40
    assert (np.diff(every.scores) <= 0).all()
    np.testing.assert_array_equal(best.keypoints, every.keypoints[:40])
    np.testing.assert_allclose(np.linalg.norm(best.descriptors, axis=1), 1, atol=1e-5)


def test_thresholds_leave_only_what_reaches_them(student: str) -> None:
    def scores(**thresholds: float) -> np.ndarray:
        settings = GcmStudentSettings(weights=student, **{**SMALL, "scale_factor": 1, **thresholds})
        return GcmStudent(settings).extract(picture((64, 48))).scores

    assert len(scores(repeatability_threshold=1)) == len(scores(reliability_threshold=1)) == 0
    counts = [len(scores(repeatability_threshold=threshold)) for threshold in np.linspace(0.1, 0.9, 9)]
    assert counts == sorted(counts, reverse=True)
    assert any(0 < count < len(scores()) for count in counts)


def test_smaller_levels_point_at_the_same_places(student: str) -> None:
    """A picture enlarged threefold, searched at a third: the keypoints of the picture itself, enlarged."""
    small = picture((96, 72))
    large = Image("large.png", np.kron(small.pixels, np.ones((3, 3, 1), np.uint8)), (288, 216))
    one_scale = {**SMALL, "scale_factor": 1, "max_size_px": 96, "max_keypoints": 100}
    method = GcmStudent(GcmStudentSettings(weights=student, **one_scale))
    ours, theirs = method.extract(small), method.extract(large)
    expected = {tuple(row) for row in np.round((ours.keypoints + 0.5) * 3 - 0.5).tolist()}
    found = {tuple(row) for row in np.round(theirs.keypoints).tolist()}
    assert len(expected & found) > 25


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scale_factor": 1.01}, "scale_factor"),
        ({"max_keypoints": 0}, "max_keypoints"),
        ({"min_size_px": 512, "max_size_px": 256}, "max_size_px"),
        ({"max_scale": 2}, "max_scale"),
        ({"reliability_threshold": -1}, "reliability_threshold"),
        ({"dtype": "float16"}, "dtype must be one of"),
        ({"legacy": True}, "needs subpixel off"),
        ({"subpixel": 1}, "subpixel must be true or false"),
    ],
)
def test_what_cannot_work_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        R2d2Settings(**values)


def test_values_that_are_not_finite_are_named(tmp_path: Path) -> None:
    state = state_of(STUDENT)
    state["ops.0.weight"][0, 0, 0, 0] = float("nan")
    torch.save({"state_dict": state}, tmp_path / "broken.pt")
    with pytest.raises(WeightsError, match="not finite"):
        R2d2(R2d2Settings(weights=str(tmp_path / "broken.pt"))).extract(picture((64, 48)))


def test_bfloat16_is_nearly_the_same(student: str) -> None:
    settings = {**SMALL, "scale_factor": 1, "max_keypoints": 50}
    exact = GcmStudent(GcmStudentSettings(weights=student, **settings)).extract(picture((96, 72)))
    rounded = GcmStudent(GcmStudentSettings(weights=student, dtype="bfloat16", **settings)).extract(picture((96, 72)))
    shared = {tuple(row) for row in np.round(exact.keypoints).tolist()} & {
        tuple(row) for row in np.round(rounded.keypoints).tolist()
    }
    assert len(shared) > 25
