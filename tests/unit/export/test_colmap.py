"""COLMAP export and import: pycolmap reads models and databases, half a pixel each way, accuracy of storage."""

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pycolmap
import pytest

from trigpoint.cli import main
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.matches import MatchReader
from trigpoint.storage.poses import read_poses

WIDE_PX = 6000


def export(run: Path, output: Path, *options: str) -> int:
    return main(["export", "--to", "colmap", "--run", str(run), "--output", str(output), *options])


@pytest.mark.parametrize("model_format", ["bin", "txt"])
def test_pycolmap_reads_the_model_of_a_run(finished_work: Path, tmp_path: Path, model_format: str) -> None:
    expected = pycolmap.Reconstruction(finished_work / "exact" / "model")
    for image in expected.images.values():
        image.name = image.name.replace(" ", "_")
    (tmp_path / "model").mkdir()
    expected.write(tmp_path / "model")
    options = ("--model", str(tmp_path / "model"), "--model-format", model_format)
    assert export(finished_work / "exact", tmp_path / "colmap", *options) == 0
    found = pycolmap.Reconstruction(tmp_path / "colmap" / "sparse" / "0")
    assert (tmp_path / "colmap" / "sparse" / "0" / f"points3D.{model_format}").is_file()
    assert found.num_reg_images() == expected.num_reg_images() == 8
    assert found.num_points3D() == expected.num_points3D() > 0
    poses = {image.name: image.cam_from_world().matrix() for image in expected.images.values()}
    for image in found.images.values():
        np.testing.assert_allclose(image.cam_from_world().matrix(), poses[image.name], atol=1e-12)
    database = tmp_path / "colmap" / "database.db"
    assert database.read_bytes() == (finished_work / "exact" / "database.db").read_bytes()


def test_a_text_model_that_colmap_would_misread_is_refused(finished_work: Path, tmp_path: Path, capsys) -> None:
    assert export(finished_work / "exact", tmp_path / "colmap", "--model-format", "txt") == 2
    assert "COLMAP reads a name up to the blank" in capsys.readouterr().err
    assert not (tmp_path / "colmap").exists()


def test_the_way_back_gives_keypoints_matches_and_poses(finished_work: Path, tmp_path: Path) -> None:
    run = finished_work / "exact"
    export(run, tmp_path / "colmap")
    words = ["import-run", str(tmp_path / "colmap"), "--from", "colmap", "--output", str(tmp_path / "back")]
    assert main(words) == 0
    with FeatureReader(run / "features.h5") as ours, FeatureReader(tmp_path / "back/features.h5") as back:
        assert back.names() == [name for name in ours.names() if name.startswith("map/")]
        for name in back.names():
            np.testing.assert_allclose(back.keypoints(name), ours.keypoints(name), rtol=0, atol=2e-4)
            assert back.read(name).image_size == ours.read(name).image_size
    with MatchReader(run / "matches.h5") as ours_matches, MatchReader(tmp_path / "back/matches.h5") as back_matches:
        assert len(back_matches.pairs()) == 8 * 7 / 2
        for pair in back_matches.pairs():
            np.testing.assert_array_equal(back_matches.read(*pair).indices, ours_matches.read(*pair).indices)
    model = pycolmap.Reconstruction(run / "model")
    poses = read_poses(tmp_path / "back" / "poses.txt")
    for image in model.images.values():
        np.testing.assert_allclose(poses[image.name].translation, image.cam_from_world().translation, atol=1e-12)


def test_a_run_without_a_database_gets_one(small_run, tmp_path: Path) -> None:
    assert export(small_run.folder, tmp_path / "colmap") == 0
    assert not (tmp_path / "colmap" / "sparse").exists()
    with pycolmap.Database.open(tmp_path / "colmap" / "database.db") as database:
        names = {image.name: image.image_id for image in database.read_all_images()}
        assert sorted(names) == ["d.jpg", "db/a.one.jpg", "db/b.png"]  # the query stays outside
        pair = names["d.jpg"], names["db/a.one.jpg"]
        stored = database.read_matches(*pair)
        np.testing.assert_array_equal(stored, small_run.matches["d.jpg", "db/a.one.jpg"].indices)


def test_no_coordinate_moves_by_more_than_a_thousandth_of_a_pixel(small_run, tmp_path: Path) -> None:
    """From an extractor's float32 output to COLMAP's database and back, in a photograph 6000 px wide."""
    export(small_run.folder, tmp_path / "colmap")
    with pycolmap.Database.open(tmp_path / "colmap" / "database.db") as database:
        for image in database.read_all_images():
            expected = small_run.features[image.name].keypoints.astype(np.float64) + 0.5
            stored = np.asarray(database.read_keypoints(image.image_id), np.float64).reshape(-1, 2)
            assert len(stored) == len(expected)
            if len(stored):
                assert expected[:, 0].max() > 0.9 * WIDE_PX
                assert np.abs(stored - expected).max() <= 1e-3
    words = ["import-run", str(tmp_path / "colmap"), "--from", "colmap", "--output", str(tmp_path / "back")]
    assert main(words) == 0
    with FeatureReader(tmp_path / "back" / "features.h5") as back:
        for name in back.names():
            expected = small_run.features[name].keypoints
            np.testing.assert_allclose(back.keypoints(name), expected, rtol=0, atol=1e-3)


def test_every_storable_coordinate_survives_the_half_pixel(tmp_path: Path) -> None:
    """The worst of all float32 coordinates up to 6000 px, a millionth of the range apart."""
    from trigpoint.geometry.pixels import from_colmap, to_colmap

    xy = np.linspace(-0.5, WIDE_PX, 1_000_001).astype(np.float32)[:, None].repeat(2, 1)
    shifted = to_colmap(xy)
    assert shifted.dtype == np.float32
    assert np.abs(shifted.astype(np.float64) - (xy.astype(np.float64) + 0.5)).max() <= 2.5e-4
    assert np.abs(from_colmap(shifted).astype(np.float64) - xy).max() <= 5e-4


def test_without_cameras_the_cure_is_said(small_run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(small_run.folder, alone)
    assert export(alone, tmp_path / "colmap") == 2
    assert "give --database, or --dataset" in capsys.readouterr().err
    assert export(alone, tmp_path / "legacy", "--legacy") == 2
    assert "guesses cameras from the images' sizes" in capsys.readouterr().err
    assert not (tmp_path / "colmap").exists() and not (tmp_path / "legacy").exists()


def test_opencv_without_a_single_camera_is_refused(small_run, tmp_path: Path, capsys) -> None:
    assert export(small_run.folder, tmp_path / "colmap", "--legacy", "--camera-model", "opencv") == 2
    assert "opencv needs --single-camera" in capsys.readouterr().err


def test_an_empty_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["import-run", str(tmp_path), "--from", "colmap", "--output", str(tmp_path / "back")]
    assert main(words) == 2
    assert "database.db: no such file" in capsys.readouterr().err
    sqlite3.connect(tmp_path / "database.db").close()
