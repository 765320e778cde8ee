"""`trigpoint match-flow`: dense flow of the image pairs of one shard, kept at the ground truth's points.

A method that gives dense rows is looked up at the points; matches of any other are interpolated over their
triangulation first. Pixels outside it move as their three nearest matches do.
"""

import argparse
import logging
from pathlib import Path

from trigpoint.cli.options import json_object, stage_settings
from trigpoint.storage.shards import Shard

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--settings",
        type=json_object,
        required=True,
        help='JSON: {"method": NAME, "settings": {...}}, with "matcher" and "matcher_settings" where it needs one',
    )
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json, written by `trigpoint prepare`")
    parser.add_argument("--truth", type=Path, required=True, help="flow truth, written by `trigpoint read-flow`")
    parser.add_argument("--shard", type=Shard.parse, default="1-of-1", help="which part of the pairs, e.g. 3-of-8")
    parser.add_argument("--num-threads", type=int, default=1, help="threads")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where networks run")
    parser.add_argument("--output", type=Path, required=True, help="flow shard (HDF5)")


def run(args: argparse.Namespace) -> None:
    import torch

    from trigpoint.kernels.devices import choose_device
    from trigpoint.methods.flow_matching import FlowSettings, match_flow_shard
    from trigpoint.storage.dataset import read_dataset

    settings = stage_settings(args.settings, FlowSettings, "match-flow")
    torch.set_num_threads(args.num_threads)
    device = choose_device(args.device)
    _logger.info("%s: shard %s on %s, %s", settings.method, args.shard, device, settings)
    dataset = read_dataset(args.dataset)
    match_flow_shard(
        dataset, args.truth, args.shard, settings, args.output, device=device, num_threads=args.num_threads
    )
