"""Training data of a COLMAP dense workspace that is made up here, and merging of such files."""

import itertools
import json
from pathlib import Path

import h5py
import numpy as np
import pycolmap
import pytest

from trigpoint.cli import main
from trigpoint.export.training_data import covisible_pairs, read_scenes, scene_folder
from trigpoint.storage.colmap import posed_model
from trigpoint.types import Camera, Pose

# Which of 15 points each image sees: a and b share 7 of 10, b and c 8, a and c 5 (both bounds); d as a; e none.
SEEN = {
    "a.jpg": range(0, 10),
    "b.jpg": range(3, 13),
    "c.jpg": range(5, 15),
    "sub/d.jpg": range(0, 10),
    "e.jpg": range(0),
}
WIDTH, HEIGHT = 8, 6


def make_workspace(folder: Path, camera: Camera | None = None) -> Path:
    """Images (empty files), a binary model and depth maps in COLMAP's format."""
    camera = camera or Camera("PINHOLE", WIDTH, HEIGHT, (9.0, 10.0, 4.5, 2.5))
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    rows = [(index, name, camera, Pose(turn, np.array([index, 0.5, -1.0]))) for index, name in enumerate(SEEN, start=1)]
    model = posed_model(rows)
    for image in model.images.values():
        image.points2D = pycolmap.Point2DList([pycolmap.Point2D(np.zeros(2)) for _ in [*SEEN[image.name], 99]])
    ids = {image.name: image.image_id for image in model.images.values()}
    for point in range(15):
        track = pycolmap.Track()
        for name, seen in SEEN.items():
            if point in seen:
                track.add_element(ids[name], list(seen).index(point))
        model.add_point3D(np.array([point, 0.0, 1.0]), track)
    (folder / "sparse").mkdir(parents=True)
    model.write(folder / "sparse")
    for name in SEEN:
        for path in (folder / "images" / name, folder / "stereo" / "depth_maps" / f"{name}.geometric.bin"):
            path.parent.mkdir(parents=True, exist_ok=True)
        (folder / "images" / name).touch()
        write_depth_map(folder / "stereo" / "depth_maps" / f"{name}.geometric.bin", depth_map())
    return folder


def depth_map() -> np.ndarray:
    """(H, W): every value tells its place; three are unknown."""
    depth = np.arange(HEIGHT)[:, None] * 100.0 + np.arange(WIDTH) + 1
    depth[2, 3], depth[4, 5], depth[5, 7] = 0, -1, np.nan
    return depth


def write_depth_map(path: Path, depth: np.ndarray) -> None:
    """COLMAP's binary format: width&height&channels&, then float32, width fastest."""
    head = f"{depth.shape[1]}&{depth.shape[0]}&1&".encode()
    path.write_bytes(head + depth.astype("<f4").T.tobytes(order="F"))


def make(folder: Path, *options: str) -> int:
    return main(["make-training-data", str(folder), *options])


def test_scene_calibration_and_depth_are_the_workspaces(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "dense")
    assert make(workspace, "--name", "town") == 0
    output = workspace / "dataset"
    scene = json.loads((output / "dataset.json").read_text())["town"]
    assert scene["images"] == ["a.jpg", "b.jpg", "c.jpg", "sub/d.jpg"]  # e sees nothing
    assert sorted(scene["tuples"]) == [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]  # a and d are too much alike
    assert (
        scene["image_path"] == "../images" and scene["calib_path"] == "calibration" and scene["depth_path"] == "depth"
    )
    with h5py.File(output / "calibration" / "calibration_b.jpg.h5") as file:
        # COLMAP's (4.5, 2.5) counts from the corner
        assert file["K"].dtype == np.float32 and file["K"][()].tolist() == [[9, 0, 4], [0, 10, 2], [0, 0, 1]]
        np.testing.assert_allclose(file["R"][()], [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)
        assert file["T"][()].tolist() == [2, 0.5, -1] and file["T"].dtype == np.float64
    assert (output / "calibration" / "calibration_sub" / "d.jpg.h5").is_file()
    with h5py.File(output / "depth" / "a.h5") as file:
        assert file["depth"].dtype == np.float16
        expected = np.where(depth_map() > 0, depth_map(), 0)
        np.testing.assert_array_equal(file["depth"][()], expected)


def test_the_workspace_can_be_moved(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "dense")
    make(workspace)
    workspace.rename(tmp_path / "elsewhere")
    path = tmp_path / "elsewhere" / "dataset" / "dataset.json"
    scene = read_scenes(path)["default-scene"]
    folder = scene_folder(scene, "image_path", path.parent)
    assert folder == (tmp_path / "elsewhere" / "images").resolve()


def test_legacy_keeps_colmaps_principal_point(tmp_path: Path) -> None:
    make(make_workspace(tmp_path / "dense"), "--legacy", "--no-depth", "--output", str(tmp_path / "out"))
    with h5py.File(tmp_path / "out" / "calibration" / "calibration_a.jpg.h5") as file:
        assert file["K"][()].tolist() == [[9, 0, 4.5], [0, 10, 2.5], [0, 0, 1]]
    assert read_scenes(tmp_path / "out" / "dataset.json")["default-scene"]["depth_path"] == ""
    assert not (tmp_path / "out" / "depth").exists()


def test_triplets_are_those_whose_three_pairs_qualify(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "dense")
    make(workspace, "--tuple-size", "3", "--output", str(tmp_path / "all"))
    scene = read_scenes(tmp_path / "all" / "dataset.json")["default-scene"]
    members = [[scene["images"][index] for index in members] for members in scene["tuples"]]
    assert members == [["a.jpg", "b.jpg", "c.jpg"], ["b.jpg", "c.jpg", "sub/d.jpg"]]
    make(workspace, "--tuple-size", "3", "--max-tuples", "1", "--output", str(tmp_path / "one"))
    assert len(read_scenes(tmp_path / "one" / "dataset.json")["default-scene"]["tuples"]) == 1


def test_covisibility_is_counted_pair_by_pair() -> None:
    """Against the definition, on random visibility."""
    random = np.random.default_rng(0)
    points = {f"{index}.jpg": random.integers(-1, 40, random.integers(0, 60)) for index in range(12)}
    points["none.jpg"] = np.array([-1, -1])
    sets = {name: set(numbers[numbers >= 0].tolist()) for name, numbers in points.items()}
    expected = []
    for name0, name1 in itertools.combinations(points, 2):
        fewer = min(len(sets[name0]), len(sets[name1]))
        if fewer and 0.5 <= len(sets[name0] & sets[name1]) / fewer <= 0.8:
            expected.append((name0, name1))
    assert covisible_pairs(points, 0.5, 0.8) == expected
    assert len(expected) > 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "images" / "a.jpg").unlink(), "a.jpg: no such file, though the model has this image"),
        (
            lambda folder: (folder / "stereo/depth_maps/b.jpg.geometric.bin").unlink(),
            "run `colmap patch_match_stereo`, or leave depth out",
        ),
        (
            lambda folder: write_depth_map(folder / "stereo/depth_maps/b.jpg.geometric.bin", np.ones((3, 4))),
            "4x3 px, the image has 8x6",
        ),
        (
            lambda folder: (folder / "stereo/depth_maps/b.jpg.geometric.bin").write_bytes(b"8&6&1&short"),
            "8x6x1 in 5 bytes",
        ),
        (
            lambda folder: (folder / "stereo/depth_maps/b.jpg.geometric.bin").write_bytes(b"nothing"),
            "expected width&height&channels&",
        ),
        (lambda folder: (folder / "sparse" / "images.bin").unlink(), "no COLMAP model"),
    ],
)
def test_a_broken_workspace_is_refused(tmp_path: Path, capsys, change, message: str) -> None:
    workspace = make_workspace(tmp_path / "dense")
    change(workspace)
    assert make(workspace) == 2
    assert message in capsys.readouterr().err
    assert not (workspace / "dataset").exists()


