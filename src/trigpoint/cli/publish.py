"""`trigpoint publish`: put a finished report and its runs where the user opens them, as hard links."""

import argparse
from pathlib import Path

from trigpoint.storage.publish import publish


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--report", type=Path, required=True, help="folder that `trigpoint report` wrote")
    parser.add_argument("--work", type=Path, required=True, help="folder of the dataset, which holds the runs' folders")
    parser.add_argument("--runs", nargs="*", default=[], help="names of the runs to put beside the report")
    parser.add_argument("--submissions", type=Path, nargs="*", default=[], help="folders of runs without a map")
    parser.add_argument("--output", type=Path, required=True, help="folder; replaced as a whole if it exists")


def run(args: argparse.Namespace) -> None:
    publish(args.report, args.work, args.runs, args.output, args.submissions)
