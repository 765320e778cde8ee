"""`trigpoint import-database`: cameras, images, keypoints and matches of the map images as a COLMAP database."""

import argparse
from pathlib import Path

from trigpoint.cli.disk_options import add_database_options, with_database_options
from trigpoint.cli.options import json_object, stage_settings
from trigpoint.mapping.settings import ImportSettings
from trigpoint.storage.dataset import read_dataset
from trigpoint.storage.pairs import read_pairs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument("--settings", type=json_object, default={}, help="JSON object: intrinsics, camera_model, ...")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json")
    parser.add_argument("--features", type=Path, required=True, help="features.h5")
    parser.add_argument("--matches", type=Path, required=True, help="matches.h5, or one shard")
    parser.add_argument("--pairs", type=Path, required=True, help="pair list of the map images")
    parser.add_argument("--output", type=Path, required=True, help="database to write, replaced if it exists")
    add_database_options(parser)


def run(args: argparse.Namespace) -> None:
    """Read, check, write."""
    from trigpoint.mapping.database import import_database

    values = with_database_options(args.settings, args)
    settings = stage_settings(values, ImportSettings, "import-database")
    dataset = read_dataset(args.dataset)
    import_database(dataset, args.features, args.matches, read_pairs(args.pairs), args.output, settings)
