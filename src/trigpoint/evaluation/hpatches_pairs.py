"""A pair of images of one plane, with what a run found in it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trigpoint.evaluation.run_matches import PairMatches


@dataclass(frozen=True, kw_only=True)
class PlanarPair:
    """Image 0 and another image of a sequence.

    Attributes:
        sequence: its name, which starts with `i_` or `v_`.
        names: of the images.
        H: (3, 3) image 1 from image 0, true, in pixels of the originals.
        sizes: (width, height) of both; (0, 0) of an image that cannot be used.
        matches: the run's.
        num_features: of both images; None for a method that looks at pairs.
        usable: both images are.
    """

    sequence: str
    names: tuple[str, str]
    H: NDArray[np.float64]
    sizes: tuple[tuple[int, int], tuple[int, int]]
    matches: PairMatches
    num_features: tuple[int, int] | None
    usable: bool = True

    @property
    def feature_counts(self) -> tuple[int, int]:
        """Features of both images; of a method that looks at pairs the points of its matches count."""
        return (len(self.matches),) * 2 if self.num_features is None else self.num_features
