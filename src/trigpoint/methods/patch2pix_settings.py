"""Settings of NCNet and Patch2Pix, under the names of the release's options."""

from dataclasses import dataclass
from typing import Literal, get_args

from trigpoint.errors import SettingsError
from trigpoint.settings import check_choice, check_flag, check_number

EvalType = Literal["fine", "coarse"]
Backend = Literal["auto", "reference", "torch", "cpu"]
PANC = (1, 8)
LARGEST_KSIZE = 4  # the kernels keep offsets in a byte


@dataclass(frozen=True, kw_only=True)
class NcnetSettings:
    """Defaults are the release's for NCNet."""

    imsize: int | None = 1024  # px of the longer side, never enlarged; null, 0 or less: as it is
    ksize: int = 2  # side of the pooled cells, in cells of 8 px
    mutual: bool = True  # matches that both images found, else of each cell of either image
    ncn_thres: float = 0.9  # scores have to exceed it
    ptmax: int | None = None  # the best so many matches; under `legacy` drawn at random and repeated; null: all
    weights: str = "ncnet"  # registered name or file; Patch2Pix's have this network too
    backend: Backend = "auto"  # of correlation and mutual filter
    cache_mib: int = 512  # of maps of images, kept for their further pairs
    legacy: bool = False  # as the release, mistakes included

    def __post_init__(self) -> None:
        owner = type(self).__name__.removesuffix("Settings").lower()
        if self.imsize is not None:
            check_number(owner, "imsize", self.imsize, float("-inf"))
        check_number(owner, "ksize", self.ksize, 1, LARGEST_KSIZE)
        check_number(owner, "ncn_thres", self.ncn_thres, 0, 1)
        if self.ptmax is not None:
            check_number(owner, "ptmax", self.ptmax, 1)
        check_choice(owner, "backend", self.backend, get_args(Backend))
        check_number(owner, "cache_mib", self.cache_mib, 0)
        check_flag(owner, "mutual", self.mutual)
        check_flag(owner, "legacy", self.legacy)


@dataclass(frozen=True, kw_only=True)
class Patch2PixSettings(NcnetSettings):
    """Defaults are the release's; its curves for HPatches have `io_thres` 0.5 and 0.9, for Aachen it keeps all (0)."""

    ncn_thres: float = 0.0  # of the coarse matches, scores have to exceed it
    io_thres: float = 0.25  # confidences have to exceed it
    mid_thres: float = 0.0  # of the first regressor: matches below are not given to the second; not in the release
    eval_type: EvalType = "fine"  # or `coarse`, where both regressors are left out
    panc: int = 1  # proposals for each coarse match: itself, or 8 round it
    weights: str = "patch2pix"  # registered name or file

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("patch2pix", "io_thres", self.io_thres, 0, 1)
        check_number("patch2pix", "mid_thres", self.mid_thres, 0, 1)
        check_choice("patch2pix", "eval_type", self.eval_type, get_args(EvalType))
        if self.panc not in PANC:
            raise SettingsError(f"patch2pix: panc must be 1 or 8, got {self.panc!r}")
