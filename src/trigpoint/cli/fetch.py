"""`trigpoint fetch`: download a dataset, check it and unpack it.

Nothing is downloaded if the tree is there. An archive put into the downloads folder by hand is taken.
"""

import argparse
from pathlib import Path

from trigpoint.datasets.fetching import fetch_dataset
from trigpoint.storage.download import Patience
from trigpoint.storage.json_files import write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `trigpoint fetch`."""
    parser.add_argument("--dataset", required=True, help="id of the catalogue, such as eth_lfb_fountain")
    parser.add_argument("--root", type=Path, required=True, help="the dataset's folder; nothing there is overwritten")
    parser.add_argument("--downloads", type=Path, required=True, help="folder for archives as fetched")
    parser.add_argument(
        "--mirror", action="append", default=[], help="address or folder tried first, as MIRROR/<archive's name>"
    )
    parser.add_argument("--timeout-s", type=float, default=20.0, help="for a connection and for its next bytes")
    parser.add_argument("--tries", type=int, default=4, help="of one address that is busy or breaks off")
    parser.add_argument(
        "--output", type=Path, required=True, help="fetched.json: what, from where, under which licence"
    )


def run(args: argparse.Namespace) -> None:
    """Complete the tree and write fetched.json."""
    patience = Patience(timeout_s=args.timeout_s, tries=args.tries)
    record = fetch_dataset(args.dataset, args.root, args.downloads, args.mirror, patience)
    write_json(args.output, record, kind="fetched")
