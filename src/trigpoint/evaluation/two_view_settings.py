"""Settings of two-view pose estimation; importing this loads nothing heavy."""

from dataclasses import dataclass
from typing import Literal, get_args

from trigpoint.errors import SettingsError
from trigpoint.settings import check_choice, check_flag, check_number

EstimatorName = Literal[
    "poselib",
    "pycolmap",
    "opencv_ransac",
    "opencv_magsac",
    "poselib_f",
    "opencv_magsac_f",
    "opencv_usac_f",
    "eight_point_f",
]


@dataclass(frozen=True, kw_only=True)
class TwoViewSettings:
    """Benchmark of relative poses: every estimator at every threshold is a row of each run.

    Published tables of MegaDepth-1500 and ScanNet-1500 are `opencv_ransac` at 0.5 px with 1,000 samples.
    """

    # poselib, pycolmap, opencv_ransac, opencv_magsac: with the intrinsics, an essential matrix; those that end with _f
    # find a fundamental matrix first
    estimators: tuple[EstimatorName, ...] = ("poselib", "pycolmap", "opencv_ransac", "opencv_magsac")
    thresholds_px: tuple[float, ...] = (1.0,)  # epipolar error of an inlier, pixels of the original images
    confidence: float = 0.99999  # that a sample without an outlier was drawn
    max_iterations: int = 100_000  # samples at most, of PoseLib and pycolmap
    opencv_max_iterations: int = 10_000  # of OpenCV's, whose samples take five times as long; published tables: 1,000
    repetitions: int = 1  # with seeds counted up; AUC is their mean, and its range is shown
    ignore_sign: bool = True  # of the translation, as published tables do; false: the opposite direction is 180 degrees
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("estimators", "thresholds_px"):  # lists, where they come from JSON
            value = getattr(self, name)
            if isinstance(value, str) or not isinstance(value, list | tuple) or not value:
                raise SettingsError(f"evaluation: {name} is a list of at least one, got {value!r}")
            object.__setattr__(self, name, tuple(value))
        for estimator in self.estimators:
            check_choice("evaluation", "estimators", estimator, get_args(EstimatorName))
        for threshold in self.thresholds_px:
            check_number("evaluation", "thresholds_px", threshold, 1e-3)
        check_number("evaluation", "confidence", self.confidence, 0.0, 1.0)
        check_number("evaluation", "max_iterations", self.max_iterations, 1)
        check_number("evaluation", "opencv_max_iterations", self.opencv_max_iterations, 1)
        check_number("evaluation", "repetitions", self.repetitions, 1)
        check_number("evaluation", "seed", self.seed, 0)
        check_flag("evaluation", "ignore_sign", self.ignore_sign)
