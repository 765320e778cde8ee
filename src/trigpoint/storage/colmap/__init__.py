"""The adapter to pycolmap 4.2: conversions, seeds and thread counts, databases and models.

Nothing else in the package imports pycolmap. Its traps, and where they are met:
every options object has `random_seed` -1 and `num_threads` -1 (`seeded`); quaternions are x, y, z, w (`to_rigid3d`
goes through the matrix); the corner of the top-left pixel is (0, 0) (`geometry.pixels`, called where keypoints cross);
a database is in WAL mode, so a copy of an open one is empty (`open_database` closes it before anything is moved).
"""

from trigpoint.storage.colmap.databases import (
    DatabaseSummary,
    calibrate_focal_lengths,
    open_database,
    open_database_copy,
    read_settings,
    require_database,
    summarize_database,
    transaction,
    verify_matches,
    write_calibrated_geometry,
    write_camera,
    write_image,
    write_settings,
)
from trigpoint.storage.colmap.library import check_version, load, seeded, set_log_level
from trigpoint.storage.colmap.models import (
    ModelStatistics,
    align_to_centers,
    model_cameras,
    model_poses,
    model_statistics,
    observed_points,
    posed_model,
    read_model,
    registered_images,
)
from trigpoint.storage.colmap.registration import NewImage, register_images, verified_matches
from trigpoint.storage.colmap.relative import relative_pose
from trigpoint.storage.colmap.values import (
    absolute_pose,
    check_camera_model,
    focal_length_px,
    from_colmap_camera,
    from_rigid3d,
    guessed_camera,
    normalized_points,
    pycolmap,
    to_colmap_camera,
    to_rigid3d,
)

__all__ = [
    "DatabaseSummary",
    "ModelStatistics",
    "NewImage",
    "absolute_pose",
    "align_to_centers",
    "calibrate_focal_lengths",
    "check_camera_model",
    "check_version",
    "focal_length_px",
    "from_colmap_camera",
    "from_rigid3d",
    "guessed_camera",
    "load",
    "model_cameras",
    "model_poses",
    "model_statistics",
    "normalized_points",
    "observed_points",
    "open_database",
    "open_database_copy",
    "posed_model",
    "pycolmap",
    "read_model",
    "read_settings",
    "register_images",
    "registered_images",
    "relative_pose",
    "require_database",
    "seeded",
    "set_log_level",
    "summarize_database",
    "to_colmap_camera",
    "to_rigid3d",
    "transaction",
    "verified_matches",
    "verify_matches",
    "write_calibrated_geometry",
    "write_camera",
    "write_image",
    "write_settings",
]
