"""`trigpoint render-scene`: render a synthetic old town by day and night, with exact poses, in the layout of Aachen."""

import argparse
from pathlib import Path

from trigpoint.rendering.tree import SceneSettings, render_scene

DEFAULTS = SceneSettings()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `trigpoint render-scene`."""
    parser.add_argument("--seed", type=int, required=True, help="another number, another town")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--map-images", type=int, default=DEFAULTS.map_images, help="by day, along the streets")
    parser.add_argument(
        "--day-queries", type=int, default=DEFAULTS.day_queries, help="beside that path, under another sun"
    )
    parser.add_argument(
        "--night-queries", type=int, default=DEFAULTS.night_queries, help="under street lamps, noisy and blurred"
    )
    parser.add_argument("--width", type=int, default=DEFAULTS.width, help="pixels")
    parser.add_argument("--height", type=int, default=DEFAULTS.height, help="pixels")
    parser.add_argument("--spp", type=int, default=DEFAULTS.spp, help="rays a pixel: 1, 4, 9, 16, ...")
    parser.add_argument("--quality", type=int, default=DEFAULTS.quality, help="of the JPEG files, 1 to 95")
    parser.add_argument("--depth", action="store_true", help="also write depth/<name>.npz, metres along z, 0 for sky")
    parser.add_argument("--num-threads", type=int, default=2, help="of the ray tracer")


def run(args: argparse.Namespace) -> None:
    """Render the scene."""
    settings = SceneSettings(
        seed=args.seed,
        map_images=args.map_images,
        day_queries=args.day_queries,
        night_queries=args.night_queries,
        width=args.width,
        height=args.height,
        spp=args.spp,
        quality=args.quality,
    )
    render_scene(args.output, settings, args.depth, args.num_threads)
