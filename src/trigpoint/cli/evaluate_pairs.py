"""`trigpoint evaluate-pairs`: metrics of one run on a benchmark of image pairs, by the dataset's layout.

Correspondences are those of the matches of features, or the raw ones of a method of image pairs.
"""

import argparse
import logging
from pathlib import Path

from trigpoint.cli.options import json_object, stage_settings
from trigpoint.errors import DataError

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--settings", type=json_object, default={}, help="JSON object: the dataset's `evaluation` of the configuration"
    )
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json")
    parser.add_argument("--run", required=True, dest="run_name", help="name of the run, for the file's head")
    parser.add_argument("--pairs", type=Path, required=True, help="pair list of the run")
    parser.add_argument("--features", type=Path, help="features.h5; with --matches")
    parser.add_argument("--matches", type=Path, help="matches.h5; with --features")
    parser.add_argument("--shards", type=Path, nargs="*", default=[], help="correspondences of a method of image pairs")
    parser.add_argument("--output", type=Path, required=True, help="metrics.json to write")
    parser.add_argument("--rows", type=Path, required=True, help="CSV file to write, a row for each pair")


def run(args: argparse.Namespace) -> None:
    from trigpoint.evaluation.pair_benchmarks import PAIR_BENCHMARKS, evaluate_pairs, load
    from trigpoint.evaluation.run_matches import open_run
    from trigpoint.storage.csv_files import write_csv
    from trigpoint.storage.dataset import read_dataset
    from trigpoint.storage.json_files import write_json
    from trigpoint.storage.pairs import read_pairs

    dataset = read_dataset(args.dataset)
    if dataset.layout not in PAIR_BENCHMARKS:
        raise DataError(
            f"{args.dataset}: layout {dataset.layout} is not evaluated by pairs; those are {', '.join(PAIR_BENCHMARKS)}"
        )
    settings = stage_settings(args.settings, load(PAIR_BENCHMARKS[dataset.layout].settings), "evaluation")
    with open_run(args.features, args.matches, args.shards) as matches:
        found = evaluate_pairs(dataset, settings, read_pairs(args.pairs), matches)
        made_with = {"made_with": matches.made_with, "kernel_backends": matches.kernel_backends}
    _logger.info("%d pairs evaluated", len(found.rows))
    write_csv(args.rows, found.rows)
    write_json(args.output, {"run": args.run_name, dataset.layout: found.metrics, **made_with}, kind="metrics")
