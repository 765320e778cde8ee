"""`trigpoint map`: reconstruct from a verified database, or triangulate onto given poses."""

import argparse
from pathlib import Path

from trigpoint.cli.options import json_object, stage_settings
from trigpoint.mapping.settings import MappingSettings
from trigpoint.storage.dataset import read_dataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument("--settings", type=json_object, default={}, help="JSON object: mapper, min_model_size, ...")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json")
    parser.add_argument("--database", type=Path, required=True, help="verified database; not changed")
    parser.add_argument(
        "--num-threads", type=int, default=1, help="threads of the mapper; more than 1 moves last digits"
    )
    parser.add_argument("--output", type=Path, required=True, help="directory of the COLMAP model, replaced as a whole")
    parser.add_argument("--log", type=Path, required=True, help="mapping.json: components, images left out and why")


def run(args: argparse.Namespace) -> None:
    """Read, map, write."""
    from trigpoint.mapping.reconstruction import map_database

    settings = stage_settings(args.settings, MappingSettings, "map")
    dataset = read_dataset(args.dataset)
    map_database(dataset, args.database, args.output, args.log, settings, args.num_threads)
