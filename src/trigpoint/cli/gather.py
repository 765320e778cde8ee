"""`trigpoint gather`: join the shards of a run into features.h5 (links to the shards) or matches.h5 (groups)."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", choices=("features", "matches"), required=True, help="what the shards hold")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="files of all shards, in any order")
    parser.add_argument("--output", type=Path, required=True, help="features.h5 or matches.h5")


def run(args: argparse.Namespace) -> None:
    if args.kind == "features":
        from trigpoint.storage.features import link_shards

        link_shards(args.shards, args.output)
    else:
        from trigpoint.storage.matches import gather_matches

        gather_matches(args.shards, args.output)
