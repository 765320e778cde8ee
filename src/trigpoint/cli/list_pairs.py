"""`trigpoint list-pairs`: choose the image pairs to match, for the map or for the queries."""

import argparse
import logging
from pathlib import Path

from trigpoint.cli.options import json_object, stage_settings
from trigpoint.errors import SettingsError
from trigpoint.matching import pair_lists
from trigpoint.matching.pair_lists import PairSettings
from trigpoint.storage.dataset import read_dataset
from trigpoint.storage.pairs import Pair, write_pairs
from trigpoint.types import Dataset

MAP_ONLY = ("sequential", "poses", "covisibility")  # a query has no place in a sequence, no pose and no 3D points yet
_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=json_object, required=True, help="JSON object: kind and its settings")
    parser.add_argument(
        "--role",
        choices=pair_lists.ROLES,
        required=True,
        help="map: pairs of map images; query: of a query and a map image",
    )
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json")
    parser.add_argument("--features", type=Path, help="features.h5; kind retrieval needs it")
    parser.add_argument("--output", type=Path, required=True, help="text file, one 'name0 name1' a line")


def run(args: argparse.Namespace) -> None:
    settings = stage_settings(args.settings, PairSettings, "list-pairs")
    dataset = read_dataset(args.dataset)
    if settings.retrieve_missing and args.role == "map":
        raise SettingsError("pairs: retrieve_missing is for queries; of the map images only those in pairs are used")
    pair_lists.require_images(dataset, args.role)
    pairs: list[Pair] = []
    if dataset.with_role(args.role):
        pairs = _choose(settings, args.role, dataset, args.features)
    retrieved: list[Pair] = []
    if settings.retrieve_missing:
        listed = {name for pair in pairs for name in pair}
        missing = [name for name in pair_lists.names_of(dataset, "query") if name not in listed]
        if missing:
            retrieved = pair_lists.query_pairs(_similar(settings, missing, dataset, args.features))
            pairs = sorted({*pairs, *retrieved})
    head = pair_lists.check_pair_list(pairs, dataset, args.role, settings)
    if retrieved:
        head += f"; {len(missing)} queries in no pair of the list have similar images instead, {len(retrieved)} pairs"
    write_pairs(args.output, pairs, head)
    _logger.info("%s", head)


def _choose(settings: PairSettings, role: str, dataset: Dataset, features: Path | None) -> list[Pair]:
    references = pair_lists.names_of(dataset, "map")
    if role == "query" and settings.kind in MAP_ONLY:
        raise SettingsError(
            f"pairs: kind {settings.kind} is for map images; use retrieval, file or exhaustive for queries"
        )
    if settings.kind == "exhaustive":
        return pair_lists.exhaustive_pairs(dataset, role)
    if settings.kind == "sequential":
        return pair_lists.sequential_pairs(references, settings.overlap, settings.quadratic_overlap)
    if settings.kind == "file":
        return pair_lists.file_pairs(dataset, role, settings.path)
    if settings.kind == "retrieval":
        neighbors = _similar(settings, pair_lists.names_of(dataset, role), dataset, features)
        return pair_lists.unordered_pairs(neighbors) if role == "map" else pair_lists.query_pairs(neighbors)
    return _from_model(settings, dataset)


def _similar(
    settings: PairSettings, images: list[str], dataset: Dataset, features: Path | None
) -> dict[str, list[str]]:
    """The map images most like each image, of those that have features."""
    from trigpoint.retrieval.neighbors import nearest_images
    from trigpoint.retrieval.vlad import VladSettings
    from trigpoint.storage.features import FeatureReader

    if features is None:
        raise SettingsError("pairs: kind retrieval needs --features")
    vlad = VladSettings(
        num_words=settings.num_words, max_training_descriptors=settings.max_training_descriptors, seed=settings.seed
    )
    references = pair_lists.names_of(dataset, "map")
    with FeatureReader(features) as reader:
        extracted = [name for name in references if name in reader]  # only those in pairs, where a list is given
        if len(extracted) < len(references):
            _logger.info("%d of %d map images have features to be found by", len(extracted), len(references))
        return nearest_images(reader, images, extracted, settings.num_neighbors, vlad)


def _from_model(settings: PairSettings, dataset: Dataset) -> list[Pair]:
    from trigpoint.storage import colmap

    references = pair_lists.names_of(dataset, "map")
    if settings.kind == "covisibility":
        if not settings.model:
            raise SettingsError("pairs: kind covisibility needs the setting model, a COLMAP model of the map images")
        images = colmap.registered_images(colmap.read_model(Path(settings.model)))
        seen = {name: colmap.observed_points(image) for name, image in images.items()}
        return pair_lists.covisible_pairs(references, seen, settings)
    if settings.model:
        poses = colmap.model_poses(colmap.read_model(Path(settings.model)))
        return pair_lists.pose_pairs(references, poses, settings)
    usable = {name: dataset.poses[name] for name in dataset.reference_images if name in dataset.poses}
    if not usable:
        raise SettingsError(
            f"pairs: kind poses needs the setting model: dataset '{dataset.id}' has no poses that mapping may use"
        )
    return pair_lists.pose_pairs(references, usable, settings)
