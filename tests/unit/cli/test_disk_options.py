"""Options of DISK's programs under their names, through main."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pycolmap
import pytest
import torch

from trigpoint.cli import main
from trigpoint.networks.disk_unet import DiskUNet
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.matches import MatchReader


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dataset.json of two PNG and one JPEG photograph of noise, a checkpoint with random weights, a pair list."""
    folder = tmp_path_factory.mktemp("disk_options")
    (folder / "images").mkdir()
    random = np.random.default_rng(0)
    exif = PIL.Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 28  # FocalLengthIn35mmFilm
    for name in ("a.png", "b.png", "c.jpg"):
        pixels = random.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(folder / "images" / name, **({"exif": exif} if name == "c.jpg" else {}))
    words = ["--dataset", "noise", "--layout", "photos", "--root", folder, "--output", folder / "dataset.json"]
    assert run("prepare", *words) == 0
    torch.manual_seed(0)
    torch.save({"disk": DiskUNet().state_dict()}, folder / "random.pth")
    (folder / "pairs.txt").write_text("a.png b.png\na.png c.jpg\nb.png c.jpg\n")
    return folder


def run(*words: object) -> int:
    return main([str(word) for word in words])


def extract(scene: Path, output: Path, *options: object) -> int:
    return run("extract-features", "--dataset", scene / "dataset.json", "--output", output, *options)


def test_detects_options_reach_the_method(scene: Path, tmp_path: Path) -> None:
    options = ["--height", 64, "--width", 96, "--n", 7, "--window", 9, "--model_path", scene / "random.pth", "--f16"]
    assert extract(scene, tmp_path / "f.h5", *options, "--desc-dim", 128, "--image-extension", "png") == 0
    with FeatureReader(tmp_path / "f.h5") as reader:
        assert reader.names() == ["a.png", "b.png"]
        assert reader.settings["method"] == "disk"
        stored = reader.settings["settings"]
        wanted = {"height": 64, "width": 96, "max_keypoints": 7, "nms_window_px": 9}
        assert {key: stored[key] for key in wanted} == wanted
        assert len(reader.read("a.png")) <= 7 and reader.read("a.png").descriptors.dtype == np.float16


def test_options_stand_over_the_settings(scene: Path, tmp_path: Path) -> None:
    disk = {"max_keypoints": 3, "score_threshold": None, "weights": str(scene / "random.pth")}
    settings = json.dumps({"method": "disk", "settings": disk, "descriptor_dtype": "float32"})
    assert extract(scene, tmp_path / "f.h5", "--settings", settings, "--n", 5) == 0
    with FeatureReader(tmp_path / "f.h5") as reader:
        assert [reader.num_keypoints(name) for name in reader.names()] == [5, 5, 5]
        assert reader.read("a.png").descriptors.dtype == np.float32


def test_the_ratio_test_reaches_the_matcher_and_the_camera_the_database(scene: Path, tmp_path: Path) -> None:
    disk = {"max_keypoints": 20, "score_threshold": None, "weights": str(scene / "random.pth")}
    assert extract(scene, tmp_path / "f.h5", "--settings", json.dumps({"method": "disk", "settings": disk})) == 0
    given = ["--dataset", scene / "dataset.json", "--features", tmp_path / "f.h5", "--pairs", scene / "pairs.txt"]
    assert run("match-pairs", *given, "--rt", 0.95, "--output", tmp_path / "m.h5") == 0
    with MatchReader(tmp_path / "m.h5") as reader:
        assert reader.settings["matcher"] == "mutual_nn" and reader.settings["settings"]["ratio"] == 0.95
    words = [*given, "--matches", tmp_path / "m.h5", "--output", tmp_path / "database.db"]
    assert run("import-database", *words, "--camera-model", "opencv", "--single-camera") == 0
    with pycolmap.Database.open(tmp_path / "database.db") as database:
        (camera,) = database.read_all_cameras()
        assert camera.model_name == "OPENCV"
        assert camera.params[0] == pytest.approx(28 / 35 * 80) and camera.has_prior_focal_length  # of c.jpg's EXIF
    assert run("import-database", *words, "--camera-model", "simple-pinhole") == 0
    with pycolmap.Database.open(tmp_path / "database.db") as database:
        cameras = sorted(database.read_all_cameras(), key=lambda camera: camera.camera_id)
        assert [camera.model_name for camera in cameras] == ["SIMPLE_PINHOLE"] * len(cameras)
        assert [camera.has_prior_focal_length for camera in cameras].count(True) == 1


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("extract-features", [], "give --settings, such as"),
        ("extract-features", ["--height", 64], "give both or none"),
        ("extract-features", ["--height", 60, "--width", 80], "height 60 cannot work"),
        ("extract-features", ["--settings", '{"method": "sift"}', "--n", 4], "DISK's options do not fit method 'sift'"),
        ("extract-features", ["--desc-dim", 64], "descriptors of 128"),
        ("extract-features", ["--image-extension", "tif"], "none of 3 images ends with it"),
        ("match-pairs", ["--pairs", "p", "--features", "f"], "give --settings, such as"),
        (
            "match-pairs",
            ["--pairs", "p", "--features", "f", "--settings", '{"matcher": "lightglue"}', "--rt", 0.9],
            "--rt is an option of the matcher mutual_nn",
        ),
        (
            "match-pairs",
            ["--pairs", "p", "--features", "f", "--settings", '{"matcher": "lightglue"}', "--max-full-matrix", 9],
            "--max-full-matrix is an option of the matcher mutual_nn",
        ),
        (
            "import-database",
            ["--pairs", "p", "--features", "f", "--matches", "m", "--camera-model", "opencv"],
            "opencv needs --single-camera",
        ),
    ],
)
def test_what_does_not_fit_is_refused(scene: Path, tmp_path: Path, capsys, command: str, options, message) -> None:
    output = tmp_path / "output"
    assert run(command, "--dataset", scene / "dataset.json", "--output", output, *options) == 2
    assert message in capsys.readouterr().err
    assert not output.exists()
