"""GCM with the backbones that its goldens and its own tests leave out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from backbone_checkpoints import PEERS, STEREO, empty_checkpoint, without_heads
from trigpoint.methods.conformance import picture
from trigpoint.methods.gcm import Gcm
from trigpoint.methods.gcm_settings import GcmSettings
from trigpoint.types import Image

SHIFT = 16  # of all strides a multiple
SIDE, LARGE_SIDE = 128, 256
LARGE = ("PSM", "DEEPPRUNER_FATS", "DEEPLABV3_RESNET50")
ELSEWHERE = ("VGG19", "VGG19_BN", "COARSEVGG19", "FCN_RESNET50")  # the last is DeepLab's network


@pytest.mark.parametrize("name", [name for name in (*PEERS, *STEREO) if name not in ELSEWHERE])
def test_a_shift_is_found(name: str, fill_weights: Callable, tmp_path: Path) -> None:
    torch.save(fill_weights(without_heads(empty_checkpoint(name))), tmp_path / "filled.pth")
    side = LARGE_SIDE if name in LARGE else SIDE
    whole = picture((side + SHIFT, side)).pixels
    first, second = (
        Image(f"{start}.png", np.ascontiguousarray(whole[:, start : start + side]), (side, side))
        for start in (0, SHIFT)
    )
    settings = GcmSettings(
        model=name.lower(), weights=str(tmp_path / "filled.pth"), fine_model=None, fine_ratio=1, enable_two_stage=False
    )
    xy = Gcm(settings).match_images(first, second).xy
    common = xy[:, 0] >= SHIFT
    assert common.sum() > 20
    errors = np.abs(xy[common, 2:] - (xy[common, :2] - [SHIFT, 0])).max(axis=1)
    assert np.median(errors) < 4
