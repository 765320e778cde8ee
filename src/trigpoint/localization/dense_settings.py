"""Settings of localization against scans; importing this loads no pycolmap."""

from dataclasses import dataclass
from typing import Literal

from trigpoint.settings import check_choice, check_flag, check_number

COMBINATIONS = ("all", "best")
LOOKUPS = ("bilinear", "nearest")


@dataclass(frozen=True, kw_only=True)
class DenseLocalizationSettings:
    """Pose of each query from 3D points behind its matches; defaults are those published with Patch2Pix for InLoc."""

    min_matches: int = 20  # with a 3D point, of a query and a cutout; pairs with fewer are left out
    min_score: float = 0.0  # of a match, below which it is left out
    lookup: Literal["bilinear", "nearest"] = "bilinear"  # of the 3D point behind a place between pixels
    combine: Literal["all", "best"] = "all"  # one pose from all cutouts together, or the best of one for each cutout
    max_error_px: float = 48.0  # reprojection error of a RANSAC inlier
    min_num_inliers: int = 4  # fewer, and there is no pose
    min_inlier_ratio: float = 0.01
    confidence: float = 0.9999
    min_num_trials: int = 1000
    max_num_trials: int = 100_000
    verification: bool = False  # of several poses take the one from which the scan looks most like the query
    num_candidates: int = 10  # verification: poses that are looked at, those with most inliers
    verification_px: int = 480  # verification: longer side of the pictures that are compared
    legacy: bool = False  # no half pixel; one match outside its cutout loses the pair; matches count before the lookup
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("dense", "lookup", self.lookup, LOOKUPS)
        check_choice("dense", "combine", self.combine, COMBINATIONS)
        for name, least in (("min_matches", 0), ("min_score", 0), ("max_error_px", 1e-3), ("min_num_inliers", 4)):
            check_number("dense", name, getattr(self, name), least)
        check_number("dense", "min_inlier_ratio", self.min_inlier_ratio, 0, 1)
        check_number("dense", "confidence", self.confidence, 0, 1)
        check_number("dense", "min_num_trials", self.min_num_trials, 1)
        check_number("dense", "max_num_trials", self.max_num_trials, self.min_num_trials)
        check_number("dense", "num_candidates", self.num_candidates, 1)
        check_number("dense", "verification_px", self.verification_px, 64)
        check_number("dense", "seed", self.seed, 0)
        for name in ("verification", "legacy"):
            check_flag("dense", name, getattr(self, name))
