"""Logging and progress, set up once by the command line."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

Item = TypeVar("Item")
PROGRESS_LINE_S = 30.0  # between two progress lines in a log file
_logger = logging.getLogger(__name__)


class _StandardError(logging.Handler):
    """Writes to the standard error of the moment, which tests and notebooks exchange."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(self.format(record) + "\n")
        sys.stderr.flush()


def set_up(verbose: bool = False) -> None:
    """Send the package's log lines to standard error with time and level."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
        handlers=[_StandardError()],
        force=True,
    )


def progress(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items; say how many are done: a rewritten line on a terminal, a line every 30 s in a file."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    terminal = sys.stderr.isatty()
    of_total = f"/{total}" if total is not None else ""
    last = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        if terminal:
            sys.stderr.write(f"\r{done}{of_total} {what}")
            sys.stderr.flush()
        elif time.monotonic() - last >= PROGRESS_LINE_S:
            last = time.monotonic()
            _logger.info("%d%s %s", done, of_total, what)
    if terminal:
        sys.stderr.write("\n")
    _logger.info("%d%s %s", done, of_total, what)
