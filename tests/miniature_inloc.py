"""A made-up InLoc of exactly its layout: photographs of the demo's town as cutouts of two scans, with 3D points, and
two queries whose poses are known.

The depth in `inloc_depth/` is what `trigpoint render-scene --seed 0 --depth` writes for these photographs: every second
row and column, in millimetres, 0 for sky. Scans have frames of their own, from which an alignment leads to the town.
"""

import shutil
import tarfile
import zipfile
from pathlib import Path

import cv2
import h5py
import numpy as np
import scipy.io
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from trigpoint.datasets.cameras_gt import read_cameras_gt

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "src/trigpoint/datasets/demo"
DEPTH = Path(__file__).parent / "inloc_depth"
SCANS = {"DUC1/039": ("0040", "0041"), "DUC2/044": ("0044", "0045")}
QUERIES = {
    "query/iphone7/IMG_0001.JPG": "query/day/nexus4/IMG_20140520_182013.jpg",
    "query/iphone7/IMG_0002.JPG": "query/day/nexus4/IMG_20140520_182014.jpg",
}
PAIR_LIST = "pairs-query-netvlad40-temporal.txt"


def cutout_name(scan: str, index: int) -> str:
    """Name of a cutout below the root, as the pair list has it."""
    return f"database/cutouts/{scan}/DUC_cutout_{scan[-3:]}_{30 * index}_0.jpg"


def write_tree(root: Path) -> Path:
    """The whole tree, with the pair list (every query with every cutout) and the true poses of the queries."""
    cameras = read_cameras_gt(DEMO / "cameras_gt.txt")
    images = DEMO / "images/images_upright"
    for number, (scan, names) in enumerate(SCANS.items()):
        floor_from_scan = alignment(number)
        write_alignment(root, scan, floor_from_scan)
        for index, name in enumerate(names):
            target = root / cutout_name(scan, index)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(images / f"db/{name}.jpg", target)
            camera, pose = cameras[f"db/{name}.jpg"]
            world = points_of(inverse_depth(name), camera.params[0], pose)
            own = (world - floor_from_scan[:3, 3]) @ floor_from_scan[:3, :3]
            write_points(target.with_name(f"{target.name}.mat"), own, is_hdf5=index == 0)
    lines = ["# name fx fy cx cy R t width height", "# pixel_origin: corner"]
    for name, source in QUERIES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(images / source, root / name)
        camera, pose = cameras[source]
        numbers = [*camera.params, *pose.rotation.ravel(), *pose.translation, camera.width, camera.height]
        lines.append(f"{name} {' '.join(map(str, numbers))}")
    (root / "cameras_gt.txt").write_text("\n".join(lines) + "\n")
    cutouts = [cutout_name(scan, index) for scan, names in SCANS.items() for index in range(len(names))]
    (root / PAIR_LIST).write_text("".join(f"{query} {cutout}\n" for query in QUERIES for cutout in cutouts))
    return root


def alignment(number: int) -> np.ndarray:
    """(4, 4) floor_from_scan: every scanner stands and looks elsewhere."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", 40 + 70 * number, degrees=True).as_matrix()
    matrix[:3, 3] = [5.0 - 9 * number, 2.5, -1.25]
    return matrix


def write_alignment(root: Path, scan: str, floor_from_scan: np.ndarray) -> None:
    """The file as released: two matrices with a head each, of which the second counts."""
    floor, number = scan.split("/")
    path = root / f"database/alignments/{floor}/transformations/DUC_trans_{number}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    before = floor_from_scan + 0.5
    rows = ["Transformation before:", *map(row_of, before), "", "Transformation after general icp:"]
    path.write_text("\n".join([*rows, *map(row_of, floor_from_scan)]) + "\n")


def row_of(values: np.ndarray) -> str:
    return " ".join(repr(float(value)) for value in values)


def inverse_depth(name: str) -> np.ndarray:
    """(480, 640) inverse of the depth in metres, NaN where there is sky; between known pixels planes stay planes."""
    known = cv2.imread(str(DEPTH / f"{name}.png"), cv2.IMREAD_UNCHANGED).astype(np.float64) / 1000
    with np.errstate(divide="ignore"):
        inverse = np.where(known > 0, 1 / known, np.nan)
    between = np.arange(2 * known.shape[0]) / 2, np.arange(2 * known.shape[1]) / 2
    return map_coordinates(inverse, np.meshgrid(*between, indexing="ij"), order=1, mode="nearest")


def points_of(inverse: np.ndarray, focal_px: float, pose) -> np.ndarray:
    """(H, W, 3) points of the world behind the pixels of a photograph."""
    height, width = inverse.shape
    y, x = np.mgrid[0:height, 0:width] + 0.5
    rays = np.stack([(x - width / 2) / focal_px, (y - height / 2) / focal_px, np.ones_like(x)], axis=-1)
    return (rays / inverse[..., None] - pose.translation) @ pose.rotation


def write_points(path: Path, points: np.ndarray, *, is_hdf5: bool) -> None:
    """A file of MATLAB, of either version."""
    if is_hdf5:
        with h5py.File(path, "w", userblock_size=512) as file:
            file.create_dataset("XYZcut", data=points.transpose(), compression="gzip", compression_opts=1)
        with path.open("r+b") as stream:
            stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")
    else:
        scipy.io.savemat(path, {"XYZcut": points}, do_compression=True)


def write_archives(root: Path, folder: Path) -> Path:
    """The tree in archives as they are released, and the pair list beside them."""
    folder.mkdir()
    for name, source in (("cutouts", "database/cutouts"), ("iphone7", "query/iphone7")):
        with tarfile.open(folder / f"{name}.tar.gz", "w:gz", compresslevel=1) as archive:
            archive.add(root / source, name)
    for floor in ("DUC1", "DUC2"):
        with zipfile.ZipFile(folder / f"{floor}_alignment.zip", "w") as archive:
            for path in sorted((root / f"database/alignments/{floor}/transformations").iterdir()):
                archive.write(path, f"transformations/{path.name}")
    (folder / "inloc").mkdir()  # single files lie below the dataset's name
    shutil.copyfile(root / PAIR_LIST, folder / "inloc" / PAIR_LIST)
    return folder
