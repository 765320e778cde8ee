"""The challenge's numbers on cases with known answers."""

import numpy as np
import pytest

from trigpoint.errors import SettingsError, StorageError
from trigpoint.evaluation.imc_multiview import ate_share, bag_errors_rad, multiview_metrics
from trigpoint.evaluation.imc_run import read_bag_maps
from trigpoint.evaluation.imc_settings import ImcSettings
from trigpoint.evaluation.imc_stereo import calibration, sample_depth
from trigpoint.geometry.pose import Sim3, matrix_from_quaternion, transform_pose
from trigpoint.storage.json_files import write_json
from trigpoint.types import Camera, Pose

NAMES = [f"town/set_100/images/{number}.jpg" for number in range(5)]


@pytest.fixture
def truth() -> dict[str, Pose]:
    rng = np.random.default_rng(0)
    return {
        name: Pose(matrix_from_quaternion([1, *rng.uniform(-0.3, 0.3, 3)]), rng.uniform(-3, 3, 3)) for name in NAMES
    }


def moved(truth: dict[str, Pose]) -> dict[str, Pose]:
    """The same cameras in another world: what a map made without ground truth is."""
    similarity = Sim3(2.5, matrix_from_quaternion([0.3, 0.5, -0.2, 0.7]), np.array([4.0, -1, 2]))
    return {name: transform_pose(similarity, pose) for name, pose in truth.items()}


def bag(poses: dict[str, Pose], names: list[str]) -> dict:
    return {"bag": "town/5bag_000", "images": names, "poses": poses, "points3D": 10, "mean_track_length": 3.0}


def test_an_exact_map_in_another_world_is_without_error(truth):
    exact = bag(moved(truth), NAMES)
    assert bag_errors_rad(exact, truth).shape == (10, 2)
    assert bag_errors_rad(exact, truth).max() < 1e-6
    assert ate_share(exact, truth) < 1e-9
    found = multiview_metrics([exact], truth, ["town"])["scenes"]["town"]
    assert found["maa_10_percent"] == pytest.approx(100)
    assert found["bags"]["5"]["registered_percent"] == 100


def test_pairs_of_an_unregistered_image_are_wrong(truth):
    poses = moved(truth)
    del poses[NAMES[2]]
    errors = bag_errors_rad(bag(poses, NAMES), truth)
    assert np.isinf(errors).all(axis=1).sum() == 4
    found = multiview_metrics([bag(poses, NAMES)], truth, ["town"])["scenes"]["town"]
    assert found["maa_10_percent"] == pytest.approx(60)
    assert found["bags"]["5"]["registered_percent"] == pytest.approx(80)


def test_sizes_count_alike_and_bags_without_a_map_count(truth):
    exact, none = bag(moved(truth), NAMES), bag({}, NAMES)
    small = bag({name: moved(truth)[name] for name in NAMES[:3]}, NAMES[:3])
    found = multiview_metrics([exact, none, small], truth, ["town"])["scenes"]["town"]
    assert found["bags"]["5"]["maa_10_percent"] == pytest.approx(50)
    assert (found["bags"]["5"]["reconstructed"], found["bags"]["5"]["bags"]) == (1, 2)
    assert found["bags"]["5"]["ate_percent"] == pytest.approx(50)
    assert found["maa_10_percent"] == pytest.approx(75)  # of 50 and 100, not of the three bags


def test_depth_is_read_at_the_nearest_pixel():
    depth = np.array([[1.0, 2.0], [3.0, np.nan]], dtype=np.float32)
    xy = np.array([[0.4, 0.4], [0.6, 0.0], [0.0, 1.2], [1.0, 1.0], [-0.6, 0.0], [2.0, 0.0]])
    assert sample_depth(depth, xy).tolist() == [1.0, 2.0, 3.0, 0.0, 0.0, 0.0]


def test_calibration_is_of_pixels_whose_centres_are_whole():
    K = calibration(Camera("PINHOLE", 640, 480, (500.0, 510.0, 320.0, 240.0)))
    assert K.tolist() == [[500, 0, 319.5], [0, 510, 239.5], [0, 0, 1]]


def test_shards_of_bags_are_joined_and_have_to_agree(tmp_path, truth):
    pose = {"rotation": np.eye(3).tolist(), "translation": [0.0, 1.0, 2.0]}
    own = {"bag": "b", "images": NAMES, "poses": {NAMES[0]: pose}}
    for number, (intrinsics, name) in enumerate([("estimate", "b"), ("estimate", "a"), ("given", "c")]):
        value = {"intrinsics": intrinsics, "mapping": {}, "bags": [own | {"bag": name}]}
        write_json(tmp_path / f"{number}.json", value, kind="bags")
    head, bags = read_bag_maps([tmp_path / "0.json", tmp_path / "1.json"])
    assert head == {"intrinsics": "estimate", "mapping": {}}
    assert [item["bag"] for item in bags] == ["a", "b"]
    assert bags[0]["poses"][NAMES[0]].translation.tolist() == [0, 1, 2]
    with pytest.raises(StorageError, match=r"2\.json: other settings"):
        read_bag_maps([tmp_path / "0.json", tmp_path / "2.json"])
    with pytest.raises(StorageError, match="map-bags"):
        read_bag_maps([])


@pytest.mark.parametrize(
    "wrong", [{"estimator": "degensac"}, {"covisibility": 1.0}, {"max_bags": 0}, {"repetitions": 0}]
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SettingsError):
        ImcSettings(**wrong)
