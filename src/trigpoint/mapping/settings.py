"""Settings of import, verification and mapping; importing this loads no pycolmap."""

from dataclasses import dataclass
from typing import Literal, get_args

from trigpoint.settings import check_choice, check_flag, check_number

Intrinsics = Literal["given", "estimate"]
CameraMode = Literal["auto", "single", "per_folder", "per_image"]
Mapper = Literal["incremental", "global", "hierarchical", "triangulate"]


@dataclass(frozen=True, kw_only=True)
class ImportSettings:
    """How cameras get into the database; the names of the modes are COLMAP's."""

    intrinsics: Intrinsics = "given"  # given: the dataset's calibration, which every image needs; estimate: a start
    camera_model: str = "SIMPLE_RADIAL"  # of estimated cameras: f, cx, cy, k; COLMAP's default
    camera_mode: CameraMode = "auto"  # of estimated cameras: who shares one; auto: images of one camera_group
    default_focal_factor: float = 1.2  # focal length where nothing is known, times the longer side; COLMAP's default

    def __post_init__(self) -> None:
        check_choice("import", "intrinsics", self.intrinsics, get_args(Intrinsics))
        check_choice("import", "camera_mode", self.camera_mode, get_args(CameraMode))
        check_number("import", "default_focal_factor", self.default_focal_factor, 0.1, 10.0)


@dataclass(frozen=True, kw_only=True)
class VerificationSettings:
    """Two-view geometric verification; defaults are COLMAP's (TwoViewGeometryOptions), but for the seed."""

    max_error_px: float = 4.0
    min_num_inliers: int = 15
    min_inlier_ratio: float = 0.25  # RANSAC counts on at least this share of inliers when it plans its trials
    confidence: float = 0.999
    max_num_trials: int = 10000
    known_poses: bool = False  # epipolar check with the dataset's reference poses instead of RANSAC (for triangulate)
    seed: int = 0
    deterministic: bool = False  # one thread

    def __post_init__(self) -> None:
        check_number("verification", "max_error_px", self.max_error_px, 1e-3)
        check_number("verification", "min_num_inliers", self.min_num_inliers, 1)
        check_number("verification", "min_inlier_ratio", self.min_inlier_ratio, 0.0, 1.0)
        check_number("verification", "confidence", self.confidence, 0.0, 1.0)
        check_number("verification", "max_num_trials", self.max_num_trials, 1)
        check_number("verification", "seed", self.seed, 0)
        check_flag("verification", "known_poses", self.known_poses)
        check_flag("verification", "deterministic", self.deterministic)


@dataclass(frozen=True, kw_only=True)
class MappingSettings:
    """Reconstruction; defaults are COLMAP's (IncrementalPipelineOptions) where no reason says otherwise.

    `global` may register every image with half a pixel of reprojection error and still be metres off (seen on one of
    five scenes, for three seeds): trust it where ground truth or a second mapper agrees. `hierarchical` is for
    thousands of images. `triangulate` keeps the dataset's reference poses and given cameras, and adds points only.
    """

    mapper: Mapper = "incremental"
    refine_focal_length: bool | None = None  # null: if the intrinsics were estimated, not if they were given
    refine_principal_point: bool = False
    refine_extra_params: bool | None = None  # distortion; null as above
    min_model_size: int = 3  # images; COLMAP drops models of fewer than 10
    min_num_matches: int = 15  # verified matches a pair needs to be used
    multiple_models: bool = True  # go on with the images that the first model could not reach
    init_min_num_inliers: int = 100  # verified matches of the first pair
    init_min_tri_angle_deg: float = 16.0  # median angle of the first pair's points
    init_max_error_px: float = 4.0
    abs_pose_max_error_px: float = 12.0
    abs_pose_min_num_inliers: int = 30
    abs_pose_min_inlier_ratio: float = 0.25
    filter_max_error_px: float = 4.0  # reprojection error of an observation that is kept
    filter_min_tri_angle_deg: float = 1.5  # of a point that is kept
    structure_less_registration: bool = True  # register from two-view geometries where too few points are seen
    # Before global mapping, if intrinsics were estimated: focal lengths from fundamental matrices. Off, because it is
    # undetermined where optical axes meet, as around an object: 12 synthetic images then gave 8 points instead of 300.
    calibrate_view_graph: bool = False
    extract_colors: bool = True  # of the points, from the images
    align_to_reference: bool | None = None  # similarity onto the reference poses' centres; null: if there are any
    align_max_error: float = 0.05  # of an inlier, as a share of the reference centres' median distance from their mean
    seed: int = 0
    deterministic: bool = False  # one thread

    def __post_init__(self) -> None:
        check_choice("mapping", "mapper", self.mapper, get_args(Mapper))
        for name in ("refine_focal_length", "refine_extra_params", "align_to_reference"):
            check_flag("mapping", name, getattr(self, name), optional=True)
        for name in ("refine_principal_point", "multiple_models", "structure_less_registration"):
            check_flag("mapping", name, getattr(self, name))
        for name in ("calibrate_view_graph", "extract_colors", "deterministic"):
            check_flag("mapping", name, getattr(self, name))
        check_number("mapping", "min_model_size", self.min_model_size, 2)
        for name in ("min_num_matches", "init_min_num_inliers", "abs_pose_min_num_inliers"):
            check_number("mapping", name, getattr(self, name), 1)
        for name in ("init_max_error_px", "abs_pose_max_error_px", "filter_max_error_px", "align_max_error"):
            check_number("mapping", name, getattr(self, name), 1e-6)
        for name in ("init_min_tri_angle_deg", "filter_min_tri_angle_deg"):
            check_number("mapping", name, getattr(self, name), 0.0, 180.0)
        check_number("mapping", "abs_pose_min_inlier_ratio", self.abs_pose_min_inlier_ratio, 0.0, 1.0)
        check_number("mapping", "seed", self.seed, 0)
