"""`trigpoint localize`: camera poses of the queries in a map."""

import argparse
from pathlib import Path

from trigpoint.cli.options import json_object, stage_settings
from trigpoint.localization.settings import LocalizationSettings
from trigpoint.storage.dataset import read_dataset
from trigpoint.storage.pairs import read_pairs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument("--settings", type=json_object, default={}, help="JSON object: max_error_px, ...")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json")
    parser.add_argument("--features", type=Path, required=True, help="features.h5")
    parser.add_argument("--matches", type=Path, required=True, help="matches.h5, or one shard")
    parser.add_argument("--pairs", type=Path, required=True, help="pair list: query and map image")
    parser.add_argument("--model", type=Path, required=True, help="directory of the map")
    parser.add_argument("--num-threads", type=int, default=1, help="queries at once; the result is the same")
    parser.add_argument(
        "--output", type=Path, required=True, help="poses.txt: name qw qx qy qz tx ty tz, localized ones"
    )
    parser.add_argument("--log", type=Path, required=True, help="localization.json: what became of each query")


def run(args: argparse.Namespace) -> None:
    """Read, localize, write."""
    from trigpoint.localization.queries import localize_queries

    settings = stage_settings(args.settings, LocalizationSettings, "localize")
    localize_queries(
        read_dataset(args.dataset),
        args.features,
        args.matches,
        read_pairs(args.pairs),
        args.model,
        args.output,
        args.log,
        settings,
        args.num_threads,
    )
