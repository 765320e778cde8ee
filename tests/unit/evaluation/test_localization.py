"""Localization metrics by hand-computable numbers."""

import numpy as np
import pytest

from trigpoint.evaluation.alignment import IDENTITY
from trigpoint.evaluation.localization import localization_metrics
from trigpoint.geometry.pose import Sim3
from trigpoint.types import Dataset, DatasetImage, Pose

LOG = {"queries": [{"name": "q0", "split": "day", "status": "localized", "num_matches": 9, "num_inliers": 7}]}


def dataset(num_queries: int, splits: tuple[str, ...] = ("day",), unit: str = "metre") -> Dataset:
    images = tuple(
        DatasetImage(name=f"q{i}", role="query", split=splits[i % len(splits)], size=(640, 480))
        for i in range(num_queries)
    )
    poses = {image.name: Pose(np.eye(3), np.zeros(3)) for image in images}
    return Dataset(id="x", layout="aachen", image_root="", images=images, poses=poses, pose_unit=unit)


def off_by(metres: float) -> Pose:
    return Pose(np.eye(3), np.array([metres, 0.0, 0.0]))


def test_a_missing_pose_is_a_miss_in_recall_and_median():
    poses = {"q0": off_by(0.1), "q1": off_by(0.4)}
    splits, rows = localization_metrics(dataset(3), poses, LOG, IDENTITY)
    day = splits["day"]
    assert (day["queries"], day["localized"], day["ground_truth_queries"]) == (3, 2, 3)
    assert day["recall_percent"]["0.25m_2deg"] == pytest.approx(100 / 3)
    assert day["recall_percent"]["5m_10deg"] == pytest.approx(200 / 3)
    assert day["median_m"] == pytest.approx(0.4)
    assert day["median_localized_m"] == pytest.approx(0.25)
    assert rows[0]["status"] == "localized"
    assert rows[0]["error_m"] == pytest.approx(0.1)
    assert "error_m" not in rows[2]


@pytest.mark.parametrize("num_queries", [2, 3])
def test_an_infinite_median_is_absent(num_queries):
    splits, _ = localization_metrics(dataset(num_queries), {"q0": off_by(0.1)}, LOG, IDENTITY)
    assert "median_m" not in splits["day"]
    assert splits["day"]["median_localized_m"] == pytest.approx(0.1)


def test_splits_are_counted_apart():
    splits, _ = localization_metrics(dataset(4, ("day", "night")), {"q0": off_by(0), "q2": off_by(0)}, LOG, IDENTITY)
    assert splits["day"]["recall_percent"]["0.25m_2deg"] == 100
    assert splits["night"]["recall_percent"]["0.25m_2deg"] == 0
    assert splits["night"]["localized"] == 0


def test_errors_are_measured_after_the_alignment():
    half = Sim3(0.5, np.eye(3), np.array([0.0, 2.0, 0.0]))
    splits, _ = localization_metrics(dataset(1), {"q0": Pose(np.eye(3), np.array([0.0, 4.0, 0.0]))}, LOG, half)
    assert splits["day"]["median_m"] == pytest.approx(0)


def test_without_scale_or_alignment_metres_are_absent():
    splits, _ = localization_metrics(dataset(1, unit="arbitrary"), {"q0": off_by(1)}, LOG, IDENTITY)
    assert "recall_percent" not in splits["day"]
    assert splits["day"]["median_units"] == pytest.approx(1)
    splits, rows = localization_metrics(dataset(1), {"q0": off_by(1)}, LOG, None)
    assert splits["day"] == {"queries": 1, "localized": 1}
    assert rows[0]["localized"]
