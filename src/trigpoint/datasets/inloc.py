"""InLoc: photographs of two floors of a building, to be localized in panoramic laser scans cut into perspective views.

    database/cutouts/<floor>/<scan>/<building>_cutout_<scan>_<yaw>_<pitch>.jpg       a view of a scan
    database/cutouts/<floor>/<scan>/<the same>.jpg.mat                               a 3D point for each of its pixels
    database/alignments/<floor>/transformations/<building>_trans_<scan>.txt          from the scan to the floor
    query/iphone7/*.JPG                                                              what is to be localized
    pairs-query-netvlad40-temporal.txt                                               or below pairs/: what to match

`dataset/` in place of `database/` is understood. Query poses are secret: results go to visuallocalization.net. A file
`cameras_gt.txt` at the root (not part of InLoc) gives cameras and true poses of queries; cutouts that are held out get
theirs from their own points.

Sources: Taira et al., "InLoc: Indoor Visual Localization with Dense Matching and View Synthesis", CVPR 2018; Wijmans
and Furukawa, CVPR 2017 (scans); the pair list is that of hloc.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from trigpoint.datasets.base import PrepareSettings, RawTree, holdout_order, some
from trigpoint.datasets.cameras_gt import FILE_NAME, read_cameras_gt
from trigpoint.datasets.cutout_poses import view_of_points
from trigpoint.datasets.images import read_header
from trigpoint.datasets.scan_points import read_points
from trigpoint.datasets.text_files import fail, read_lines
from trigpoint.datasets.tree import list_images
from trigpoint.errors import DataError, ImageError
from trigpoint.storage.pairs import read_pairs
from trigpoint.types import Camera, Pose

DATABASE_FOLDERS = ("database", "dataset")
QUERY_FOLDER = "query"
QUERY_SPLIT = "query"
PAIR_LIST = "pairs-query-netvlad40-temporal.txt"
PAIR_FOLDERS = (".", "pairs", "pairs/inloc")
POINTS_SUFFIX = ".mat"  # behind the whole name of a cutout
FOCAL_OVER_LONGER_SIDE = 28 / 36  # of the queries' telephone: 28 mm on film of 36 mm, 3136 px of 4032
TRANSFORM_LINES = range(8, 12)  # of an alignment file, from 1: the matrix after registration of all scans
STAY = 2  # map images with a pose, of those that could be held out
SUBMISSION = "InLoc_eval_[{run}].txt"
PUBLISHED = (  # percent of the queries within 0.25, 0.5 and 1 m and 10 degrees, by the server
    ("LoFTR", "image-matching-toolbox, issue 38", (48.5, 73.2, 83.8), (55.0, 75.6, 83.2)),
    ("SuperPoint + SuperGlue (outdoor)", "hloc, by SuperGlue's issue 103", (49.5, 66.26, 79.3), (58.0, 78.6, 82.4)),
)


@dataclass(frozen=True)
class Scan:
    """Which scan a cutout is a view of."""

    floor: str
    building: str
    number: str

    def __str__(self) -> str:
        return f"{self.floor}/{self.number}"


def read_tree(dataset_id: str, root: Path, settings: PrepareSettings) -> RawTree:
    """The tree of InLoc: cutouts as map images, without poses, and the queries with their cameras.

    Raises:
        DataError: a folder, the points of a cutout or an alignment is missing; or a listed name.
        ImageError: a query's size cannot be read.
    """
    database = _database(dataset_id, root)
    cutouts = [f"{database}/cutouts/{name}" for name in list_images(root / database / "cutouts")]
    queries = [f"{QUERY_FOLDER}/{name}" for name in list_images(root / QUERY_FOLDER)]
    if not cutouts or not queries:
        raise DataError(f"{root}: {len(cutouts)} cutouts and {len(queries)} queries; both are needed")
    _check_scans(root, cutouts)
    known = read_cameras_gt(root / FILE_NAME) if (root / FILE_NAME).is_file() else {}
    cameras = {name: known[name][0] if name in known else _telephone(root, name) for name in queries}
    poses: dict[str, Pose] = {name: known[name][1] for name in queries if name in known}
    if settings.holdout:
        for name, (camera, pose) in _held_out(root, cutouts, settings).items():
            cameras[name], poses[name] = camera, pose
    return RawTree(
        image_root=root,
        map_names=cutouts,
        query_splits=dict.fromkeys(queries, QUERY_SPLIT),
        cameras={name: camera for name, camera in cameras.items() if camera is not None},
        poses=poses,
        pose_unit="metre",
        pairs=_listed_pairs(root, database),
        published=tuple(published_row(*row) for row in PUBLISHED),
        submission=SUBMISSION,
    )


def scan_of(cutout: str) -> Scan:
    """The scan of a cutout, from its name.

    Raises:
        DataError: it does not end with <floor>/<scan>/<building>_....
    """
    parts = PurePosixPath(cutout).parts
    if len(parts) < 3 or "_" not in parts[-1]:
        raise DataError(f"'{cutout}' is no name of a cutout: <floor>/<scan>/<building>_cutout_<scan>_<yaw>_<pitch>.jpg")
    return Scan(parts[-3], parts[-1].split("_")[0], parts[-2])


def points_path(root: Path, cutout: str) -> Path:
    """The file with a 3D point for each pixel of a cutout."""
    return root / f"{cutout}{POINTS_SUFFIX}"


def alignment_path(root: Path, cutout: str) -> Path:
    """The file that says where a cutout's scan stands on its floor."""
    scan = scan_of(cutout)
    database = PurePosixPath(cutout).parts[0]
    name = f"{scan.building}_trans_{scan.number}.txt"
    return root / database / "alignments" / scan.floor / "transformations" / name


