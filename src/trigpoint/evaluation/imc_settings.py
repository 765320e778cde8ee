"""Settings of the Image Matching Challenge; importing this loads nothing heavy."""

from dataclasses import dataclass
from typing import get_args

from trigpoint.evaluation.two_view_settings import EstimatorName
from trigpoint.settings import check_choice, check_number


@dataclass(frozen=True, kw_only=True)
class ImcSettings:
    """Defaults are the benchmark's for RootSIFT, whose estimator is DEGENSAC; the nearest one here is OpenCV's."""

    estimator: EstimatorName = "opencv_usac_f"  # stereo: fundamental matrix with a test for dominant planes
    threshold_px: float = 0.5  # stereo: epipolar error of an inlier, pixels of the original images
    confidence: float = 0.999999  # stereo: that a sample without an outlier was drawn
    max_iterations: int = 100_000  # stereo: samples at most
    repetitions: int = 1  # stereo: with seeds counted up, their mean is shown; the benchmark takes three
    covisibility: float = 0.1  # stereo: least of a pair: 0.0, 0.1, ... 0.9
    max_bags: int | None = None  # multiview: of each size and scene, for a try; null: all
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("evaluation", "estimator", self.estimator, get_args(EstimatorName))
        check_number("evaluation", "threshold_px", self.threshold_px, 1e-3)
        check_number("evaluation", "confidence", self.confidence, 0.0, 1.0)
        check_number("evaluation", "max_iterations", self.max_iterations, 1)
        check_number("evaluation", "repetitions", self.repetitions, 1)
        check_number("evaluation", "covisibility", self.covisibility, 0.0, 0.9)
        if self.max_bags is not None:
            check_number("evaluation", "max_bags", self.max_bags, 1)
        check_number("evaluation", "seed", self.seed, 0)
