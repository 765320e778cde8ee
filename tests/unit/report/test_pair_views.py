"""Which pairs are drawn, and what of them."""

import numpy as np

from trigpoint.report.pair_views import choose_pairs, pair_views, read_pair
from trigpoint.storage.dataset import read_dataset


def test_best_median_and_worst_over_all_runs():
    inliers = {
        "a": {("0", "1"): 100, ("0", "2"): 50, ("1", "2"): 20},
        "b": {("1", "0"): 10, ("0", "2"): 90},
    }
    assert choose_pairs(inliers) == [("best", ("0", "2")), ("median", ("0", "1")), ("worst", ("1", "2"))]


def test_few_pairs_are_not_drawn_twice():
    assert choose_pairs({"a": {("0", "1"): 5}}) == [("best", ("0", "1"))]
    assert choose_pairs({"a": {}}) == []


def test_verified_matches_are_a_part_of_the_matches_and_lie_on_the_keypoints(finished_work):
    pair = ("map/view 000.png", "map/view 001.png")
    keypoints, matches, verified = read_pair(finished_work / "exact" / "database.db", pair)
    assert len(verified) == len(matches) == 300
    assert {tuple(row) for row in verified.tolist()} <= {tuple(row) for row in matches.tolist()}
    assert all(len(xy) == 320 for xy in keypoints)
    swapped, _, turned = read_pair(finished_work / "exact" / "database.db", pair[::-1])
    np.testing.assert_array_equal(swapped[0], keypoints[1])
    assert {(b, a) for a, b in turned.tolist()} == {(a, b) for a, b in verified.tolist()}


def test_images_a_run_does_not_know_have_no_keypoints(finished_work):
    keypoints, matches, verified = read_pair(finished_work / "exact" / "database.db", ("map/view 000.png", "none"))
    assert [len(rows) for rows in (*keypoints, matches, verified)] == [0, 0, 0, 0]


def test_both_pictures_have_one_height_and_lines_of_every_run(finished_work):
    views = pair_views(read_dataset(finished_work / "dataset.json"), finished_work, ["exact", "noisy"])
    assert views
    for view in views:
        assert set(view["runs"]) == {"exact", "noisy"}
        assert view["width"] == view["offset"] + view["widths"][1]
        assert view["runs"]["exact"]["inlier_path"].count("M") == 200
