"""A pair method for tests: SIFT matched pair by pair, with points that every pair moves on its own."""

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import torch

from trigpoint.errors import WeightsError
from trigpoint.kernels import mutual_nearest_neighbors
from trigpoint.methods.base import PairMethod, create_method
from trigpoint.storage.weights import resolve_weights, sha256_of
from trigpoint.types import Correspondences, Features, Image

IMAGES_IN_MEMORY = 16


@dataclass(frozen=True, kw_only=True)
class SiftPairsSettings:
    """Of the plug-in."""

    max_keypoints: int = 1000  # of each image
    ratio: float = 0.8  # of angles, to stay below
    noise_px: float = 0.3  # standard deviation of what each pair adds to its points
    checkpoint: str = ""  # a file that is only checked to be there; empty: none


class SiftPairs(PairMethod):
    """Dense matchers give each pair points of its own; so does this one, by noise that names and bytes decide."""

    name = "sift_pairs"
    Settings = SiftPairsSettings

    def __init__(self, settings: SiftPairsSettings, *, device: str = "cpu", num_threads: int = 1) -> None:
        super().__init__(settings, device=device, num_threads=num_threads)
        if settings.checkpoint:
            self.weights_sha256 = sha256_of(resolve_weights(settings.checkpoint))
        self._sift = create_method("sift", {"max_keypoints": settings.max_keypoints})
        self._features: OrderedDict[str, Features] = OrderedDict()

    def match_images(self, image0: Image, image1: Image) -> Correspondences:
        """Mutual nearest neighbours that pass the ratio test; the score is their dot product."""
        features0, features1 = self._extract(image0), self._extract(image1)
        if min(len(features0), len(features1)) == 0:
            return Correspondences(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
        found = mutual_nearest_neighbors(
            *(torch.from_numpy(features.descriptors.astype(np.float32)) for features in (features0, features1)),
            ratio=self.settings.ratio,
            distance="angle",
        )
        rows0, rows1 = found.indices.numpy().T
        xy = np.concatenate([features0.keypoints[rows0], features1.keypoints[rows1]], axis=1)
        seed = blake2b((image0.digest + image1.digest).encode(), digest_size=8).digest()
        xy += np.random.default_rng(int.from_bytes(seed)).normal(0, self.settings.noise_px, xy.shape)
        return Correspondences(xy.astype(np.float32), found.similarity.clamp(min=0).numpy())

    def _extract(self, image: Image) -> Features:
        if not image.digest:
            raise WeightsError(f"{image.name}: came without the digest of its bytes")
        if image.digest not in self._features:
            self._features[image.digest] = self._sift.extract(image)
            if len(self._features) > IMAGES_IN_MEMORY:
                self._features.popitem(last=False)
        return self._features[image.digest]
