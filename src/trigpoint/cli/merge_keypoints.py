"""`trigpoint merge-keypoints`: shared keypoints and matches from the correspondences of a pair method."""

import argparse
from pathlib import Path

from trigpoint.cli.options import json_object, stage_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument("--settings", type=json_object, default={}, help="JSON object: scheme, radius_px, ...")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="correspondences, in any order")
    parser.add_argument("--features", type=Path, required=True, help="features.h5 to write: keypoints, no descriptors")
    parser.add_argument("--matches", type=Path, required=True, help="matches.h5 to write")
    parser.add_argument("--log", type=Path, required=True, help="merge.json to write: what was lost, and why")


def run(args: argparse.Namespace) -> None:
    """Read, merge, write."""
    from trigpoint.matching.merging import merge_run
    from trigpoint.matching.shared_keypoints import MergeSettings
    from trigpoint.storage.correspondences import CorrespondenceShards
    from trigpoint.storage.dataset import read_dataset

    settings = stage_settings(args.settings, MergeSettings, "merge-keypoints")
    with CorrespondenceShards(args.shards) as shards:
        merge_run(read_dataset(args.dataset), shards, args.features, args.matches, args.log, settings)
