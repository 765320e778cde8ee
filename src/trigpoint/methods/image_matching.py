"""Correspondences of the image pairs of one shard by a pair method; decoding runs ahead while the method computes."""

import hashlib
import logging
from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.datasets.images import load_image
from trigpoint.datasets.tree import image_path
from trigpoint.errors import EmptyResultError, ImageError, SettingsError
from trigpoint.kernels import usage
from trigpoint.log import progress
from trigpoint.methods.base import PairMethod, create_method
from trigpoint.methods.extraction import run_ahead
from trigpoint.storage.correspondences import CorrespondenceReader, CorrespondenceWriter
from trigpoint.storage.kept import cache_key, keep, open_kept
from trigpoint.types import Correspondences, Dataset, Image

DECODED_AHEAD = 2  # pairs
IMAGE_BYTES = 512 << 20  # decoded images in memory; 170 of 1 megapixel
Pair = tuple[str, str]
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ImageMatchingSettings:
    """What `trigpoint match-pairs` is given for a pair method."""

    method: str  # name of a pair method
    settings: dict[str, Any] = field(default_factory=dict)  # of the method
    strict: bool = False  # an image that cannot be used ends the command, instead of having no correspondences
    code_version: int = 1  # raised when the command's numbers change


@dataclass(frozen=True)
class _Loaded:
    """A pair with its cache key, and one of: both images, a file that has its correspondences, an error."""

    pair: Pair
    key: str = ""
    images: tuple[Image, Image] | None = None
    kept: CorrespondenceReader | None = None
    failed: str = ""  # name of the image that `error` is about
    error: ImageError | None = None


def match_image_shard(
    dataset: Dataset,
    pairs: list[Pair],
    settings: ImageMatchingSettings,
    output: Path,
    *,
    device: str = "cpu",
    num_workers: int = 1,
) -> None:
    """Write the correspondences of some pairs; those an earlier run made the same way are copied.

    The result does not depend on which pairs are in the shard. Pairs are worked on sorted by name, so that an image
    is decoded once for the pairs it comes first in.

    Args:
        dataset: holds all images.
        pairs: each once, in one order.
        output: correspondence shard; an earlier one is looked for in `.kept/` beside it.
        device: `cpu` or `cuda`.
        num_workers: threads.

    Raises:
        SettingsError: the method is unknown or is no pair method, or its settings are wrong.
        WeightsError: a checkpoint is missing or damaged.
        ImageError: an image cannot be used and `settings.strict` is set.
        EmptyResultError: no pair had two images that could be used.
    """
    method = create_method(settings.method, settings.settings, device=device, num_threads=num_workers)
    if not isinstance(method, PairMethod):
        raise SettingsError(
            f"'{settings.method}' describes one image at a time; use extract-features, then match-pairs with a matcher"
        )
    made_with = {
        "method": settings.method,
        "settings": asdict(method.settings),
        "weights_sha256": method.weights_sha256,
        "code_version": settings.code_version,
        "device": device,
    }
    before = usage.answers()
    num_kept, num_failed, num_found = 0, 0, 0
    taken_from: set[CorrespondenceReader] = set()
    with ExitStack() as stack:
        loader = _PairLoader(dataset.image_root, made_with, open_kept(output, CorrespondenceReader, stack))
        writer = stack.enter_context(CorrespondenceWriter(output, made_with))
        for item in progress(run_ahead(loader.load, sorted(pairs), DECODED_AHEAD), "pairs", len(pairs)):
            if item.error is not None:
                if settings.strict:
                    raise item.error
                num_failed += 1
                _logger.warning("no correspondences of '%s' '%s': %s", *item.pair, item.error)
                writer.note_failed(item.failed, str(item.error))
                found = Correspondences(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
            elif item.kept is not None:
                num_kept += 1
                found = item.kept.read(*item.pair)
                taken_from.add(item.kept)
            else:
                assert item.images is not None
                found = method.match_images(*item.images)
            num_found += len(found)
            writer.write(*item.pair, found, item.key)
        if pairs and num_failed == len(pairs):
            raise EmptyResultError(f"none of the {len(pairs)} pairs of this shard has two usable images; see the log")
        writer.kernel_backends |= usage.backends_since(before).union(*(reader.kernel_backends for reader in taken_from))
    keep(output)
    _logger.info(
        "%d pairs: %d computed, %d kept, %d failed; %d correspondences",
        *(len(pairs), len(pairs) - num_kept - num_failed, num_kept, num_failed, num_found),
    )


class _PairLoader:
    """Decodes the images of pairs, in one thread; those used last stay in memory."""

    def __init__(self, root: str, made_with: dict[str, Any], kept: list[CorrespondenceReader]) -> None:
        self._root = root
        self._made_with = made_with
        self._kept = kept
        self._digests: dict[str, str] = {}
        self._images: OrderedDict[str, Image] = OrderedDict()

    def load(self, pair: Pair) -> _Loaded:
        """Decode both images, unless a kept file has their correspondences."""
        name = pair[0]
        try:
            digests = []
            for name in pair:
                digests.append(self._digest(name))
            key = cache_key(*digests, self._made_with)
            for reader in self._kept:
                if reader.cache_key(*pair) == key:
                    return _Loaded(pair, key, kept=reader)
            images = []
            for name in pair:
                images.append(self._image(name))
        except ImageError as error:
            return _Loaded(pair, failed=name, error=error)
        return _Loaded(pair, key, (images[0], images[1]))

    def _digest(self, name: str) -> str:
        if name not in self._digests:
            try:
                with image_path(self._root, name).open("rb") as stream:
                    self._digests[name] = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                raise ImageError(f"{name}: cannot be read ({error.strerror or error})") from error
        return self._digests[name]

    def _image(self, name: str) -> Image:
        if name in self._images:
            self._images.move_to_end(name)
        else:
            self._images[name] = load_image(self._root, name)
            while len(self._images) > 2 and sum(image.pixels.nbytes for image in self._images.values()) > IMAGE_BYTES:
                self._images.popitem(last=False)
        return self._images[name]
