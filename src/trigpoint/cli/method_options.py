"""Options of the commands that run a method on two photographs: which method, its settings, its weights."""

import argparse
import json
import logging
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trigpoint.cli.options import json_object
from trigpoint.errors import SettingsError
from trigpoint.methods.base import METHODS, make_settings, method_class, method_entry

if TYPE_CHECKING:
    from trigpoint.methods.two_images import TwoImageMatcher

# What methods call the size that photographs are reduced to; `--resize` sets the one a method has.
SIZE_SETTINGS = ("resize_px", "resize", "max_image_size", "imsize")
_logger = logging.getLogger(__name__)


def add_settings_arguments(parser: argparse.ArgumentParser) -> None:
    """Which method, with which settings."""
    parser.add_argument("--method", default="pump", help=f"one of {', '.join(METHODS)}, or a plug-in's")
    parser.add_argument("--settings", type=json_object, default={}, help="JSON object with settings of the method")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=key_value,
        metavar="KEY=VALUE",
        help="one setting of the method, as max_scale=2 or post_filter.densify=full; over --settings",
    )
    parser.add_argument(
        "--resize",
        type=int,
        nargs="+",
        metavar="PX",
        help="longer side; PUMP's recursive mode takes a finer second",
    )


def add_method_arguments(parser: argparse.ArgumentParser) -> None:
    """Which method, with which settings and weights, where it computes."""
    add_settings_arguments(parser)
    parser.add_argument("--weights", type=Path, help="checkpoint file, instead of the one that the settings name")
    parser.add_argument("--matcher", default="mutual_nn", help="for methods that describe one image at a time")
    parser.add_argument("--matcher-settings", type=json_object, default={}, help="JSON object, of the matcher")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where networks run")
    parser.add_argument("--num-threads", type=int, default=0, help="threads; 0: one for each core this process may use")


def key_value(text: str) -> tuple[list[str], Any]:
    """`a.b=value` as (["a", "b"], value); the value is JSON where it can be read so, else text."""
    key, equals, value = text.partition("=")
    if not equals or not all(key.split(".")):
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, got '{text}'")
    try:
        return key.split("."), json.loads(value)
    except json.JSONDecodeError:
        return key.split("."), value


def method_settings(args: argparse.Namespace, base: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The method's settings: `base`, over it --settings, over those the single options.

    Raises:
        SettingsError: unknown method, a key below one that is no object, or an option the method has no setting for.
    """
    values: dict[str, Any] = {**(base or {}), **args.settings}
    for keys, value in args.set:
        _assign(values, keys, value)
    entry = method_entry(args.method)
    known = [item.name for item in fields(method_class(args.method).Settings)]
    if getattr(args, "weights", None) is not None:
        if entry.weights_setting not in known:
            raise SettingsError(f"--weights: {args.method} has no network")
        values[entry.weights_setting] = str(args.weights)
    if args.resize is not None:
        key = next((name for name in SIZE_SETTINGS if name in known), None)
        if key is None or (len(args.resize) > 1 and key != "resize"):
            raise SettingsError(f"--resize {' '.join(map(str, args.resize))}: {args.method} has no such setting")
        values[key] = args.resize[0] if len(args.resize) == 1 else args.resize
    return values


def _assign(values: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = values.get(key)
        if inner is not None and not isinstance(inner, dict):
            raise SettingsError(f"--set {'.'.join(keys)}: {key} is {inner!r}, no object with keys")
        values[key] = dict(inner or {})
        values = values[key]
    values[keys[-1]] = value


def log_estimate(method: str, settings: dict[str, Any], size0: tuple[int, int], size1: tuple[int, int]) -> None:
    """Say how long a pair will take and with how much memory, for methods that know it, before anything is computed.

    Args:
        method: its name.
        settings: of the method.
        size0: (width, height) of the first photograph.
        size1: of the second.
    """
    chosen = method_class(method)
    if not hasattr(chosen, "estimate"):
        return
    cost = chosen.estimate(make_settings(chosen.Settings, settings, method), size0, size1)
    _logger.info("%s: about %.1f s and %.2f GB for this pair", method, cost.seconds, cost.bytes / 1e9)


def create_two_image_matcher(args: argparse.Namespace, settings: dict[str, Any]) -> "TwoImageMatcher":
    """The method that the options choose, ready.

    Raises:
        SettingsError: unknown names, keys or impossible values.
        WeightsError: a checkpoint is missing or damaged.
    """
    import torch

    from trigpoint.kernels.devices import choose_device
    from trigpoint.methods.two_images import TwoImageMatcher, usable_cores

    if args.num_threads < 0:
        raise SettingsError(f"--num-threads must not be negative, got {args.num_threads}")
    threads = args.num_threads or usable_cores()
    torch.set_num_threads(threads)
    device = choose_device(args.device)
    made = TwoImageMatcher(
        args.method, settings, args.matcher, args.matcher_settings, device=device, num_threads=threads
    )
    _logger.info("%s on %s, %d threads, %s", made.name, device, threads, made.method.settings)
    return made
