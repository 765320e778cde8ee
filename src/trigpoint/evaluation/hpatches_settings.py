"""Settings of the evaluation on HPatches; importing this loads nothing heavy."""

from dataclasses import dataclass
from typing import Literal, get_args

from trigpoint.errors import SettingsError
from trigpoint.settings import check_choice, check_flag, check_number

Protocol = Literal["d2net", "immatch", "ime"]
Solver = Literal["cv2", "usac_default", "usac_accurate", "usac_magsac", "usac_prosac"]
OPENCV_CONFIDENCE, OPENCV_ITERATIONS = 0.995, 2000  # of cv2.findHomography


@dataclass(frozen=True, kw_only=True)
class HpatchesSettings:
    """Defaults are those of the protocols' authors, but for their defects, which `legacy` brings back."""

    protocols: tuple[Protocol, ...] = get_args(Protocol)  # D2-Net's and PoSFeat's, the image-matching toolbox', IME's
    d2net_matching: Literal["mutual_nn", "run"] = (
        "mutual_nn"  # features are matched anew, as the protocol has it, or not
    )
    top_k: int | None = None  # d2net: of each image only so many features, those of largest score; null: all
    score_thresholds: tuple[float, ...] = (0.0,)  # immatch: a table for each, of matches of at least this score; 0: all
    imsize: int | None = None  # immatch: errors in px of images reduced to this side; null: of the originals
    imsize_side: Literal["longer", "shorter"] = "longer"  # immatch: which side imsize is about
    solver: Solver = "cv2"  # immatch: of homographies; cv2 is OpenCV's RANSAC
    ransac_threshold_px: float = 2.0  # immatch: of an inlier, in the frame of imsize
    ransac_confidence: float = OPENCV_CONFIDENCE  # immatch
    ransac_iterations: int = OPENCV_ITERATIONS  # immatch: at most
    legacy: bool = (
        False  # immatch: divide by 52 and 56 sequences whatever ran; ime: x and y of corners exchanged, no last pair
    )

    def __post_init__(self) -> None:
        for name in ("protocols", "score_thresholds"):  # lists, where they come from JSON
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.protocols:
            raise SettingsError(f"evaluation: protocols: none chosen; there are {', '.join(get_args(Protocol))}")
        for protocol in self.protocols:
            check_choice("evaluation", "protocols", protocol, get_args(Protocol))
        check_choice("evaluation", "d2net_matching", self.d2net_matching, ("mutual_nn", "run"))
        check_choice("evaluation", "imsize_side", self.imsize_side, ("longer", "shorter"))
        check_choice("evaluation", "solver", self.solver, get_args(Solver))
        if not self.score_thresholds:
            raise SettingsError("evaluation: score_thresholds: none given; [0] takes all matches")
        for threshold in self.score_thresholds:
            check_number("evaluation", "score_thresholds", threshold, 0)
        for name in ("top_k", "imsize"):
            if getattr(self, name) is not None:
                check_number("evaluation", name, getattr(self, name), 1)
        if not self.ransac_threshold_px > 0 or not 0 < self.ransac_confidence < 1:
            raise SettingsError(
                "evaluation: ransac_threshold_px must be positive and ransac_confidence between 0 and 1, got"
                f" {self.ransac_threshold_px!r} and {self.ransac_confidence!r}"
            )
        check_number("evaluation", "ransac_iterations", self.ransac_iterations, 1)
        check_flag("evaluation", "legacy", self.legacy)
