"""Which image pairs are worth matching: the rules that need no image content, and what is asked of every list."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations, product
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from trigpoint.errors import DataError, EmptyResultError, SettingsError
from trigpoint.settings import check_flag
from trigpoint.storage.pairs import Pair, numbered_pairs
from trigpoint.types import Dataset, Pose

Kind = Literal["exhaustive", "sequential", "file", "poses", "covisibility", "retrieval"]
ROLES = ("map", "query")
NAMES_IN_LOG = 5
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PairSettings:
    """How image pairs are chosen."""

    kind: Kind  # rule that chooses the pairs
    num_neighbors: int = 20  # of each image; kinds poses, covisibility and retrieval
    overlap: int = 10  # kind sequential: images after each image, in the order of their names
    quadratic_overlap: bool = True  # kind sequential: also those 2, 4, 8, ... images further, `overlap` of them
    path: str = ""  # kind file: the pair list; empty: the one that came with the dataset
    retrieve_missing: bool = False  # kind file, of queries: those in no pair of the list get similar images instead
    model: str = ""  # COLMAP model of the map images; kind covisibility needs it, kind poses takes its poses
    max_distance: float | None = None  # kind poses: of camera centres, in the dataset's unit; null: no limit
    max_angle_deg: float = 45.0  # kind poses: between viewing directions
    min_shared_points: int = 1  # kind covisibility: 3D points that both images observe
    num_words: int = 64  # kind retrieval: visual words
    max_training_descriptors: int = 100_000  # kind retrieval: of all map images together, to learn the words from
    seed: int = 0  # kind retrieval: of the visual words

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise SettingsError(f"pairs: kind must be one of {', '.join(get_args(Kind))}, got {self.kind!r}")
        for name in ("num_neighbors", "overlap", "min_shared_points", "num_words", "max_training_descriptors"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise SettingsError(f"pairs: {name} must be a whole number of at least 1, got {getattr(self, name)!r}")
        check_flag("pairs", "retrieve_missing", self.retrieve_missing)
        if self.retrieve_missing and self.kind != "file":
            raise SettingsError(f"pairs: retrieve_missing belongs to kind file, not to kind {self.kind}")
        if self.max_distance is not None and not self.max_distance > 0:
            raise SettingsError(f"pairs: max_distance must be positive or null, got {self.max_distance!r}")
        if not 0 < self.max_angle_deg <= 180:
            raise SettingsError(f"pairs: max_angle_deg must be above 0 and at most 180, got {self.max_angle_deg!r}")


def exhaustive_pairs(dataset: Dataset, role: str) -> list[Pair]:
    """All pairs of map images, or each query with each map image."""
    references, queries = names_of(dataset, "map"), names_of(dataset, "query")
    return list(combinations(references, 2)) if role == "map" else list(product(queries, references))


def sequential_pairs(names: Sequence[str], overlap: int, quadratic: bool) -> list[Pair]:
    """Each image with the next ones in the order of their names.

    Args:
        names: images of a video or a walk.
        overlap: how many next ones.
        quadratic: also those 2, 4, 8, ... further, `overlap` of them (COLMAP's quadratic overlap: 2^i, i < overlap).
    """
    ordered = sorted(names)
    steps = set(range(1, overlap + 1)) | ({2**power for power in range(overlap)} if quadratic else set())
    return [
        (ordered[start], ordered[start + step])
        for start in range(len(ordered))
        for step in sorted(steps)
        if start + step < len(ordered)
    ]


def file_pairs(dataset: Dataset, role: str, path: str = "") -> list[Pair]:
    """The pairs of a list that concern this role; how many of which kind were left out is said in the log.

    A pair of map images is due to the map; a query and a map image, in either order, to the queries.

    Args:
        dataset: names are checked against its images.
        role: `map` or `query`.
        path: the list; empty means the one that came with the dataset, or else its own pairs.

    Raises:
        SettingsError: no path was given and the dataset has no list.
        DataError: a name that is no image of the dataset; the message has file, line and the nearest name.
        StorageError: the file is missing or a line has not two names.
    """
    path = path or dataset.pairs_path
    if not path and not dataset.pairs:
        raise SettingsError(f"pairs: kind file needs `path`, because dataset '{dataset.id}' came without a pair list")
    roles = {image.name: image.role for image in dataset.images} | {name: "unusable" for name, _ in dataset.unusable}
    chosen: set[Pair] = set()
    left_out: Counter[str] = Counter()
    listed = numbered_pairs(path) if path else enumerate(dataset.pairs, start=1)
    path = path or f"dataset '{dataset.id}'"
    for number, (name0, name1) in listed:
        for name in (name0, name1):
            if name not in roles and Path(dataset.image_root, name).is_file():
                roles[name] = "not prepared"  # Aachen has images without a known pose
            if name not in roles:
                close = get_close_matches(name, roles, n=1, cutoff=0.0)
                hint = f"; the nearest name is '{close[0]}'" if close else ""
                raise DataError(f"{path}:{number}: '{name}' is no image of {dataset.image_root}{hint}")
        pair_roles = (roles[name0], roles[name1])
        pair = (name1, name0) if (role == "map" and name1 < name0) or pair_roles == ("map", "query") else (name0, name1)
        if "unusable" in pair_roles:
            left_out["with an unusable image"] += 1
        elif "not prepared" in pair_roles:
            left_out["with an image of which the dataset knows nothing"] += 1
        elif name0 == name1:
            left_out["of an image with itself"] += 1
        elif sorted(pair_roles) != ["map", role]:
            left_out["of other roles"] += 1
        elif pair in chosen:
            left_out["given before"] += 1
        else:
            chosen.add(pair)
    for reason, count in sorted(left_out.items()):
        _logger.info("%s: left out %d pairs %s", path, count, reason)
    return sorted(chosen)


def pose_pairs(names: Iterable[str], poses: Mapping[str, Pose], settings: PairSettings) -> list[Pair]:
    """Each image with the nearest ones that look the same way.

    Args:
        names: map images; one without a pose gets no pair, which the log says.
        poses: cam_from_world that may be used for mapping.
        settings: num_neighbors, max_distance between centres, max_angle_deg between optical axes.

    Returns:
        Unordered pairs, sorted.
    """
    posed = sorted(name for name in set(names) if name in poses)
    if not posed:
        return []
    centers = np.stack([poses[name].center for name in posed])
    axes = np.stack([poses[name].rotation[2] for name in posed])
    limit = np.inf if settings.max_distance is None else settings.max_distance
    min_cosine = np.cos(np.radians(settings.max_angle_deg))
    neighbors: dict[str, list[str]] = {}
    for row, name in enumerate(posed):
        distances = np.linalg.norm(centers - centers[row], axis=1)
        fits = (distances <= limit) & (axes @ axes[row] >= min_cosine)
        fits[row] = False
        nearest = [int(other) for other in np.argsort(distances, kind="stable") if fits[other]]
        neighbors[name] = [posed[other] for other in nearest[: settings.num_neighbors]]
    return unordered_pairs(neighbors)


def covisible_pairs(
    names: Iterable[str], observations: Mapping[str, NDArray[np.int64]], settings: PairSettings
) -> list[Pair]:
    """Each image with those it shares most 3D points with.

    Args:
        names: map images; one that is not in the model gets no pair, which the log says.
        observations: by image of a reference model, numbers of the 3D points it observes; negative ones are none.
        settings: num_neighbors, min_shared_points.

    Returns:
        Unordered pairs, sorted.
    """
    seen = sorted(name for name in set(names) if name in observations)
    points = [np.unique(observations[name][observations[name] >= 0]) for name in seen]
    if not seen or not sum(map(len, points)):
        return []
    _, columns = np.unique(np.concatenate(points), return_inverse=True)
    offsets = np.concatenate([[0], np.cumsum([len(own) for own in points])])
    observed = csr_array((np.ones(len(columns), dtype=np.int32), columns, offsets))
    shared = csr_array(observed @ observed.T)
    neighbors: dict[str, list[str]] = {}
    for row, name in enumerate(seen):
        others = shared.indices[shared.indptr[row] : shared.indptr[row + 1]]
        counts = shared.data[shared.indptr[row] : shared.indptr[row + 1]]
        fits = (others != row) & (counts >= settings.min_shared_points)
        order = np.lexsort((others[fits], -counts[fits]))[: settings.num_neighbors]
        neighbors[name] = [seen[other] for other in others[fits][order]]
    return unordered_pairs(neighbors)


def unordered_pairs(neighbors: Mapping[str, Iterable[str]]) -> list[Pair]:
    """Each pair of an image and its neighbour once, the smaller name first, sorted."""
    return sorted({(min(name, other), max(name, other)) for name, others in neighbors.items() for other in others})


def query_pairs(neighbors: Mapping[str, Iterable[str]]) -> list[Pair]:
    """Pairs of a query and each of its neighbours, sorted."""
    return sorted((name, other) for name, others in neighbors.items() for other in others)


def names_of(dataset: Dataset, role: str) -> list[str]:
    """Names of the images of a role, sorted."""
    return sorted(image.name for image in dataset.with_role(role))


def require_images(dataset: Dataset, role: str) -> None:
    """Refuse a dataset that no pair can come from; no queries at all are in order.

    Raises:
        EmptyResultError: fewer than two map images for a map, none for queries.
    """
    num, due = len(names_of(dataset, "map")), 2 if role == "map" else 1
    if num < due and (role == "map" or names_of(dataset, "query")):
        images = "image" if num == 1 else "images"
        raise EmptyResultError(
            f"dataset '{dataset.id}' has {num} usable map {images} and {len(dataset.unusable)} unusable ones;"
            f" at least {due} are needed: put more photographs into {Path(dataset.image_root)}"
        )


def check_pair_list(pairs: Sequence[Pair], dataset: Dataset, role: str, settings: PairSettings) -> str:
    """Say in the log which images got no pair.

    Returns:
        One line with the counts, for the head of the list.

    Raises:
        EmptyResultError: there are images of this role, but no pair.
    """
    names = names_of(dataset, role)
    if names and not pairs:
        raise EmptyResultError(
            f"dataset '{dataset.id}': kind {settings.kind} found no {role} pair among {len(names)} images;"
            " loosen its settings or choose another kind"
        )
    paired = {name for pair in pairs for name in pair}
    alone = [name for name in names if name not in paired]
    if alone:
        some = ", ".join(alone[:NAMES_IN_LOG]) + (", ..." if len(alone) > NAMES_IN_LOG else "")
        _logger.warning("%d of %d %s images are in no pair: %s", len(alone), len(names), role, some)
    nearest = f" ({settings.num_neighbors} nearest by VLAD of {settings.num_words} visual words)"
    how = f"{settings.kind}{nearest if settings.kind == 'retrieval' else ''}"
    return f"{len(pairs)} {role} pairs, kind {how}, of {len(names)} {role} images"
