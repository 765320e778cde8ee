"""`trigpoint doctor`: what this machine has, and what is missing for which feature.

Ends with 0 if the main job can run, otherwise with 2.
"""

import argparse
import sys
from pathlib import Path

from trigpoint.doctor import as_text, can_run, examine
from trigpoint.errors import TrigpointError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `trigpoint doctor`."""
    parser.add_argument(
        "--folder", type=Path, default=Path(), help="where the workflow would run: its disk is measured"
    )


def run(args: argparse.Namespace) -> None:
    """Look, and say what was found."""
    if not args.folder.is_dir():
        raise TrigpointError(f"{args.folder}: no such folder")
    findings = examine(args.folder)
    sys.stdout.write(as_text(findings))
    if not can_run(findings):
        lacking = ", ".join(finding.subject for finding in findings if finding.state == "missing")
        raise TrigpointError(f"missing for the main job: {lacking}; the cures stand above")
