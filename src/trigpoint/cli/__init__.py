"""The command line: one table of subcommands, one file each; importing this loads no torch and no pycolmap."""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence

from trigpoint import __version__, log
from trigpoint.errors import TrigpointError
from trigpoint.processes import die_with_parent

# subcommand -> one line of help; the module is trigpoint.cli.<subcommand with underscores>
COMMANDS = {
    "fetch": "download a dataset, check it and unpack it",
    "data": "list, fetch, check or find the datasets of the catalogue",
    "prepare": "read a raw tree of images and calibration into dataset.json",
    "list-pairs": "choose the image pairs to match",
    "extract-features": "local features of the images of one shard",
    "match-pairs": "match the image pairs of one shard",
    "gather": "join the shards of a run into features.h5 or matches.h5",
    "merge-keypoints": "shared keypoints and matches from the correspondences of a pair method",
    "import-database": "write cameras, images, keypoints and matches into a COLMAP database",
    "verify-pairs": "geometric verification of the matches of a database",
    "map": "reconstruct, or triangulate onto given poses",
    "localize": "camera poses of the queries in a map",
    "write-submission": "the file a benchmark's server takes, from the poses of one run",
    "evaluate": "metrics of one run against ground truth",
    "report": "one HTML page with all runs of a dataset",
    "publish": "put a finished report and its runs where the user opens them",
    "summary": "print the table of a finished dataset",
    "report-collection": "one HTML page with several finished datasets",
    "read-flow": "read the ground truth of a dense flow benchmark",
    "match-flow": "dense flow of the image pairs of one shard, at the ground truth's points",
    "evaluate-flow": "end-point errors of one run's dense flow",
    "report-flow": "one HTML page with all runs of a dense flow benchmark",
    "evaluate-pairs": "metrics of one run on a benchmark of image pairs",
    "report-pairs": "one HTML page with all runs of a benchmark of image pairs",
    "localize-dense": "camera poses of queries by the 3D points of scans",
    "evaluate-dense": "recall of one run's poses in scans",
    "report-dense": "one HTML page with all runs of a localization in scans",
    "map-bags": "maps of the bags of one shard, for the Image Matching Challenge",
    "evaluate-imc": "stereo and multiview accuracy of one run by the Image Matching Challenge",
    "write-imc-submission": "the folder the Image Matching Challenge takes, of one run",
    "match": "correspondences of two photographs, as a file and a picture",
    "estimate": "time and memory of a pair, or the largest size that fits, before anything is computed",
    "warp": "one photograph's view built from another's pixels",
    "view-corres": "show a file of correspondences, as a picture and a page to browse",
    "view-h5": "show the keypoints or matches of HDF5 files over their photographs",
    "export": "write a run for another tool: DISK, IMW, hloc, COLMAP, kapture",
    "import-run": "read another tool's features and matches",
    "make-training-data": "DISK's training data of a COLMAP dense workspace",
    "merge-datasets": "one file of the scenes of several, for training",
    "methods": "every method with its interface, speed, licence and weights",
    "check-method": "run a method, of another package too, against the promises of its interface",
    "fetch-weights": "download a checkpoint into the cache and check it",
    "convert-weights": "a published checkpoint with pickled settings as safetensors",
    "render-scene": "render a synthetic old town with exact poses (needs mitsuba)",
    "doctor": "what this machine has, and what is missing for which feature",
}
EXIT_USER = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Returns:
        0 done; 2 the user can fix it, said in one line. A bug leaves with a traceback and 1.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    parser = _parser(chosen)
    options = parser.parse_args(arguments)
    log.set_up(options.verbose)
    if "TRIGPOINT_PARENT" in os.environ:
        die_with_parent(int(os.environ["TRIGPOINT_PARENT"]))
    try:
        options.run(options)
    except TrigpointError as error:
        logging.getLogger("trigpoint").debug("details", exc_info=True)
        sys.stderr.write(f"trigpoint {options.command}: {' '.join(str(error).split())}\n")
        return EXIT_USER
    return 0


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    """The parser; only the chosen subcommand's module is imported, so `--help` stays quick."""
    parser = argparse.ArgumentParser(
        prog="trigpoint", description="From photographs to a map, and from a map to camera poses."
    )
    parser.add_argument("--version", action="version", version=f"trigpoint {__version__}")
    parser.add_argument("--verbose", action="store_true", help="log details, and tracebacks of user errors")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary)
        if name == chosen:
            module = importlib.import_module(f"trigpoint.cli.{name.replace('-', '_')}")
            sub.description = (module.__doc__ or summary).split("\n\n", 1)[0]
            sub.formatter_class = argparse.ArgumentDefaultsHelpFormatter
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return parser
