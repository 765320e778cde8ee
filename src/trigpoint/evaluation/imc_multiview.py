"""Multiview task of the Image Matching Challenge: the poses of maps made from small bags of images.

Source: Jin et al., "Image Matching across Wide Baselines", IJCV 2021, Section 3.4; measures in `imw.py`.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from trigpoint.datasets.imc import scene_of, stem_of
from trigpoint.evaluation.alignment import robust_similarity
from trigpoint.evaluation.imw import mean_average_accuracy, pose_error_rad
from trigpoint.geometry.pose import relative_pose, transform_points
from trigpoint.types import Pose

MEANS = ("maa_5_percent", "maa_10_percent")
UNREGISTERED = (np.inf, np.inf)  # of a pair with an image that has no pose


def multiview_metrics(
    bags: Sequence[Mapping[str, Any]], truth: Mapping[str, Pose], scenes: Sequence[str]
) -> dict[str, Any]:
    """mAA over all pairs of each bag: mean over bags of a size, then over sizes, by scene.

    Args:
        bags: what `map_bags` gives, their poses read.
        truth: cam_from_world by image name.
        scenes: that are evaluated.

    Returns:
        {"scenes": scene -> {"maa_10_percent", "maa_5_percent", "bags": size -> numbers}}; of a size: `bags`,
        `reconstructed` (with a model), `registered_percent` of the images, `points3D` and `track_length` (means over
        bags with a model), and `ate_percent`: RMSE of the camera centres after a similarity, over their spread, 100 at
        most and without one.
    """
    found: dict[str, Any] = {}
    for scene in scenes:
        own = [bag for bag in bags if scene_of(bag["images"][0]) == scene]
        sizes = sorted({len(bag["images"]) for bag in own})
        by_size = {str(size): _size([bag for bag in own if len(bag["images"]) == size], truth) for size in sizes}
        means = {key: float(np.mean([values[key] for values in by_size.values()])) for key in MEANS} if by_size else {}
        found[scene] = {**means, "bags": by_size}
    return {"scenes": found}


def bag_errors_rad(bag: Mapping[str, Any], truth: Mapping[str, Pose]) -> np.ndarray:
    """(N, 2) rotation and translation errors of all pairs of a bag's images, the larger stem first, as keys are."""
    names = sorted(bag["images"], key=stem_of, reverse=True)
    poses = bag["poses"]
    errors = [
        pose_error_rad(relative_pose(poses[name0], poses[name1]), relative_pose(truth[name0], truth[name1]))
        if name0 in poses and name1 in poses
        else UNREGISTERED
        for name0, name1 in combinations(names, 2)
    ]
    return np.array(errors)


def ate_share(bag: Mapping[str, Any], truth: Mapping[str, Pose]) -> float:
    """RMSE of the registered centres after a robust similarity, over the root mean square spread of all true ones.

    0 to 1; 1 where fewer than three images are registered or their centres lie on a line.
    """
    names = sorted(bag["poses"])
    centers = np.array([truth[name].center for name in bag["images"] if name in truth])
    spread = float(np.sqrt(np.mean(np.sum((centers - centers.mean(axis=0)) ** 2, axis=1))))
    found = np.array([bag["poses"][name].center for name in names]).reshape(-1, 3)
    targets = np.array([truth[name].center for name in names]).reshape(-1, 3)
    similarity = robust_similarity(found, targets)
    if similarity is None or spread == 0:
        return 1.0
    errors = np.linalg.norm(transform_points(similarity, found) - targets, axis=1)
    return min(1.0, float(np.sqrt(np.mean(errors**2))) / spread)


def _size(bags: Sequence[Mapping[str, Any]], truth: Mapping[str, Pose]) -> dict[str, Any]:
    accuracies = [mean_average_accuracy(bag_errors_rad(bag, truth)) for bag in bags]
    modelled = [bag for bag in bags if bag["poses"]]
    numbers: dict[str, Any] = {
        "bags": len(bags),
        "reconstructed": len(modelled),
        "registered_percent": 100 * float(np.mean([len(bag["poses"]) / len(bag["images"]) for bag in bags])),
        "maa_5_percent": 100 * float(np.mean([accuracy.at_5 for accuracy in accuracies])),
        "maa_10_percent": 100 * float(np.mean([accuracy.at_10 for accuracy in accuracies])),
        "ate_percent": 100 * float(np.mean([ate_share(bag, truth) for bag in bags])),
    }
    if modelled:
        numbers["points3D"] = float(np.mean([bag["points3D"] for bag in modelled]))
        numbers["track_length"] = float(np.mean([bag.get("mean_track_length", 0.0) for bag in modelled]))
    return numbers
