"""Settings of GCM, under the names of the release's configuration files; read by the workflow, without torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trigpoint.errors import SettingsError
from trigpoint.methods.gcm_configurations import OWNER, read_configuration
from trigpoint.networks.backbones import BackboneEntry, backbone_entry
from trigpoint.networks.fine_descriptors import fine_entry
from trigpoint.settings import check_flag, check_number, make_settings

DEFAULT_MODEL, DEFAULT_FINE_MODEL = "COARSEVGG19", "R2D2"
DEFAULT_FINE_RATIO = 0.95
ALL_PASS = -1.0  # as ratio of a refinement: no test at all
AUTO = "auto"
FINE_STRIDE = 2  # of the finest map that a fine model refines
ONLY_DOWN_SAMPLE = 16
MAX_CONTEXT_CELLS = 2  # 25 times the channels


@dataclass(frozen=True, kw_only=True)
class GcmSettings:
    """VGG19 below full resolution and the distilled descriptor at it, unless told otherwise.

    Null stands for the value of `configuration`, or for the default in the comment.
    """

    configuration: str | None = None  # YAML file of the release, or the name of one, as VGG_dstlR2D2_95
    model: str | None = None  # backbone; COARSEVGG19
    weights: str | None = None  # the backbone's checkpoint, registered name or file; the registered one
    fine_model: str | None = AUTO  # R2D2, VGG19, DISK or none; auto: R2D2 where the backbone ends at half resolution
    fine_weights_path: str | None = None  # the fine model's checkpoint, registered name or file; the registered one
    ratio_th: tuple[float, ...] | None = None  # for each map, finest first; 1, without a fine model first `fine_ratio`
    fine_ratio: float | None = None  # of the fine step; 0.95
    up_sample: tuple[int, int] | None = None  # [sides are padded to multiples of it, factor before the fine step]
    down_sample: int | None = None  # 16; the release knows 8, which cannot work
    enable_two_stage: bool | None = None  # match again after a homography; true
    bidirectional: bool | None = None  # ratios are tested in both directions; true
    resize: int | None = None  # px of the shorter side, in place of resize_px; smaller photographs stay
    resize_px: int | None = 1024  # px of the longer side; smaller photographs stay; null: never resized
    border_cells: int | None = None  # matches of so many outermost coarse cells are dropped; 0; 1 for the homography
    context_cells: int = 0  # coarse cells are compared with so many neighbours to each side; 1 helps shallow backbones
    max_matches: int | None = None  # the best; null: all
    cache_mib: int = 1024  # of maps, kept for further pairs of the same images
    legacy: bool = False  # as the release, mistakes included

    def __post_init__(self) -> None:
        given = {} if self.configuration is None else read_configuration(self.configuration)
        self._fill(given)
        self._fill_networks()
        self._check()

    @property
    def backbone(self) -> BackboneEntry:
        """The backbone's row."""
        return backbone_entry(str(self.model))

    @property
    def padding(self) -> int:
        """Sides of the network's image are multiples of it."""
        assert self.up_sample is not None
        return math.lcm(self.up_sample[0], self.backbone.padding)

    def _fill(self, given: Mapping[str, Any]) -> None:
        """Nulls by the configuration's values, then by the defaults."""
        if str(self.fine_model).upper() not in (
            AUTO.upper(),
            str(given.get("fine_model")).upper(),
        ):  # another descriptor has other weights
            given = {key: value for key, value in given.items() if key != "fine_weights_path"}
        for key, value in given.items():
            if getattr(self, key) is None or (key == "fine_model" and self.fine_model == AUTO):
                _set(self, key, value)
        defaults = (
            ("model", DEFAULT_MODEL),
            ("fine_ratio", DEFAULT_FINE_RATIO),
            ("down_sample", ONLY_DOWN_SAMPLE),
            ("enable_two_stage", True),
            ("bidirectional", True),
            ("border_cells", 1 if self.legacy else 0),
        )
        for key, value in defaults:
            if getattr(self, key) is None:
                _set(self, key, value)

    def _fill_networks(self) -> None:
        """What depends on the networks' tables."""
        entry = self.backbone
        finest, coarsest = entry.taps[0][0], entry.taps[-1][0]
        if self.fine_model == AUTO:
            _set(self, "fine_model", DEFAULT_FINE_MODEL if finest == FINE_STRIDE else None)
        elif self.fine_model is not None and str(self.fine_model).lower() == "none":
            _set(self, "fine_model", None)
        _set(self, "model", str(self.model).upper())
        if self.weights is None:
            _set(self, "weights", entry.weights)
        if self.fine_model is None:
            _set(self, "fine_weights_path", None)
        else:
            _set(self, "fine_model", str(self.fine_model).upper())
            if self.fine_weights_path is None:
                _set(self, "fine_weights_path", fine_entry(str(self.fine_model)).weights)
        if self.ratio_th is None:
            first = 1.0 if self.fine_model else self.fine_ratio
            _set(self, "ratio_th", (first, *[1.0] * (entry.num_maps - 1)))
        if self.up_sample is None:
            _set(self, "up_sample", (coarsest, max(1, finest // (FINE_STRIDE if self.fine_model else 1))))
        for key in ("ratio_th", "up_sample"):
            if isinstance(getattr(self, key), list):
                _set(self, key, tuple(getattr(self, key)))

    def _check(self) -> None:
        for key in ("enable_two_stage", "bidirectional", "legacy"):
            check_flag(OWNER, key, getattr(self, key))
        check_number(OWNER, "fine_ratio", self.fine_ratio, ALL_PASS)
        for key in ("resize", "resize_px"):
            if getattr(self, key) is not None:
                check_number(OWNER, key, getattr(self, key), self.backbone.padding)
        check_number(OWNER, "border_cells", self.border_cells, 0)
        check_number(OWNER, "context_cells", self.context_cells, 0, MAX_CONTEXT_CELLS)
        check_number(OWNER, "cache_mib", self.cache_mib, 0)
        if self.max_matches is not None:
            check_number(OWNER, "max_matches", self.max_matches, 1)
        if self.down_sample != ONLY_DOWN_SAMPLE:
            raise SettingsError(
                f"{OWNER}: down_sample {self.down_sample} cannot work: the release then takes a map of stride 32 for"
                f" one of stride 8; use {ONLY_DOWN_SAMPLE}"
            )
        self._check_ratios()
        self._check_up_sample()

    def _check_ratios(self) -> None:
        expected = self.backbone.num_maps
        if not isinstance(self.ratio_th, tuple) or len(self.ratio_th) != expected:
            raise SettingsError(
                f"{OWNER}: ratio_th must be {expected} numbers, one for each map of {self.model}, finest first; got"
                f" {self.ratio_th!r}"
            )
        for ratio in self.ratio_th:
            check_number(OWNER, "ratio_th", ratio, ALL_PASS)

    def _check_up_sample(self) -> None:
        if not isinstance(self.up_sample, tuple) or len(self.up_sample) != 2:
            raise SettingsError(f"{OWNER}: up_sample must be two numbers, got {self.up_sample!r}")
        for value in self.up_sample:
            check_number(OWNER, "up_sample", value, 1)
            if value != int(value):
                raise SettingsError(f"{OWNER}: up_sample must be whole numbers, got {value}")
        finest = self.backbone.taps[0][0]
        needed = self.up_sample[1] * (FINE_STRIDE if self.fine_model else 1)
        if finest != needed:
            step = f"the fine model {self.fine_model} halves the cells, " if self.fine_model else "no fine model, "
            raise SettingsError(
                f"{OWNER}: the finest map of {self.model} has stride {finest}; {step}and up_sample's second number"
                f" {self.up_sample[1]} ask for stride {needed}, or matches would not be in pixels"
            )


def _set(settings: GcmSettings, key: str, value: Any) -> None:
    object.__setattr__(settings, key, value)


def files_needed(values: Mapping[str, Any]) -> list[str]:
    """Checkpoints, registered names or files, and the configuration's file, that a method with these settings reads."""
    settings: GcmSettings = make_settings(GcmSettings, values, OWNER)
    names = [str(settings.weights)]
    if settings.fine_weights_path is not None:
        names.append(settings.fine_weights_path)
    if settings.configuration is not None and Path(settings.configuration).is_file():
        names.append(settings.configuration)
    return list(dict.fromkeys(names))
