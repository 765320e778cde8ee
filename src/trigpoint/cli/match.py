"""`trigpoint match`: correspondences of two photographs by any method, as a file and as a picture.

The file is a zip-format numpy archive with one array `corres`: rows x0 y0 x1 y1 score scale_rot_code in pixels of the
photographs, or x0 y0 x1 y1 for each pixel of one of them if the settings say densify.
"""

import argparse
import logging
import time
from pathlib import Path

from trigpoint.cli.method_options import add_method_arguments, create_two_image_matcher, log_estimate, method_settings

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image0", type=Path, help="first photograph")
    parser.add_argument("image1", type=Path, help="second photograph")
    add_method_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="file of correspondences, such as corres.npz")
    parser.add_argument("--view", type=Path, help="picture of both photographs with their matches, such as matches.png")
    parser.add_argument("--max-lines", type=int, default=250, help="lines in the picture; all matches get dots")


def run(args: argparse.Namespace) -> None:
    from trigpoint.export.pump_npz import is_dense, write_corres
    from trigpoint.methods.two_images import load_two
    from trigpoint.report.drawing import check_picture_name, save_picture
    from trigpoint.report.match_picture import draw_matches

    if args.view is not None:
        check_picture_name(args.view)
    image0, image1 = load_two(args.image0, args.image1)
    settings = method_settings(args)
    log_estimate(args.method, settings, image0.size, image1.size)
    matcher = create_two_image_matcher(args, settings)
    start = time.perf_counter()
    rows = matcher.match_rows(image0, image1)
    seconds = time.perf_counter() - start
    what = "dense correspondences" if is_dense(rows) else "matches"
    _logger.log(logging.INFO if len(rows) else logging.WARNING, "%d %s in %.1f s", len(rows), what, seconds)
    write_corres(args.output, rows)
    if args.view is not None:
        save_picture(draw_matches(image0, image1, rows, matcher.name, args.max_lines), args.view)
