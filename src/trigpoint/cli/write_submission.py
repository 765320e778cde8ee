"""`trigpoint write-submission`: the file a benchmark's evaluation server takes, from the poses of one run."""

import argparse
import logging
from pathlib import Path

from trigpoint.datasets.base import HOLDOUT
from trigpoint.errors import SettingsError
from trigpoint.storage.atomic import atomic_path
from trigpoint.storage.dataset import read_dataset
from trigpoint.storage.poses import read_poses, write_submission

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `trigpoint write-submission`."""
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json, which names the benchmark's file")
    parser.add_argument("--run", required=True, dest="run_name", help="name of the run, for the file's name")
    parser.add_argument("--poses", type=Path, required=True, help="poses.txt of the run's queries")
    parser.add_argument("--output", type=Path, required=True, help="folder to write, with the file in it")


def run(args: argparse.Namespace) -> None:
    """Write the poses of the benchmark's own queries; map images that were held out are none of them."""
    dataset = read_dataset(args.dataset)
    if not dataset.submission:
        raise SettingsError(f"dataset '{dataset.id}' of layout {dataset.layout} belongs to no benchmark with a server")
    queries = {image.name for image in dataset.with_role("query") if image.split != HOLDOUT}
    poses = {name: pose for name, pose in read_poses(args.poses).items() if name in queries}
    name = dataset.submission.format(run=args.run_name)
    with atomic_path(args.output) as partial:
        partial.mkdir()
        write_submission(partial / name, poses)
    _logger.info("%s: %d of %d queries have a pose", args.output / name, len(poses), len(queries))
