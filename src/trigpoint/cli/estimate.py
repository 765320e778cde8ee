"""`trigpoint estimate`: what matching a pair takes, or a whole dataset, before anything is computed.

`match` with the sizes of two photographs: what that pair takes; without: the largest `resize` for each memory and
aspect ratio. Memory is that of the matching beside the program itself; time is reckoned with this machine's matrix
products. `dataset`: pairs, shards, memory and disk of its runs.
"""

import argparse
import re
import sys
from typing import TYPE_CHECKING

from trigpoint.cli.dataset_plan import add_dataset_arguments, run_dataset
from trigpoint.cli.method_options import add_settings_arguments, method_settings
from trigpoint.errors import SettingsError
from trigpoint.storage.text_table import text_table

if TYPE_CHECKING:
    from trigpoint.methods.pump_settings import PumpSettings

Size = tuple[int, int]
BYTES = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
MEMORIES = ("4GB", "8GB", "16GB", "22GB", "32GB")
ASPECTS = ("4:3", "3:2", "1:1")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be estimated."""
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT", help="whose cost is asked for")
    pair = what.add_parser("match", help="a pair of photographs by PUMP, or the largest size that fits")
    pair.add_argument(
        "sizes", type=image_size, nargs="*", metavar="WIDTHxHEIGHT", help="of the photographs, before any option"
    )
    add_settings_arguments(pair)
    pair.add_argument("--memory", type=memory, nargs="+", help="such as 16GB; of a pair, what there is")
    pair.add_argument("--aspect", type=aspect, nargs="+", help="width to height of the photographs, such as 4:3")
    pair.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where it would run")
    add_dataset_arguments(what.add_parser("dataset", help="the runs of a dataset: pairs, shards, memory, disk"))


def run(args: argparse.Namespace) -> None:
    """Print the tables."""
    if args.what == "dataset":
        run_dataset(args)
        return
    from trigpoint.kernels.devices import choose_device
    from trigpoint.methods.base import make_settings
    from trigpoint.methods.pump import Pump

    if args.method != Pump.name:
        raise SettingsError(f"estimate: only {Pump.name}'s cost is known beforehand, not {args.method}'s")
    if len(args.sizes) > 2 or (args.sizes and (args.aspect or len(args.memory or []) > 1)):
        raise SettingsError("estimate: give one or two sizes with one --memory at most, or --memory and --aspect alone")
    settings = make_settings(Pump.Settings, method_settings(args), args.method)
    device = choose_device(args.device)
    if args.sizes:
        rows = _pair(settings, args.sizes[0], args.sizes[-1], args.memory[0] if args.memory else None, device)
    else:
        memories = args.memory or [memory(text) for text in MEMORIES]
        rows = _largest(settings, memories, args.aspect or [aspect(text) for text in ASPECTS], device)
    sys.stdout.write(text_table(rows))


def image_size(text: str) -> tuple[int, int]:
    """`1600x1200` as (1600, 1200)."""
    found = re.fullmatch(r"([1-9]\d*)[x×]([1-9]\d*)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, got '{text}'")
    return int(found[1]), int(found[2])


def memory(text: str) -> int:
    """`16GB` as bytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)B?", text, re.IGNORECASE)
    if not found:
        raise argparse.ArgumentTypeError(f"expected a memory such as 16GB, got '{text}'")
    return int(float(found[1]) * BYTES[found[2].upper()])


def aspect(text: str) -> tuple[str, float]:
    """`4:3` as ("4:3", 1.33...)."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", text)
    if not found or not float(found[1]) or not float(found[2]):
        raise argparse.ArgumentTypeError(f"expected an aspect ratio such as 4:3, got '{text}'")
    return text, float(found[1]) / float(found[2])


def _pair(settings: "PumpSettings", size0: Size, size1: Size, limit: int | None, device: str) -> list[list[str]]:
    """The table of one pair."""
    from trigpoint.methods.pump_estimate import estimate, memory_limit

    available = memory_limit(settings, device) if limit is None else limit
    cost = estimate(settings, size0, size1, memory_bytes=available, device=device)
    return [
        ["image 0", "image 1", "views matched", "positions", "memory", "available", "time"],
        [
            *("x".join(map(str, size)) for size in (size0, size1)),
            str(cost.num_views),
            cost.positions,
            f"{cost.bytes / 1e9:.2f} GB",
            f"{available / 1e9:.2f} GB{'' if cost.bytes <= available else ' (too little)'}",
            f"{cost.seconds:.1f} s",
        ],
    ]


def _largest(
    settings: "PumpSettings", memories: list[int], aspects: list[tuple[str, float]], device: str
) -> list[list[str]]:
    """The table of the largest sizes."""
    from trigpoint.methods.pump_estimate import largest_resize

    rows = [["memory", *(f"largest resize, {name}" for name, _ in aspects)]]
    for limit in memories:
        sizes = [largest_resize(limit, ratio, settings, device=device) for _, ratio in aspects]
        rows.append([f"{limit / 1e9:g} GB", *(str(size) if size else "none" for size in sizes)])
    return rows
