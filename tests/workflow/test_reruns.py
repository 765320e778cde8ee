"""What a change re-runs, and what it leaves alone."""

import os
import shutil
from collections import Counter

PER_RUN = {
    "extract_features": 1,
    "gather_features": 1,
    "match_pairs": 1,
    "gather_matches": 1,
    "import_database": 1,
    "verify_pairs": 1,
    "map": 1,
    "evaluate": 1,
    "list_pairs": 1,
}
PUBLISH = {"report": 1, "publish": 1}
TARGET = "results/my_photos"


def test_a_matching_setting_redoes_matching_and_what_follows(copy_of_finished) -> None:
    config = copy_of_finished.config
    config["run_settings"]["sift"]["matching"]["ratio"] = 0.75
    copy_of_finished.config = config
    stages = ("match_pairs", "gather_matches", "import_database", "verify_pairs", "map", "evaluate")
    assert copy_of_finished.jobs(TARGET) == Counter(dict.fromkeys(stages, 1) | PUBLISH)


def test_a_mapping_setting_redoes_the_map_only(copy_of_finished) -> None:
    config = copy_of_finished.config
    config["run_settings"]["sift"]["mapping"] = {"filter_max_error_px": 3.0}
    copy_of_finished.config = config
    assert copy_of_finished.jobs(TARGET) == Counter({"map": 1, "evaluate": 1} | PUBLISH)


def test_settings_of_a_run_that_is_not_selected_redo_nothing(copy_of_finished) -> None:
    config = copy_of_finished.config
    config["run_settings"]["disk"]["features"]["max_keypoints"] = 512
    copy_of_finished.config = config
    assert copy_of_finished.jobs(TARGET) == Counter()


def test_another_run_leaves_the_first_alone(copy_of_finished) -> None:
    jobs = copy_of_finished.jobs(TARGET, "--config", "runs=[sift,sift_strict]")
    assert jobs == Counter(PER_RUN | PUBLISH)


def test_a_comment_in_a_rule_redoes_nothing(copy_of_finished) -> None:
    # The Snakefile's own time is newer than every result once it is touched; rules are no trigger.
    config = copy_of_finished.path / "config.yaml"
    config.write_text("# a comment\n" + config.read_text())
    assert copy_of_finished.jobs(TARGET) == Counter()


def test_an_added_photograph_in_a_subfolder_is_noticed(copy_of_finished) -> None:
    source = sorted(path for path in copy_of_finished.photographs.rglob("*") if path.is_file())[0]
    deeper = copy_of_finished.photographs / "more/of them"
    deeper.mkdir(parents=True)
    shutil.copy2(source, deeper / f"copy{source.suffix}")
    executed = copy_of_finished.executed(TARGET)
    assert executed == Counter({"prepare": 1} | PER_RUN | PUBLISH)
    log = (copy_of_finished.path / "logs/my_photos/sift/extract_features/1-of-1.log").read_text()
    assert "1 computed, 7 kept" in log, log
    assert copy_of_finished.jobs(TARGET) == Counter()


def test_a_removed_photograph_is_noticed(copy_of_finished) -> None:
    sorted(path for path in copy_of_finished.photographs.rglob("*") if path.is_file())[-1].unlink()
    executed = copy_of_finished.executed(TARGET)
    assert executed == Counter({"prepare": 1} | PER_RUN | PUBLISH)


def test_a_touched_photograph_redoes_extraction_but_same_bytes_change_nothing_else(copy_of_finished) -> None:
    image = sorted(path for path in copy_of_finished.photographs.rglob("*") if path.is_file())[0]
    os.utime(image)
    executed = copy_of_finished.executed(TARGET)
    assert executed["prepare"] == 1
    assert executed["extract_features"] == 1


def test_shards_change_the_jobs_and_not_the_result(workspace, finished) -> None:
    cut = ("--resources", "max_shards=3", "images_per_shard=2", "pairs_per_shard=5")
    executed = workspace.executed(TARGET, *cut)
    assert executed["extract_features"] == 3
    assert executed["match_pairs"] == 3
    metrics = "results/my_photos/metrics.json"
    assert (workspace.path / metrics).read_bytes() == (finished.path / metrics).read_bytes()
    assert workspace.jobs(TARGET) == Counter()  # another number of shards is no reason to start again


def test_pairs_come_from_a_model_and_are_listed_again_when_it_changes(copy_of_finished) -> None:
    model = copy_of_finished.path / "given_model"
    shutil.copytree(copy_of_finished.path / "work/my_photos/sift/model", model)
    config = copy_of_finished.config
    config["photos"]["pairs"]["map"] = {"kind": "covisibility", "model": str(model), "num_neighbors": 2}
    copy_of_finished.config = config
    assert copy_of_finished.executed(TARGET)["list_pairs"] == 1
    pairs = (copy_of_finished.path / "work/my_photos/sift/pairs/map.txt").read_text().splitlines()
    assert 7 <= len([line for line in pairs if not line.startswith("#")]) <= 14  # two neighbours each, not all 21
    assert copy_of_finished.jobs(TARGET) == Counter()
    with (model / "points3D.bin").open("ab") as points:
        points.write(b"more")
    assert copy_of_finished.jobs(TARGET)["list_pairs"] == 1


def test_a_pair_list_that_is_not_there_is_said_before_the_first_job(copy_of_finished) -> None:
    config = copy_of_finished.config
    config["photos"]["pairs"]["map"] = {"kind": "file", "path": "no/such.txt"}
    copy_of_finished.config = config
    refused = copy_of_finished.run(TARGET, ok=False)
    assert refused.returncode != 0
    assert "datasets.my_photos.pairs.map.path: 'no/such.txt' does not exist" in refused.stderr
    assert "Traceback" not in refused.stderr
