"""Flow of image pairs at given points: a method's dense rows looked up, or its matches densified and looked up."""

import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigpoint.datasets.images import load_image
from trigpoint.errors import EmptyResultError, ImageError
from trigpoint.kernels import usage
from trigpoint.log import progress
from trigpoint.methods.base import PairMethod
from trigpoint.methods.dense_rows import dense_field
from trigpoint.methods.two_images import DEFAULT_MATCHER, TwoImageMatcher
from trigpoint.storage.flow import FlowTruth, FlowWriter
from trigpoint.storage.shards import Shard
from trigpoint.types import Dataset, Image

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FlowSettings:
    """What `trigpoint match-flow` is given."""

    method: str  # name of a method of either kind
    settings: dict[str, Any] = field(default_factory=dict)  # of the method
    matcher: str = DEFAULT_MATCHER  # for methods that describe one image at a time
    matcher_settings: dict[str, Any] = field(default_factory=dict)  # of the matcher
    code_version: int = 1  # raised when the command's numbers change


def match_flow_shard(
    dataset: Dataset,
    truth_path: Path,
    shard: Shard,
    settings: FlowSettings,
    output: Path,
    *,
    device: str = "cpu",
    num_threads: int = 1,
) -> None:
    """Write, for the pairs of a shard, where each ground-truth point of the target image lies in the source image.

    A pair with an image that cannot be used has no places, as one with too few matches.

    Raises:
        SettingsError: the method is unknown, its settings are wrong, or it gives dense rows of the source image.
        EmptyResultError: no pair of the shard has a place for any point.
    """
    matcher = TwoImageMatcher(
        settings.method,
        settings.settings,
        settings.matcher,
        settings.matcher_settings,
        device=device,
        num_threads=num_threads,
    )
    made_with = _made_with(settings, matcher, device)
    before = usage.answers()
    num_failed = 0
    with FlowTruth(truth_path) as truth:
        names = truth.names()
        chosen = set(shard.select_pairs(set(names)))
        # by name: the pairs of an image follow each other, so that what a method keeps of it is used again
        numbers = sorted((n for n, pair in enumerate(names) if pair in chosen), key=lambda n: (names[n], n))
        with FlowWriter(output, made_with, truth.digest) as writer:
            for number in progress(numbers, "pairs"):
                pair = truth.read(number)
                places, num_matches = _predict(dataset, pair.source, pair.target, pair.target_xy, matcher)
                num_failed += bool(np.isnan(places).all())
                writer.write(number, places, num_matches)
            writer.kernel_backends |= usage.backends_since(before)
            if numbers and num_failed == len(numbers):
                raise EmptyResultError(f"none of the {len(numbers)} pairs of this shard has a flow; see the log above")
    _logger.info("%d pairs, %d of them without a flow", len(numbers), num_failed)


def places_at(
    rows: NDArray[np.floating], target_xy: NDArray[np.floating], size0: tuple[int, int], size1: tuple[int, int]
) -> NDArray[np.float32]:
    """Where the pixels of image 1 nearest to some points lie in image 0.

    Args:
        rows: (N, 6) matches, which are densified over the pixels of image 1, or (N, 4) dense rows of these pixels.
        target_xy: (M, 2) points of image 1, rounded with halves to even.
        size0: (width, height) of image 0.
        size1: of image 1.

    Returns:
        (M, 2) float32, NaN for a point without a place: outside image 1, or in no dense row.

    Raises:
        SettingsError: the dense rows are those of image 0's pixels.
    """
    field_xy = dense_field(rows, size0, size1, "right")
    wanted = np.rint(target_xy).astype(np.int64)
    inside = ((wanted >= 0) & (wanted < size1)).all(axis=1)
    places = np.full((len(wanted), 2), np.nan, dtype=np.float32)
    places[inside] = field_xy[wanted[inside, 1], wanted[inside, 0]]
    return places


def _predict(
    dataset: Dataset, source: str, target: str, target_xy: NDArray[np.float64], matcher: TwoImageMatcher
) -> tuple[NDArray[np.float32], int]:
    images: list[Image] = []
    for name in (source, target):
        try:
            images.append(load_image(dataset.image_root, name))
        except ImageError as error:
            _logger.warning("no flow of %s, %s: %s", source, target, error)
            return np.full((len(target_xy), 2), np.nan, dtype=np.float32), 0
    rows = matcher.match_rows(*images)
    return places_at(rows, target_xy, images[0].size, images[1].size), len(rows)


def _made_with(settings: FlowSettings, matcher: TwoImageMatcher, device: str) -> dict[str, Any]:
    """What the file says it was made with."""
    values = {
        "method": settings.method,
        "settings": asdict(matcher.method.settings),
        "weights_sha256": matcher.method.weights_sha256,
        "code_version": settings.code_version,
        "device": device,
    }
    if isinstance(matcher.method, PairMethod) or matcher.matcher is None:
        return values
    return {**values, "matcher": settings.matcher, "matcher_settings": asdict(matcher.matcher.settings)}
