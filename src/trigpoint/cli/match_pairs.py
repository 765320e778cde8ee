"""`trigpoint match-pairs`: match the image pairs of one shard, by a matcher of features or by a method of pairs."""

import argparse
import logging
from pathlib import Path

from trigpoint.cli.disk_options import add_match_options, with_match_options
from trigpoint.cli.options import json_object, stage_settings
from trigpoint.errors import DataError, SettingsError
from trigpoint.storage.dataset import read_dataset
from trigpoint.storage.pairs import read_pairs
from trigpoint.storage.shards import Shard

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `trigpoint match-pairs`."""
    parser.add_argument(
        "--settings",
        type=json_object,
        help='JSON: {"matcher": NAME, "settings": {...}}, or {"method": NAME, ...} for a method of image pairs',
    )
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json, written by `trigpoint prepare`")
    parser.add_argument("--features", type=Path, help="features.h5, written by `trigpoint gather`; of a matcher")
    parser.add_argument("--pairs", type=Path, nargs="+", required=True, help="text files, one 'name0 name1' a line")
    parser.add_argument("--shard", type=Shard.parse, default="1-of-1", help="which part of the pairs, e.g. 3-of-8")
    parser.add_argument("--num-workers", type=int, default=1, help="threads")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where networks run")
    parser.add_argument("--output", type=Path, required=True, help="match shard, or correspondence shard (HDF5)")
    add_match_options(parser)


def run(args: argparse.Namespace) -> None:
    """Match and write."""
    values = with_match_options(args.settings, args)
    if ("method" in values) == ("matcher" in values):
        raise SettingsError('match-pairs: --settings needs either "matcher" or "method"')
    if ("matcher" in values) != (args.features is not None):
        raise SettingsError("match-pairs: a matcher needs --features; a method of image pairs takes none")
    import torch

    from trigpoint.kernels.devices import choose_device
    from trigpoint.methods.image_matching import ImageMatchingSettings, match_image_shard
    from trigpoint.methods.pair_matching import MatchingSettings, distinct_pairs, match_shard

    by_images = "method" in values
    settings = stage_settings(values, ImageMatchingSettings if by_images else MatchingSettings, "match-pairs")
    dataset = read_dataset(args.dataset)
    known = {image.name for image in dataset.images}
    pairs = distinct_pairs(pair for path in args.pairs for pair in read_pairs(path))
    for name in sorted({name for pair in pairs for name in pair} - known):
        raise DataError(
            f"{', '.join(map(str, args.pairs))}: '{name}' is no image of {args.dataset}; list the pairs again"
        )
    pairs = args.shard.select_pairs(pairs)
    torch.set_num_threads(args.num_workers)
    device = choose_device(args.device)
    _logger.info("%d pairs of shard %s on %s, %s", len(pairs), args.shard, device, settings)
    options = {"device": device, "num_workers": args.num_workers}
    if by_images:
        match_image_shard(dataset, pairs, settings, args.output, **options)
    else:
        match_shard(args.features, pairs, settings, args.output, **options)
