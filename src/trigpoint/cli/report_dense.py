"""`trigpoint report-dense`: one HTML page with all runs of a localization in scans."""

import argparse

from trigpoint.cli import report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    report.add_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Read, write."""
    from trigpoint.report.dense import write_dense_report
    from trigpoint.storage.dataset import read_dataset

    settings = {**({"commit": args.commit} if args.commit else {}), **args.settings}
    dataset = read_dataset(args.dataset)
    write_dense_report(dataset, args.work, args.benchmarks, args.runs, args.left_out, settings, args.output)
