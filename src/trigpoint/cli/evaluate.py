"""`trigpoint evaluate`: metrics of one run against ground truth.

Registration, points and tracks need no ground truth; pose errors and recall appear where it is known.
"""

import argparse
from pathlib import Path

from trigpoint.cli.options import json_object, stage_settings
from trigpoint.errors import SettingsError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--settings", type=json_object, default={}, help="JSON object: seed, threshold_px, max_pairs (relative poses)"
    )
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json")
    parser.add_argument("--run", required=True, dest="run_name", help="name of the run, for the file's head")
    parser.add_argument("--features", type=Path, required=True, help="features.h5 of the run")
    parser.add_argument("--matches", type=Path, required=True, help="matches.h5 of the run")
    parser.add_argument("--pairs", type=Path, required=True, help="pair list of the map")
    parser.add_argument("--database", type=Path, required=True, help="COLMAP database with verified pairs")
    parser.add_argument("--model", type=Path, required=True, help="folder of the COLMAP model")
    parser.add_argument("--mapping", type=Path, required=True, help="mapping.json")
    parser.add_argument("--poses", type=Path, help="poses.txt of the queries; with --localization")
    parser.add_argument("--localization", type=Path, help="localization.json; with --poses")
    parser.add_argument("--merging", type=Path, help="merge.json of a run of a pair method")
    parser.add_argument("--output", type=Path, required=True, help="metrics.json to write")


def run(args: argparse.Namespace) -> None:
    from trigpoint.evaluation.relative_pose import RelativePoseSettings
    from trigpoint.evaluation.run import RunFiles, evaluate_run
    from trigpoint.storage.dataset import read_dataset
    from trigpoint.storage.json_files import write_json

    if (args.poses is None) != (args.localization is None):
        raise SettingsError("evaluate: --poses and --localization belong together; give both or neither")
    settings = stage_settings(args.settings, RelativePoseSettings, "evaluate")
    names = ("features", "matches", "pairs", "database", "model", "mapping", "poses", "localization", "merging")
    files = RunFiles(**{name: getattr(args, name) for name in names})
    metrics = evaluate_run(read_dataset(args.dataset), args.run_name, files, settings)
    write_json(args.output, metrics, kind="metrics")
