"""Matches of the image pairs of one shard."""

import logging
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from trigpoint.kernels import usage
from trigpoint.log import progress
from trigpoint.matching.base import create_matcher
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.kept import cache_key, keep, open_kept
from trigpoint.storage.matches import MatchReader, MatchWriter
from trigpoint.types import Features

FEATURES_IN_MEMORY = 64  # images; 2048 float16 descriptors of 128 numbers are half a megabyte
Pair = tuple[str, str]
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class MatchingSettings:
    """What `trigpoint match-pairs` is given."""

    matcher: str  # name of a matcher
    settings: dict[str, Any] = field(default_factory=dict)  # of the matcher
    code_version: int = 1  # raised when the command's numbers change


def match_shard(
    features_path: Path,
    pairs: list[Pair],
    settings: MatchingSettings,
    output: Path,
    *,
    device: str = "cpu",
    num_workers: int = 1,
) -> None:
    """Write the matches of some pairs; those an earlier run made the same way are copied.

    The result does not depend on which pairs are in the shard.

    Args:
        features_path: features of all images.
        pairs: each once, in one order.
        output: packed match shard; an earlier one is looked for in `.kept/` beside it.
        device: `cpu` or `cuda`.
        num_workers: threads.

    Raises:
        SettingsError: the matcher is unknown or its settings are wrong.
        StorageError: an image has no entry in the feature file.
    """
    matcher = create_matcher(settings.matcher, settings.settings, device=device, num_threads=num_workers)
    made_with = {
        "matcher": settings.matcher,
        "settings": asdict(matcher.settings),
        "weights_sha256": matcher.weights_sha256,
        "code_version": settings.code_version,
        "device": device,
    }
    before = usage.answers()
    num_kept, num_matches = 0, 0
    with ExitStack() as stack:
        kept = open_kept(output, MatchReader, stack)
        features = _FeatureStore(stack.enter_context(FeatureReader(features_path)))
        writer = stack.enter_context(MatchWriter(output, made_with))
        keys = {pair: cache_key(*(features.cache_key(name) for name in pair), made_with) for pair in sorted(pairs)}
        sources = {pair: _source(kept, pair, key) for pair, key in keys.items()}
        computed = matcher.match_pairs(features.read, [pair for pair, source in sources.items() if source is None])
        for pair, source in progress(sources.items(), "pairs", len(sources)):
            matches = next(computed) if source is None else source.read(*pair)
            num_kept += source is not None
            num_matches += len(matches)
            writer.write(*pair, matches, keys[pair])
        writer.kernel_backends |= usage.backends_since(before)
        for reader in {source for source in sources.values() if source is not None}:
            writer.kernel_backends |= reader.kernel_backends
    keep(output)
    _logger.info("%d pairs: %d computed, %d kept; %d matches", len(pairs), len(pairs) - num_kept, num_kept, num_matches)


def _source(kept: list[MatchReader], pair: Pair, key: str) -> MatchReader | None:
    """The earlier file that holds this pair's matches, made in the same way from the same features."""
    return next((reader for reader in kept if reader.cache_key(*pair) == key), None)


def distinct_pairs(pairs: Iterable[Pair]) -> list[Pair]:
    """The pairs without repetition; of (a, b) and (b, a) the one that comes first."""
    seen: dict[Pair, Pair] = {}
    for name0, name1 in pairs:
        seen.setdefault((min(name0, name1), max(name0, name1)), (name0, name1))
    return list(seen.values())


class _FeatureStore:
    """Features as read from a file; those used last stay in memory."""

    def __init__(self, reader: FeatureReader) -> None:
        self._reader = reader
        self._keys: dict[str, str] = {}
        self._features: OrderedDict[str, Features] = OrderedDict()

    def cache_key(self, name: str) -> str:
        if name not in self._keys:
            self._keys[name] = self._reader.cache_key(name)
        return self._keys[name]

    def read(self, name: str) -> Features:
        if name in self._features:
            self._features.move_to_end(name)
        else:
            self._features[name] = self._reader.read(name)
            if len(self._features) > FEATURES_IN_MEMORY:
                self._features.popitem(last=False)
        return self._features[name]
