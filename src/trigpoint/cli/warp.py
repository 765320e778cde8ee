"""`trigpoint warp`: build the first photograph's view from the second one's pixels, by dense correspondences.

Every pixel of the first photograph takes the nearest pixel of the second at its correspondence. Where that lies outside
the second, the view is left white, or with --clamp takes the border's pixel. By default PUMP matches coarse to fine and
its matches are densified. Matches of other methods, or those of a file, are densified after those without neighbours
that agree are left out.
"""

import argparse
import logging
import time
from pathlib import Path

from trigpoint.cli.method_options import add_method_arguments, create_two_image_matcher, log_estimate, method_settings
from trigpoint.errors import EmptyResultError

# Of PUMP, unless the options say otherwise.
PUMP_SETTINGS = {"recursive": True, "post_filter": {"densify": "full"}}
_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image0", type=Path, help="photograph whose view is built")
    parser.add_argument("image1", type=Path, help="photograph that gives the pixels")
    add_method_arguments(parser)
    parser.add_argument("--corres", type=Path, help="correspondences of `trigpoint match`, instead of matching")
    parser.add_argument(
        "--locality",
        type=float,
        default=10.0,
        help="matches that are not dense: neighbours are 4 times as many px apart",
    )
    parser.add_argument(
        "--min-cc-size", type=int, default=10, help="and groups of neighbours that agree must exceed this; 0 keeps all"
    )
    parser.add_argument("--clamp", action="store_true", help="places outside take the border's pixel, as the original")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="folder for warp.png (both and the view), warped.png (the view), corres.npz; or NAME.png for the first",
    )


def run(args: argparse.Namespace) -> None:
    import numpy as np
    import PIL.Image

    from trigpoint.export.pump_npz import is_dense, read_corres, write_corres
    from trigpoint.matching.pump.post_filter import post_filter
    from trigpoint.methods.dense_rows import dense_field
    from trigpoint.methods.two_images import load_two
    from trigpoint.report.drawing import FORMATS, save_picture
    from trigpoint.report.match_picture import build_view, draw_warp

    image0, image1 = load_two(args.image0, args.image1)
    if args.corres is not None:
        rows, name = read_corres(args.corres), args.corres.name
    else:
        settings = method_settings(args, PUMP_SETTINGS if args.method == "pump" else None)
        log_estimate(args.method, settings, image0.size, image1.size)
        matcher = create_two_image_matcher(args, settings)
        start = time.perf_counter()
        rows, name = matcher.match_rows(image0, image1), matcher.name
        _logger.info("%d correspondences in %.1f s", len(rows), time.perf_counter() - start)
    if not is_dense(rows) and args.min_cc_size > 0:
        filtered = post_filter(rows, locality=args.locality, min_cc_size=args.min_cc_size).rows
        _logger.info("%d of %d matches have neighbours that agree", len(filtered), len(rows))
        rows = filtered
    targets = dense_field(rows, image0.size, image1.size, "left")
    if np.isnan(targets).all():
        raise EmptyResultError(
            f"{name}: {len(rows)} matches are too few for a view, it takes 4 that are not on a line;"
            " --min-cc-size 0 uses those without agreeing neighbours too"
        )
    view, share = build_view(image1, targets, clamp=args.clamp)
    _logger.info("%.1f %% of the view lies in the second photograph", 100 * share)
    figure = draw_warp(image0, image1, view, name)
    if args.output.suffix.lower() in FORMATS:
        save_picture(figure, args.output)
        return
    write_corres(args.output / "corres.npz", rows)
    save_picture(PIL.Image.fromarray(view), args.output / "warped.png")
    save_picture(figure, args.output / "warp.png")
