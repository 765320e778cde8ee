"""`trigpoint evaluate-dense`: recall of one run's poses in scans, and what became of each query.

Thresholds are InLoc's: 0.25, 0.5 and 1 m, each with 10 degrees. A query without a pose counts as a miss.
"""

import argparse
import logging
from pathlib import Path

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json")
    parser.add_argument("--run", required=True, dest="run_name", help="name of the run, for the file's head")
    parser.add_argument("--features", type=Path, help="features.h5 of a method of single images")
    parser.add_argument("--matches", type=Path, help="matches.h5 of such a method")
    parser.add_argument("--shards", type=Path, nargs="+", default=[], help="correspondences of a method of image pairs")
    parser.add_argument("--poses", type=Path, required=True, help="poses.txt of `trigpoint localize-dense`")
    parser.add_argument("--localization", type=Path, required=True, help="localization.json of the same")
    parser.add_argument("--output", type=Path, required=True, help="metrics.json to write")


def run(args: argparse.Namespace) -> None:
    """Read, evaluate, write."""
    from trigpoint.evaluation.dense import evaluate_dense
    from trigpoint.evaluation.run_matches import open_run
    from trigpoint.storage.dataset import read_dataset
    from trigpoint.storage.json_files import write_json

    with open_run(args.features, args.matches, args.shards) as source:
        metrics = evaluate_dense(read_dataset(args.dataset), args.run_name, source, args.poses, args.localization)
    _logger.info("%s", metrics["localization"])
    write_json(args.output, metrics, kind="metrics")
