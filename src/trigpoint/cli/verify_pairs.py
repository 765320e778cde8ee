"""`trigpoint verify-pairs`: geometric verification of the matches of a database, into a copy of it."""

import argparse
from pathlib import Path

from trigpoint.cli.options import json_object, stage_settings
from trigpoint.mapping.settings import VerificationSettings
from trigpoint.storage.dataset import read_dataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument("--settings", type=json_object, default={}, help="JSON object: max_error_px, known_poses, ...")
    parser.add_argument("--database", type=Path, required=True, help="imported database; not changed")
    parser.add_argument("--dataset", type=Path, help="dataset.json; needed with known_poses only")
    parser.add_argument("--num-threads", type=int, default=1, help="pairs verified at once")
    parser.add_argument("--output", type=Path, required=True, help="database to write, replaced if it exists")


def run(args: argparse.Namespace) -> None:
    """Read, verify, write."""
    from trigpoint.mapping.verification import verify_database

    settings = stage_settings(args.settings, VerificationSettings, "verify-pairs")
    dataset = read_dataset(args.dataset) if args.dataset else None
    verify_database(args.database, args.output, settings, args.num_threads, dataset)
