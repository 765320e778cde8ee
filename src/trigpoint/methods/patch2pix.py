"""NCNet and Patch2Pix: matches of cells by consensus, and their refinement to pixels by two regressors.

Positions in the network's image have their origin at the corner of the top-left pixel: cell centres are 8 i + 4, a
window reaches as far to the left as to the right, training divides calibrations without a shift, and a match may lie on
the right border. So half a pixel is taken off what leaves the network, which the release does not do.

Source: Rocco, Cimpoi, Arandjelovic, Torii, Pajdla and Sivic, "Neighbourhood Consensus Networks", NeurIPS 2018; Zhou,
Sattler and Leal-Taixe, "Patch2Pix: Epipolar-Guided Pixel-Level Correspondences", CVPR 2021.
"""

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trigpoint.errors import WeightsError
from trigpoint.geometry.pixels import HALF_PIXEL
from trigpoint.kernels.correlation import Correlation, correlate_4d, mutual_matching
from trigpoint.matching.ncnet import CellMatches, best_of_both_sides, draw, expand, select
from trigpoint.methods.base import PairMethod
from trigpoint.methods.patch2pix_images import DescribedImage, DescribedImages
from trigpoint.methods.patch2pix_settings import NcnetSettings, Patch2PixSettings
from trigpoint.networks.patch2pix_inference import PyramidInference, RegressorInference
from trigpoint.networks.patch2pix_net import Patch2PixNet, load_patch2pix
from trigpoint.networks.resnet34 import CELL_PX
from trigpoint.storage.checkpoints import read_checkpoint
from trigpoint.storage.weights import resolve_weights, sha256_of
from trigpoint.types import Correspondences, Image

MIB = 1 << 20
Refined = tuple[Tensor, Tensor]  # (N, 4) positions, (N,) scores


class Ncnet(PairMethod):
    """Matches between cells of 8 px; pooled cells of 16 px remember which of their cells it was."""

    name = "ncnet"
    Settings: ClassVar[type] = NcnetSettings
    refines = False

    def __init__(self, settings: NcnetSettings, *, device: str = "cpu", num_threads: int = 1) -> None:
        super().__init__(settings, device=device, num_threads=num_threads)
        self.settings: Any = settings
        path = resolve_weights(settings.weights)
        self.weights_sha256 = sha256_of(path)
        network = load_patch2pix(read_checkpoint(path), str(path), regressors=self.refines)
        self._place = torch.device(device)
        self._prepare(network)
        self._consensus = network.ncn.to(self._place)
        self.images = DescribedImages(
            PyramidInference(network.extract, self._place),
            () if network.config is None else network.config.feat_idx,
            imsize=settings.imsize,
            multiple=CELL_PX * settings.ksize,
            max_bytes=settings.cache_mib * MIB,
            legacy=settings.legacy,
        )

    def _prepare(self, network: Patch2PixNet) -> None:
        """What a child takes of the network."""

    def match_images(self, image0: Image, image1: Image) -> Correspondences:
        """Correspondences in pixels of the originals, by rising position in image 0.

        Raises:
            WeightsError: the network's output is not finite.
        """
        # TensorFloat-32, cudnn's default, rounds to 10 bits: matches would move between devices
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            described0, described1 = self.images.of(image0), self.images.of(image1)
            if described0 is None or described1 is None:
                return Correspondences(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
            positions, scores = self.match(described0, described1)
        return self._correspondences(positions, scores, (described0, described1), (image0, image1))

    def match(self, described0: DescribedImage, described1: DescribedImage) -> Refined:
        """Positions in pixels of the networks' images, and scores."""
        matches = self.coarse(described0, described1)
        return cell_centres(matches.cells), matches.scores

    def coarse(self, described0: DescribedImage, described1: DescribedImage) -> CellMatches:
        """What survives of NCNet's matches.

        Raises:
            WeightsError: the network's output is not finite.
        """
        settings = self.settings
        matches = best_of_both_sides(self.scores(described0, described1))
        if not torch.isfinite(matches.scores).all():
            raise WeightsError(f"{self.name}: scores are not finite: check the checkpoint {settings.weights}")
        kept = select(matches, mutual=settings.mutual, threshold=settings.ncn_thres, legacy=settings.legacy)
        if settings.ptmax is None:
            return kept
        if settings.legacy:
            rows = draw(len(kept), settings.ptmax, np.random.RandomState(0)) if len(kept) else np.zeros(0, np.int64)
            return kept.at(torch.from_numpy(rows).to(self._place))
        best = torch.argsort(kept.scores, descending=True, stable=True)[: settings.ptmax]
        return kept.at(best.sort().values)

    def scores(self, described0: DescribedImage, described1: DescribedImage) -> Correlation:
        """NCNet's filtered volume of pooled cells."""
        settings = self.settings
        found = correlate_4d(described0.features, described1.features, pooling=settings.ksize, backend=settings.backend)
        consensus = self._consensus(mutual_matching(found.volume, backend=settings.backend))
        return Correlation(mutual_matching(consensus, backend=settings.backend), found.offsets, found.pooling)

    def _correspondences(
        self,
        positions: Tensor,
        scores: Tensor,
        described: tuple[DescribedImage, DescribedImage],
        images: tuple[Image, Image],
    ) -> Correspondences:
        """Positions of the networks' images in pixels of the originals."""
        scale = [
            to / of
            for image, one in zip(images, described, strict=True)
            for to, of in zip(image.size, one.size, strict=True)
        ]
        xy: NDArray[np.float64] = positions.cpu().numpy().astype(np.float64) * scale
        if not self.settings.legacy:
            xy -= HALF_PIXEL
        return Correspondences(xy.astype(np.float32), scores.cpu().numpy().astype(np.float32))


class Patch2Pix(Ncnet):
    """NCNet's matches, moved twice by at most 8 px by what a window of 16 px round them shows, and judged."""

    name = "patch2pix"
    Settings: ClassVar[type] = Patch2PixSettings
    refines = True

    def _prepare(self, network: Patch2PixNet) -> None:
        self._mid = RegressorInference(network.regress_mid, self._place)
        shared = network.regress_fine is network.regress_mid
        self._fine = self._mid if shared else RegressorInference(network.regress_fine, self._place)

    def match(self, described0: DescribedImage, described1: DescribedImage) -> Refined:
        """Positions in pixels of the networks' images, and confidences of the last step."""
        if self.settings.eval_type == "coarse":
            return super().match(described0, described1)
        proposals = cell_centres(self.coarse(described0, described1).cells)
        if self.settings.panc > 1:
            proposals = expand(proposals, self._mid.config.pshift)
        return self.refine(described0, described1, proposals)

    def refine(self, described0: DescribedImage, described1: DescribedImage, matches: Tensor) -> Refined:
        """Given matches moved and judged; those above `io_thres`.

        Args:
            matches: (N, 4) float32 in pixels of the networks' images; from NCNet, or from any other method.
        """
        windows0, windows1, settings = described0.windows, described1.windows, self.settings
        assert windows0 is not None and windows1 is not None
        mid, mid_scores = self._mid.refine(windows0, windows1, matches)
        if settings.mid_thres > 0:
            mid = mid[mid_scores > settings.mid_thres]
        fine, scores = self._fine.refine(windows0, windows1, mid)
        kept = scores > settings.io_thres
        if settings.legacy and not kept.any():
            return fine, scores
        return fine[kept], scores[kept]


def cell_centres(cells: Tensor) -> Tensor:
    """(N, 4) float32 pixels of cells, the corner of the top-left pixel at (0, 0)."""
    return (cells * CELL_PX + CELL_PX // 2).float()
