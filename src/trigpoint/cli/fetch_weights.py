"""`trigpoint fetch-weights`: put a checkpoint into the cache and check it.

The cache is `weights/` below TRIGPOINT_CACHE, XDG_CACHE_HOME/trigpoint or ~/.cache/trigpoint.
"""

import argparse
import logging
import sys
from pathlib import Path

from trigpoint.errors import WeightsError
from trigpoint.storage.weights import WEIGHTS, cached_path, fetch_weights

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `trigpoint fetch-weights`."""
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"checkpoints: {', '.join(WEIGHTS)}")
    parser.add_argument("--file", type=Path, help="take the checkpoint from this file instead of the network")
    parser.add_argument("--list", action="store_true", help="list the checkpoints, and whether they are in the cache")


def run(args: argparse.Namespace) -> None:
    """Fetch each named checkpoint, or list them all."""
    if args.list:
        for name, entry in WEIGHTS.items():
            state = "in the cache" if cached_path(name).is_file() else "not fetched"
            size = f"{entry.size_bytes / 1e6:.1f} MB" if entry.size_bytes else "size unknown"
            sys.stdout.write(f"{name}\t{state}\t{size}\t{entry.description}\t{entry.licence}\n")
        return
    if not args.names:
        raise WeightsError(f"name a checkpoint: {', '.join(WEIGHTS)}")
    if args.file is not None and len(args.names) != 1:
        raise WeightsError("--file goes with exactly one name")
    for name in args.names:
        path = fetch_weights(name, args.file)
        _logger.info("%s: %s (licence: %s)", name, path, WEIGHTS[name].licence)
