"""`trigpoint merge-datasets`: one dataset.json of the scenes of several, for training.

Folders stay where they are; their paths are rewritten relative to the new file. A scene whose name is taken is called
<file index>-<scene index>, and the log says so.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument("files", type=Path, nargs="+", help="files of `trigpoint make-training-data`, or DISK's")
    parser.add_argument(
        "--name", nargs="+", help="one for each file: the name of its scene, or before its scenes' names"
    )
    parser.add_argument("--output", type=Path, default=Path("merged.json"), help="file to write, replaced if it exists")


def run(args: argparse.Namespace) -> None:
    """Merge."""
    from trigpoint.export.training_data import merge_datasets

    merge_datasets(args.files, args.output, args.name)
