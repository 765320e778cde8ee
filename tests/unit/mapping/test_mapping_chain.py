"""Import, verification and mapping of synthetic scenes against their truth, through the command line."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from trigpoint.cli import main
from trigpoint.datasets.synthetic import SyntheticRun, write_synthetic_run
from trigpoint.geometry.metrics import absolute_pose_error
from trigpoint.geometry.pose import align_poses, transform_pose
from trigpoint.storage import colmap
from trigpoint.storage.dataset import write_dataset
from trigpoint.storage.json_files import read_json
from trigpoint.types import Dataset


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> SyntheticRun:
    return write_synthetic_run(tmp_path_factory.mktemp("scene"), num_images=10, reference_poses=True)


def command(name: str, settings: dict[str, object] | None = None, **options: Path | int) -> int:
    """Exit status of a subcommand; underscores of option names are dashes."""
    words = [name, "--settings", json.dumps(settings or {})]
    for key, value in options.items():
        words += [f"--{key.replace('_', '-')}", str(value)]
    return main(words)


def build(scene: SyntheticRun, folder: Path, dataset: Dataset | None = None, **settings: dict[str, object]) -> int:
    """The three commands in one folder; settings by stage: imported, verified, mapped. Returns the last exit status."""
    path = scene.dataset
    if dataset is not None:
        path = folder / "dataset.json"
        write_dataset(path, dataset)
    imported, database = folder / "imported.db", folder / "database.db"
    files = {"features": scene.features, "matches": scene.matches, "pairs": scene.map_pairs}
    status = command("import-database", settings.get("imported"), dataset=path, **files, output=imported)
    if status == 0:
        files = {"dataset": path, "database": imported, "output": database}
        status = command("verify-pairs", settings.get("verified"), **files, num_threads=2)
    if status == 0:
        files = {"database": database, "output": folder / "model", "log": folder / "mapping.json"}
        status = command("map", settings.get("mapped"), dataset=path, **files, num_threads=2)
    return status


def worst_center_error(folder: Path, truth: Dataset, *, aligned: bool) -> float:
    poses = colmap.model_poses(colmap.read_model(folder / "model"))
    if not aligned:
        similarity = align_poses(poses, truth.poses)
        assert similarity is not None
        poses = {name: transform_pose(similarity, pose) for name, pose in poses.items()}
    return max(absolute_pose_error(pose, truth.poses[name]).position for name, pose in poses.items())


@pytest.mark.parametrize("mapper", ["incremental", "global", "hierarchical", "triangulate"])
def test_every_mapper_finds_the_true_poses_in_metres(scene: SyntheticRun, tmp_path: Path, mapper: str) -> None:
    common = {"seed": 0, "code_version": 1, "deterministic": False}
    verified = {**common, "known_poses": mapper == "triangulate"}
    assert build(scene, tmp_path, imported=common, verified=verified, mapped={**common, "mapper": mapper}) == 0
    log = read_json(tmp_path / "mapping.json", "mapping")
    assert log["mapper"] == mapper
    assert log["aligned_to_reference"]
    assert log["components"] == [{"images": 10, "points3D": 300}]
    assert log["unregistered"] == []
    assert worst_center_error(tmp_path, scene.truth, aligned=True) < (1e-9 if mapper == "triangulate" else 1e-5)


@pytest.mark.parametrize("mapper", ["incremental", "global"])
def test_estimated_intrinsics_end_at_the_true_camera(scene: SyntheticRun, tmp_path: Path, mapper: str) -> None:
    images = tuple(dataclasses.replace(image, camera=None) for image in scene.truth.images)
    dataset = dataclasses.replace(scene.truth, images=images, reference_images=())
    assert build(scene, tmp_path, dataset, imported={"intrinsics": "estimate"}, mapped={"mapper": mapper}) == 0
    assert not read_json(tmp_path / "mapping.json", "mapping")["aligned_to_reference"]
    assert worst_center_error(tmp_path, scene.truth, aligned=False) < 1e-4
    (camera,) = set(colmap.model_cameras(colmap.read_model(tmp_path / "model")).values())
    np.testing.assert_allclose(camera.params, [1280, 512, 384, 0.05], rtol=1e-4)


def test_given_intrinsics_are_not_refined_unless_asked(scene: SyntheticRun, tmp_path: Path) -> None:
    cameras = [
        dataclasses.replace(i.camera, params=(1290.0, 512.0, 384.0, 0.05)) for i in scene.truth.images if i.camera
    ]
    images = tuple(dataclasses.replace(i, camera=c) for i, c in zip(scene.truth.images, cameras, strict=True))
    dataset = dataclasses.replace(scene.truth, images=images)
    focal_lengths = []
    for refine in (None, True):
        folder = tmp_path / str(refine)
        folder.mkdir()
        assert build(scene, folder, dataset, mapped={"refine_focal_length": refine}) == 0
        (camera,) = set(colmap.model_cameras(colmap.read_model(folder / "model")).values())
        focal_lengths.append(camera.params[0])
    assert focal_lengths[0] == 1290.0
    assert focal_lengths[1] == pytest.approx(1280.0, rel=1e-3)


def test_half_a_pixel_is_added_once(scene: SyntheticRun, tmp_path: Path) -> None:
    """Points triangulated with the true poses lie on the true points; half a pixel off would move them."""
    assert build(scene, tmp_path, verified={"known_poses": True}, mapped={"mapper": "triangulate"}) == 0
    model = colmap.read_model(tmp_path / "model")
    for point in model.points3D.values():
        element = point.track.elements[0]
        name = model.images[element.image_id].name
        truth = scene.points[int(scene.point_of_keypoint[name][element.point2D_idx])]
        assert np.linalg.norm(point.xyz - truth) < 1e-6


def test_deterministic_gives_the_same_bytes_twice(scene: SyntheticRun, tmp_path: Path) -> None:
    digests = []
    for turn in ("first", "second"):
        folder = tmp_path / turn
        folder.mkdir()
        assert build(scene, folder, verified={"deterministic": True}, mapped={"deterministic": True}) == 0
        files = sorted((folder / "model").iterdir())
        digests.append({file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files})
    assert {"cameras.bin", "images.bin", "points3D.bin"} <= set(digests[0])
    assert digests[0] == digests[1]


def test_inputs_keep_their_bytes_and_times(scene: SyntheticRun, tmp_path: Path) -> None:
    """COLMAP writes to a database by opening it; a changed input would make the workflow run again."""
    assert build(scene, tmp_path) == 0
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.glob("*.db")}
    assert len(before) == 2
    for mapper in ("incremental", "global"):
        files = {"database": tmp_path / "database.db", "output": tmp_path / "m", "log": tmp_path / "l"}
        assert command("map", {"mapper": mapper}, dataset=scene.dataset, **files) == 0
    colmap.summarize_database(tmp_path / "database.db")
    assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.glob("*.db")}
    assert not list(tmp_path.glob("*-wal"))


def test_every_verified_pair_has_a_configuration(scene: SyntheticRun, tmp_path: Path) -> None:
    for known_poses in (False, True):
        assert build(scene, tmp_path, verified={"known_poses": known_poses}) == 0
        with colmap.open_database(tmp_path / "database.db") as database:
            _, geometries = database.read_two_view_geometries()
        assert len(geometries) == 45
        undefined = colmap.pycolmap.TwoViewGeometryConfiguration.UNDEFINED
        assert all(geometry.config != int(undefined) for geometry in geometries)


def test_geometries_without_a_configuration_do_not_count(scene: SyntheticRun, tmp_path: Path) -> None:
    """COLMAP ignores them without a word: a map made of them has no points."""
    assert build(scene, tmp_path) == 0
    path = tmp_path / "database.db"
    with colmap.open_database(path) as database:
        pair_ids, geometries = database.read_two_view_geometries()
        for pair_id, geometry in zip(pair_ids, geometries, strict=True):
            geometry.config = int(colmap.pycolmap.TwoViewGeometryConfiguration.UNDEFINED)
            database.update_two_view_geometry(*colmap.pycolmap.pair_id_to_image_pair(pair_id), geometry)
    assert colmap.summarize_database(path).inliers == {}


def test_known_poses_drop_matches_off_the_epipolar_lines(scene: SyntheticRun, tmp_path: Path) -> None:
    poses = dict(scene.truth.poses)
    wrong = "map/view 000.png"
    poses[wrong] = dataclasses.replace(poses[wrong], translation=poses[wrong].translation + np.array([0.5, 0.0, 0.0]))
    dataset = dataclasses.replace(scene.truth, poses=poses)
    assert build(scene, tmp_path, dataset, verified={"known_poses": True}) == 0
    inliers = colmap.summarize_database(tmp_path / "database.db").inliers
    untouched = [count for pair, count in inliers.items() if wrong not in pair]
    assert untouched == [300] * 36
    assert all(count < 150 for pair, count in inliers.items() if wrong in pair)


def test_the_map_is_the_largest_component_and_the_rest_has_reasons(scene: SyntheticRun, tmp_path: Path) -> None:
    names = [image.name for image in scene.truth.with_role("map")]
    groups = names[:5], names[5:8]
    pairs = [f'"{a}" "{b}"' for group in groups for a in group for b in group if a < b]
    listed = tmp_path / "pairs.txt"
    listed.write_text("\n".join(pairs) + "\n")
    assert build(dataclasses.replace(scene, map_pairs=listed), tmp_path) == 0
    log = read_json(tmp_path / "mapping.json", "mapping")
    assert [component["images"] for component in log["components"]] == [5, 3]
    reasons = {row["name"]: row["reason"] for row in log["unregistered"]}
    assert reasons == dict.fromkeys(names[5:8], "component") | dict.fromkeys(names[8:], "no pairs")


def test_alignment_leaves_a_wrong_reference_aside(scene: SyntheticRun, tmp_path: Path) -> None:
    poses = dict(scene.truth.poses)
    wrong = "map/view 003.png"
    poses[wrong] = dataclasses.replace(poses[wrong], translation=poses[wrong].translation + 3.0)
    assert build(scene, tmp_path, dataclasses.replace(scene.truth, poses=poses)) == 0
    assert worst_center_error(tmp_path, scene.truth, aligned=True) < 1e-5


def test_evaluation_poses_are_not_used_for_alignment(scene: SyntheticRun, tmp_path: Path) -> None:
    assert build(scene, tmp_path, dataclasses.replace(scene.truth, reference_images=())) == 0
    assert not read_json(tmp_path / "mapping.json", "mapping")["aligned_to_reference"]
    assert worst_center_error(tmp_path, scene.truth, aligned=True) > 0.1
