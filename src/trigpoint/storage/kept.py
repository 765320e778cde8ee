"""Earlier shards, kept beside the outputs of a stage so that a re-run computes only what is new.

Snakemake deletes a rule's outputs before it runs the rule again; `.kept/<shard>` is a hard link that survives. Entries
are found by a key of everything they depend on, so a kept file can be old, but never wrong.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from trigpoint.errors import StorageError

FOLDER = ".kept"
Reader = TypeVar("Reader")
_logger = logging.getLogger(__name__)


def cache_key(*parts: Any) -> str:
    """Hexadecimal sha256 of JSON-able parts; mappings in any order give the same key."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def open_kept(output: Path, open_reader: Callable[[Path], Any], stack: ExitStack) -> list[Any]:
    """Readers of the kept shards of a stage, the one of the same name first; files that cannot be read are left out.

    Args:
        output: the shard that is about to be written.
        open_reader: of the file's kind; its context manager is entered on `stack`.
    """
    paths = sorted(
        (output.parent / FOLDER).glob(f"*{output.suffix}"), key=lambda path: (path.name != output.name, path)
    )
    readers = []
    for path in paths:
        try:
            readers.append(stack.enter_context(open_reader(path)))
        except StorageError as error:
            _logger.warning("nothing is taken over from an earlier run: %s", error)
    return readers


def keep(output: Path) -> None:
    """Link a finished shard into `.kept/`, in place of an earlier one."""
    kept = output.parent / FOLDER / output.name
    kept.parent.mkdir(exist_ok=True)
    partial = kept.with_name(f"{kept.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    try:
        partial.hardlink_to(output)
    except OSError as error:  # a file system without hard links
        _logger.info("%s is copied, not linked: %s", kept, error)
        shutil.copyfile(output, partial)
    partial.replace(kept)
