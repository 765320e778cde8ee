"""LightGlue: a transformer that matches two sets of features (Lindenberger, Sarlin and Pollefeys, ICCV 2023).

The network is kornia's, filled with registered weights; kornia's constructor by name would download its own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import kornia.feature
import numpy as np
import torch
from torch import Tensor

from trigpoint.errors import SettingsError, WeightsError
from trigpoint.matching.base import Matcher
from trigpoint.storage.weights import load_state_dict, resolve_weights, sha256_of
from trigpoint.types import Features, Matches

NUM_LAYERS = 9
DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class LightGlueSettings:
    """Defaults are those of the authors' release."""

    depth_confidence: float | None = 0.95  # share of settled keypoints to stop early at; null: all layers
    width_confidence: float | None = 0.99  # how sure to be before an unmatchable keypoint is dropped; null: keep all
    min_score: float = 0.1  # of a match, a probability
    dtype: str = "float32"  # of the products, or bfloat16 (autocast)
    descriptor_dim: int = 128  # of the features; the weights must fit
    weights: str = "disk-lightglue"  # registered name or file

    def __post_init__(self) -> None:
        for key in ("depth_confidence", "width_confidence"):
            value = getattr(self, key)
            if value is not None and not 0 < value <= 1:
                raise SettingsError(f"lightglue: {key} must be in (0, 1] or null, got {value}")
        if not 0 <= self.min_score <= 1:
            raise SettingsError(f"lightglue: min_score must be in [0, 1], got {self.min_score}")
        if self.dtype not in DTYPES:
            raise SettingsError(f"lightglue: dtype must be one of {', '.join(DTYPES)}, got '{self.dtype}'")


class LightGlue(Matcher):
    """LightGlue's matches; the score is the network's probability of a match."""

    name = "lightglue"
    Settings = LightGlueSettings

    def __init__(self, settings: LightGlueSettings, *, device: str = "cpu", num_threads: int = 1) -> None:
        super().__init__(settings, device=device, num_threads=num_threads)
        path = resolve_weights(settings.weights)
        self.weights_sha256 = sha256_of(path)
        network = kornia.feature.LightGlue(
            None,  # type: ignore[arg-type]
            weights=None,
            input_dim=settings.descriptor_dim,
            depth_confidence=settings.depth_confidence or -1,
            width_confidence=settings.width_confidence or -1,
            filter_threshold=settings.min_score,
        )
        load_lightglue(network, load_state_dict(path), str(path))
        self._network = network.eval().to(device)

    @torch.inference_mode()
    def match(self, features0: Features, features1: Features) -> Matches:
        """Matches, none of them sharing a keypoint; sorted by the first index; an empty side gives none.

        Raises:
            SettingsError: the descriptors have another width than the weights.
        """
        if len(features0) == 0 or len(features1) == 0:
            return Matches(np.zeros((0, 2), dtype=np.int32), np.zeros(0, dtype=np.float32))
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.settings.dtype == "bfloat16"):
            found = self._network({"image0": self._inputs(features0), "image1": self._inputs(features1)})
        indices, scores = found["matches"][0], found["scores"][0].float()
        order = torch.argsort(indices[:, 0])
        return Matches(indices[order].cpu().numpy().astype(np.int32), scores[order].cpu().numpy())

    def _inputs(self, features: Features) -> dict[str, Tensor]:
        width = features.descriptors.shape[1]
        if width != self.settings.descriptor_dim:
            raise SettingsError(
                f"lightglue: descriptors of {width} numbers, its weights need {self.settings.descriptor_dim}"
            )
        values = {
            "keypoints": features.keypoints,
            "descriptors": features.descriptors,
            "image_size": np.array(features.image_size),
        }
        return {
            key: torch.from_numpy(np.asarray(value, dtype=np.float32))[None].to(self.device)
            for key, value in values.items()
        }


def load_lightglue(network: torch.nn.Module, checkpoint: Mapping[str, Any], source: str) -> None:
    """Fill kornia's network from a released checkpoint.

    Raises:
        WeightsError: names or shapes differ.
    """
    renamed = rename_keys(checkpoint)
    thresholds = {"confidence_thresholds": network.state_dict()["confidence_thresholds"]}  # not learnt: a formula
    try:
        network.load_state_dict({**renamed, **thresholds}, strict=True)
    except RuntimeError as error:
        raise WeightsError(f"{source} does not fit LightGlue's network: {error}") from error


def rename_keys(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Released names (`self_attn.3.*`) as today's (`transformers.3.self_attn.*`).

    The scalars `log_assignment.*.r` of an older form of the network are read by no released code and left out.
    """
    renamed = {}
    for key, value in checkpoint.items():
        if re.fullmatch(r"log_assignment\.\d+\.r", key):
            continue
        renamed[re.sub(r"^(self_attn|cross_attn)\.(\d+)\.", r"transformers.\2.\1.", key)] = value
    return renamed
