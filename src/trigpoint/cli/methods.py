"""`trigpoint methods`: every method, also of other packages, with interface, speed, licence and weights."""

import argparse
import json
import sys
from dataclasses import asdict

from trigpoint.methods.base import SPEEDS
from trigpoint.methods.listing import method_rows
from trigpoint.storage.text_table import text_table

COLUMNS = ("method", "interface", "speed", "licence", "weights")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument("--json", action="store_true", help="a JSON list instead of a table")


def run(args: argparse.Namespace) -> None:
    """Print the table."""
    found = method_rows()
    if args.json:
        sys.stdout.write(json.dumps([asdict(row) for row in found], indent=1) + "\n")
        return
    rows = [COLUMNS, *((row.name, row.interface, row.speed, row.licence, row.weights) for row in found)]
    sys.stdout.write(text_table(rows))
    speeds = ", ".join(f"{name} {meaning}" for name, meaning in SPEEDS.items())
    sys.stdout.write(
        "\ninterface: feature, describes one image; pair, looks at both\n"
        f"speed: an image or a pair of about a megapixel on two cores without a GPU: {speeds}\n"
    )
