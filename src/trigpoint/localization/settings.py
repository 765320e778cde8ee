"""Settings of localization; importing this loads no pycolmap."""

from dataclasses import dataclass
from typing import Literal, get_args

from trigpoint.settings import check_choice, check_flag, check_number

Protocol = Literal["retrieval_pnp", "local_feature_challenge"]


@dataclass(frozen=True, kw_only=True)
class LocalizationSettings:
    """Pose of each query.

    `retrieval_pnp`: absolute pose from all 2D-3D matches; 12 px and the clusters are hloc's, the RANSAC COLMAP's.
    `local_feature_challenge`: every pair is verified, then COLMAP's mapper registers the query in the fixed map; the
    `pair_*` and `register_*` defaults are COLMAP's, as the benchmark's own script leaves them.
    """

    protocol: Protocol = "retrieval_pnp"  # how a query finds its pose
    max_error_px: float = 12.0  # reprojection error of a RANSAC inlier
    min_num_inliers: int = 12  # fewer, and the query has no pose; 3 points fix one, and 9 more have to agree
    covisibility_clustering: bool = True  # references that share no points are tried apart, the best pose is kept
    estimate_focal_length: bool = False  # of queries without calibration; otherwise they fail, with that reason
    refine_focal_length: bool = False  # after RANSAC; of queries without calibration always
    refine_extra_params: bool = False
    camera_model: str = "SIMPLE_RADIAL"  # of queries without calibration
    min_inlier_ratio: float = 0.1
    confidence: float = 0.99999
    min_num_trials: int = 100
    max_num_trials: int = 10000
    pair_max_error_px: float = 4.0  # local_feature_challenge: distance from the epipolar line
    pair_min_num_inliers: int = 15  # local_feature_challenge: of a pair; fewer, and it gives no matches
    register_min_num_inliers: int = 30  # local_feature_challenge: of a query's pose
    register_min_inlier_ratio: float = 0.25  # local_feature_challenge: of its 2D-3D matches
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("localization", "protocol", self.protocol, get_args(Protocol))
        check_number("localization", "pair_max_error_px", self.pair_max_error_px, 1e-3)
        check_number("localization", "pair_min_num_inliers", self.pair_min_num_inliers, 1)
        check_number("localization", "register_min_num_inliers", self.register_min_num_inliers, 4)
        check_number("localization", "register_min_inlier_ratio", self.register_min_inlier_ratio, 0.0, 1.0)
        check_number("localization", "max_error_px", self.max_error_px, 1e-3)
        check_number("localization", "min_num_inliers", self.min_num_inliers, 4)
        for name in ("covisibility_clustering", "estimate_focal_length", "refine_focal_length", "refine_extra_params"):
            check_flag("localization", name, getattr(self, name))
        check_number("localization", "min_inlier_ratio", self.min_inlier_ratio, 0.0, 1.0)
        check_number("localization", "confidence", self.confidence, 0.0, 1.0)
        check_number("localization", "min_num_trials", self.min_num_trials, 1)
        check_number("localization", "max_num_trials", self.max_num_trials, self.min_num_trials)
        check_number("localization", "seed", self.seed, 0)
