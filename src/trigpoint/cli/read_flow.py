"""`trigpoint read-flow`: read the ground truth of a dense flow benchmark into one file.

ETH3D's comes as pickled arrays; nothing in them is run, and what is more than numbers and texts is refused.
"""

import argparse
import logging
from dataclasses import asdict
from pathlib import Path

from trigpoint.cli.options import json_object, stage_settings
from trigpoint.datasets.base import PrepareSettings
from trigpoint.errors import DataError

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=json_object, default={}, help="JSON object that `prepare` was given")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json of layout eth3d")
    parser.add_argument("--output", type=Path, required=True, help="flow truth (HDF5)")


def run(args: argparse.Namespace) -> None:
    from trigpoint.datasets.eth3d import read_pairs
    from trigpoint.storage.dataset import read_dataset
    from trigpoint.storage.flow import write_flow_truth

    dataset = read_dataset(args.dataset)
    if dataset.layout != "eth3d":
        raise DataError(f"{args.dataset}: layout {dataset.layout} has no flow; only eth3d has")
    settings = stage_settings(args.settings, PrepareSettings, "read-flow")
    pairs = read_pairs(Path(dataset.image_root), settings)
    write_flow_truth(args.output, pairs, {"dataset": dataset.id, "settings": asdict(settings)})
    _logger.info("%s: %d pairs, %d points", dataset.id, len(pairs), sum(len(pair.source_xy) for pair in pairs))
