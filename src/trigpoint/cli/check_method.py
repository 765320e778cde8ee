"""`trigpoint check-method`: run a method against the promises of its interface, a plug-in's too."""

import argparse
import sys

from trigpoint.cli.options import json_object
from trigpoint.errors import ContractError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument("method", help="name of a method; `trigpoint methods` lists them")
    parser.add_argument("--settings", type=json_object, default={}, help="JSON object with settings of the method")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where networks run")


def run(args: argparse.Namespace) -> None:
    """Check one promise after the other, say which hold.

    Raises:
        ContractError: at least one does not.
    """
    from trigpoint.methods.base import create_method, method_entry
    from trigpoint.methods.conformance import FEATURE_CHECKS, PAIR_CHECKS, check_name

    kind = method_entry(args.method).kind
    method = create_method(args.method, args.settings, device=args.device)
    check_name(method, args.method, kind)
    broken = []
    for check in FEATURE_CHECKS if kind == "feature" else PAIR_CHECKS:
        subject = check.__name__.replace("_", " ")
        try:
            check(method)
        except ContractError as error:
            broken.append(subject)
            sys.stdout.write(f"broken  {subject}: {error}\n")
        else:
            sys.stdout.write(f"holds   {subject}\n")
    if broken:
        raise ContractError(f"{args.method} breaks {len(broken)} promises: {', '.join(broken)}")
