"""What a dataset takes before anything is fetched: image pairs, shards, memory and disk of each stage.

Counts are upper bounds: every image has all its keypoints, every listed pair is matched. The workflow asks for the same
memory for its jobs (`mem_mb`), so the table of `trigpoint estimate dataset` is what a scheduler is told. Shares of
keypoints were read off the tables of the ETH local feature benchmark and of its runs here, bytes are those of the
arrays and of COLMAP's structures; a test holds the memory to what jobs really took.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trigpoint import config as settings
from trigpoint.datasets.scene_size import SceneSize, count_images
from trigpoint.errors import SettingsError
from trigpoint.storage.pairs import read_pairs
from trigpoint.storage.shards import shard_count

# How stages are cut, unless the profile's resources say otherwise: one shard on one machine.
SHARDING = {
    "max_shards": 1,
    "images_per_shard": 64,
    "pairs_per_shard": 2000,
    "image_pairs_per_shard": 100,
    "bags_per_shard": 25,
}
LEAST_MEMORY_MB = 6000  # of a job's first attempt
MAP_LAYOUTS = ("photos", "aachen", "eth_lfb")
MB = 1e6
ALL_KEYPOINTS = 20_000  # of a method without a limit
ORIGINAL_SIDE_PX = 4000  # of a method that does not reduce photographs
ASPECT = 0.75  # height by width
DESCRIPTOR_DIM = 128
IMAGES_IN_MEMORY = 64  # features that match-pairs keeps
INDEXED_IMAGES = 64  # that a thread of COLMAP's matcher keeps an index of
LARGE_SCENE = 200  # images; beyond, most of a collection's photographs do not see each other
PAIR_BYTES = 450  # of a pair's names and counts in Python
GROUP_BYTES = 720  # of a pair in matches.h5, beside its matches


@dataclass(frozen=True)
class MethodCost:
    """What is known of a method beforehand.

    Attributes:
        keypoints, keypoints_setting: default limit an image, and its setting.
        rows: keypoints for each one of the limit; SIFT has several orientations.
        side_px, side_setting: longer side of the image it works on.
        base_mb, bytes_per_px: of a process.
        processes: as many as threads, with an image each.
    """

    keypoints: int
    side_px: int
    side_setting: str = "resize_px"
    keypoints_setting: str = "max_keypoints"
    rows: float = 1.0
    base_mb: int = 650
    bytes_per_px: int = 1200
    processes: bool = False


METHOD_COSTS = {
    "sift": MethodCost(8192, 1600, "max_image_size", rows=1.6, base_mb=150, bytes_per_px=330, processes=True),
    "disk": MethodCost(2048, 1024, base_mb=450, bytes_per_px=900),
    "posfeat": MethodCost(20480, 1600),
    "posfeat_sift": MethodCost(20480, 1600),
}
UNKNOWN_METHOD = MethodCost(8192, 1600)


@dataclass(frozen=True)
class Load:
    """The work of a run on a scene, at most; keypoints and descriptor bytes are of an image and of a keypoint."""

    scene: SceneSize
    method: str
    matcher: str
    keypoints: int
    descriptor_bytes: int
    side_px: int
    pair_kind: str
    map_pairs: int
    query_pairs: int
    image_shards: int
    pair_shards: int

    @property
    def images(self) -> int:
        return self.scene.map_images + self.scene.queries

    @property
    def pairs(self) -> int:
        return self.map_pairs + self.query_pairs

    @property
    def map_keypoints(self) -> int:
        return self.scene.map_images * self.keypoints

    @property
    def verified(self) -> int:
        """Matches that pass verification: SIFT has up to 1.6 a keypoint over all pairs of a scene, DISK 1.9."""
        return min(self.map_pairs * self.keypoints // 2, 2 * self.map_keypoints)

    @property
    def raw(self) -> int:
        """Matches before verification: without a ratio test three in ten keypoints of images of nothing in common."""
        by_chance = 0.3 if self.matcher == "mutual_nn" else 0.01
        return int(1.1 * self.verified + by_chance * self.pairs * self.keypoints)

    @property
    def observations(self) -> int:
        """Keypoints that see a point: half of them in small scenes, up to a quarter in large collections."""
        return int(self.map_keypoints * (0.7 if self.scene.map_images <= LARGE_SCENE else 0.3))


def scene_size(config: Mapping[str, Any], dataset: str, work: Path = Path("work")) -> SceneSize:
    """Images of a dataset: of dataset.json, else of the folder, else of the catalogue.

    Raises:
        SettingsError: the dataset makes no maps, or nothing is known of it.
    """
    own = settings.dataset_settings(config, dataset)
    if own["layout"] not in MAP_LAYOUTS:
        raise SettingsError(f"estimate: '{dataset}' is of layout {own['layout']}, whose evaluation makes no map")
    return count_images(own, dataset, work)


def plan_run(config: Mapping[str, Any], dataset: str, run: str, scene: SceneSize, sharding: Mapping[str, int]) -> Load:
    """The work of a run.

    Args:
        config: configuration.
        dataset: id.
        run: of a method of images; one of image pairs counts as many keypoints as an unknown method.
        scene: images.
        sharding: the profile's, over SHARDING.

    Raises:
        SettingsError: no such run, or pairs of a list that is not there yet.
    """
    if run not in config["run_settings"]:
        raise SettingsError(f"estimate: no run is called '{run}'{settings.nearest(run, [*config['run_settings']])}")
    own = settings.run_settings(config, dataset, run)
    cost, features = METHOD_COSTS.get(own["method"], UNKNOWN_METHOD), own.get("features", {})
    limit = features.get(cost.keypoints_setting, cost.keypoints) or ALL_KEYPOINTS
    kind, map_pairs = _count_pairs(config, dataset, run, "map", scene)
    _, query_pairs = _count_pairs(config, dataset, run, "query", scene) if scene.queries else ("", 0)
    cut = {**SHARDING, **sharding}
    every_pair = scene.map_images * (scene.map_images - 1) // 2
    return Load(
        scene=scene,
        method=own["method"],
        matcher=_matcher(own.get("matching", {})),
        keypoints=int(limit * cost.rows),
        descriptor_bytes=DESCRIPTOR_DIM * (4 if own.get("descriptor_dtype") == "float32" else 2),
        side_px=features.get(cost.side_setting, cost.side_px) or ORIGINAL_SIDE_PX,
        pair_kind=kind,
        map_pairs=map_pairs,
        query_pairs=query_pairs,
        image_shards=shard_count(scene.map_images + scene.queries, cut["max_shards"], cut["images_per_shard"]),
        pair_shards=shard_count(every_pair, cut["max_shards"], cut["pairs_per_shard"]),
    )


def _matcher(matching: Mapping[str, Any]) -> str:
    """The matcher's name; mutual neighbours with a ratio test count as those of COLMAP."""
    name = str(matching.get("matcher", ""))
    return f"{name}+ratio" if name == "mutual_nn" and matching.get("ratio") else name


