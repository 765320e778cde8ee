"""`trigpoint evaluate-flow`: end-point errors of one run's dense flow against sparse ground truth.

Errors are averaged over the points of a pair, the pairs of a sequence at a rate, then the sequences. A point without a
flow, and so every point of a pair without matches, counts with zero flow in AEPE and as wrong in PCK and Fl.
"""

import argparse
import logging
from pathlib import Path

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--truth", type=Path, required=True, help="flow truth, written by `trigpoint read-flow`")
    parser.add_argument("--run", required=True, dest="run_name", help="name of the run, for the file's head")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="all files of `trigpoint match-flow`")
    parser.add_argument("--output", type=Path, required=True, help="metrics.json to write")


def run(args: argparse.Namespace) -> None:
    from trigpoint.evaluation.eth3d import evaluate_flow
    from trigpoint.storage.json_files import write_json

    flow = evaluate_flow(args.truth, args.shards)
    _logger.info(
        "AEPE by rate, px: %s; %d of %d pairs without a flow",
        ", ".join(f"{rate}: {values['aepe_px']:.2f}" for rate, values in flow["rates"].items()),
        flow["failed_pairs"],
        flow["pairs"],
    )
    write_json(args.output, {"run": args.run_name, "flow": flow}, kind="metrics")
