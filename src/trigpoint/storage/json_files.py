"""JSON files that appear whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any

from trigpoint.errors import StorageError
from trigpoint.storage.atomic import atomic_path

# kind -> command that writes a file of this kind
WRITERS = {
    "dataset": "trigpoint prepare",
    "fetched": "trigpoint fetch",
    "merge": "trigpoint merge-keypoints",
    "mapping": "trigpoint map",
    "localization": "trigpoint localize",
    "metrics": "trigpoint evaluate",
    "bags": "trigpoint map-bags",
}


def write_json(output: str | os.PathLike[str], value: Any, kind: str = "") -> None:
    """Write a value as indented JSON in UTF-8, keys in the order given; with `kind`, an object that says it.

    Raises:
        ValueError: the value holds NaN or infinity, which JSON has no words for; leave unknown values out.
    """
    if kind:
        value = {"kind": kind, **value}
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    with atomic_path(output) as partial:
        # surrogatepass: file names that are not UTF-8 reach Python as lone surrogates
        partial.write_bytes(text.encode("utf-8", "surrogatepass") + b"\n")


def read_json(path: str | os.PathLike[str], kind: str = "") -> Any:
    """What `write_json` wrote.

    Args:
        path: file.
        kind: what it should be; a file that says another kind is refused, one that says none is taken.

    Raises:
        StorageError: missing, not JSON or of another kind; the message says which command writes it.
    """
    cure = f"; `{WRITERS[kind]}` writes it" if kind in WRITERS else ""
    try:
        value = json.loads(Path(path).read_bytes().decode("utf-8", "surrogatepass"))
    except FileNotFoundError as error:
        raise StorageError(f"{path}: no such file{cure}") from error
    except ValueError as error:
        raise StorageError(f"{path}: not JSON ({error}){cure}") from error
    if kind and isinstance(value, dict) and value.get("kind", kind) != kind:
        raise StorageError(f"{path}: kind {value['kind']}, expected {kind}{cure}")
    return value
