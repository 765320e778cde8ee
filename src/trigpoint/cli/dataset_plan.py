"""`trigpoint estimate dataset`: pairs, shards, memory and disk of a dataset's runs, before anything is fetched."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from trigpoint import config as settings
from trigpoint import planning
from trigpoint.errors import SettingsError
from trigpoint.storage.text_table import text_table

HEAD = ("stage", "jobs", "memory of a job, MB", "asked of the scheduler, MB")


def add_dataset_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `trigpoint estimate dataset`."""
    parser.add_argument("dataset", help="id: configured, or a folder data/<id>/images/; or a collection")
    parser.add_argument(
        "--run", dest="runs", nargs="+", help="runs of feature methods; default: those the configuration selects"
    )
    parser.add_argument(
        "--configfile", type=Path, nargs="+", default=[], help="over config.yaml, as Snakemake takes it"
    )
    parser.add_argument("--profile", type=Path, default=Path("profiles/default"), help="whose resources cut the shards")
    parser.add_argument("--threads", type=int, default=8, help="of a job; the rules ask for 8")


def run_dataset(args: argparse.Namespace) -> None:
    """Print a table for each run; for a collection a line for each run of each of its datasets."""
    config = _read_config([Path("config.yaml"), *args.configfile])
    sharding = _sharding(args.profile)
    members = config["collections"].get(args.dataset)
    for dataset in members or [args.dataset]:
        settings.check_dataset(config, dataset)
        scene = planning.scene_size(config, dataset)
        for run in args.runs or settings.runs_of(config, dataset):
            _refuse_pair_method(config, run)
            load = planning.plan_run(config, dataset, run, scene, sharding)
            sys.stdout.write(planning.summary_line(dataset, run, load, args.threads) + "\n")
            if not members:
                _write_tables(load, args.threads)


def _refuse_pair_method(config: Mapping[str, Any], run: str) -> None:
    if run in settings.runs_of_kind(config, "pair"):
        raise SettingsError(
            f"estimate: '{run}' matches image pairs; `trigpoint estimate match WIDTHxHEIGHT WIDTHxHEIGHT` says what one"
            " of them takes"
        )


def _write_tables(load: planning.Load, threads: int) -> None:
    files = [("file", "at most, MB"), *((name, f"{size:,}") for name, size in planning.disk_mb(load).items())]
    for rows in ([HEAD, *_stage_rows(load, threads)], files):
        sys.stdout.write("\n" + text_table(rows))
    sys.stdout.write("\n")


def _stage_rows(load: planning.Load, threads: int) -> list[tuple[str, ...]]:
    return [
        (
            rule,
            str(jobs),
            f"{planning.memory_mb(rule, load, threads):,}",
            f"{planning.requested_mb(rule, load, threads):,}",
        )
        for rule, jobs in planning.stage_jobs(load).items()
    ]


def _read_config(paths: list[Path]) -> dict[str, Any]:
    """The files merged, later over earlier, as Snakemake does it: mappings key by key, everything else whole."""
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise SettingsError(f"{path}: cannot be read: {error}; run this where config.yaml is") from error
        if not isinstance(values, dict):
            raise SettingsError(f"{path}: expected keys and values, as in config.yaml")
        _update(merged, values)
    return merged


def _update(base: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            _update(base[key], value)
        else:
            base[key] = value


def _sharding(profile: Path) -> dict[str, int]:
    """What a profile says of shards, in `resources`."""
    path = profile / "config.yaml"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}; --profile names a folder with a config.yaml") from error
    given = dict(item.split("=", 1) for item in values.get("resources", []))
    return {name: int(given[name]) for name in planning.SHARDING if name in given}
