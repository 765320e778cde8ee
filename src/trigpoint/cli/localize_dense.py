"""`trigpoint localize-dense`: camera poses of queries from the 3D points behind their matches with views of scans."""

import argparse
from pathlib import Path

from trigpoint.cli.options import json_object, stage_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument("--settings", type=json_object, default={}, help="JSON object: max_error_px, combine, ...")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json of layout inloc")
    parser.add_argument("--pairs", type=Path, required=True, help="pair list: query and cutout")
    parser.add_argument("--features", type=Path, help="features.h5 of a method of single images")
    parser.add_argument("--matches", type=Path, help="matches.h5 of such a method")
    parser.add_argument("--shards", type=Path, nargs="+", default=[], help="correspondences of a method of image pairs")
    parser.add_argument("--num-threads", type=int, default=1, help="queries at once; the result is the same")
    parser.add_argument("--output", type=Path, required=True, help="poses.txt: name qw qx qy qz tx ty tz")
    parser.add_argument("--log", type=Path, required=True, help="localization.json: what became of each query")


def run(args: argparse.Namespace) -> None:
    """Read, localize, write."""
    from trigpoint.evaluation.run_matches import open_run
    from trigpoint.localization.dense import localize_dense
    from trigpoint.localization.dense_settings import DenseLocalizationSettings
    from trigpoint.storage.dataset import read_dataset
    from trigpoint.storage.pairs import read_pairs

    settings = stage_settings(args.settings, DenseLocalizationSettings, "localize-dense")
    dataset, pairs = read_dataset(args.dataset), read_pairs(args.pairs)
    with open_run(args.features, args.matches, args.shards) as source:
        localize_dense(dataset, pairs, source, args.output, args.log, settings, args.num_threads)
