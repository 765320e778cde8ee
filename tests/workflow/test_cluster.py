"""The cluster's profile: it is read, it cuts stages into shards, and it asks for a GPU for every rule that uses one."""

import re
from pathlib import Path

import yaml

from trigpoint.storage.features import FeatureReader

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "profiles/slurm"
RULE = re.compile(r"^(?:rule|checkpoint) (\w+):\n((?:[ \t].*\n|\n)*)", re.MULTILINE)


def rules() -> dict[str, str]:
    """Text of every rule by name."""
    return {name: body for path in (ROOT / "rules").glob("*.smk") for name, body in RULE.findall(path.read_text())}


def test_every_rule_that_uses_a_gpu_is_given_one() -> None:
    profile = yaml.safe_load((PROFILE / "config.yaml").read_text())
    with_gpu = {name for name, body in rules().items() if "gpu=0" in body}
    assert "extract_features" in with_gpu
    assert profile["set-resources"] == {name: {"gpu": 1} for name in with_gpu}


def test_a_run_is_planned_with_the_profile(workspace) -> None:
    plan = workspace.jobs("results/my_photos", "--profile", str(PROFILE))
    assert plan["prepare"] == 1
    assert plan["publish"] == 1


def test_jobs_that_start_elsewhere_know_the_shards_of_the_first_process(workspace) -> None:
    features = "work/my_photos/sift/features.h5"
    elsewhere = ["--executor", "cluster-generic", "--cluster-generic-submit-cmd", "bash", "--jobs", "2"]
    workspace.run(features, *elsewhere, "--resources", "max_shards=2", "images_per_shard=3")
    shards = sorted(path.name for path in (workspace.path / features).with_suffix("").glob("*.h5"))
    assert shards == ["1-of-2.h5", "2-of-2.h5"]
    with FeatureReader(workspace.path / features) as reader:
        assert len(reader.names()) == workspace.num_images
