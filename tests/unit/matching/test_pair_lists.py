"""Rules that choose pairs: known answers, refusals, counts in the log."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from trigpoint.errors import DataError, EmptyResultError, SettingsError
from trigpoint.matching import pair_lists
from trigpoint.matching.pair_lists import PairSettings
from trigpoint.types import Dataset, DatasetImage, Pose


def dataset(maps=("db/1", "db/2", "db/3"), queries=("q/1", "q/2"), **changes):
    images = [DatasetImage(name, "map", (64, 48)) for name in maps]
    images += [DatasetImage(name, "query", (64, 48), split="day") for name in queries]
    return Dataset("demo", "photos", "data/demo/images", tuple(images), **changes)


def looking(angle_deg, center):
    """A camera turned about the vertical axis."""
    angle = np.radians(angle_deg)
    world_from_cam = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    return Pose(world_from_cam.T, -world_from_cam.T @ np.array(center, dtype=float))


def test_exhaustive():
    assert pair_lists.exhaustive_pairs(dataset(), "map") == [("db/1", "db/2"), ("db/1", "db/3"), ("db/2", "db/3")]
    queries = pair_lists.exhaustive_pairs(dataset(), "query")
    assert queries == [(query, image) for query in ("q/1", "q/2") for image in ("db/1", "db/2", "db/3")]


@pytest.mark.parametrize(
    ("overlap", "quadratic", "steps"), [(1, False, {1}), (2, False, {1, 2}), (4, True, {1, 2, 3, 4, 8})]
)
def test_sequential(overlap, quadratic, steps):
    names = [f"{number:02d}" for number in range(20)]
    pairs = pair_lists.sequential_pairs(names[::-1], overlap, quadratic)
    assert pairs == [(a, b) for a in names for b in names if int(b) - int(a) in steps]


def test_sequence_shorter_than_the_overlap():
    assert pair_lists.sequential_pairs(["a", "b"], 10, True) == [("a", "b")]


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "given.txt"
    path.write_text(
        "# given\ndb/2 db/1\ndb/1 db/2\ndb/1 db/2\ndb/1 q/1\nq/1 db/1\nq/2 db/3\nq/1 q/2\ndb/3 db/3\ndb/1 broken\n"
    )
    return path


def test_file_is_split_by_role(listed, caplog):
    data = dataset(unusable=(("broken", "truncated"),), pairs_path=str(listed))
    with caplog.at_level(logging.INFO):
        assert pair_lists.file_pairs(data, "map") == [("db/1", "db/2")]
    for line in (
        "2 pairs given before",
        "4 pairs of other roles",
        "1 pairs of an image with itself",
        "1 pairs with an unu",
    ):
        assert line in caplog.text
    assert pair_lists.file_pairs(data, "query", str(listed)) == [("q/1", "db/1"), ("q/2", "db/3")]


def test_unknown_name_is_refused_with_its_line(listed):
    listed.write_text("db/1 db/2\n\ndb/1 db/33\n")
    with pytest.raises(DataError, match=r"given\.txt:3: 'db/33' is no image.*nearest name is 'db/3'"):
        pair_lists.file_pairs(dataset(), "map", str(listed))


def test_images_that_were_not_prepared_are_left_out(listed, tmp_path, caplog):
    (tmp_path / "db").mkdir()
    (tmp_path / "db/33").write_bytes(b"of no known pose")
    listed.write_text("db/1 db/2\ndb/1 db/33\n")
    with caplog.at_level(logging.INFO):
        pairs = pair_lists.file_pairs(replace(dataset(), image_root=str(tmp_path)), "map", str(listed))
    assert pairs == [("db/1", "db/2")]
    assert "1 pairs with an image of which the dataset knows nothing" in caplog.text


def test_kind_file_without_a_file():
    with pytest.raises(SettingsError, match=r"needs `path`.*'demo' came without"):
        pair_lists.file_pairs(dataset(), "map")


def test_poses_by_distance():
    poses = {f"{x}": looking(0, (x, 0, 0)) for x in range(5)}
    one = pair_lists.pose_pairs(poses, poses, PairSettings(kind="poses", num_neighbors=1))
    assert one == [("0", "1"), ("1", "2"), ("2", "3"), ("3", "4")]
    near = pair_lists.pose_pairs(poses, poses, PairSettings(kind="poses", num_neighbors=9, max_distance=2.5))
    assert near == [(a, b) for a in sorted(poses) for b in sorted(poses) if 0 < int(b) - int(a) <= 2]


def test_poses_by_angle():
    poses = {f"{angle:03d}": looking(angle, (angle / 1000, 0, 0)) for angle in (0, 40, 80, 180)}
    settings = PairSettings(kind="poses", max_angle_deg=45)
    assert pair_lists.pose_pairs([*poses, "unposed"], poses, settings) == [("000", "040"), ("040", "080")]


def test_poses_of_images_that_are_not_asked_for():
    poses = {name: looking(0, (index, 0, 0)) for index, name in enumerate("abc")}
    assert pair_lists.pose_pairs(["a", "c"], poses, PairSettings(kind="poses")) == [("a", "c")]
    assert pair_lists.pose_pairs(["x"], poses, PairSettings(kind="poses")) == []


def test_covisibility_takes_most_shared_points():
    seen = {
        "a": [1, 2, 3, 4, -1, -1],
        "b": [1, 2, 3, -1],
        "c": [3, 4, 9],
        "d": [9, 9, -1],
        "e": [-1],
        "other": [1, 2, 3, 4],
    }
    seen = {name: np.array(points) for name, points in seen.items()}
    settings = PairSettings(kind="covisibility", num_neighbors=1)
    assert pair_lists.covisible_pairs("abcdef", seen, settings) == [("a", "b"), ("a", "c"), ("c", "d")]
    assert pair_lists.covisible_pairs("abcdef", seen, replace(settings, min_shared_points=2)) == [
        ("a", "b"),
        ("a", "c"),
    ]
    every = replace(settings, num_neighbors=9)
    assert pair_lists.covisible_pairs("abcdef", seen, every) == [("a", "b"), ("a", "c"), ("b", "c"), ("c", "d")]
    assert pair_lists.covisible_pairs("xyz", seen, every) == []


def test_too_few_map_images():
    with pytest.raises(EmptyResultError, match=r"1 usable map image and 1 unusable.*data/demo/images"):
        pair_lists.require_images(dataset(maps=["a"], unusable=(("b", "empty"),)), "map")
    with pytest.raises(EmptyResultError, match="0 usable map images"):
        pair_lists.require_images(dataset(maps=[]), "query")
    pair_lists.require_images(dataset(maps=[], queries=[]), "query")


def test_no_pair_where_some_were_due():
    settings = PairSettings(kind="poses")
    with pytest.raises(EmptyResultError, match="kind poses found no map pair among 3 images"):
        pair_lists.check_pair_list([], dataset(), "map", settings)
    assert pair_lists.check_pair_list([], dataset(queries=[]), "query", settings).startswith("0 query pairs")


def test_images_without_pairs_are_named(caplog):
    pair_lists.check_pair_list([("db/1", "db/3")], dataset(), "map", PairSettings(kind="poses"))
    assert "1 of 3 map images are in no pair: db/2" in caplog.text


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "all"},
        {"num_neighbors": 0},
        {"overlap": 2.5},
        {"max_distance": 0},
        {"max_angle_deg": 181},
        {"min_shared_points": True},
    ],
)
def test_settings_are_checked(values):
    with pytest.raises(SettingsError, match=next(iter(values))):
        PairSettings(**{"kind": "exhaustive", **values})
