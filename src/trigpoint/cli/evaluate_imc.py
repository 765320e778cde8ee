"""`trigpoint evaluate-imc`: stereo and multiview mAA of one run by the Image Matching Challenge."""

import argparse
import logging
from pathlib import Path

from trigpoint.cli.options import json_object, stage_settings

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--settings", type=json_object, default={}, help="JSON object: the dataset's `evaluation` of the configuration"
    )
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json of the layout imc")
    parser.add_argument("--run", required=True, dest="run_name", help="name of the run, for the file's head")
    parser.add_argument("--features", type=Path, required=True, help="features.h5 of the run")
    parser.add_argument("--matches", type=Path, required=True, help="matches.h5 of the run")
    parser.add_argument("--bags", type=Path, nargs="+", required=True, help="all files of `trigpoint map-bags`")
    parser.add_argument("--output", type=Path, required=True, help="metrics.json to write")
    parser.add_argument("--rows", type=Path, required=True, help="CSV file to write, a row for each pair")


def run(args: argparse.Namespace) -> None:
    from trigpoint.evaluation.imc_run import evaluate_imc
    from trigpoint.evaluation.imc_settings import ImcSettings
    from trigpoint.evaluation.run_matches import open_run
    from trigpoint.storage.csv_files import write_csv
    from trigpoint.storage.dataset import read_dataset
    from trigpoint.storage.json_files import write_json

    settings = stage_settings(args.settings, ImcSettings, "evaluation")
    with open_run(args.features, args.matches, []) as matches:
        found = evaluate_imc(read_dataset(args.dataset), settings, matches, args.bags)
        made_with = {**matches.made_with, "mapping": found.metrics["multiview"].pop("mapping")}
        backends = matches.kernel_backends
    _logger.info(
        "mAA at 10 degrees: stereo %.1f %%, multiview %.1f %%",
        *(found.metrics[task]["mean"]["maa_10_percent"] for task in ("stereo", "multiview")),
    )
    write_csv(args.rows, found.rows)
    head = {"made_with": made_with, "kernel_backends": backends}
    write_json(args.output, {"run": args.run_name, "imc": found.metrics, **head}, kind="metrics")
