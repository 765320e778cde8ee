"""A small tree in HPatches' layout through the workflow: a method of single images and one of pairs, cached results."""

import json
from pathlib import Path

import numpy as np
import pytest

from miniature_hpatches import write_cache, write_tree

PLUGIN = Path(__file__).parents[1] / "plugin"
TARGET = "results/hpatches"


@pytest.fixture
def space(workspace, tmp_path: Path):
    """A workspace with a third party's pair method and a tree of sequences."""
    workspace.packages = PLUGIN
    config = workspace.config
    config["run_settings"]["sift_pairs"] = {"method": "sift_pairs", "correspondences": {"max_keypoints": 1000}}
    root = write_tree(tmp_path / "sequences")
    config["datasets"]["hpatches"] = {"layout": "hpatches", "root": str(root), "runs": ["sift", "sift_pairs"]}
    workspace.config = config
    return workspace


def cache(space, name: str) -> Path:
    path = space.path / f"data/hpatches/cache/{name}.npy"
    return write_cache(path, np.full((2, 15), 0.5), [9], {"i": [3], "v": [4]})


@pytest.mark.timeout(600)
def test_sequences_are_matched_and_evaluated_without_a_map(space) -> None:
    cache(space, "other")
    executed = space.executed(TARGET)
    assert executed == {
        **{"prepare": 1, "list_pairs": 2, "report_pairs": 1, "publish_pairs": 1, "evaluate_pairs": 2},
        **{"extract_features": 1, "gather_features": 1, "match_pairs": 1, "gather_matches": 1, "match_images": 1},
    }
    results = space.path / TARGET
    names = {path.name for path in results.iterdir()}
    assert {"report.html", "metrics.json", "summary.csv", "sequences.csv", "hseq.txt"} <= names
    metrics = json.loads((results / "metrics.json").read_text())
    assert metrics["cached"]["other"]["overall"]["accuracy"]["1"] == 0.5
    for run in ("sift", "sift_pairs"):
        numbers = metrics["runs"][run]["hpatches"]
        assert numbers["pairs"] == 6
        assert numbers["immatch"]["scores"]["0"]["homography"]["viewpoint"]["accuracy"]["3"] == 1
        assert (results / run / "pairs.csv").read_text().count("\n") == 7
    assert space.jobs(TARGET).total() == 0
    _only_what_a_change_touches_is_due(space)


def _only_what_a_change_touches_is_due(space) -> None:
    more = cache(space, "more")
    assert space.jobs(TARGET) == {"report_pairs": 1, "publish_pairs": 1}
    more.unlink()
    cut = ("--resources", "max_shards=9", "image_pairs_per_shard=2", "--forcerun", "match_images")
    assert space.jobs(TARGET, *cut)["match_images"] == 3  # of six pairs, not of all between eight images
    config = space.config
    config["datasets"]["hpatches"]["evaluation"] = {"protocols": ["ime"]}
    space.config = config
    assert space.jobs(TARGET) == {"evaluate_pairs": 2, "report_pairs": 1, "publish_pairs": 1}
    path = Path(config["datasets"]["hpatches"]["root"]) / "v_floor/H_1_2"
    path.write_text(path.read_text() + "\n")
    assert space.jobs(TARGET)["prepare"] == 1


def test_an_unknown_setting_of_the_protocols_is_told_before_the_first_job(space) -> None:
    config = space.config
    config["datasets"]["hpatches"]["evaluation"] = {"topk": 5}
    space.config = config
    done = space.run(TARGET, ok=False)
    assert done.returncode != 0
    assert "datasets.hpatches.evaluation" in done.stderr and "did you mean 'top_k'" in done.stderr
    assert not (space.path / "work").exists()
