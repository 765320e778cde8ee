"""Shards: parts of a list that do not depend on an item's position."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

from trigpoint.errors import SettingsError


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 1) of `count`; written `3-of-8`.

    An item's shard is a stable hash of its name, so further items leave the others where they were.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """A shard from its name.

        Raises:
            SettingsError: not `<index>-of-<count>` with 1 <= index <= count.
        """
        match = re.fullmatch(r"([1-9]\d*)-of-([1-9]\d*)", text)
        if match is None or int(match[1]) > int(match[2]):
            raise SettingsError(f"shard '{text}': expected <index>-of-<count> with 1 <= index <= count, e.g. 3-of-8")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.index}-of-{self.count}"

    def select(self, names: Iterable[str]) -> list[str]:
        """The names of this shard, in their order."""
        return [name for name in names if self._holds(name)]

    def select_pairs(self, pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """The pairs of this shard, in their order; (a, b) and (b, a) fall into the same one."""
        return [(name0, name1) for name0, name1 in pairs if self._holds("\0".join(sorted((name0, name1))))]

    def _holds(self, key: str) -> bool:
        digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.index - 1


def shard_count(num_items: int, maximum: int, minimum_per_shard: int) -> int:
    """How many shards a list is worth: at least 1, at most `maximum`, and none of them much below the minimum."""
    return max(1, min(maximum, -(-num_items // minimum_per_shard)))
