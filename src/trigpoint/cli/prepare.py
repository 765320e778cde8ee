"""`trigpoint prepare`: read a raw tree of images and calibration into dataset.json.

Every image is decoded once, so that one that cannot be used is known, and named, before anything is computed.
"""

import argparse
import logging
from pathlib import Path

from trigpoint.cli.options import json_object, stage_settings
from trigpoint.datasets.base import LAYOUTS, PrepareSettings, prepare_dataset
from trigpoint.errors import DataError
from trigpoint.storage.dataset import write_dataset

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `trigpoint prepare`."""
    parser.add_argument("--dataset", required=True, help="the dataset's id")
    parser.add_argument("--layout", required=True, choices=sorted(LAYOUTS), help="how the tree is laid out")
    parser.add_argument("--root", type=Path, required=True, help="the dataset's folder; nothing in it is changed")
    parser.add_argument(
        "--settings", type=json_object, default={}, help="JSON object of PrepareSettings; unknown keys are an error"
    )
    parser.add_argument("--strict", action="store_true", help="an image that cannot be used is an error")
    parser.add_argument("--num-workers", type=int, default=2, help="threads that decode images")
    parser.add_argument("--output", type=Path, required=True, help="dataset.json")


def run(args: argparse.Namespace) -> None:
    """Read the tree and write dataset.json."""
    if args.num_workers < 1:
        raise DataError(f"--num-workers must be positive, got {args.num_workers}")
    settings = stage_settings(args.settings, PrepareSettings, "prepare")
    dataset = prepare_dataset(args.dataset, args.layout, args.root, settings, args.strict, args.num_workers)
    write_dataset(args.output, dataset)
    _logger.info(
        "%s: %d images to map, %d queries, %d unusable; %d with calibration, %d with a known pose",
        dataset.id,
        len(dataset.with_role("map")),
        len(dataset.with_role("query")),
        len(dataset.unusable),
        sum(image.camera is not None for image in dataset.images),
        len(dataset.poses),
    )
