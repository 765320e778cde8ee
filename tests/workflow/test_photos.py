"""A folder of photographs becomes a map, a report and numbers; the photographs stay as they were."""

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path


def fingerprint(folder: Path) -> dict[str, tuple[str, int]]:
    """Bytes and dates of all files of a folder."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_results_are_complete_and_accurate(finished) -> None:
    results = finished.path / "results/my_photos"
    metrics = json.loads((results / "metrics.json").read_text())
    mapping = metrics["runs"]["sift"]["mapping"]
    assert metrics["dataset"] == "my_photos"
    assert mapping["registered"] == mapping["images"] == finished.num_images
    assert mapping["auc_percent"]["5"] > 90
    assert mapping["mean_track_length"] > 2
    page = ("report.html", "summary.csv", "timings.json", "provenance.json")
    for name in (*page, "sift/matches.h5", "sift/features.h5"):
        assert (results / name).is_file(), name
    assert {path.name for path in (results / "sift/model").iterdir()} >= {"cameras.bin", "images.bin", "points3D.bin"}


def test_a_second_run_does_nothing(finished) -> None:
    assert finished.jobs("results/my_photos") == Counter()


def test_photographs_survive_success_failure_and_deleted_results(workspace) -> None:
    before = fingerprint(workspace.path / "data")
    workspace.run("results/my_photos")
    assert fingerprint(workspace.path / "data") == before
    shutil.rmtree(workspace.path / "results")
    config = workspace.config
    config["run_settings"]["sift"]["verification"] = {"min_num_inliers": 100000}
    workspace.config = config
    failed = workspace.run("results/my_photos", ok=False)
    assert failed.returncode != 0
    assert "verif" in failed.stdout + failed.stderr
    assert fingerprint(workspace.path / "data") == before


def test_photographs_without_truth_get_a_map_and_no_accuracy(copy_of_finished) -> None:
    (copy_of_finished.path / "data/my_photos/cameras_gt.txt").unlink()
    copy_of_finished.run("results/my_photos")
    metrics = json.loads((copy_of_finished.path / "results/my_photos/metrics.json").read_text())
    mapping = metrics["runs"]["sift"]["mapping"]
    assert mapping["registered"] == copy_of_finished.num_images
    assert "auc_percent" not in mapping
    assert "center_rmse_m" not in mapping
