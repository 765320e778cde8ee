"""`trigpoint data`: the datasets that can be fetched: list them, fetch one, check one, say where one lies."""

import argparse
import sys
from pathlib import Path

from trigpoint.datasets.catalogue import Archive, Entry, ExtraFile, catalogue_entry, dataset_ids
from trigpoint.datasets.fetching import check_dataset, fetch_dataset, missing_parts
from trigpoint.errors import DataError
from trigpoint.storage.download import Patience
from trigpoint.storage.text_table import text_table

DATA = Path("data")
COLUMNS = ("id", "there", "archives", "layout", "title")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Actions of `trigpoint data`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", help="what to do")
    listing = actions.add_parser("list", help="all datasets of the catalogue, and which are there")
    listing.add_argument("--long", action="store_true", help="also licence, citation, addresses, checksums")
    listing.set_defaults(dataset="", root=None)
    for name, text in (
        ("fetch", "download what is missing, check it and unpack it"),
        ("check", "whether the tree is complete and its archives are those of the first fetch"),
        ("path", "the folder of a complete tree"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("dataset", help="id of the catalogue; `trigpoint data list` shows them")
        action.add_argument("--root", type=Path, help="the dataset's folder; default: data/<id>")
        action.add_argument("--downloads", type=Path, default=DATA / "downloads", help="folder for archives as fetched")
        if name == "fetch":
            action.add_argument(
                "--mirror", action="append", default=[], help="address or folder tried first, as MIRROR/<archive>"
            )
            action.add_argument("--timeout-s", type=float, default=20.0, help="for a connection and its next bytes")
            action.add_argument("--tries", type=int, default=4, help="of one address that is busy or breaks off")


def run(args: argparse.Namespace) -> None:
    """Do one action; what it answers goes to standard output."""
    if args.action == "list":
        long = [line for name in dataset_ids() for line in _describe(name)] if args.long else []
        sys.stdout.write("\n".join(long) + "\n" if args.long else _table())
        return
    entry = catalogue_entry(args.dataset)
    root = args.root or DATA / entry.id
    if args.action == "fetch":
        patience = Patience(timeout_s=args.timeout_s, tries=args.tries)
        fetch_dataset(entry.id, root, args.downloads, args.mirror, patience)
    problems = check_dataset(entry, root, args.downloads) if args.action == "check" else missing_parts(entry, root)
    if problems:
        raise DataError(f"{root}: {'; '.join(problems)}; `trigpoint data fetch {entry.id}` gets what is missing")
    sys.stdout.write(f"{root.resolve()}\n" if args.action == "path" else f"{root}: complete\n")


def _table() -> str:
    return text_table([COLUMNS, *(_row(catalogue_entry(name)) for name in dataset_ids())])


def _row(entry: Entry) -> tuple[str, ...]:
    missing = missing_parts(entry, DATA / entry.id)
    there = "yes" if not missing else "no" if len(missing) == len(entry.expects) else "partly"
    return entry.id, there if entry.archives else "shipped", str(len(entry.archives)), entry.layout, entry.title


def _describe(name: str) -> list[str]:
    entry = catalogue_entry(name)
    lines = [f"{entry.id}: {entry.title}", f"  licence: {entry.licence}"]
    lines += [f"  {key}: {value}" for key, value in (("cite", entry.citation), ("by hand", entry.by_hand)) if value]
    items: list[tuple[str, Archive | ExtraFile]] = [(archive.file, archive) for archive in entry.archives]
    items += [(extra.path, extra) for extra in entry.files]
    for label, item in items:
        size = f"{item.size:,} bytes" if item.size else "size not published"
        lines.append(f"  {label}: {size}, sha256 {item.sha256 or 'not published, recorded at the first fetch'}")
        lines += [f"    {url}" for url in item.urls]
    return lines