def test_distortion_and_hopeless_ranges_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    camera = Camera("SIMPLE_RADIAL", WIDTH, HEIGHT, (9.0, 4.0, 3.0, 0.1))
    assert make(make_workspace(tmp_path / "dense", camera)) == 2
    assert "camera SIMPLE_RADIAL, expected PINHOLE: undistort first" in capsys.readouterr().err
    assert make(tmp_path / "dense", "--min-covisibility", "0.01", "--max-covisibility", "0.02") == 2
    assert "no pair of 5 images shares 1% to 2% of its points" in capsys.readouterr().err


def test_depth_that_half_precision_cannot_hold_stays_exact(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "dense")
    write_depth_map(workspace / "stereo/depth_maps/a.jpg.geometric.bin", depth_map() * 1e4)
    make(workspace)
    with h5py.File(workspace / "dataset" / "depth" / "a.h5") as file:
        assert file["depth"].dtype == np.float32 and file["depth"][0, 0] == np.float32(1e4)


def test_merged_scenes_keep_their_folders_and_get_names_of_their_own(tmp_path: Path) -> None:
    files = []
    for name in ("one", "two", "three"):
        make(make_workspace(tmp_path / name))
        files.append(str(tmp_path / name / "dataset" / "dataset.json"))
    (tmp_path / "all").mkdir()
    output = tmp_path / "all" / "merged.json"
    assert main(["merge-datasets", *files, "--output", str(output)]) == 0
    merged = read_scenes(output)
    assert list(merged) == ["default-scene", "1-0", "2-0"]
    for scene, name in zip(merged.values(), ("one", "two", "three"), strict=True):
        assert scene["image_path"] == f"../{name}/images"
        assert scene_folder(scene, "depth_path", output.parent) == (tmp_path / name / "dataset/depth").resolve()
    again = tmp_path / "again.json"
    assert main(["merge-datasets", str(output), str(output), "--output", str(again)]) == 0
    assert list(read_scenes(again)) == ["default-scene", "1-0", "2-0", "1-0-2", "1-1", "1-2"]
    assert main(["merge-datasets", *files, "--output", str(output), "--name", "rome", "venice", "rome"]) == 0
    assert list(read_scenes(output)) == ["rome", "venice", "2-0"]
    assert main(["merge-datasets", str(again), "--output", str(output), "--name", "rome"]) == 0
    assert list(read_scenes(output))[:2] == ["rome-default-scene", "rome-1-0"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "no scenes"),
        ('{"a": {"images": []}}', "scene 'a' has no calib_path, image_path, tuples"),
        ('{"a": {"image_path": ".", "calib_path": ".", "images": ["x"], "tuples": [[0, 1]]}}', "indices of its images"),
        ('{"a": {"image_path": "gone", "calib_path": ".", "images": ["x"], "tuples": [[0]]}}', "gone: no such folder"),
    ],
)
def test_what_is_no_training_data_is_not_merged(tmp_path: Path, capsys, content: str, message: str) -> None:
    (tmp_path / "dataset.json").write_text(content)
    assert main(["merge-datasets", str(tmp_path / "dataset.json"), "--output", str(tmp_path / "merged.json")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "merged.json").exists()


def test_each_file_needs_a_name_or_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["merge-datasets", "a.json", "b.json", "--name", "x", "--output", str(tmp_path / "m.json")]) == 2
    assert "1 names for 2 files" in capsys.readouterr().err
