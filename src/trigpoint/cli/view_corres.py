"""`trigpoint view-corres`: show the correspondences of two photographs, as a picture and as a page to browse.

On the page, moving over one photograph marks the nearest match in both and says its coordinates, score, scale and
rotation. The page is one file and needs no network.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image0", type=Path, help="first photograph")
    parser.add_argument("image1", type=Path, help="second photograph")
    parser.add_argument("--corres", type=Path, required=True, help="file of correspondences, of `trigpoint match`")
    parser.add_argument(
        "--output", type=Path, required=True, help="NAME.html for the page, NAME.png for the picture; NAME for both"
    )
    parser.add_argument("--title", default="Correspondences", help="what made them, for the head")
    parser.add_argument(
        "--fundamental", type=Path, help="text file, 3 x 3, x1^T F x0 = 0 in pixels: the page draws epipolar lines"
    )


def run(args: argparse.Namespace) -> None:
    from trigpoint.export.pump_npz import read_corres
    from trigpoint.methods.two_images import load_two
    from trigpoint.report.corres_page import read_fundamental, write_corres_page
    from trigpoint.report.drawing import FORMATS, save_picture
    from trigpoint.report.match_picture import draw_corres

    named = args.output.suffix.lower() in (*FORMATS, ".html")
    outputs = [args.output] if named else [args.output.with_name(args.output.name + end) for end in (".html", ".png")]
    rows = read_corres(args.corres)
    F = None if args.fundamental is None else read_fundamental(args.fundamental)
    image0, image1 = load_two(args.image0, args.image1)
    for output in outputs:
        if output.suffix.lower() == ".html":
            write_corres_page(output, image0, image1, rows, args.title, F)
        else:
            save_picture(draw_corres(image0, image1, rows, args.title), output)
