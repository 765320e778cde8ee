"""A made-up Image Matching Challenge of exactly its layout: two scenes of the demo's town by day, with calibration,
co-visibility, bags and, of some images, the depth that the demo was rendered with.
"""

from itertools import combinations
from pathlib import Path
from shutil import copyfile

import h5py
import numpy as np

from miniature_inloc import DEMO, DEPTH, inverse_depth
from trigpoint.datasets.cameras_gt import read_cameras_gt

SCENES = {"old_town": range(36, 43), "market": (42, 44, 45, 47, 49)}
BAGS = {
    "old_town": {"5bag_000": (36, 37, 38, 39, 40), "5bag_001": (36, 37, 39, 40, 42), "6bag_000": range(36, 42)},
    "market": {"5bag_000": (42, 44, 45, 47, 49)},
}
FEW_IN_COMMON = {("0041", "0036"), ("0041", "0038"), ("0045", "0042"), ("0049", "0042"), ("0049", "0045")}


def stem(number: int) -> str:
    return f"{number:04d}"


def write_tree(root: Path) -> Path:
    """`phototourism/<scene>/set_100/` below the root."""
    for scene, numbers in SCENES.items():
        write_scene(root / "phototourism" / scene / "set_100", scene, [stem(number) for number in numbers])
    return root


def write_scene(folder: Path, scene: str, stems: list[str]) -> None:
    for name in ("images", "calibration", "depth_maps", "visibility", "new-vis-pairs", "sub_set"):
        (folder / name).mkdir(parents=True)
    cameras = read_cameras_gt(DEMO / "cameras_gt.txt")
    for key in stems:
        copyfile(DEMO / f"images/images_upright/db/{key}.jpg", folder / f"images/{key}.jpg")
        camera, pose = cameras[f"db/{key}.jpg"]
        fx, fy, cx, cy = camera.params
        with h5py.File(folder / f"calibration/calibration_{key}.h5", "w") as file:
            file["K"] = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
            file["R"], file["T"] = pose.rotation, pose.translation
        if (DEPTH / f"{key}.png").is_file():
            with h5py.File(folder / f"depth_maps/{key}.h5", "w") as file:
                file["depth"] = np.nan_to_num(1 / inverse_depth(key)).astype(np.float32)
        (folder / f"visibility/vis_{key}.txt").write_text("0 100\n")
    for name, pattern in (
        *(("images", "images/{}.jpg"), ("calibration", "calibration/calibration_{}.h5")),
        *(("depth_maps", "depth_maps/{}.h5"), ("visibility", "visibility/vis_{}.txt")),
    ):
        (folder / f"{name}.txt").write_text("".join(f"{pattern.format(key)}\n" for key in stems))
    pairs = [(large, small) for small, large in combinations(sorted(stems), 2)]
    for tenth in range(10):
        seen = [pair for pair in pairs if tenth == 0 or pair not in FEW_IN_COMMON][: None if tenth < 3 else 3]
        np.save(folder / f"new-vis-pairs/keys-th-0.{tenth}.npy", np.array([f"{a}-{b}" for a, b in seen]))
    for bag, numbers in BAGS[scene].items():
        (folder / f"sub_set/{bag}.txt").write_text("".join(f"images/{stem(number)}.jpg\n" for number in numbers))
