"""`trigpoint view-h5`: show the keypoints or matches of HDF5 files over their photographs.

Reads DISK's files (keypoints.h5, matches.h5) and a run's (features.h5, matches.h5). Without --save each picture comes
up in a window, and a key goes on to the next.
"""

import argparse
import logging
from pathlib import Path

_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand; the first five are DISK's."""
    parser.add_argument("h5_path", type=Path, help="folder with keypoints.h5 or features.h5, and matches.h5")
    parser.add_argument("image_path", type=Path, help="folder with the photographs")
    parser.add_argument("mode", choices=("keypoints", "matches"), help="what to show")
    parser.add_argument(
        "--image-extension", default="jpg", help="of the photographs; for DISK's files, which name stems"
    )
    parser.add_argument("--save", type=Path, metavar="DIR", help="write 1.png, 2.png, ... there, open no window")
    parser.add_argument(
        "--format", choices=("png", "html"), default="png", help="with --save: pictures, or pages to browse"
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="only these images, or pairs with one of them"
    )


def run(args: argparse.Namespace) -> None:
    """Show or write, one after the other."""
    from trigpoint.errors import SettingsError
    from trigpoint.report import h5_views
    from trigpoint.report.corres_page import write_corres_page
    from trigpoint.report.drawing import save_picture

    if args.save is None and args.format == "html":
        raise SettingsError("--format html writes pages; say where with --save DIR")
    found = h5_views.views(args.h5_path, args.image_path, args.mode, args.image_extension, args.only)
    number = 0
    for number, view in enumerate(found, start=1):
        output = None if args.save is None else args.save / f"{number}.{args.format}"
        if output is None:
            h5_views.show_window(h5_views.draw_view(view), f"trigpoint view-h5: {args.mode}")
        elif args.format == "png":
            save_picture(h5_views.draw_view(view), output)
        elif isinstance(view, h5_views.KeypointView):
            h5_views.write_keypoint_page(output, view)
        else:
            write_corres_page(output, view.image0, view.image1, view.rows, "Matches")
    if args.save is not None:
        _logger.info("%d files written to %s", number, args.save)
