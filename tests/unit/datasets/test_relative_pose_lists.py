"""MegaDepth-1500, ScanNet-1500 and folders with poses: tiny trees of the exact layouts."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from trigpoint.datasets.base import PrepareSettings, prepare_dataset
from trigpoint.datasets.relative_pose import MEGADEPTH_LISTS
from trigpoint.errors import DataError, SettingsError
from trigpoint.geometry.pose import matrix_from_quaternion, relative_pose
from trigpoint.matching.pair_lists import file_pairs
from trigpoint.storage.dataset import read_dataset, write_dataset
from trigpoint.types import Pose

SIZE = (64, 48)


def draw(path: Path, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", size, (90, 120, 60)).save(path)


def pose(number: int) -> Pose:
    return Pose(matrix_from_quaternion([1, 0.1 * number, -0.05 * number, 0.02]), np.array([0.5 * number, 0.1, 2.0]))


def matrix(own: Pose) -> np.ndarray:
    return np.vstack([np.column_stack([own.rotation, own.translation]), [0, 0, 0, 1]])


def column(values: list) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def intrinsics(number: int) -> np.ndarray:
    return np.array([[50.0 + number, 0, 32], [0, 51.0 + number, 24], [0, 0, 1]])


def write_megadepth(root: Path, overlap: str, pairs: list[tuple[int, int]]) -> None:
    """One list: image 1 of the scene is absent, as many are."""
    names = [None if n == 1 else f"Undistorted_SfM/0015/images/{n}_o.jpg" for n in range(4)]
    for name in filter(None, names):
        draw(root / name)
    (root / MEGADEPTH_LISTS).mkdir(exist_ok=True)
    np.savez(
        root / MEGADEPTH_LISTS / f"0015_{overlap}.npz",
        image_paths=column(names),
        depth_paths=column([None] * 4),
        intrinsics=column([None if n == 1 else intrinsics(n) for n in range(4)]),
        poses=column([None if n == 1 else matrix(pose(n)) for n in range(4)]),
        pair_infos=column([(np.array(pair), 0.2, np.zeros((5, 4))) for pair in pairs]),
    )


def test_megadepth_lists_give_pairs_cameras_and_poses(tmp_path):
    write_megadepth(tmp_path, "0.1_0.3", [(0, 2), (3, 2)])
    write_megadepth(tmp_path, "0.3_0.5", [(0, 3)])
    dataset = prepare_dataset("mega", "relative_pose", tmp_path, PrepareSettings(lists="megadepth_1500"))
    name = "Undistorted_SfM/0015/images/{}_o.jpg".format
    assert [image.name for image in dataset.images] == [name(0), name(2), name(3)]
    assert dataset.pairs == ((name(0), name(2)), (name(3), name(2)), (name(0), name(3)))
    assert dataset.images[1].camera.params == (52.0, 53.0, 32.0, 24.0)
    found = relative_pose(dataset.poses[name(0)], dataset.poses[name(2)])
    np.testing.assert_allclose(matrix(found), matrix(pose(2)) @ np.linalg.inv(matrix(pose(0))), atol=1e-12)
    write_dataset(tmp_path / "dataset.json", dataset)
    assert file_pairs(read_dataset(tmp_path / "dataset.json"), "map") == [
        *((name(0), name(2)), (name(0), name(3)), (name(2), name(3)))
    ]


def write_scannet(root: Path, pairs: list[tuple[int, int, int, int]]) -> None:
    np.savez(root / "test.npz", name=np.array(pairs, dtype=np.uint16))
    K = np.array([[577.87, 0, 319.5], [0, 577.87, 239.5], [0, 0, 1]])
    np.savez(root / "intrinsics.npz", **{f"scene{scene:04d}_{part:02d}": K for scene, part, *_ in pairs})
    for scene, part, *frames in pairs:
        for frame in frames:
            folder = root / "scannet_test_1500" / f"scene{scene:04d}_{part:02d}"
            draw(folder / "color" / f"{frame}.jpg", (1296, 968))
            (folder / "pose").mkdir(exist_ok=True)
            np.savetxt(folder / "pose" / f"{frame}.txt", np.linalg.inv(matrix(pose(frame))))


def test_scannet_lists_give_poses_inverted_and_intrinsics_of_the_released_size(tmp_path):
    write_scannet(tmp_path, [(707, 0, 15, 585), (707, 0, 15, 60), (708, 1, 0, 5)])
    dataset = prepare_dataset("scan", "relative_pose", tmp_path, PrepareSettings(lists="scannet_1500"))
    name = "scannet_test_1500/{}/color/{}.jpg".format
    assert dataset.pairs[0] == (name("scene0707_00", 15), name("scene0707_00", 585))
    assert dataset.pose_unit == "metre"
    np.testing.assert_allclose(matrix(dataset.poses[name("scene0708_01", 5)]), matrix(pose(5)), atol=1e-9)
    fx, fy, cx, cy = dataset.images[0].camera.params
    assert (cx, cy) == (648.0, 484.0)  # the centre stays the centre
    assert (fx / 1296, fy / 968) == pytest.approx((577.87 / 640, 577.87 / 480))


def test_a_folder_with_poses_is_taken_whole(tmp_path):
    lines = ["# pixel_origin: corner"]
    for number in range(3):
        draw(tmp_path / "images" / f"{number}.png")
        own = pose(number)
        values = [50, 50, 32, 24, *own.rotation.ravel(), *own.translation, *SIZE]
        lines.append(f"{number}.png " + " ".join(map(repr, map(float, values))))
    draw(tmp_path / "images/unknown.png")
    (tmp_path / "queries.txt").write_text("2.png\n")
    (tmp_path / "cameras_gt.txt").write_text("\n".join(lines))
    dataset = prepare_dataset("mine", "relative_pose", tmp_path)
    assert [image.role for image in dataset.images] == ["map"] * 4
    assert dataset.reference_images == ("0.png", "1.png", "2.png")
    (tmp_path / "cameras_gt.txt").unlink()
    with pytest.raises(DataError, match=r"0 images have a known camera.*cameras_gt\.txt"):
        prepare_dataset("mine", "relative_pose", tmp_path)


def test_what_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(DataError, match=rf"{MEGADEPTH_LISTS}: no \*\.npz; run `trigpoint fetch --dataset mega`"):
        prepare_dataset("mega", "relative_pose", tmp_path, PrepareSettings(lists="megadepth_1500"))
    with pytest.raises(DataError, match=r"test\.npz"):
        prepare_dataset("scan", "relative_pose", tmp_path, PrepareSettings(lists="scannet_1500"))
    write_megadepth(tmp_path, "0.1_0.3", [(0, 1)])
    with pytest.raises(DataError, match=r"0015_0\.1_0\.3\.npz: pair 0: image 1 has no path"):
        prepare_dataset("mega", "relative_pose", tmp_path, PrepareSettings(lists="megadepth_1500"))
    write_megadepth(tmp_path, "0.1_0.3", [(0, 2)])
    (tmp_path / "Undistorted_SfM/0015/images/2_o.jpg").unlink()
    with pytest.raises(DataError, match=r"2_o\.jpg.*fetch the images too"):
        prepare_dataset("mega", "relative_pose", tmp_path, PrepareSettings(lists="megadepth_1500"))
    write_scannet(tmp_path, [(707, 0, 1, 2)])
    (tmp_path / "scannet_test_1500/scene0707_00/pose/2.txt").write_text("1 2 3\n")
    with pytest.raises(DataError, match=r"pose/2\.txt"):
        prepare_dataset("scan", "relative_pose", tmp_path, PrepareSettings(lists="scannet_1500"))
    with pytest.raises(SettingsError, match="lists"):
        PrepareSettings(lists="megadepth")
