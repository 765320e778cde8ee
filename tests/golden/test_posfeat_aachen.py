"""Aachen's formats against what the benchmark's script (PoSFeat's copy) makes of a tiny reference model."""

import re
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import torch

from trigpoint.datasets.aachen import read_intrinsics
from trigpoint.datasets.nvm import read_nvm_poses
from trigpoint.export.submission import submission_of_model
from trigpoint.geometry.pose import matrix_from_quaternion
from trigpoint.kernels import mutual_nearest_neighbors
from trigpoint.mapping.database import import_database
from trigpoint.mapping.settings import ImportSettings
from trigpoint.storage import colmap
from trigpoint.storage.features import FeatureWriter
from trigpoint.storage.matches import MatchWriter
from trigpoint.storage.poses import read_poses, write_submission
from trigpoint.types import Camera, Dataset, DatasetImage, Features, Matches, Pose

Golden = np.lib.npyio.NpzFile
NIGHT = ["query/night/nexus5x/IMG_1.jpg", "query/night/nexus5x/IMG_2.jpg"]
DAY = "query/day/milestone/Q_1.jpg"


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return np.load(shared / "golden/posfeat/aachen_helpers.npz")


def written(folder: Path, golden: Golden, key: str, name: str) -> Path:
    path = folder / name
    path.write_text(str(golden[key]))
    return path


@pytest.fixture
def reference(golden: Golden, tmp_path: Path) -> tuple[dict[str, Pose], dict[str, Camera]]:
    poses = read_nvm_poses(written(tmp_path, golden, "nvm_txt", "model.nvm"))
    return poses, read_intrinsics(written(tmp_path, golden, "intrinsics_txt", "intrinsics.txt"))


def matches_of(golden: Golden, name0: str, name1: str) -> np.ndarray:
    descriptors = [torch.from_numpy(golden[f"desc::{name}"]) for name in (name0, name1)]
    return mutual_nearest_neighbors(*descriptors).indices.numpy()


def test_poses_and_cameras_of_the_reference_model_agree(
    golden: Golden, reference: tuple[dict[str, Pose], dict[str, Camera]], tmp_path: Path
) -> None:
    poses, cameras = reference
    for key, name in (("cameras_txt", "cameras.txt"), ("images_txt", "images.txt"), ("points3D_txt", "points3D.txt")):
        written(tmp_path, golden, key, name)
    cameras_txt = tmp_path / "cameras.txt"  # "1063.0" for a width: COLMAP took it then, 4.2 does not
    cameras_txt.write_text(re.sub(r"(?<=RADIAL )(\d+)\.0 (\d+)\.0", r"\1 \2", cameras_txt.read_text()))
    model = colmap.read_model(tmp_path)
    expected_poses, expected_cameras = colmap.model_poses(model), colmap.model_cameras(model)
    assert sorted(poses) == sorted(expected_poses) == ["db/1045.jpg", "db/7.jpg"]
    for name, expected in expected_poses.items():
        np.testing.assert_allclose(poses[name].rotation, matrix_from_quaternion(golden[f"qvec::{name}"]), atol=1e-9)
        # the model's rotations, like the original's, are of quaternions whose length is 1 to 1e-4 only
        np.testing.assert_allclose(poses[name].rotation, expected.rotation, rtol=0, atol=2e-4)
        np.testing.assert_allclose(poses[name].translation, golden[f"tvec::{name}"], rtol=1e-4, atol=0)
        ours, theirs = cameras[name], expected_cameras[name]
        assert (ours.model, ours.width, ours.height, ours.params) == (
            theirs.model, theirs.width, theirs.height, theirs.params
        )  # fmt: skip


def test_centres_become_translations(golden: Golden) -> None:
    for quaternion, centre, R, t in zip(golden["q_wxyz"], golden["centre"], golden["R"], golden["t"], strict=True):
        rotation = matrix_from_quaternion(quaternion)
        np.testing.assert_allclose(rotation, R, rtol=0, atol=1e-12)
        np.testing.assert_allclose(-rotation @ centre, t, rtol=0, atol=1e-12)


