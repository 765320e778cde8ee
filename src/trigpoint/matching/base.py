"""Interface of matchers, and the one lazy table of their names; importing this loads no torch."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from trigpoint.errors import SettingsError
from trigpoint.settings import make_settings, nearest
from trigpoint.types import Features, Matches


@dataclass(frozen=True)
class MatcherEntry:
    """One row of the table: where the class is, and the weights it needs by default."""

    target: str
    weights: tuple[str, ...] = ()


MATCHERS: dict[str, MatcherEntry] = {
    "mutual_nn": MatcherEntry("trigpoint.matching.nearest_neighbor:MutualNearestNeighbor"),
    "colmap_sift": MatcherEntry("trigpoint.matching.colmap_sift:ColmapSift"),
    "lightglue": MatcherEntry("trigpoint.matching.lightglue:LightGlue", ("disk-lightglue",)),
}


class Matcher(ABC):
    """Matches the features of two images."""

    name: ClassVar[str]
    Settings: ClassVar[type]
    weights_sha256 = ""  # of the checkpoint in use

    def __init__(self, settings: Any, *, device: str = "cpu", num_threads: int = 1) -> None:
        self.settings = settings
        self.device = device
        self.num_threads = num_threads

    @abstractmethod
    def match(self, features0: Features, features1: Features) -> Matches:
        """Matches, none of them sharing a keypoint; sorted by the first index; an empty side gives none."""

    def match_pairs(self, read: Callable[[str], Features], pairs: Sequence[tuple[str, str]]) -> Iterator[Matches]:
        """Matches of many pairs, in their order; each is what `match` gives. A matcher that can do better does.

        Args:
            read: features of an image by name, to be called from this thread only.
            pairs: image names.
        """
        for name0, name1 in pairs:
            yield self.match(read(name0), read(name1))


def matcher_entry(name: str) -> MatcherEntry:
    """The table's row for a name.

    Raises:
        SettingsError: no matcher has this name; the message lists the names and the nearest one.
    """
    if name not in MATCHERS:
        raise SettingsError(f"no matcher is called '{name}'{nearest(name, [*MATCHERS])}")
    return MATCHERS[name]


def create_matcher(name: str, values: Mapping[str, Any], *, device: str = "cpu", num_threads: int = 1) -> Matcher:
    """A ready matcher from its name and settings.

    Raises:
        SettingsError: unknown name, unknown key or a value out of range.
        WeightsError: a checkpoint is missing or damaged.
    """
    module_name, class_name = matcher_entry(name).target.split(":")
    matcher_class: type[Matcher] = getattr(importlib.import_module(module_name), class_name)
    settings = make_settings(matcher_class.Settings, values, name)
    return matcher_class(settings, device=device, num_threads=num_threads)
