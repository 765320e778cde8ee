"""`trigpoint convert-weights`: a published checkpoint with pickled settings as safetensors, which nothing can run in.

Patch2Pix's and NCNet's files are known; the pickle is read by a restricted unpickler that refuses everything else.
"""

import argparse
import logging
from pathlib import Path

from trigpoint.storage.checkpoints import convert_checkpoint

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `trigpoint convert-weights`."""
    parser.add_argument("file", type=Path, help="the checkpoint as published, such as patch2pix_pretrained.pth")
    parser.add_argument("output", type=Path, help="file to write, such as patch2pix.safetensors")


def run(args: argparse.Namespace) -> None:
    """Convert one file."""
    num_tensors = convert_checkpoint(args.file, args.output)
    _logger.info("%s: %d tensors", args.output, num_tensors)