def _count_pairs(config: Mapping[str, Any], dataset: str, run: str, role: str, scene: SceneSize) -> tuple[str, int]:
    """Kind of a pair list, and how many pairs it has at most."""
    values = json.loads(settings.stage_json(config, dataset, run, f"pairs.{role}", scene.map_images))
    kind, first = values["kind"], scene.map_images if role == "map" else scene.queries
    every = scene.map_images * (scene.map_images - 1) // 2 if role == "map" else scene.queries * scene.map_images
    if kind == "exhaustive":
        return kind, every
    if kind == "file":
        path = values.get("path") or scene.pairs_path
        if not path or not Path(path).is_file():
            raise SettingsError(f"estimate: the {role} pairs of '{dataset}' come from a list that is not there yet")
        return kind, len(read_pairs(path))
    neighbors = values.get("num_neighbors", 20)
    if kind == "sequential":
        overlap = values.get("overlap", 10)
        neighbors = overlap * 2 if values.get("quadratic_overlap", True) else overlap
    return kind, min(every, first * neighbors)


def memory_mb(rule: str, load: Load, threads: int) -> int:
    """Memory of one job of a rule, without the floor; 0 for a rule that is not known to grow."""
    cost = METHOD_COSTS.get(load.method, UNKNOWN_METHOD)
    names = load.pairs * PAIR_BYTES / MB
    model = load.map_keypoints * 32 / MB + load.observations * 90 / MB
    if rule == "extract_features":
        job = cost.base_mb + ASPECT * load.side_px**2 * cost.bytes_per_px / MB
        return round(job * max(1, threads if cost.processes else 1) + (200 if cost.processes else 0))
    if rule == "match_pairs":
        kept = IMAGES_IN_MEMORY * load.keypoints * (load.descriptor_bytes + 12) / MB
        tile = (12 * DESCRIPTOR_DIM * load.keypoints + load.keypoints**2 / 8) / MB
        index = INDEXED_IMAGES * load.keypoints * 460 / MB
        job = index if load.matcher == "colmap_sift" else tile
        return round(450 + names + names / load.pair_shards * 1.5 + kept + threads * job)
    amounts = {
        "list_pairs": 320 + names + load.images * 64 * DESCRIPTOR_DIM * 8 / MB,
        "gather_matches": 150 + names,
        "import_database": 250 + names,
        "verify_pairs": 250 + names + load.map_keypoints * 24 / MB,
        "map": 350 + names + load.map_keypoints * 56 / MB + load.verified * 32 / MB + load.observations * 600 / MB,
        "localize": 350 + names + model,
        "evaluate": 300 + names + model,
        "report": 400 + model,
    }
    return round(amounts.get(rule, 0))


