"""Our mapping settings as COLMAP's options: every seed, every thread count, in every object inside."""

from typing import Any

from trigpoint.mapping.settings import MappingSettings
from trigpoint.storage import colmap


def refined_intrinsics(settings: MappingSettings, *, estimated: bool) -> tuple[bool, bool, bool]:
    """Whether to refine focal length, principal point and distortion; what is null follows the intrinsics' origin."""
    focal = estimated if settings.refine_focal_length is None else settings.refine_focal_length
    extra = estimated if settings.refine_extra_params is None else settings.refine_extra_params
    return focal, settings.refine_principal_point, extra


def incremental_options(
    settings: MappingSettings, *, estimated: bool, num_threads: int, extract_colors: bool = True
) -> Any:
    """pycolmap.IncrementalPipelineOptions; `estimated` says that the intrinsics are only a start."""
    options = colmap.pycolmap.IncrementalPipelineOptions()
    focal, principal, extra = refined_intrinsics(settings, estimated=estimated)
    options.min_num_matches = settings.min_num_matches
    options.multiple_models = settings.multiple_models
    options.min_model_size = settings.min_model_size
    options.structure_less_registration_fallback = settings.structure_less_registration
    options.extract_colors = extract_colors
    options.ba_refine_focal_length = focal
    options.ba_refine_principal_point = principal
    options.ba_refine_extra_params = extra
    mapper = options.mapper
    mapper.init_min_num_inliers = settings.init_min_num_inliers
    mapper.init_min_tri_angle = settings.init_min_tri_angle_deg
    mapper.init_max_error = settings.init_max_error_px
    mapper.abs_pose_max_error = settings.abs_pose_max_error_px
    mapper.abs_pose_min_num_inliers = settings.abs_pose_min_num_inliers
    mapper.abs_pose_min_inlier_ratio = settings.abs_pose_min_inlier_ratio
    mapper.abs_pose_refine_focal_length = focal
    mapper.abs_pose_refine_extra_params = extra
    mapper.filter_max_reproj_error = settings.filter_max_error_px
    mapper.filter_min_tri_angle = settings.filter_min_tri_angle_deg
    return colmap.seeded(options, settings.seed, num_threads)


def global_options(settings: MappingSettings, *, estimated: bool, num_threads: int) -> Any:
    """pycolmap.GlobalPipelineOptions (GLOMAP)."""
    options = colmap.pycolmap.GlobalPipelineOptions()
    focal, principal, extra = refined_intrinsics(settings, estimated=estimated)
    options.min_num_matches = settings.min_num_matches
    options.multiple_models = settings.multiple_models
    options.min_model_size = settings.min_model_size
    options.mapper.bundle_adjustment.refine_focal_length = focal
    options.mapper.bundle_adjustment.refine_principal_point = principal
    options.mapper.bundle_adjustment.refine_extra_params = extra
    return colmap.seeded(options, settings.seed, num_threads)


def hierarchical_options(
    settings: MappingSettings, *, estimated: bool, num_threads: int, extract_colors: bool = True
) -> Any:
    """pycolmap.HierarchicalPipelineOptions; one worker, because several merge in the order they happen to finish."""
    options = colmap.pycolmap.HierarchicalPipelineOptions()
    options.incremental_options = incremental_options(
        settings, estimated=estimated, num_threads=num_threads, extract_colors=extract_colors
    )
    options.incremental_options.ba_refine_sensor_from_rig = False  # there are trivial rigs only; COLMAP warns otherwise
    options.num_workers = 1
    return colmap.seeded(options, settings.seed, num_threads)
