"""`trigpoint report`: one HTML page with all runs of a dataset, and the numbers it shows as JSON and CSV."""

import argparse
from pathlib import Path

from trigpoint.cli.options import json_object


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--settings", type=json_object, default={}, help="JSON object with config, seed and commit, for provenance"
    )
    parser.add_argument("--commit", default="", help="commit of the workflow, if the settings do not hold it")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json")
    parser.add_argument("--work", type=Path, required=True, help="folder with one folder for each run")
    parser.add_argument("--benchmarks", type=Path, required=True, help="folder of Snakemake's benchmark files")
    parser.add_argument("--runs", nargs="+", required=True, help="finished runs, in the order of the tables")
    parser.add_argument("--left-out", nargs="*", default=[], help="configured runs that are not in this report")
    parser.add_argument("--output", type=Path, required=True, help="folder to write; replaced if it exists")


def run(args: argparse.Namespace) -> None:
    from trigpoint.report.build import write_report
    from trigpoint.storage.dataset import read_dataset

    settings = {**({"commit": args.commit} if args.commit else {}), **args.settings}
    dataset = read_dataset(args.dataset)
    write_report(dataset, args.work, args.benchmarks, args.runs, args.left_out, settings, args.output)