def stage_jobs(load: Load) -> dict[str, int]:
    """Rule -> number of its jobs for one run, in the order of the chain."""
    return {
        "extract_features": load.image_shards,
        "list_pairs": 2 if load.scene.queries else 1,
        "match_pairs": load.pair_shards,
        "gather_matches": 1,
        "import_database": 1,
        "verify_pairs": 1,
        "map": 1,
        **({"localize": 1} if load.scene.queries else {}),
        "evaluate": 1,
        "report": 1,
    }


def summary_line(dataset: str, run: str, load: Load, threads: int) -> str:
    """A run's plan in one line."""
    largest = max(stage_jobs(load), key=lambda rule: memory_mb(rule, load, threads))
    *files, temporary = disk_mb(load).values()
    return (
        f"{dataset}, {run}: {load.images:,} images ({load.scene.source}), {load.pairs:,} pairs ({load.pair_kind}),"
        f" shards: {load.image_shards} of images, {load.pair_shards} of pairs;"
        f" up to {memory_mb(largest, load, threads) / 1e3:.1f} GB of memory ({largest}),"
        f" {sum(files) / 1e3:.1f} GB of files, {temporary / 1e3:.1f} GB in the temporary folder"
    )


def requested_mb(rule: str, load: Load, threads: int, attempt: int = 1) -> int:
    """What a job of a rule asks the scheduler for; each retry asks for as much again."""
    return max(LEAST_MEMORY_MB, memory_mb(rule, load, threads)) * attempt


def disk_mb(load: Load) -> dict[str, int]:
    """Files of a run and what a stage needs beside them for its time, in the order they are made."""
    keypoints, sift = load.images * load.keypoints, load.matcher == "colmap_sift"
    database = load.map_keypoints * 8 + load.raw * 8 + load.verified * 8 + load.map_pairs * 200
    sizes = {
        "features.h5": keypoints * (12 + load.descriptor_bytes),
        "matches.h5": load.raw * 12 + load.pairs * GROUP_BYTES,
        "match shards, until gathered": load.raw * 12 + load.pairs * 90,
        "database.db": database,
        "model": load.map_keypoints * 24 + load.observations * 12,
        "temporary folder": max(2 * database, keypoints * (DESCRIPTOR_DIM + 8) if sift else 0),
    }
    return {name: round(size / MB) for name, size in sizes.items()}
