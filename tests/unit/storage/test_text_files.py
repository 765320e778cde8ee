"""Pair lists, poses and dataset.json: round trips, and refusals that name file and line."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trigpoint.errors import StorageError
from trigpoint.geometry.pose import matrix_from_quaternion
from trigpoint.storage.dataset import read_dataset, write_dataset
from trigpoint.storage.json_files import read_json, write_json
from trigpoint.storage.pairs import read_pairs, write_pairs
from trigpoint.storage.poses import read_poses, write_poses, write_submission
from trigpoint.types import Camera, Dataset, DatasetImage, Pose

NAME = st.text(st.characters(), max_size=8)


def pose(seed):
    rng = np.random.default_rng(seed)
    return Pose(matrix_from_quaternion(rng.normal(size=4)), rng.normal(size=3) * 100)


def dataset():
    camera = Camera("SIMPLE_RADIAL", 640, 480, (500.1, 320.0, 240.0, 0.1 + 0.2), has_prior_focal_length=True)
    return Dataset(
        id="demo",
        layout="aachen",
        image_root="data/demo/images",
        images=(
            DatasetImage("db/a b.jpg", "map", (640, 480), camera=camera, camera_group="db", signature="12 3.5"),
            DatasetImage("query/ä.jpg", "query", (480, 640), split="night"),
        ),
        unusable=(("db/broken.jpg", "truncated"),),
        poses={"query/ä.jpg": pose(1), "db/a b.jpg": pose(0)},
        pose_unit="metre",
        reference_images=("db/a b.jpg",),
        pairs_path="pairs.txt",
        licence="CC BY",
        published=({"method": "D2-Net", "source": "issue 69", "night": 74.5},),
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(pairs=st.lists(st.tuples(NAME, NAME)), comment=st.text(max_size=30))
def test_pairs_round_trip(tmp_path, pairs, comment):
    write_pairs(tmp_path / "pairs.txt", pairs, comment)
    assert read_pairs(tmp_path / "pairs.txt") == pairs


def test_pairs_of_other_tools(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_bytes(b"\xef\xbb\xbfdb/1.jpg query/2.jpg\r\n\r\n# note\r\n  a\tb  \r\n")
    assert read_pairs(path) == [("db/1.jpg", "query/2.jpg"), ("a", "b")]


@pytest.mark.parametrize(
    ("line", "message"), [("a", "two image names, found 1"), ("a b c", "found 3"), ('"a b', "quot")]
)
def test_broken_pair_is_named_by_line(tmp_path, line, message):
    (tmp_path / "pairs.txt").write_text(f"# pairs\na b\n{line}\n")
    with pytest.raises(StorageError, match=rf"pairs.txt:[23]: .*{message}"):
        read_pairs(tmp_path / "pairs.txt")


def test_missing_pairs_name_the_command(tmp_path):
    with pytest.raises(StorageError, match="list-pairs"):
        read_pairs(tmp_path / "pairs.txt")


def test_poses_round_trip(tmp_path):
    poses = {"query/1 a.jpg": pose(0), "query/2.jpg": pose(1)}
    write_poses(tmp_path / "poses.txt", poses)
    read = read_poses(tmp_path / "poses.txt")
    assert list(read) == sorted(poses)
    for name, expected in poses.items():
        np.testing.assert_allclose(read[name].rotation, expected.rotation, atol=1e-15)
        np.testing.assert_array_equal(read[name].translation, expected.translation)


def test_poses_of_no_query(tmp_path):
    write_poses(tmp_path / "poses.txt", {})
    assert read_poses(tmp_path / "poses.txt") == {}


@pytest.mark.parametrize("line", ["a 1 0 0 0 1 2", "a 1 0 0 0 1 2 x", "a 0 0 0 0 1 2 3", "a 1 0 0 0 nan 2 3"])
def test_broken_pose_is_named_by_line(tmp_path, line):
    (tmp_path / "poses.txt").write_text(f"# head\n{line}\n")
    with pytest.raises(StorageError, match=r"poses.txt:2: expected 'name qw"):
        read_poses(tmp_path / "poses.txt")


def test_second_pose_of_a_query_is_refused(tmp_path):
    (tmp_path / "poses.txt").write_text("a 1 0 0 0 1 2 3\n" * 2)
    with pytest.raises(StorageError, match=r"poses.txt:2: a second pose of 'a'"):
        read_poses(tmp_path / "poses.txt")


def test_submission_has_file_names_only(tmp_path):
    half_turn = Pose(np.diag([1.0, -1.0, -1.0]), np.array([1.0, -2.5, 3.0]))
    write_submission(tmp_path / "s.txt", {"query/night/b.jpg": half_turn, "query/day/a.jpg": half_turn})
    numbers = "0.0 1.0 0.0 0.0 1.0 -2.5 3.0"
    assert (tmp_path / "s.txt").read_text() == f"a.jpg {numbers}\nb.jpg {numbers}\n"


def test_submission_refuses_equal_file_names(tmp_path):
    with pytest.raises(StorageError, match=r"'day/a.jpg' and 'night/a.jpg'"):
        write_submission(tmp_path / "s.txt", {"night/a.jpg": pose(0), "day/a.jpg": pose(1)})


def test_dataset_round_trip(tmp_path):
    write_dataset(tmp_path / "dataset.json", dataset())
    read = read_dataset(tmp_path / "dataset.json")
    for name, expected in dataset().poses.items():
        np.testing.assert_array_equal(read.poses[name].rotation, expected.rotation)
        np.testing.assert_array_equal(read.poses[name].translation, expected.translation)
    assert read.images == dataset().images
    for field in ("id", "layout", "image_root", "unusable", "pose_unit", "reference_images", "pairs_path", "licence"):
        assert getattr(read, field) == getattr(dataset(), field)
    assert read.published == dataset().published


@pytest.mark.parametrize(
    "change",
    [{"format_version": 2}, {"kind": "metrics"}, {"images": [{"name": "a"}]}, {"poses": {"a": {"rotation": 1}}}],
)
def test_dataset_of_another_kind_names_prepare(tmp_path, change):
    path = tmp_path / "dataset.json"
    write_dataset(path, dataset())
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(StorageError, match=r"dataset\.json: .*trigpoint prepare"):
        read_dataset(path)


def test_dataset_that_is_no_object(tmp_path):
    (tmp_path / "dataset.json").write_text("[]")
    with pytest.raises(StorageError, match="trigpoint prepare"):
        read_dataset(tmp_path / "dataset.json")


def test_json_kinds(tmp_path):
    write_json(tmp_path / "m.json", {"a": 1}, kind="metrics")
    assert read_json(tmp_path / "m.json", "metrics") == {"kind": "metrics", "a": 1}
    with pytest.raises(StorageError, match=r"kind metrics, expected mapping; `trigpoint map`"):
        read_json(tmp_path / "m.json", "mapping")
    (tmp_path / "m.json").write_text('{"a": ')
    with pytest.raises(StorageError, match=r"m\.json: not JSON"):
        read_json(tmp_path / "m.json")


def test_json_has_no_word_for_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "m.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []
