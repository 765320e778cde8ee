"""`trigpoint report-flow`: one HTML page with all runs of a dense flow benchmark, and its numbers as JSON and CSV."""

import argparse

from trigpoint.cli import report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    report.add_arguments(parser)


def run(args: argparse.Namespace) -> None:
    from trigpoint.report.flow import write_flow_report
    from trigpoint.storage.dataset import read_dataset

    settings = {**({"commit": args.commit} if args.commit else {}), **args.settings}
    dataset = read_dataset(args.dataset)
    write_flow_report(dataset, args.work, args.benchmarks, args.runs, args.left_out, settings, args.output)
