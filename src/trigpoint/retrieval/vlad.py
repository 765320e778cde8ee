"""VLAD: one vector an image from its local descriptors."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trigpoint.errors import SettingsError
from trigpoint.retrieval.vocabulary import learn_words, nearest_word, sum_by_word, unit_rows
from trigpoint.storage.features import FeatureReader
from trigpoint.types import FloatArray


@dataclass(frozen=True, kw_only=True)
class VladSettings:
    """Size and seed of the vocabulary."""

    num_words: int = 64  # visual words; a vector has num_words times the descriptor's length
    max_training_descriptors: int = 100_000  # of all map images together, to learn the words from
    seed: int = 0  # of the words and of the descriptors drawn to learn them

    def __post_init__(self) -> None:
        for name in ("num_words", "max_training_descriptors"):
            if getattr(self, name) < 1:
                raise SettingsError(f"retrieval: {name} must be at least 1, got {getattr(self, name)}")


class Vlad:
    """Sums of residuals to visual words, each sum scaled to length 1, then signed square roots, then length 1.

    Source: Jegou et al., "Aggregating local descriptors into a compact image representation", CVPR 2010;
    intra-normalization: Arandjelovic and Zisserman, "All about VLAD", CVPR 2013.
    """

    def __init__(self, words: NDArray[np.float32]) -> None:
        self.words = words

    @classmethod
    def learn(cls, features: FeatureReader, names: Iterable[str], settings: VladSettings) -> Self:
        """Words learnt from some descriptors of each of the images; the order of the names does not matter.

        Raises:
            EmptyResultError: none of the images has features.
        """
        names = sorted(names)
        share = max(1, settings.max_training_descriptors // max(1, len(names)))
        drawn = [_draw(features.read(name).descriptors, share, name, settings.seed) for name in names]
        filled = [rows for rows in drawn if len(rows)]
        return cls(
            learn_words(np.concatenate(filled) if filled else np.empty((0, 1)), settings.num_words, settings.seed)
        )

    def describe(self, descriptors: FloatArray) -> NDArray[np.float32]:
        """(K * D,) float32 of length 1 from (N, D) descriptors; zeros if N = 0."""
        num_words, dimensions = self.words.shape
        if not len(descriptors):
            return np.zeros(num_words * dimensions, dtype=np.float32)
        rows = unit_rows(descriptors)
        nearest = nearest_word(rows, self.words)
        counts = np.bincount(nearest, minlength=num_words)[:, None]
        residuals = unit_rows(sum_by_word(rows, nearest, num_words) - counts * self.words)
        vector = np.sign(residuals) * np.sqrt(np.abs(residuals))
        return unit_rows(vector.reshape(1, -1))[0]


def _draw(descriptors: FloatArray, share: int, name: str, seed: int) -> NDArray[np.float32]:
    """At most `share` rows, chosen by seed and image name alone."""
    if len(descriptors) > share:
        digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        rng = np.random.default_rng([seed, int.from_bytes(digest, "big")])
        descriptors = descriptors[np.sort(rng.choice(len(descriptors), share, replace=False))]
    return unit_rows(descriptors)
