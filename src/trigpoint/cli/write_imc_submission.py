"""`trigpoint write-imc-submission`: the folder that the Image Matching Challenge takes, of one run."""

import argparse
import logging
from pathlib import Path

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json of the layout imc")
    parser.add_argument("--run", required=True, dest="run_name", help="name of the run: the submission's label")
    parser.add_argument("--features", type=Path, required=True, help="features.h5 of the run")
    parser.add_argument("--matches", type=Path, required=True, help="matches.h5 of the run")
    parser.add_argument("--output", type=Path, required=True, help="folder; replaced as a whole if it exists")


def run(args: argparse.Namespace) -> None:
    from trigpoint.export.imw import write_imc_submission
    from trigpoint.export.run_files import RunFiles
    from trigpoint.storage.dataset import read_dataset

    files = RunFiles(features=args.features, matches=args.matches, dataset=read_dataset(args.dataset))
    scenes = write_imc_submission(files, args.run_name, args.output)
    _logger.info("%s: submission of %d scenes", args.output, scenes)
