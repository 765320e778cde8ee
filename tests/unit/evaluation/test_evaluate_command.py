"""`trigpoint evaluate` on a finished run: the whole file, and what a user can get wrong."""

import json

import pytest

from trigpoint.cli import main


def arguments(work, output, **changes):
    run = work / "exact"
    options = {
        "dataset": work / "dataset.json",
        "features": run / "features.h5",
        "matches": run / "matches.h5",
        "pairs": run / "pairs" / "map.txt",
        "database": run / "database.db",
        "model": run / "model",
        "mapping": run / "mapping.json",
        "output": output,
        **changes,
    }
    return [
        "evaluate",
        "--run",
        "exact",
        *(word for key, value in options.items() for word in (f"--{key}", str(value))),
    ]


def test_metrics_of_an_exact_run_are_perfect_and_complete(finished_work):
    metrics = json.loads((finished_work / "exact" / "metrics.json").read_text())
    mapping = metrics["mapping"]
    assert (mapping["registered"], mapping["images"]) == (8, 8)
    assert mapping["center_rmse_m"] < 1e-6
    assert mapping["auc_percent"]["1"] > 99.99
    assert metrics["localization"]["synthetic"]["recall_percent"]["0.25m_2deg"] == 100
    assert metrics["relative_pose"]["auc_percent"]["5"] > 99.9
    details = metrics["details"]
    assert sum(details["histograms"]["track_length"]["counts"]) == mapping["points3D"]
    assert sum(details["histograms"]["inlier_matches"]["counts"]) == mapping["inlier_pairs"]
    assert sum(row["observations"] for row in details["images"]) == mapping["observations"]
    assert sum(details["pairs"]["inliers"]) == mapping["inlier_matches"]
    assert details["pose_recall"]["percent"][-1] == 100


def test_without_queries_there_is_no_localization(finished_work, tmp_path):
    output = tmp_path / "metrics.json"
    settings = '{"max_pairs": 3, "seed": 5, "code_version": 1, "deterministic": false}'
    assert main(arguments(finished_work, output, settings=settings)) == 0
    metrics = json.loads(output.read_text())
    assert "localization" not in metrics
    assert "queries" not in metrics["details"]
    assert (metrics["relative_pose"]["pairs"], metrics["relative_pose"]["seed"]) == (3, 5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"settings": '{"max_pair": 3}'}, ("max_pair", "did you mean 'max_pairs'")),
        ({"database": "absent.db"}, ("absent.db", "trigpoint verify-pairs")),
        ({"model": "absent"}, ("absent", "trigpoint map")),
        ({"mapping": "absent.json"}, ("absent.json", "trigpoint map")),
        ({"features": "absent.h5"}, ("absent.h5", "trigpoint extract-features")),
        ({"poses": "poses.txt"}, ("--poses and --localization",)),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(finished_work, tmp_path, capsys, changes, words):
    output = tmp_path / "metrics.json"
    assert main(arguments(finished_work, output, **changes)) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert all(word in message for word in words), message
    assert not output.exists()
