"""The world of a map in the world of the ground truth."""

import numpy as np

from trigpoint.geometry.pose import Sim3, align_poses
from trigpoint.types import Pose

IDENTITY = Sim3(1.0, np.eye(3), np.zeros(3))


def world_from_map(map_poses: dict[str, Pose], truth: dict[str, Pose], *, is_aligned: bool) -> Sim3 | None:
    """The similarity that takes a map into the world its ground truth is given in.

    Args:
        map_poses: cam_from_world of the map's registered images.
        truth: ground-truth poses by image name.
        is_aligned: the map was made on reference poses, so it is in that world already.

    Returns:
        The identity for an aligned map; otherwise Umeyama's similarity on the camera centres of the registered images
        with ground truth, or None where these do not determine one (fewer than three, or all on one line).
    """
    return IDENTITY if is_aligned else align_poses(map_poses, truth)
