"""kapture folders: read by kapture's own package where it is installed, and back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trigpoint.cli import main
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.json_files import read_json
from trigpoint.storage.poses import read_poses

# What kapture's package finds in a folder, as JSON; run by an interpreter that has it.
READER = """
import json, sys
import kapture
from kapture.io.csv import kapture_from_dir
from kapture.io.features import (get_keypoints_fullpath, get_descriptors_fullpath, get_matches_fullpath,
                                 image_keypoints_from_file, image_descriptors_from_file, image_matches_from_file)
folder = sys.argv[1]
data = kapture_from_dir(folder)
kind = list(data.keypoints)[0]
keypoints, descriptors = data.keypoints[kind], data.descriptors[kind]
answer = {
    "kind": kind,
    "cameras": {name: [str(camera.camera_type), camera.camera_params] for name, camera in data.cameras.items()},
    "images": sorted(name for _, _, name in kapture.flatten(data.records_camera)),
    "poses": {data.records_camera[stamp, device]: [*pose.r_raw, *pose.t_raw]
              for stamp, device, pose in kapture.flatten(data.trajectories)} if data.trajectories else {},
    "keypoints": {name: image_keypoints_from_file(get_keypoints_fullpath(kind, folder, name), keypoints.dtype,
                                                  keypoints.dsize).tolist() for name in keypoints},
    "descriptors": {name: image_descriptors_from_file(get_descriptors_fullpath(kind, folder, name), descriptors.dtype,
                                                      descriptors.dsize).tolist() for name in descriptors},
    "matches": [[*pair, image_matches_from_file(get_matches_fullpath(pair, kind, folder)).tolist()]
                for pair in data.matches[kind]],
    "points": 0 if data.points3d is None else len(data.points3d),
    "observations": 0 if data.observations is None else data.observations.observations_number(),
}
json.dump(answer, sys.stdout)
"""


@pytest.fixture(scope="session")
def kapture_python() -> str:
    """An interpreter with the package kapture: this one, or the one that TRIGPOINT_KAPTURE_PYTHON names."""
    python = os.environ.get("TRIGPOINT_KAPTURE_PYTHON", sys.executable)
    done = subprocess.run([python, "-c", "import kapture.io.csv"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("kapture is not installed: pip install kapture, or set TRIGPOINT_KAPTURE_PYTHON")
    return python


def read_by_kapture(python: str, folder: Path) -> dict:
    done = subprocess.run([python, "-c", READER, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def export(run: Path, output: Path, *options: str) -> int:
    return main(["export", "--to", "kapture", "--run", str(run), "--output", str(output), *options])


def test_kapture_reads_what_was_written(small_run, kapture_python: str, tmp_path: Path) -> None:
    assert export(small_run.folder, tmp_path / "kapture") == 0
    found = read_by_kapture(kapture_python, tmp_path / "kapture")
    assert found["kind"] == "disk"
    assert found["images"] == sorted(small_run.features)
    for name, expected in small_run.features.items():
        keypoints = np.array(found["keypoints"][name]).reshape(-1, 2)
        np.testing.assert_allclose(keypoints, expected.keypoints + 0.5, rtol=0, atol=1e-3)  # corner convention
        descriptors = np.array(found["descriptors"][name]).reshape(-1, 128)
        np.testing.assert_array_equal(descriptors.ravel(), expected.descriptors.ravel())
    for name0, name1, rows in found["matches"]:
        assert name0 < name1
        in_order = (name0, name1) in small_run.matches
        stored = small_run.matches[(name0, name1) if in_order else (name1, name0)]
        columns = stored.indices if in_order else stored.indices[:, ::-1]
        np.testing.assert_array_equal(np.array(rows).reshape(-1, 3)[:, :2], columns)
        np.testing.assert_array_equal(np.array(rows).reshape(-1, 3)[:, 2], stored.scores)
    kinds = sorted(camera[0].split(".")[-1] for camera in found["cameras"].values())
    assert kinds == ["SIMPLE_RADIAL", "UNKNOWN_CAMERA"]
    pose = small_run.dataset.poses["db/b.png"]
    quaternion = np.array(found["poses"]["db/b.png"])[:4]
    np.testing.assert_allclose(quaternion, [np.sqrt(0.5), 0, 0, np.sqrt(0.5)], atol=1e-12)
    np.testing.assert_array_equal(found["poses"]["db/b.png"][4:], pose.translation)


def test_kapture_reads_the_map_of_a_run(finished_work: Path, kapture_python: str, tmp_path: Path) -> None:
    import pycolmap

    assert export(finished_work / "exact", tmp_path / "kapture") == 0
    found = read_by_kapture(kapture_python, tmp_path / "kapture")
    model = pycolmap.Reconstruction(finished_work / "exact" / "model")
    assert found["points"] == model.num_points3D()
    assert found["observations"] == model.compute_num_observations()
    assert len(found["poses"]) == model.num_reg_images() == 8


def test_an_observation_is_the_keypoint_that_the_point_projects_to(finished_work: Path, tmp_path: Path) -> None:
    """Indices, poses and the half pixel fit together: reprojected points lie on the exported keypoints."""
    import pycolmap

    export(finished_work / "exact", tmp_path / "kapture")
    folder = tmp_path / "kapture" / "reconstruction"
    model = pycolmap.Reconstruction(finished_work / "exact" / "model")
    images = {image.name: image for image in model.images.values()}
    points = np.loadtxt(folder / "points3d.txt", delimiter=",")[:, :3]
    kind = next((folder / "keypoints").iterdir()).name
    distances = []
    for line in (folder / "observations.txt").read_text().splitlines()[2:]:
        row, _, *seen = line.split(", ")
        for name, index in zip(seen[::2], seen[1::2], strict=True):
            keypoints = np.fromfile(folder / "keypoints" / kind / f"{name}.kpt", np.float32).reshape(-1, 2)
            image = images[name]
            projected = image.camera.img_from_cam(image.cam_from_world() * points[int(row)])
            distances.append(np.linalg.norm(projected - keypoints[int(index)]))
    assert len(distances) == model.compute_num_observations()
    assert np.median(distances) < 0.05


def test_what_is_written_reads_back_the_same(small_run, assert_same, tmp_path: Path) -> None:
    export(small_run.folder, tmp_path / "kapture")
    words = ["import-run", str(tmp_path / "kapture"), "--from", "kapture", "--output", str(tmp_path / "back")]
    assert main(words) == 0
    assert_same(tmp_path / "back", pixels=1e-3, scores=False)
    poses = read_poses(tmp_path / "back" / "poses.txt")
    assert sorted(poses) == sorted(small_run.dataset.poses)
    for name, pose in poses.items():
        np.testing.assert_allclose(pose.rotation, small_run.dataset.poses[name].rotation, atol=1e-12)
        np.testing.assert_array_equal(pose.translation, small_run.dataset.poses[name].translation)


def test_images_are_linked_where_asked_for(finished_work: Path, tmp_path: Path) -> None:
    export(finished_work / "exact", tmp_path / "kapture", "--link-images")
    dataset = read_json(finished_work / "dataset.json", "dataset")
    for image in dataset["images"]:
        assert (tmp_path / "kapture" / "sensors" / "records_data" / image["name"]).is_file()


def test_a_comma_in_a_name_is_refused(small_run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from trigpoint.storage.features import FeatureWriter
    from trigpoint.types import Features

    with FeatureWriter(tmp_path / "features.h5", {}) as writer:
        writer.write("a,b.jpg", Features(np.zeros((1, 2)), np.zeros((1, 4)), np.zeros(1), (10, 10)))
    assert export(small_run.folder, tmp_path / "kapture", "--features", str(tmp_path / "features.h5")) == 2
    assert "'a,b.jpg': kapture's text files cannot hold a comma" in capsys.readouterr().err


def test_several_types_of_keypoints_need_a_choice(small_run, tmp_path: Path, capsys) -> None:
    export(small_run.folder, tmp_path / "kapture")
    keypoints = tmp_path / "kapture" / "reconstruction" / "keypoints"
    (keypoints / "other").mkdir()
    (keypoints / "other" / "keypoints.txt").write_text("# kapture format: 1.1\nother, float32, 2\n")
    words = ["import-run", str(tmp_path / "kapture"), "--from", "kapture", "--output", str(tmp_path / "back")]
    assert main(words) == 2
    assert "found disk, other; choose with --keypoints-type" in capsys.readouterr().err
    assert main([*words, "--keypoints-type", "disk"]) == 0
    with FeatureReader(tmp_path / "back" / "features.h5") as reader:
        assert reader.names() == sorted(small_run.features)
