"""Aachen v1.1 in the layouts its users have, and map images that are held out as queries."""

import struct
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from trigpoint.cli import main
from trigpoint.datasets.base import PrepareSettings, prepare_dataset
from trigpoint.datasets.colmap_files import read_model_poses
from trigpoint.errors import DataError, SettingsError
from trigpoint.geometry.pose import matrix_from_quaternion, quaternion_from_matrix
from trigpoint.storage.dataset import read_dataset
from trigpoint.types import Camera

ROTATION = matrix_from_quaternion([0.9, 0.1, -0.3, 0.2])
SIZES = {
    "db/1.jpg": (40, 30),
    "db/2.jpg": (30, 40),
    "sequences/gopro3_undistorted/a.png": (40, 30),
    "sequences/nexus4_sequences/sequence_0/b.png": (40, 30),
}
DAY, NIGHT = "query/day/nexus4/d.jpg", "query/night/nexus5x/n.jpg"
ADDED = "query/night/nexus5x_additional_night/m.jpg"
V1_1 = PrepareSettings(version="v1_1")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def intrinsics(*names: str, focal: float = 50) -> str:
    sizes = {name: SIZES.get(name, (40, 30)) for name in names}
    return "".join(f"{n} SIMPLE_RADIAL {w} {h} {focal} {w // 2} {h // 2} -0.1\n" for n, (w, h) in sizes.items())


def translation(name: str) -> np.ndarray:
    return np.array([list(SIZES).index(name), 2.0, 3.0])


def write_colmap(folder: Path, binary: bool = True, focal: float = 40) -> None:
    import pycolmap

    model = pycolmap.Reconstruction()
    for number, (name, (width, height)) in enumerate(SIZES.items(), start=1):
        params = [focal, width / 2, height / 2, 0.25]
        camera = pycolmap.Camera(model="SIMPLE_RADIAL", width=width, height=height, params=params, camera_id=number)
        model.add_camera_with_trivial_rig(camera)
        points = [pycolmap.Point2D(np.array([1.5, 2.5]))] * number
        image = pycolmap.Image(name=name, camera_id=number, image_id=number, points2D=points)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pycolmap.Rotation3d(ROTATION), translation(name)))
    folder.mkdir(parents=True, exist_ok=True)
    model.write_binary(folder) if binary else model.write_text(folder)


def write_nvm(path: Path) -> None:
    w, x, y, z = quaternion_from_matrix(ROTATION)
    rows = []
    for name in SIZES:
        cx, cy, cz = -ROTATION.T @ translation(name)
        rows.append(f"{name} 50 {w} {x} {y} {z} {cx} {cy} {cz} 0 0\n")
    write(path, f"NVM_V3 \n\n{len(rows)}\n{''.join(rows)}\n0\n")


def tree(root: Path) -> Path:
    """Images and query lists, with version 1's night list under the common name; no model."""
    for name in [*SIZES, DAY, NIGHT, ADDED]:
        path = root / "images/images_upright" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", SIZES.get(name, (40, 30)), (90, 90, 90)).save(path)
    write(root / "queries/day_time_queries_with_intrinsics.txt", intrinsics(DAY))
    write(root / "queries/night_time_queries_with_intrinsics.txt", intrinsics(NIGHT))
    write(root / "queries/night_time_queries_with_intrinsics_v1_1.txt", intrinsics(NIGHT, ADDED))
    write(root / "image_pairs_to_match.txt", "db/1.jpg db/2.jpg\n")
    return root


@pytest.mark.parametrize("kind", ["bin", "txt", "nvm", "bin and list"])
def test_v1_1_reads_a_colmap_model_or_an_nvm_file(tmp_path, kind):
    root = tree(tmp_path)
    folder = root / "3D-models/aachen_v_1_1"
    if kind == "nvm":
        write_nvm(folder / "aachen_v_1_1.nvm")
    else:
        write_colmap(folder, binary="bin" in kind)
    if kind in ("nvm", "bin and list"):
        write(folder / "database_intrinsics_v1_1.txt", intrinsics(*SIZES))
    dataset = prepare_dataset("aachen_v1_1", "aachen", root, V1_1)
    splits = {item.name: item.split for item in dataset.images if item.role == "query"}
    assert splits == {DAY: "day", NIGHT: "night", ADDED: "night"}
    assert dataset.reference_images == tuple(sorted(SIZES))
    for name in SIZES:
        np.testing.assert_allclose(dataset.poses[name].rotation, ROTATION, atol=1e-9)
        np.testing.assert_allclose(dataset.poses[name].translation, translation(name), atol=1e-9)
    camera = next(item.camera for item in dataset.images if item.name == "db/2.jpg")
    params = (50, 15, 20, -0.1) if kind in ("nvm", "bin and list") else (40, 15, 20, 0.25)
    assert camera == Camera("SIMPLE_RADIAL", 30, 40, params, has_prior_focal_length=True)
    assert dataset.submission == "Aachen_v1_1_eval_[{run}].txt"
    assert dataset.pairs_path == ""  # version 1's list is another