def test_matches_agree_in_the_order_of_image_numbers(golden: Golden) -> None:
    numbers = dict(zip(golden["names"].tolist(), golden["image_ids"].tolist(), strict=True))
    found = {}
    for pair in golden["pairs"].tolist():
        name0, name1 = sorted(pair, key=numbers.__getitem__)
        found[2147483647 * numbers[name0] + numbers[name1]] = matches_of(golden, name0, name1)
    assert sorted(found) == golden["match_pair_ids"].tolist()
    for pair_id, indices in found.items():
        expected = golden[f"matches::{pair_id}"]
        np.testing.assert_array_equal(indices[np.lexsort(indices.T[::-1])], expected[np.lexsort(expected.T[::-1])])


def test_database_differs_by_the_half_pixel_alone(
    golden: Golden, reference: tuple[dict[str, Pose], dict[str, Camera]], tmp_path: Path
) -> None:
    """The benchmark's README asks for COLMAP's coordinates, its script does not convert; ours does."""
    _, cameras = reference
    names = ["db/1045.jpg", "db/7.jpg"]
    images = [DatasetImage(name, "map", (cameras[name].width, cameras[name].height), camera=cameras[name])
              for name in names]  # fmt: skip
    features, matches, database = (tmp_path / name for name in ("features.h5", "matches.h5", "database.db"))
    with FeatureWriter(features, {}, "float32") as writer:
        for image in images:
            keypoints = golden[f"kpts::{image.name}"]
            scores = np.ones(len(keypoints), dtype=np.float32)
            writer.write(image.name, Features(keypoints, golden[f"desc::{image.name}"], scores, image.size))
    with MatchWriter(matches, {}) as match_writer:
        indices = matches_of(golden, names[1], names[0]).astype(np.int32)  # in the pair list's order
        match_writer.write(names[1], names[0], Matches(indices, np.ones(len(indices), dtype=np.float32)))
    dataset = Dataset("aachen", "aachen", str(tmp_path), tuple(images))
    import_database(dataset, features, matches, [(names[1], names[0])], database, ImportSettings(intrinsics="given"))
    connection = sqlite3.connect(database)
    rows, columns, blob = connection.execute("SELECT rows, cols, data FROM keypoints WHERE image_id = 1").fetchone()
    keypoints = np.frombuffer(blob, dtype=np.float32).reshape(rows, columns)
    np.testing.assert_allclose(keypoints[:, :2] - 0.5, golden["kp_blob_image1"][:, :2], rtol=0, atol=1e-4)
    ((pair_id, rows, blob),) = connection.execute("SELECT pair_id, rows, data FROM matches").fetchall()
    connection.close()
    assert pair_id == golden["match_pair_ids"][0]
    stored = np.frombuffer(blob, dtype=np.uint32).reshape(rows, 2)
    expected = golden[f"matches::{pair_id}"]
    np.testing.assert_array_equal(stored[np.argsort(stored[:, 0])], expected[np.argsort(expected[:, 0])])


@pytest.mark.parametrize(("names", "key"), [(NIGHT, "submission_txt"), ([*NIGHT, DAY], "submission_txt_with_day_list")])
def test_submission_agrees_byte_for_byte(golden: Golden, tmp_path: Path, names: list[str], key: str) -> None:
    model = written(tmp_path, golden, "final_images_txt", "images.txt")
    assert submission_of_model(model, names) == str(golden[key])


def test_our_own_submission_says_the_same_poses(golden: Golden, tmp_path: Path) -> None:
    """Written from rotation matrices: unit quaternions with w >= 0 where the made-up lines have any."""
    theirs = read_poses(written(tmp_path, golden, "submission_txt", "theirs.txt"))
    write_submission(tmp_path / "ours.txt", {f"query/night/nexus5x/{name}": pose for name, pose in theirs.items()})
    ours = read_poses(tmp_path / "ours.txt")
    assert list(ours) == list(theirs)
    for name, pose in theirs.items():
        np.testing.assert_allclose(ours[name].rotation, pose.rotation, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(ours[name].translation, pose.translation)
