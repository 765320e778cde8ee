"""GCM: hierarchical matching with frozen backbones and a distilled patch descriptor (arXiv 2403.05388).

Departures from the release, off under `legacy`: a match passes by its partner's ratio; points outside the second image
are dropped; a homography has to be believable, else images are matched as they are, and its threshold and its cells'
centres are those of the backbone; few matches stay few instead of becoming corners. Vectors of length 0 are guarded
against always.
"""

import hashlib

import numpy as np
import torch

from trigpoint.geometry.pixels import resize_points
from trigpoint.methods.base import PairMethod
from trigpoint.methods.gcm_maps import GcmMaps, open_view
from trigpoint.methods.gcm_matching import HierarchicalMatcher
from trigpoint.methods.gcm_settings import GcmSettings
from trigpoint.networks.backbones import load_backbone
from trigpoint.networks.fine_descriptors import load_fine_descriptor
from trigpoint.storage.weights import load_state_dict, resolve_weights, sha256_of
from trigpoint.types import Correspondences, Image

MIB = 1 << 20


class Gcm(PairMethod):
    """One-to-one matches on whole pixels of the first image; scores in [0, 1]."""

    name = "gcm"
    Settings = GcmSettings

    def __init__(self, settings: GcmSettings, *, device: str = "cpu", num_threads: int = 1) -> None:
        super().__init__(settings, device=device, num_threads=num_threads)
        self.settings: GcmSettings = settings
        assert settings.model is not None and settings.weights is not None
        path = resolve_weights(settings.weights)
        checksums = [sha256_of(path)]
        backbone = load_backbone(settings.model, load_state_dict(path), str(path)).to(torch.device(device))
        fine = None
        if settings.fine_model is not None and settings.fine_weights_path is not None:
            path = resolve_weights(settings.fine_weights_path)
            checksums.append(sha256_of(path))
            fine = load_fine_descriptor(settings.fine_model, load_state_dict(path), str(path), device)
        self.weights_sha256 = checksums[0] if fine is None else hashlib.sha256("".join(checksums).encode()).hexdigest()
        maps = GcmMaps(backbone, fine, padding=settings.padding, device=device, max_bytes=settings.cache_mib * MIB)
        self.matcher = HierarchicalMatcher(maps, settings)

    @torch.inference_mode()
    def match_images(self, image0: Image, image1: Image) -> Correspondences:
        """Correspondences in pixels of the originals.

        Raises:
            WeightsError: a network's output is not finite.
        """
        settings = self.settings
        view0, view1 = (open_view(image, settings.resize_px, settings.resize) for image in (image0, image1))
        found = self.matcher.match(view0, view1)
        kept = np.arange(len(found.scores))
        if settings.max_matches is not None:
            kept = np.sort(np.argsort(-found.scores, kind="stable")[: settings.max_matches])
        ends = [
            resize_points(xy[kept], view.size, image.size)
            for xy, view, image in ((found.xy0, view0, image0), (found.xy1, view1, image1))
        ]
        return Correspondences(np.hstack(ends), found.scores[kept])
