"""Aachen's formats against what the benchmark's script (PoSFeat's copy) makes of a tiny reference model."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from trigpoint.datasets.aachen import read_intrinsics
from trigpoint.datasets.nvm import read_nvm_poses
from trigpoint.export.submission import submission_of_model
from trigpoint.geometry.pose import matrix_from_quaternion
from trigpoint.kernels import mutual_nearest_neighbors
from trigpoint.localization.settings import LocalizationSettings
from trigpoint.mapping.database import import_database
from trigpoint.mapping.options import refined_intrinsics
from trigpoint.mapping.settings import ImportSettings, MappingSettings
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
    assert sorted(model.cameras) == golden["camera_ids"].tolist()[: len(poses)]
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
    names, pairs = golden["names"].tolist(), [tuple(pair) for pair in golden["pairs"].tolist()]
    numbers = dict(zip(names, golden["image_ids"].tolist(), strict=True))
    known = {name: cameras.get(name, cameras["db/7.jpg"]) for name in sorted(names)}  # the golden has none of queries
    images = [DatasetImage(name, "map", (camera.width, camera.height), camera=camera) for name, camera in known.items()]
    features, matches, database = (tmp_path / name for name in ("features.h5", "matches.h5", "database.db"))
    with FeatureWriter(features, {}, "float32") as writer:
        for image in images:
            keypoints = golden[f"kpts::{image.name}"]
            scores = np.ones(len(keypoints), dtype=np.float32)
            writer.write(image.name, Features(keypoints, golden[f"desc::{image.name}"], scores, image.size))
    distinct = list({frozenset(pair): pair for pair in reversed(pairs)}.values())  # the list has a pair both ways round
    with MatchWriter(matches, {}) as match_writer:
        for pair in distinct:
            indices = matches_of(golden, *pair).astype(np.int32)
            match_writer.write(*pair, Matches(indices, np.ones(len(indices), dtype=np.float32)))
    dataset = Dataset("aachen", "aachen", str(tmp_path), tuple(images))
    import_database(dataset, features, matches, distinct, database, ImportSettings(intrinsics="given"))
    with colmap.open_database(database) as opened:
        given = {image.image_id: numbers[image.name] for image in opened.read_all_images()}
        rows = {given[number]: opened.read_keypoints(number) for number in given}
        stored = dict(zip(*opened.read_all_matches(), strict=True))
    assert [[number, len(rows[number])] for number in sorted(rows)] == golden["kp_rows_cols"][:, :2].tolist()
    np.testing.assert_allclose(rows[1][:, :2] - 0.5, golden["kp_blob_image1"][:, :2], rtol=0, atol=1e-4)
    assert len(stored) == len(golden["match_pair_ids"]) == len(distinct)
    for pair_id, indices in stored.items():
        columns = [given[number] for number in divmod(pair_id, 2147483647)]
        expected = golden[f"matches::{2147483647 * min(columns) + max(columns)}"]
        found = indices if columns == sorted(columns) else indices[:, ::-1]
        np.testing.assert_array_equal(found[np.argsort(found[:, 0])], expected[np.argsort(expected[:, 0])])


def test_the_script_calls_colmap_with_what_our_protocol_has(golden: Golden) -> None:
    """Verification, triangulation and registration by COLMAP's defaults, intrinsics kept."""
    matching, triangulation, registration, *_ = golden["colmap_calls"].tolist()
    for call in (triangulation, registration):
        options = dict(re.findall(r"--Mapper\.(\w+) (\d)", call))
        parts = ("focal_length", "principal_point", "extra_params")
        given = refined_intrinsics(MappingSettings(mapper="triangulate"), estimated=False)
        assert options == {f"ba_refine_{part}": str(int(value)) for part, value in zip(parts, given, strict=True)}
    assert "--TwoViewGeometry" not in matching and "--SiftMatching" not in matching
    defaults = colmap.pycolmap.TwoViewGeometryOptions()
    settings = LocalizationSettings(protocol="local_feature_challenge")
    assert (settings.pair_max_error_px, settings.pair_min_num_inliers) == (
        defaults.ransac.max_error, defaults.min_num_inliers
    )  # fmt: skip
    mapper = colmap.pycolmap.IncrementalMapperOptions()
    assert (settings.max_error_px, settings.register_min_num_inliers, settings.register_min_inlier_ratio) == (
        mapper.abs_pose_max_error, mapper.abs_pose_min_num_inliers, mapper.abs_pose_min_inlier_ratio
    )  # fmt: skip
    assert not settings.refine_focal_length and not settings.refine_extra_params


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
