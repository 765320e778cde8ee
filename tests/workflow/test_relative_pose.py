"""Relative poses of a folder with cameras and poses, by three estimators, from photographs to report."""

import csv
import json

import pytest


@pytest.mark.timeout(600)
def test_relative_poses_are_estimated_and_printed_with_their_estimators(workspace) -> None:
    config = workspace.config
    config["datasets"]["relative_pose"] = {
        "layout": "relative_pose",
        "root": "data/my_photos",
        "runs": ["sift"],
        "pairs": {"map": {"kind": "sequential", "overlap": 2, "quadratic_overlap": False}},
        "evaluation": {"estimators": ["poselib", "pycolmap", "opencv_ransac"], "thresholds_px": [1], "repetitions": 2},
    }
    workspace.config = config
    executed = workspace.executed("results/relative_pose")
    assert {rule: executed[rule] for rule in ("evaluate_pairs", "report_pairs", "publish_pairs", "map", "report")} == {
        **{"evaluate_pairs": 1, "report_pairs": 1, "publish_pairs": 1},
        **{"map": 0, "report": 0},
    }
    results = workspace.path / "results/relative_pose"
    found = json.loads((results / "metrics.json").read_text())["runs"]["sift"]["relative_pose"]
    assert (found["pairs"], found["intrinsics"]) == (11, "given")
    assert list(found["estimators"]) == ["poselib_1px", "pycolmap_1px", "opencv_ransac_1px"]
    for values in found["estimators"].values():
        assert values["auc_percent"]["10"] > 80
        assert (values["seed"], values["repetitions"], values["failed_pairs"]) == (0, 2, 0)
    page = (results / "report.html").read_text()
    for words in ("PoseLib 2.", "1 px", "confidence 0.99999", "seed 0 to 1", "intrinsics given", "OpenCV"):
        assert words in page, words
    rows = list(csv.DictReader((results / "sift/pairs.csv").open()))
    assert len(rows) == 11 and float(rows[0]["poselib_1px_deg"]) < 20
    summary = next(csv.DictReader((results / "summary.csv").open()))
    assert float(summary["relative_pose.estimators.pycolmap_1px.auc_percent.10"]) > 80

    config["datasets"]["relative_pose"]["evaluation"]["thresholds_px"] = [0.5]
    workspace.config = config
    assert workspace.jobs("results/relative_pose") == {"evaluate_pairs": 1, "report_pairs": 1, "publish_pairs": 1}
