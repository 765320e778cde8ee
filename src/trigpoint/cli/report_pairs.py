"""`trigpoint report-pairs`: one HTML page with all runs of a benchmark of image pairs, its numbers and text tables."""

import argparse
from pathlib import Path

from trigpoint.cli import report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    report.add_arguments(parser)
    parser.add_argument(
        "--cached",
        type=Path,
        nargs="*",
        default=[],
        help="results of other methods (.npy), to be shown as further rows",
    )


def run(args: argparse.Namespace) -> None:
    from trigpoint.errors import DataError
    from trigpoint.report.pair_benchmark import REPORTERS, write_pair_report
    from trigpoint.storage.dataset import read_dataset

    settings = {**({"commit": args.commit} if args.commit else {}), **args.settings}
    dataset = read_dataset(args.dataset)
    if dataset.layout not in REPORTERS:
        raise DataError(
            f"{args.dataset}: layout {dataset.layout} has no report of pairs; those are {', '.join(REPORTERS)}"
        )
    write_pair_report(dataset, args.work, args.benchmarks, args.runs, args.left_out, args.cached, settings, args.output)
