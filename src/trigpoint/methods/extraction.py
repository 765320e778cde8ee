"""Local features of the images of one shard.

A network works in this process while decoding runs ahead; of a method that keeps one core busy several processes work.
"""

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from trigpoint.datasets.images import load_image
from trigpoint.datasets.tree import image_path
from trigpoint.errors import EmptyResultError, ImageError, SettingsError
from trigpoint.kernels import usage
from trigpoint.log import progress
from trigpoint.methods.base import FeatureMethod, create_method
from trigpoint.processes import process_pool
from trigpoint.storage.features import DESCRIPTOR_DTYPES, FeatureReader, FeatureWriter
from trigpoint.storage.kept import cache_key, keep, open_kept
from trigpoint.types import Dataset, Features, Image

DECODED_AHEAD = 2  # photographs in memory beside the one in work
IMAGES_PER_PROCESS = 4  # fewer do not repay a second's start
Item = TypeVar("Item")
Result = TypeVar("Result")
_logger = logging.getLogger(__name__)
_in_this_process: dict[str, FeatureMethod] = {}  # a worker's method, made once


@dataclass(frozen=True, kw_only=True)
class ExtractionSettings:
    """What `trigpoint extract-features` is given."""

    method: str  # name of a feature method
    settings: dict[str, Any] = field(default_factory=dict)  # of the method
    descriptor_dtype: str = "float16"  # in the file
    strict: bool = False  # an image that cannot be used ends the command, instead of having no features
    code_version: int = 1  # raised when the command's numbers change

    def __post_init__(self) -> None:
        if self.descriptor_dtype not in DESCRIPTOR_DTYPES:
            raise SettingsError(
                f"extract-features: descriptor_dtype must be one of {', '.join(DESCRIPTOR_DTYPES)}, "
                f"got '{self.descriptor_dtype}'"
            )


@dataclass(frozen=True)
class _Loaded:
    """An image with its features' cache key, and one of: the image, its features, a file that has them, an error."""

    name: str
    key: str = ""
    image: Image | None = None
    features: Features | None = None
    kept: FeatureReader | None = None
    error: ImageError | None = None


def extract_shard(
    dataset: Dataset,
    names: list[str],
    settings: ExtractionSettings,
    output: Path,
    *,
    device: str = "cpu",
    num_workers: int = 1,
) -> None:
    """Write the features of some images of a dataset; those an earlier run made the same way are copied.

    The result does not depend on which images are in the shard.

    Args:
        names: images of the dataset.
        output: feature shard; an earlier one is looked for in `.kept/` beside it.
        device: `cpu` or `cuda`.
        num_workers: threads, or processes of a method that works on one core.

    Raises:
        SettingsError: the method is unknown or is no feature method, or its settings are wrong.
        ImageError: an image cannot be used and `settings.strict` is set.
        EmptyResultError: none of the images could be used.
    """
    method = create_method(settings.method, settings.settings, device=device, num_threads=num_workers)
    if not isinstance(method, FeatureMethod):
        raise SettingsError(f"'{settings.method}' matches pairs of images and extracts no features; use match-pairs")
    made_with = {
        "method": settings.method,
        "settings": asdict(method.settings),
        "descriptor_dtype": settings.descriptor_dtype,
        "weights_sha256": method.weights_sha256,
        "code_version": settings.code_version,
        "device": device,
    }
    sizes = {image.name: image.size for image in dataset.images}
    num_kept, num_failed = 0, 0
    before = usage.answers()
    with ExitStack() as stack:
        kept = open_kept(output, FeatureReader, stack)
        processes = min(num_workers, len(names) // IMAGES_PER_PROCESS) if method.one_core else 0
        pool = None
        if processes > 1:
            pool = stack.enter_context(process_pool(processes, _set_up_process, settings.method, settings.settings))

        def load(name: str) -> _Loaded:
            return _load(dataset.image_root, name, made_with, kept, pool)

        writer = stack.enter_context(FeatureWriter(output, made_with, settings.descriptor_dtype))
        loaded = run_ahead(load, names, DECODED_AHEAD + processes, max(1, processes))
        for item in progress(loaded, "images", len(names)):
            if item.error is not None:
                if settings.strict:
                    raise item.error
                num_failed += 1
                _logger.warning("no features: %s", item.error)
                writer.write_failed(item.name, sizes[item.name], str(item.error))
            elif item.kept is not None:
                num_kept += 1
                writer.copy_from(item.kept, item.name)
            elif item.features is not None:
                writer.write(item.name, item.features, item.key)
            else:
                assert item.image is not None
                writer.write(item.name, method.extract(item.image), item.key)
        if names and num_failed == len(names):
            raise EmptyResultError(f"none of the {len(names)} images of this shard could be used; see the log above")
        writer.kernel_backends |= usage.backends_since(before)
    keep(output)
    _logger.info("%d images: %d computed, %d kept, %d failed", len(names), len(names) - num_kept, num_kept, num_failed)


def _load(
    root: str, name: str, made_with: dict[str, Any], kept: list[FeatureReader], pool: ProcessPoolExecutor | None
) -> _Loaded:
    """Decode an image, or let a process extract its features, unless a kept file has them."""
    try:
        with image_path(root, name).open("rb") as stream:
            key = cache_key(hashlib.file_digest(stream, "sha256").hexdigest(), made_with)
        for reader in kept:
            if name in reader and reader.cache_key(name) == key:
                return _Loaded(name, key, kept=reader)
        if pool is not None:
            return _Loaded(name, key, features=pool.submit(_extract_in_process, root, name).result())
        return _Loaded(name, key, load_image(root, name))
    except ImageError as error:
        return _Loaded(name, error=error)
    except OSError as error:
        return _Loaded(name, error=ImageError(f"{name}: cannot be read ({error.strerror or error})"))


def _set_up_process(method: str, settings: dict[str, Any]) -> None:
    _in_this_process["method"] = create_method(method, settings)


def _extract_in_process(root: str, name: str) -> Features:
    return _in_this_process["method"].extract(load_image(root, name))


def run_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], ahead: int, threads: int = 1
) -> Iterator[Result]:
    """`map` with up to `ahead` results computed by some threads before they are asked for; order is kept."""
    with ThreadPoolExecutor(max_workers=threads) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
