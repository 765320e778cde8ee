"""`trigpoint report-collection`: one HTML page with the runs of several datasets, and their reports below it."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--id", required=True, help="name of the collection")
    parser.add_argument(
        "--reports", type=Path, nargs="+", required=True, help="folders that `trigpoint report` wrote, in order"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder to write; replaced if it exists")


def run(args: argparse.Namespace) -> None:
    from trigpoint.report.collection import write_collection

    write_collection(args.id, args.reports, args.output)
