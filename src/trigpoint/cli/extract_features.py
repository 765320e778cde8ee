"""`trigpoint extract-features`: local features of the images of one shard."""

import argparse
import logging
from pathlib import Path

from trigpoint.cli.disk_options import add_detect_options, selected_names, with_detect_options
from trigpoint.cli.options import json_object, stage_settings
from trigpoint.storage.dataset import read_dataset
from trigpoint.storage.pairs import read_pairs
from trigpoint.storage.shards import Shard
from trigpoint.types import Dataset

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `trigpoint extract-features`."""
    parser.add_argument(
        "--settings",
        type=json_object,
        help='JSON: {"method": NAME, "settings": {...}, ...}; may be missing beside DISK\'s options',
    )
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json, written by `trigpoint prepare`")
    parser.add_argument(
        "--pairs",
        type=Path,
        nargs="+",
        default=[],
        metavar="TXT",
        help="pair lists: images of the map, and of the queries if a list has any, that are in no pair are left out",
    )
    parser.add_argument("--shard", type=Shard.parse, default="1-of-1", help="which part of the images, e.g. 3-of-8")
    parser.add_argument("--num-workers", type=int, default=1, help="threads")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where networks run")
    parser.add_argument("--output", type=Path, required=True, help="feature shard (HDF5)")
    add_detect_options(parser)


def _images(dataset: Dataset, lists: list[Path]) -> list[str]:
    """All images, or those in pairs; a list without queries says nothing about which queries are needed."""
    paired = {name for path in lists for pair in read_pairs(path) for name in pair}
    has_queries = any(image.name in paired for image in dataset.with_role("query"))
    return [
        image.name
        for image in dataset.images
        if not lists or image.name in paired or (image.role == "query" and not has_queries)
    ]


def run(args: argparse.Namespace) -> None:
    """Extract and write."""
    import torch

    from trigpoint.kernels.devices import choose_device
    from trigpoint.kernels.heap import keep_freed_memory
    from trigpoint.methods.extraction import ExtractionSettings, extract_shard

    values = with_detect_options(args.settings, args)
    settings = stage_settings(values, ExtractionSettings, "extract-features")
    dataset = read_dataset(args.dataset)
    names = args.shard.select(selected_names(_images(dataset, args.pairs), args.image_extension))
    keep_freed_memory()
    torch.set_num_threads(args.num_workers)
    device = choose_device(args.device)
    _logger.info("%s: %d images of shard %s on %s, %s", settings.method, len(names), args.shard, device, settings)
    extract_shard(dataset, names, settings, args.output, device=device, num_workers=args.num_workers)
