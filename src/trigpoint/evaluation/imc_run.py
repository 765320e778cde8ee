"""Image Matching Challenge: all numbers of one run, from its matches and the maps of its bags."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.datasets.imc import scene_of
from trigpoint.errors import StorageError
from trigpoint.evaluation.imc_multiview import multiview_metrics
from trigpoint.evaluation.imc_settings import ImcSettings
from trigpoint.evaluation.imc_stereo import stereo_metrics
from trigpoint.evaluation.pair_benchmarks import PairEvaluation
from trigpoint.evaluation.run_matches import Pair, RunMatches
from trigpoint.storage.json_files import read_json
from trigpoint.types import Dataset, Pose

HEADLINE = "maa_10_percent"
MEAN_OF = ("maa_5_percent", HEADLINE)


def evaluate_imc(dataset: Dataset, settings: ImcSettings, matches: RunMatches, bags: Sequence[Path]) -> PairEvaluation:
    """Stereo and multiview mAA of a run: by scene, their means over scenes, and the mean of both tasks.

    Args:
        dataset: of the layout imc.
        settings: of the stereo task.
        matches: open for reading.
        bags: all files of `trigpoint map-bags`.

    Raises:
        DataError: a scene's lists are missing or damaged.
        StorageError: a file of bags is missing or damaged, or they are not of the same settings.
    """
    found = evaluate_stereo(dataset, settings, [], matches)
    scenes = sorted(found.metrics["stereo"]["scenes"])
    head, maps = read_bag_maps(bags)
    multiview = head | multiview_metrics(maps, dataset.poses, scenes)
    multiview["mean"] = {key: _mean(multiview["scenes"], key) for key in MEAN_OF}
    both = [found.metrics["stereo"]["mean"][HEADLINE], multiview["mean"][HEADLINE]]
    total = {"multiview": multiview, "mean": {HEADLINE: float(np.mean(both))}}
    return PairEvaluation({**found.metrics, **total}, found.rows)


def evaluate_stereo(
    dataset: Dataset, settings: ImcSettings, pairs: Sequence[Pair], matches: RunMatches
) -> PairEvaluation:
    """The stereo task alone; which pairs count is the benchmark's own list, whatever was matched."""
    scenes = sorted({scene_of(image.name) for image in dataset.images})
    stereo, rows = stereo_metrics(dataset, scenes, settings, matches)
    stereo["mean"] = {key: _mean(stereo["scenes"], key) for key in MEAN_OF}
    return PairEvaluation({"scenes": len(scenes), "stereo": stereo}, [_table_row(row) for row in rows])


def read_bag_maps(paths: Sequence[Path]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the bags were mapped with, {"intrinsics", "mapping"}, and the maps of all of them, sorted by name.

    Raises:
        StorageError: no file, a damaged one, or two with different settings.
    """
    found = [read_json(path, "bags") for path in paths]
    if not found:
        raise StorageError("evaluate-imc: no files of `trigpoint map-bags` are given")
    for path, value in zip(paths, found, strict=True):
        if value["mapping"] != found[0]["mapping"] or value["intrinsics"] != found[0]["intrinsics"]:
            raise StorageError(f"{path}: other settings than {paths[0]}; map the bags again")
    bags = sorted((bag for value in found for bag in value["bags"]), key=lambda bag: str(bag["bag"]))
    for bag in bags:
        bag["poses"] = {
            name: Pose(np.array(pose["rotation"]), np.array(pose["translation"])) for name, pose in bag["poses"].items()
        }
    return {key: found[0][key] for key in ("intrinsics", "mapping")}, bags


def _mean(scenes: Mapping[str, Mapping[str, Any]], key: str) -> float:
    """Unweighted, over scenes that have the number."""
    return float(np.mean([values[key] for values in scenes.values() if key in values]))


def _table_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """What of a pair goes into the table: its numbers, and the errors of the first repetition in degrees."""
    rotation, translation = np.degrees(row["errors_rad"][0])
    numbers = {key: value for key, value in row.items() if not isinstance(value, list)}
    return {**numbers, "rotation_deg": float(rotation), "translation_deg": float(translation)}
