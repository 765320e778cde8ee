"""`trigpoint make-training-data`: DISK's training data of a COLMAP dense workspace.

Reads images/, sparse/ and stereo/depth_maps/*.geometric.bin (of `colmap image_undistorter` and `patch_match_stereo`)
and writes dataset.json with relative paths, calibration/ and depth/ into a new folder. Images are grouped by the share
of 3D points they have in common. Calibration counts pixels from the centre of the top-left one.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument("workspace", type=Path, help="folder of the dense workspace")
    parser.add_argument("--name", default="default-scene", help="the scene's name in dataset.json")
    parser.add_argument("--no-depth", action="store_true", help="no depth maps: enough for the epipolar reward")
    parser.add_argument("--output", type=Path, help="folder to write, must not exist (default: WORKSPACE/dataset)")
    parser.add_argument(
        "--tuple-size", type=int, choices=(2, 3), default=2, help="images of a group: pairs or triplets"
    )
    parser.add_argument("--max-tuples", type=int, help="take a random sample of so many groups")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--min-covisibility", type=float, default=0.5, help="least share of common points")
    parser.add_argument("--max-covisibility", type=float, default=0.8, help="largest share of common points")
    parser.add_argument("--legacy", action="store_true", help="principal points as in COLMAP, half a pixel larger")


def run(args: argparse.Namespace) -> None:
    """Convert."""
    from trigpoint.export.training_data import TrainingDataSettings, make_training_data

    settings = TrainingDataSettings(
        name=args.name,
        depth=not args.no_depth,
        tuple_size=args.tuple_size,
        max_tuples=args.max_tuples,
        min_covisibility=args.min_covisibility,
        max_covisibility=args.max_covisibility,
        seed=args.seed,
        legacy=args.legacy,
    )
    make_training_data(args.workspace, args.output or args.workspace / "dataset", settings)
