"""A method of image pairs goes through the whole chain; what is due after a change; what is refused before a job."""

import json
from collections import Counter

import pytest

from trigpoint.kernels import backend_in_use

TARGET = "results/my_photos"
AFTER_MERGING = dict.fromkeys(
    ("merge_keypoints", "import_database", "verify_pairs", "map", "evaluate", "report", "publish"), 1
)


def test_images_become_a_map_without_features(finished_pairs) -> None:
    metrics = json.loads((finished_pairs.path / TARGET / "metrics.json").read_text())["runs"]["sift_pairs"]
    assert metrics["mapping"]["registered"] == finished_pairs.num_images
    assert metrics["mapping"]["auc_percent"]["5"] > 90
    assert metrics["mapping"]["mean_track_length"] > 3
    merging = metrics["merging"]
    assert merging["correspondences"] == merging["matches"] + merging["joined"] + sum(merging["lost"].values())
    assert merging["lost_percent"] < 30
    assert not (finished_pairs.path / "work/my_photos/sift").exists()  # nothing of another run is computed
    page = (finished_pairs.path / TARGET / "report.html").read_text()
    assert "Merged keypoints" in page and "lost %" in page
    for name in ("matches.h5", "features.h5", "model"):
        assert (finished_pairs.path / TARGET / "sift_pairs" / name).exists()
    provenance = json.loads((finished_pairs.path / TARGET / "provenance.json").read_text())
    assert provenance["runs"]["sift_pairs"]["matches"]["merging"]["scheme"] == "radius"
    (backend,) = provenance["kernel_backends"]["sift_pairs"]
    assert backend in ("torch-cpu", backend_in_use("cpu"))
    assert finished_pairs.jobs(TARGET) == Counter()


def test_a_setting_of_the_method_redoes_its_run(copy_of_finished_pairs) -> None:
    config = copy_of_finished_pairs.config
    config["run_settings"]["sift_pairs"]["correspondences"]["ratio"] = 0.75
    copy_of_finished_pairs.config = config
    assert copy_of_finished_pairs.jobs(TARGET) == Counter({"match_images": 1} | AFTER_MERGING)


def test_a_setting_of_merging_redoes_merging_and_what_follows(copy_of_finished_pairs) -> None:
    config = copy_of_finished_pairs.config
    config["run_settings"]["sift_pairs"]["merging"] = {"cell_px": 3.0}
    copy_of_finished_pairs.config = config
    assert copy_of_finished_pairs.jobs(TARGET) == Counter(AFTER_MERGING)


def test_a_setting_of_another_run_redoes_nothing(copy_of_finished_pairs) -> None:
    config = copy_of_finished_pairs.config
    config["run_settings"]["sift"]["features"]["max_keypoints"] = 500
    copy_of_finished_pairs.config = config
    assert copy_of_finished_pairs.jobs(TARGET) == Counter()


def test_similar_images_are_chosen_by_the_run_that_is_named(copy_of_finished_pairs) -> None:
    config = copy_of_finished_pairs.config
    config["photos"]["pairs"]["map"] = {"kind": "retrieval", "num_neighbors": 3}
    copy_of_finished_pairs.config = config
    jobs = copy_of_finished_pairs.jobs(TARGET)
    assert jobs == Counter(
        {"extract_features": 1, "gather_features": 1, "list_pairs": 1, "match_images": 1} | AFTER_MERGING
    )
    config["runs"] = ["sift_pairs", "sift"]
    copy_of_finished_pairs.config = config
    assert copy_of_finished_pairs.jobs(TARGET)["extract_features"] == 1  # shared with the run itself


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"retrieval_run": None}, ("sift_pairs", "retrieval_run", "sift")),
        ({"retrieval_run": "sfit"}, ("retrieval_run", "'sfit'", "did you mean 'sift'")),
        ({"correspondences": {"checkpoint": "gone.pt"}}, ("run 'sift_pairs'", "gone.pt: neither a file nor")),
        ({"matching": {"matcher": "mutual_nn"}}, ("run_settings.sift_pairs.matching", "correspondences, merging")),
        ({"merging": {"cell": 3}}, ("merging", "did you mean 'cell_px'")),
    ],
)
def test_what_cannot_end_is_refused_in_one_line_before_the_first_job(workspace, changes, words, finished_pairs) -> None:
    config = finished_pairs.config
    config["photos"]["pairs"]["map"] = {"kind": "retrieval", "num_neighbors": 3}
    run = config["run_settings"]["sift_pairs"] | changes
    config["run_settings"]["sift_pairs"] = {key: value for key, value in run.items() if value is not None}
    workspace.config = config
    workspace.packages = finished_pairs.packages
    done = workspace.run(TARGET, ok=False)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("trigpoint:")]
    for word in words:
        assert word in line
    assert "Traceback" not in done.stderr
    assert not (workspace.path / "work").exists()


def test_shards_change_the_jobs_and_not_the_result(finished_pairs, workspace) -> None:
    workspace.config, workspace.packages = finished_pairs.config, finished_pairs.packages
    cut = ("--resources", "max_shards=3", "image_pairs_per_shard=5")
    assert workspace.executed(TARGET, *cut)["match_images"] == 3
    for name in ("metrics.json", "sift_pairs/features.h5", "sift_pairs/matches.h5"):
        assert (workspace.path / TARGET / name).read_bytes() == (finished_pairs.path / TARGET / name).read_bytes()


def test_the_demo_is_planned_and_refused_without_a_run_that_finds_similar_images(workspace, finished_pairs) -> None:
    workspace.use_shipped_configuration()
    config = workspace.config
    config["run_settings"]["sift_pairs"] = finished_pairs.config["run_settings"]["sift_pairs"]
    workspace.config, workspace.packages = config, finished_pairs.packages
    choice = ("--config", "runs=[sift_pairs]")
    workspace.run("work/demo/dataset.json", *choice)
    jobs = workspace.jobs("results/demo", *choice)
    assert jobs["list_pairs"] == 2  # the map's by poses, the queries' by SIFT's descriptors
    assert {"extract_features": 1, "match_images": 1, "merge_keypoints": 1, "localize": 1}.items() <= jobs.items()
    del config["run_settings"]["sift_pairs"]["retrieval_run"]
    workspace.config = config
    done = workspace.run("results/demo", *choice, ok=False)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("trigpoint:")]
    assert "set retrieval_run to one of disk" in line
    assert "Traceback" not in done.stderr
