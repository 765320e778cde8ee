"""`trigpoint map-bags`: maps of the bags of one shard, for the multiview task of the Image Matching Challenge."""

import argparse
import dataclasses
from pathlib import Path

from trigpoint.cli.options import json_object, stage_settings
from trigpoint.mapping.settings import MappingSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=json_object, default={}, help="JSON object: mapper, min_model_size, ...")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json of the layout imc")
    parser.add_argument("--database", type=Path, required=True, help="verified database of all scenes; not changed")
    parser.add_argument("--max-bags", type=int, help="of each size and scene, for a try; all if not given")
    parser.add_argument("--shard", default="1-of-1", help="which part of the bags, e.g. 3-of-8")
    parser.add_argument(
        "--num-threads", type=int, default=1, help="threads of the mapper; more than 1 moves last digits"
    )
    parser.add_argument("--output", type=Path, required=True, help="JSON file with the poses of each bag's map")


def run(args: argparse.Namespace) -> None:
    from trigpoint.datasets.imc import dataset_bags
    from trigpoint.mapping.bags import map_bags
    from trigpoint.storage.colmap import read_settings
    from trigpoint.storage.dataset import read_dataset
    from trigpoint.storage.json_files import write_json
    from trigpoint.storage.shards import Shard

    settings = stage_settings(args.settings, MappingSettings, "map-bags")
    bags = dataset_bags(read_dataset(args.dataset), args.max_bags)
    chosen = Shard.parse(args.shard).select(sorted(bags))
    maps = map_bags(args.database, [(name, bags[name]) for name in chosen], settings, args.num_threads)
    head = {
        "intrinsics": read_settings(args.database).get("intrinsics", "estimate"),
        "mapping": dataclasses.asdict(settings),
    }
    write_json(args.output, {**head, "bags": maps}, kind="bags")
