"""The toolbox's quantiser against its own numbers."""

from pathlib import Path

import numpy as np
import pytest

from trigpoint.matching.quantization import ImageQuantizer, QuantizationSettings, unique_matches

CASES = {"qt48d4uni_sc0.25": (48.0, True), "qt48d4_sc0.25": (48.0, False), "noqt_sc0.25": (0.0, False)}


def test_golden_settings_are_the_defaults() -> None:
    settings = QuantizationSettings()
    assert (settings.cell_px, settings.distance_px, settings.score_threshold) == (48, 4, 0.25)


@pytest.mark.parametrize("case", CASES)
def test_keypoints_and_matches_are_the_originals(shared: Path, case: str) -> None:
    golden = np.load(shared / "golden/patch2pix/quantize.npz")
    cell_px, unique = CASES[case]
    settings = QuantizationSettings(cell_px=cell_px)
    quantizers: dict[str, ImageQuantizer] = {}
    for number, pair in enumerate(golden["pairs"]):
        matches, scores = golden[f"matches{number}"], golden[f"scores{number}"]
        kept = scores >= settings.score_threshold
        sides = (matches[kept, :2], matches[kept, 2:])
        ids = np.stack(
            [
                quantizers.setdefault(name, ImageQuantizer(settings)).add(points)
                for name, points in zip(pair.split(), sides, strict=True)
            ],
            axis=1,
        )
        if unique:
            ids = ids[unique_matches(ids, scores[kept])]
        assert {tuple(row) for row in ids.tolist()} == {tuple(row) for row in golden[f"{case}/ids{number}"].tolist()}
    assert quantizers.keys() == {key.split("/kps/")[1] for key in golden.files if key.startswith(f"{case}/kps/")}
    for name, quantizer in quantizers.items():
        np.testing.assert_array_equal(quantizer.keypoints(), golden[f"{case}/kps/{name}"])
