"""Two-view estimators on a pair with a known pose, and the benchmark over them on a scene with exact matches."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from trigpoint.datasets.synthetic import write_synthetic_run
from trigpoint.errors import DataError, SettingsError
from trigpoint.evaluation.run_matches import open_run
from trigpoint.evaluation.two_view import ESTIMATORS, FUNDAMENTAL, Ransac, View, estimate_two_view
from trigpoint.evaluation.two_view_run import evaluate
from trigpoint.evaluation.two_view_settings import EstimatorName, TwoViewSettings
from trigpoint.geometry.metrics import relative_pose_error_deg
from trigpoint.geometry.pixels import from_colmap
from trigpoint.geometry.pose import matrix_from_quaternion
from trigpoint.storage import colmap
from trigpoint.storage.pairs import read_pairs
from trigpoint.types import Camera, Pose

CAMERAS = (
    Camera("PINHOLE", 800, 600, (700.0, 710.0, 405.0, 300.0)),
    Camera("SIMPLE_RADIAL", 640, 480, (500.0, 320.0, 240.0, -0.05)),
)
TRUTH = Pose(matrix_from_quaternion([0.98, 0.05, 0.17, 0.03]), np.array([-2.0, 0.3, 0.4]))
RANSAC = Ransac(threshold_px=1.0, confidence=0.9999, max_iterations=5000, seed=0)


def views(num_points: int, num_wrong: int = 0, noise_px: float = 0.0, seed: int = 0) -> tuple[View, View]:
    """A scene seen by both cameras, one with distortion; the first `num_wrong` matches are random."""
    rng = np.random.default_rng(seed)
    points = rng.uniform([-2, -1.5, 4], [2, 1.5, 9], (num_points, 3))
    seen = []
    for camera, xyz in zip(CAMERAS, (points, points @ TRUTH.rotation.T + TRUTH.translation), strict=True):
        xy = from_colmap(np.asarray(colmap.to_colmap_camera(camera).img_from_cam(xyz)))
        seen.append(xy + rng.normal(0, noise_px, xy.shape) if noise_px else xy)
    seen[1][:num_wrong] = rng.uniform(0, 480, (num_wrong, 2))
    return View(seen[0], CAMERAS[0]), View(seen[1], CAMERAS[1])


def test_the_schema_names_every_estimator():
    assert get_args(EstimatorName) == tuple(ESTIMATORS)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_exact_matches_give_the_pose_with_its_sign(name):
    found = estimate_two_view(name, *views(80), RANSAC)
    assert found is not None
    assert relative_pose_error_deg(found.pose, TRUTH) < 0.01
    assert found.num_inliers == 80
    assert np.linalg.norm(found.pose.translation) == pytest.approx(1)


@pytest.mark.parametrize("name", [name for name in ESTIMATORS if name != "eight_point_f"])
def test_wrong_matches_are_left_aside(name):
    found = estimate_two_view(name, *views(200, num_wrong=60, noise_px=0.2), RANSAC)
    assert found is not None
    assert relative_pose_error_deg(found.pose, TRUTH) < 2
    assert 110 <= found.num_inliers <= 150


def test_the_eight_points_believe_every_match():
    found = estimate_two_view("eight_point_f", *views(200, num_wrong=60), RANSAC)
    assert found is None or relative_pose_error_deg(found.pose, TRUTH) > 5


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_same_seed_gives_the_same_bits(name):
    first, second = (estimate_two_view(name, *views(120, num_wrong=40, noise_px=0.5), RANSAC) for _ in range(2))
    assert first is not None and second is not None
    np.testing.assert_array_equal(first.pose.rotation, second.pose.rotation)
    np.testing.assert_array_equal(first.pose.translation, second.pose.translation)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_too_few_matches_have_no_pose(name):
    for count in (0, 4, 7 if name in FUNDAMENTAL else 4):
        assert estimate_two_view(name, *views(count), RANSAC) is None


@pytest.mark.parametrize("name", ESTIMATORS)
def test_matches_that_are_all_wrong_do_not_raise(name):
    estimate_two_view(name, *views(30, num_wrong=30), RANSAC)
    same = View(np.zeros((20, 2)), CAMERAS[0]), View(np.zeros((20, 2)), CAMERAS[1])
    estimate_two_view(name, *same, RANSAC)


def test_every_estimator_at_every_threshold_is_evaluated(tmp_path):
    run = write_synthetic_run(tmp_path, num_images=4, num_queries=0, num_points=60)
    settings = TwoViewSettings(estimators=["poselib", "eight_point_f"], thresholds_px=[0.5, 2], repetitions=2)
    with open_run(run.features, run.matches, []) as matches:
        found = evaluate(run.truth, settings, read_pairs(run.map_pairs), matches)
    assert list(found.metrics["estimators"]) == [
        *("poselib_0.5px", "poselib_2px", "eight_point_f_0.5px", "eight_point_f_2px")
    ]
    poselib = found.metrics["estimators"]["poselib_0.5px"]
    assert (poselib["threshold_px"], poselib["seed"], poselib["failed_pairs"]) == (0.5, 0, 0)
    assert poselib["estimator"].startswith("PoseLib ")
    assert poselib["auc_percent"]["1"] > 99.5
    assert poselib["auc_range_percent"]["5"] < 0.1
    assert (found.metrics["pairs"], found.metrics["intrinsics"]) == (6, "given")
    assert len(found.rows) == 6
    assert found.rows[0]["poselib_2px_deg"] < 0.05


def test_a_pair_without_matches_is_a_failure_and_counts(tmp_path):
    run = write_synthetic_run(tmp_path, num_images=3, num_queries=0, num_points=60)

    class Without:
        def __init__(self, matches):
            self.matches = matches

        def read(self, name0, name1):
            found = self.matches.read(name0, name1)
            return found.stronger_than(np.inf) if (name0, name1) == pairs[0] else found

    pairs = read_pairs(run.map_pairs)
    with open_run(run.features, run.matches, []) as matches:
        found = evaluate(run.truth, TwoViewSettings(estimators=("poselib",)), pairs, Without(matches))
    numbers = found.metrics["estimators"]["poselib_1px"]
    assert numbers["failed_pairs"] == 1
    assert numbers["auc_percent"]["20"] == pytest.approx(100 * 2 / 3, abs=0.5)


def test_a_listed_pair_of_an_unusable_image_is_a_failure(tmp_path):
    run = write_synthetic_run(tmp_path, num_images=3, num_queries=0, num_points=60)
    pairs = read_pairs(run.map_pairs)
    dataset = replace(run.truth, pairs=(*pairs, (pairs[0][0], "broken.jpg")), unusable=(("broken.jpg", "empty"),))
    with open_run(run.features, run.matches, []) as matches:
        found = evaluate(dataset, TwoViewSettings(estimators=("poselib",)), pairs, matches).metrics
    assert (found["pairs"], found["unusable_pairs"]) == (4, 1)
    assert found["estimators"]["poselib_1px"]["failed_pairs"] == 1
    assert found["estimators"]["poselib_1px"]["auc_percent"]["20"] == pytest.approx(75, abs=0.5)


def test_pairs_without_truth_are_counted_and_none_with_it_is_refused(tmp_path):
    run = write_synthetic_run(tmp_path, num_images=3, num_queries=0, num_points=60)
    pairs, settings = read_pairs(run.map_pairs), TwoViewSettings(estimators=("poselib",))
    missing = run.truth.images[0].name
    del run.truth.poses[missing]
    with open_run(run.features, run.matches, []) as matches:
        found = evaluate(run.truth, settings, pairs, matches)
        assert (found.metrics["pairs"], found.metrics["pairs_without_truth"]) == (1, 2)
        run.truth.poses.clear()
        with pytest.raises(DataError, match=r"none of 3 pairs.*cameras_gt\.txt"):
            evaluate(run.truth, settings, pairs, matches)


@pytest.mark.parametrize(
    "wrong",
    [
        {"estimators": ["ransac"]},
        {"estimators": "poselib"},
        {"estimators": []},
        {"thresholds_px": [0]},
        {"thresholds_px": []},
        {"repetitions": 0},
        {"confidence": 2},
        {"ignore_sign": 1},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SettingsError):
        TwoViewSettings(**wrong)
