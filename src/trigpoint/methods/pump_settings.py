"""Settings of PUMP, under the names of the release's options."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from trigpoint.errors import SettingsError
from trigpoint.matching.pump.enumeration import ScaleRotation, enumerate_views
from trigpoint.settings import check_choice, check_flag, check_number, make_settings

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Positions = Literal["auto", "stored", "recomputed"]
Merge = Literal["cpu", "cuda", "torch"]
Densify = Literal["no", "full", "convex"]
DenseSide = Literal["left", "right"]
Backend = Literal["auto", "reference", "cpu", "cuda"]
MERGE_RULES = {"cpu": "bins", "cuda": "bins", "torch": "nearest"}  # the release's names, and what they do
MIN_TILE_PX = 16
OWNER = "pump"


@dataclass(frozen=True, kw_only=True)
class PostFilterSettings:
    """Correspondences are kept where enough neighbours move alike."""

    locality: float = 2.0  # neighbours are at most this many patches of 4 px apart
    min_cc_size: int = 50  # correspondences that a connected group has to exceed
    densify: Densify = "no"  # a row for every pixel: `full`, `convex` (within the hull of what was found), or `no`
    dense_side: DenseSide = "left"  # whose pixels: image 0's, or `right`, image 1's

    def __post_init__(self) -> None:
        owner = f"{OWNER}: post_filter"
        check_number(owner, "locality", self.locality, 1e-3)
        check_number(owner, "min_cc_size", self.min_cc_size, 0)
        check_choice(owner, "densify", self.densify, get_args(Densify))
        check_choice(owner, "dense_side", self.dense_side, get_args(DenseSide))


@dataclass(frozen=True, kw_only=True)
class PumpSettings:
    """One scale, upright, unless `max_scale`, `min_scale`, `max_rot` or `min_rot` ask for more views."""

    # px of the longer side, 0 for as it is; two values: of image 0 and of image 1 (recursive: coarse, fine)
    resize: int | tuple[int, ...] = 512
    levels: int | None = None  # at most so many of the pyramid; null: 99, of several views by the size; 0: by the size
    min_shape: int = 5  # cells of the last level's shorter side
    nlpow: float = 1.5  # power of the rectification
    border: float = 0.9  # divisor at borders: 0 the weight of all children, 1 of the visible ones
    dtype: Dtype = "auto"  # of the products; auto: float32 on a processor, float16 on CUDA, where the network is too
    desc: str = "pump-stytrf"  # checkpoint: registered name or file
    max_scale: float = 1.0  # of image 1 against image 0; the release's program of several scales takes 4
    min_scale: float | None = None  # null: 1 / max_scale
    max_rot: float = 0.0  # degrees
    min_rot: float | None = None  # degrees; null: -max_rot
    rot_step: float = 45.0  # degrees
    crop_rot: bool = False  # turned images keep the size of the unturned, their corners are cut off
    swap: int = 1  # of several views patches come from: 1 the larger image, -1 the smaller, 0 always image 0
    same_levels: bool = False  # all views have the number of levels that the smallest can have
    merge: Merge = (
        "cpu"  # of the records near a cell the best: cpu or cuda of the 3x3 around it, torch of the 4 nearest
    )
    recursive: bool = False  # coarse to fine, by crops of the second `resize` px
    rec_overlap: float = 0.5  # step from crop to crop, as share of their side
    rec_score_thr: float = 1.0  # coarse matches have to exceed it
    rec_fast_thr: float = 0.1  # share of a crop's coarse matches that a pair of crops has to see
    post_filter: PostFilterSettings | None = None  # null: none
    positions: Positions = "auto"  # what the matching keeps in memory; the fewer, the slower; the result is the same
    backend: Backend = "auto"  # of the matching
    memory_limit_mib: int | None = None  # a pair that needs more is refused; null: what is free
    cache_mib: int = 512  # of descriptor maps, kept for further pairs of the same images
    legacy: bool = False  # as the release, mistakes included

    def __post_init__(self) -> None:
        if isinstance(self.post_filter, Mapping):
            made = make_settings(PostFilterSettings, self.post_filter, f"{OWNER}: post_filter")
            object.__setattr__(self, "post_filter", made)
        if isinstance(self.resize, list):
            object.__setattr__(self, "resize", tuple(self.resize))
        _check_resize(self)
        _check_matching(self)
        _check_views(self)
        for name in ("rec_overlap", "rec_fast_thr"):
            check_number(OWNER, name, getattr(self, name), 0.1 if name == "rec_overlap" else 0, 1)
        check_number(OWNER, "rec_score_thr", self.rec_score_thr, 0)
        for name in ("crop_rot", "same_levels", "recursive", "legacy"):
            check_flag(OWNER, name, getattr(self, name))
        if self.post_filter is not None and not isinstance(self.post_filter, PostFilterSettings):
            raise SettingsError(f"{OWNER}: post_filter must be null or an object, got {self.post_filter!r}")

    @property
    def resize_px(self) -> tuple[int, int]:
        """`resize` for image 0 and image 1; of recursive matching coarse and fine."""
        values = (self.resize,) if isinstance(self.resize, int) else self.resize
        return values[0], values[-1]

    def views(self) -> list[ScaleRotation]:
        """Scales and rotations; a single (1, 0) is matched without merging."""
        min_scale = 1 / self.max_scale if self.min_scale is None else self.min_scale
        min_rot = -self.max_rot if self.min_rot is None else self.min_rot
        return enumerate_views(min_scale, self.max_scale, min_rot, self.max_rot, self.rot_step)


def products_dtype(settings: PumpSettings, device: str) -> str:
    """`dtype` for a device, `auto` resolved.

    Raises:
        SettingsError: float16 on a processor.
    """
    if settings.dtype == "auto":
        return "float16" if device == "cuda" else "float32"
    if settings.dtype == "float16" and device == "cpu":
        raise SettingsError(f"{OWNER}: dtype float16 needs CUDA; a processor takes float32 or bfloat16")
    return settings.dtype


def _check_resize(settings: PumpSettings) -> None:
    values = settings.resize if isinstance(settings.resize, tuple) else (settings.resize,)
    if not 1 <= len(values) <= 2:
        raise SettingsError(f"{OWNER}: resize must be one or two numbers, got {list(values)}")
    for value in values:
        check_number(OWNER, "resize", value, MIN_TILE_PX if settings.recursive else 0)
        if value != int(value):
            raise SettingsError(f"{OWNER}: resize must be whole pixels, got {value}")


def _check_matching(settings: PumpSettings) -> None:
    if settings.levels is not None:
        check_number(OWNER, "levels", settings.levels, 0)
    check_number(OWNER, "min_shape", settings.min_shape, 1)
    check_number(OWNER, "nlpow", settings.nlpow, 1, 3)
    check_number(OWNER, "border", settings.border, 0, 1)
    if settings.dtype == "float64":
        raise SettingsError(f"{OWNER}: dtype float64 of the release is not offered: float32 sums are exact enough")
    for name, known in (("dtype", Dtype), ("positions", Positions), ("merge", Merge), ("backend", Backend)):
        check_choice(OWNER, name, getattr(settings, name), get_args(known))
    if settings.memory_limit_mib is not None:
        check_number(OWNER, "memory_limit_mib", settings.memory_limit_mib, 1)
    check_number(OWNER, "cache_mib", settings.cache_mib, 0)


def _check_views(settings: PumpSettings) -> None:
    check_number(OWNER, "max_scale", settings.max_scale, 0.1, 10)
    if settings.min_scale is not None:
        check_number(OWNER, "min_scale", settings.min_scale, 0.1, settings.max_scale)
    check_number(OWNER, "max_rot", settings.max_rot, -180, 180)
    if settings.min_rot is not None:
        check_number(OWNER, "min_rot", settings.min_rot, -180, settings.max_rot)
    check_number(OWNER, "rot_step", settings.rot_step, 1, 180)
    if settings.swap not in (1, 0, -1):
        raise SettingsError(f"{OWNER}: swap must be 1, 0 or -1, got {settings.swap!r}")
    if not settings.views():
        raise SettingsError(
            f"{OWNER}: no scale (half-octaves) and rotation (multiples of rot_step) is within the bounds"
        )
