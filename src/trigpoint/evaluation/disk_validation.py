"""The measures by which DISK's authors watch training and choose a checkpoint, to the letter.

Not comparable with those of the rest of the package: their rotation error is halved and the conversion to degrees is
rounded. Source: cvlab-epfl/disk, its discrete and pose metrics and `compute_validation_auc`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from trigpoint.errors import ShapeError
from trigpoint.evaluation.imw import mean_average_accuracy
from trigpoint.training.views import View, epipolar_distances, fundamental_matrix
from trigpoint.types import Pose

THRESHOLD_PX = 1.5  # from the epipolar line, in both images
FALSE_MATCH, KEYPOINT = -0.25, -0.01  # what each adds to the reward; a true match adds 1
DEGREES = 57.29  # of a radian, as they have it


@dataclass(frozen=True)
class DiscreteMetric:
    """Of one pair of images: keypoints of both, matches, and how many of them fit the epipolar lines."""

    num_keypoints: int
    num_matches: int
    num_true: int

    @property
    def num_false(self) -> int:
        """Matches that do not fit."""
        return self.num_matches - self.num_true

    @property
    def reward(self) -> float:
        """What the policy would have earned."""
        return self.num_true + FALSE_MATCH * self.num_false + KEYPOINT * self.num_keypoints

    @property
    def precision(self) -> float:
        """Share of true matches, of one more than there are."""
        return self.num_true / (self.num_matches + 1)


def discrete_metric(
    view0: View, view1: View, keypoints0: Tensor, keypoints1: Tensor, matches: Tensor
) -> DiscreteMetric:
    """Count the matches whose ends are closer than 1.5 px to each other's epipolar lines.

    Args:
        keypoints0: (N, 2) pixels of view 0; `keypoints1`: (M, 2) of view 1.
        matches: (K, 2) indices.
    """
    xy0, xy1 = keypoints0[matches[:, 0]], keypoints1[matches[:, 1]]
    F = fundamental_matrix(view0, view1)
    near0 = epipolar_distances(xy0, xy1, F, paired=True).abs() < THRESHOLD_PX
    near1 = epipolar_distances(xy1, xy0, F.T, paired=True).abs() < THRESHOLD_PX
    return DiscreteMetric(len(keypoints0) + len(keypoints1), len(matches), int((near0 & near1).sum()))


def pose_error_as_released(estimate: Pose, truth: Pose) -> tuple[float, float]:
    """Half of the rotation's angle, and the angle between the translations with their sign, degrees."""
    cosine = (np.trace(estimate.rotation @ truth.rotation.T) - 1) / 2
    lengths = np.linalg.norm(estimate.translation) * np.linalg.norm(truth.translation)
    along = estimate.translation @ truth.translation / lengths
    rotation, translation = (np.arccos(np.clip(value, -1, 1)) * DEGREES for value in (cosine, along))
    return float(rotation / 2), float(translation)


def selection_score(errors_deg: ArrayLike) -> float:
    """Mean, over 1 to 10 degrees, of the share of pairs with both errors below; a checkpoint's score.

    Args:
        errors_deg: (N, 2) of `pose_error_as_released`, of all pairs that an epoch evaluates.

    Raises:
        ShapeError: another shape, or no pair.
    """
    errors: NDArray[np.float64] = np.asarray(errors_deg, dtype=np.float64)
    if errors.ndim != 2:
        raise ShapeError(f"errors are {errors.shape}, expected (N, 2)")
    return mean_average_accuracy(np.radians(errors)).at_10
