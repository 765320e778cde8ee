"""`trigpoint import-run`: read another tool's features and matches into features.h5, matches.h5 and pairs.txt.

The way back of `trigpoint export`; poses come as poses.txt where the format has them. The folder's files then go into
`trigpoint import-database`, `localize` or `evaluate` like any other run's. Formats and pixel conventions:
docs/exports.md.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from trigpoint.cli.export import FORMATS
from trigpoint.errors import SettingsError
from trigpoint.storage.dataset import read_dataset

if TYPE_CHECKING:
    from trigpoint.export.run_files import ForeignRun


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument("input", type=Path, help="folder with the other tool's files")
    parser.add_argument(
        "--from",
        dest="source",
        choices=FORMATS,
        required=True,
        help="format; half a pixel is taken off colmap's and kapture's keypoints",
    )
    parser.add_argument(
        "--dataset",
        type=Path,
        help="dataset.json of the photographs; for disk and imw, whose files hold no image sizes",
    )
    parser.add_argument("--features", help="hloc: name of the feature file in the folder (default features.h5)")
    parser.add_argument("--matches", help="hloc: name of the match file in the folder (default matches.h5)")
    parser.add_argument("--pairs", type=Path, help="hloc: pair list; without it every pair of the match file")
    parser.add_argument("--database", type=Path, help="colmap: the database, if it is not the folder's database.db")
    parser.add_argument("--keypoints-type", help="kapture: which keypoints, if the folder has several types")
    parser.add_argument("--output", type=Path, required=True, help="folder to write, must not exist")


def run(args: argparse.Namespace) -> None:
    """Read, convert, write."""
    from trigpoint.export.run_files import write_run

    write_run(_read(args), args.output)


def _read(args: argparse.Namespace) -> "ForeignRun":
    if args.source == "hloc":
        from trigpoint.export.hloc import import_hloc

        features, matches = args.features or "features.h5", args.matches or "matches.h5"
        return import_hloc(args.input / features, args.input / matches, args.pairs)
    if args.source == "colmap":
        from trigpoint.export.colmap import import_colmap

        return import_colmap(args.input, args.database)
    if args.source == "kapture":
        from trigpoint.export.kapture import import_kapture

        return import_kapture(args.input, args.keypoints_type)
    if args.dataset is None:
        raise SettingsError(f"--from {args.source}: its files hold no image sizes; give --dataset dataset.json")
    dataset = read_dataset(args.dataset)
    if args.source == "disk":
        from trigpoint.export.disk_h5 import import_disk

        return import_disk(args.input, dataset)
    from trigpoint.export.imw import import_imw

    return import_imw(args.input, dataset)