def read_alignment(path: Path) -> NDArray[np.float64]:
    """(4, 4) floor_from_scan: lines 8 to 11 of the file.

    Raises:
        DataError: the file is missing, or these lines are no such matrix.
    """
    lines = [line for number, line in read_lines(path) if number in TRANSFORM_LINES]
    try:
        matrix = np.array([[float(word) for word in line.split()] for line in lines])
    except ValueError as error:
        raise fail(path, 8, f"expected a matrix of 4 x 4 numbers ({error})") from error
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise fail(path, 8, "expected a matrix of 4 x 4 finite numbers in lines 8 to 11")
    return matrix


def world_points(root: Path, cutout: str) -> NDArray[np.float64]:
    """(H, W, 3) points of a cutout on its floor, NaN where there is none.

    Raises:
        DataError: points or alignment are missing or damaged.
    """
    floor_from_scan = read_alignment(alignment_path(root, cutout))
    return read_points(points_path(root, cutout)) @ floor_from_scan[:3, :3].T + floor_from_scan[:3, 3]


def _held_out(root: Path, cutouts: list[str], settings: PrepareSettings) -> dict[str, tuple[Camera, Pose]]:
    """Camera and pose of the cutouts to be held out, and of as many more as have to stay."""
    found: dict[str, tuple[Camera, Pose]] = {}
    for name in holdout_order(cutouts, settings):
        if len(found) == settings.holdout + STAY:
            break
        view = view_of_points(world_points(root, name), read_header(root / name).size)
        if view is not None:
            found[name] = view
    return found


def _database(dataset_id: str, root: Path) -> str:
    for name in DATABASE_FOLDERS:
        if (root / name / "cutouts").is_dir() and (root / QUERY_FOLDER).is_dir():
            return name
    raise DataError(
        f"{root}: expected database/cutouts, database/alignments and query;"
        f" run `trigpoint fetch --dataset {dataset_id}`"
    )


def _check_scans(root: Path, cutouts: list[str]) -> None:
    """All files that localization will ask for."""
    without = [name for name in cutouts if not points_path(root, name).is_file()]
    if without:
        raise DataError(
            f"{root}: {len(without)} cutouts have no file of 3D points beside them, <name>{POINTS_SUFFIX}:"
            f" {some(without)}; the archive with images only does not suffice"
        )
    missing = sorted({str(path) for path in (alignment_path(root, name) for name in cutouts) if not path.is_file()})
    if missing:
        raise DataError(f"{len(missing)} alignments of scans are missing: {some(missing)}")


def _telephone(root: Path, name: str) -> Camera | None:
    """The camera of a query from its size; none where it cannot be read, which `prepare` then reports."""
    try:
        width, height = read_header(root / name).size
    except ImageError:
        return None
    focal = FOCAL_OVER_LONGER_SIDE * max(width, height)
    return Camera("SIMPLE_PINHOLE", width, height, (focal, width / 2, height / 2), has_prior_focal_length=True)


def _listed_pairs(root: Path, database: str) -> list[tuple[str, str]]:
    """The pair list where there is one, with the database's folder as it is called here."""
    paths = [root / folder / PAIR_LIST for folder in PAIR_FOLDERS]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return []
    return [(query, _renamed(cutout, database)) for query, cutout in read_pairs(path)]


def _renamed(cutout: str, database: str) -> str:
    folder, _, rest = cutout.partition("/")
    return f"{database}/{rest}" if folder in DATABASE_FOLDERS else cutout


def published_row(
    method: str, source: str, duc1: tuple[float, float, float], duc2: tuple[float, float, float]
) -> dict[str, object]:
    """What a published result is in dataset.json: percent at InLoc's three thresholds, by floor."""
    keys = ("0.25m_10deg", "0.5m_10deg", "1m_10deg")
    floors = {"DUC1": dict(zip(keys, duc1, strict=True)), "DUC2": dict(zip(keys, duc2, strict=True))}
    return {"method": method, "source": source, "inloc": floors}