def test_the_night_list_of_v1_1_may_have_replaced_that_of_v1(tmp_path, caplog):
    root = tree(tmp_path)
    write_colmap(root / "3D-models/aachen_v_1_1")
    listed = root / "queries/night_time_queries_with_intrinsics_v1_1.txt"
    listed.replace(root / "queries/night_time_queries_with_intrinsics.txt")
    assert len(prepare_dataset("aachen_v1_1", "aachen", root, V1_1).with_role("query")) == 3
    write_nvm(root / "3D-models/aachen_cvpr2018_db.nvm")
    write(root / "3D-models/database_intrinsics.txt", intrinsics(*SIZES))
    first = prepare_dataset("aachen", "aachen", root)
    assert [image.name for image in first.with_role("query")] == [DAY, NIGHT]
    assert "1 queries of version 1.1 are left out" in caplog.text
    assert first.submission == "Aachen_eval_[{run}].txt"


def test_the_night_list_of_v1_is_refused_for_v1_1(tmp_path):
    root = tree(tmp_path)
    write_colmap(root / "3D-models/aachen_v_1_1")
    (root / "queries/night_time_queries_with_intrinsics_v1_1.txt").unlink()
    with pytest.raises(DataError, match=r"version 1's list; that of aachen_v1_1\.zip"):
        prepare_dataset("aachen_v1_1", "aachen", root, V1_1)


def test_missing_parts_and_folders_of_v1_1_are_named_with_their_source(tmp_path):
    root = tree(tmp_path)
    with pytest.raises(DataError, match=r"3D-models/aachen_v_1_1/images\.bin \(from aachen_v1_1\.zip\)") as caught:
        prepare_dataset("aachen_v1_1", "aachen", root, V1_1)
    assert "trigpoint data fetch aachen_v1_1" in str(caught.value)
    write_colmap(root / "3D-models/aachen_v_1_1")
    sequences = root / "images/images_upright/sequences"
    sequences.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"sequences/gopro3_undistorted \(1 images\).*aachen_v1_1\.zip"):
        prepare_dataset("aachen_v1_1", "aachen", root, V1_1)


def test_an_nvm_model_of_v1_1_needs_its_intrinsics(tmp_path):
    folder = tree(tmp_path) / "3D-models/aachen_v_1_1"
    write_nvm(folder / "aachen_v_1_1.nvm")
    (folder / "cameras.bin").write_bytes(b"")
    with pytest.raises(DataError, match=r"needs database_intrinsics_v1_1\.txt"):
        prepare_dataset("aachen_v1_1", "aachen", tmp_path, V1_1)


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("images.bin", lambda data: data[:-40], "truncated"),
        ("images.bin", lambda data: data[:8] + struct.pack("<i4d", 1, 0, 0, 0, 0) + data[44:], "no pose"),
        ("cameras.bin", lambda data: data[:12] + struct.pack("<i", 99) + data[16:], "model number 99"),
        ("cameras.bin", lambda data: struct.pack("<Q", 1) + data[8:], "which cameras.bin has not"),
    ],
)
def test_a_damaged_model_is_refused(tmp_path, name, change, problem):
    write_colmap(tmp_path)
    path = tmp_path / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=problem):
        read_model_poses(tmp_path)


def test_held_out_images_are_queries_whose_poses_are_not_used(tmp_path):
    root = tree(tmp_path)
    write_colmap(root / "3D-models/aachen_v_1_1")
    settings = '{"version": "v1_1", "holdout": 2}'
    arguments = ["--dataset", "aachen_v1_1", "--layout", "aachen", "--root", str(root), "--settings", settings]
    assert main(["prepare", *arguments, "--output", str(tmp_path / "dataset.json")]) == 0
    dataset = read_dataset(tmp_path / "dataset.json")
    held = {image.name for image in dataset.images if image.split == "holdout"}
    assert len(held) == 2
    assert all(image.role == "query" for image in dataset.images if image.name in held)
    assert set(dataset.reference_images) == set(SIZES) - held
    assert set(dataset.poses) == set(SIZES)
    again = prepare_dataset("aachen_v1_1", "aachen", root, PrepareSettings(version="v1_1", holdout=2))
    assert again.images == dataset.images
    seeds = [PrepareSettings(version="v1_1", holdout=2, holdout_seed=seed) for seed in range(1, 5)]
    others = [prepare_dataset("aachen_v1_1", "aachen", root, item).reference_images for item in seeds]
    assert set(others) != {dataset.reference_images}


def test_the_users_tree_stays_as_it_is(tmp_path):
    root = tree(tmp_path)
    write_colmap(root / "3D-models/aachen_v_1_1")
    write(root / "database_v1_1.db", "an old database, which opening would rewrite")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}
    prepare_dataset("aachen_v1_1", "aachen", root, V1_1)
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()} == before


def test_a_map_has_to_remain(tmp_path):
    root = tree(tmp_path)
    write_colmap(root / "3D-models/aachen_v_1_1")
    with pytest.raises(SettingsError, match="holdout 3 of 4 map images with a known pose; two have to stay"):
        prepare_dataset("aachen_v1_1", "aachen", root, PrepareSettings(version="v1_1", holdout=3))
    for values in ({"version": "v2"}, {"holdout": -1}):
        with pytest.raises(SettingsError, match="prepare: "):
            PrepareSettings(**values)
