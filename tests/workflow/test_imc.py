"""The Image Matching Challenge from its tree to report and submission, on a miniature of the demo's town."""

import csv
import json

import h5py
import pytest

from miniature_imc import write_tree


@pytest.mark.timeout(600)
def test_both_tasks_are_evaluated_and_a_submission_is_written(workspace) -> None:
    write_tree(workspace.path / "data/imc_phototourism")
    config = workspace.config
    config["datasets"]["imc_phototourism"] |= {
        "root": "data/imc_phototourism",
        "runs": ["sift"],
        "evaluation": {"estimator": "poselib", "threshold_px": 1.0, "repetitions": 2},
    }
    workspace.config = config
    executed = workspace.executed("results/imc_phototourism")
    assert {rule: executed[rule] for rule in ("map_bags", "evaluate_imc", "report_pairs", "publish_imc", "map")} == {
        **{"map_bags": 1, "evaluate_imc": 1, "report_pairs": 1, "publish_imc": 1},
        "map": 0,
    }
    results = workspace.path / "results/imc_phototourism"
    found = json.loads((results / "metrics.json").read_text())["runs"]["sift"]["imc"]
    stereo, multiview = found["stereo"], found["multiview"]
    assert {scene: values["pairs"] for scene, values in stereo["scenes"].items()} == {"market": 7, "old_town": 19}
    assert stereo["scenes"]["old_town"]["maa_10_percent"] > 60
    assert stereo["scenes"]["old_town"]["repeatability_percent"]["3"] > 30
    assert stereo["scenes"]["old_town"]["matching_score_percent"]["3"] > 60
    assert {scene: list(values["bags"]) for scene, values in multiview["scenes"].items()} == {
        **{"market": ["5"], "old_town": ["5", "6"]},
    }
    assert multiview["scenes"]["old_town"]["bags"]["5"]["bags"] == 2
    assert multiview["scenes"]["old_town"]["maa_10_percent"] > 30
    assert multiview["intrinsics"] == "estimate"
    assert found["mean"]["maa_10_percent"] == pytest.approx(
        (stereo["mean"]["maa_10_percent"] + multiview["mean"]["maa_10_percent"]) / 2
    )
    assert len(list(csv.DictReader((results / "sift/pairs.csv").open()))) == 26
    submission = results / "submissions/sift/phototourism/old_town"
    with h5py.File(submission / "matches.h5") as matches, h5py.File(submission / "keypoints.h5") as keypoints:
        assert len(matches) == 21 and len(keypoints) == 7
        assert matches["0042-0036"].shape[0] == 2
    label = json.loads((results / "submissions/sift/config.json").read_text())[0]
    assert label["config_phototourism_stereo"]["use_custom_matches"] is True

    config["datasets"]["imc_phototourism"]["evaluation"]["covisibility"] = 0.3
    workspace.config = config
    assert workspace.jobs("results/imc_phototourism") == {"evaluate_imc": 1, "report_pairs": 1, "publish_imc": 1}
