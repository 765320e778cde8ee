"""A scene of more than a thousand photographs is planned before a byte of it is fetched, and as it is then run."""

import re
from collections import Counter

import pytest

from trigpoint.planning import Load, memory_mb, plan_run, scene_size
from trigpoint.storage.dataset import write_dataset
from trigpoint.storage.json_files import write_json
from trigpoint.types import Dataset, DatasetImage

SCENE = "eth_lfb_madrid_metropolis"
SHARDS = ("--resources", "max_shards=16")
JOB = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?:    .*\n)*)", re.MULTILINE)


@pytest.fixture
def madrid(workspace) -> str:
    workspace.use_shipped_configuration()
    return SCENE


def planned(workspace, run: str) -> Load:
    return plan_run(workspace.config, SCENE, run, scene_size(workspace.config, SCENE), {"max_shards": 16})


def test_a_dry_run_says_what_a_scene_will_take_that_is_not_there(workspace, madrid: str) -> None:
    done = workspace.run(f"results/{madrid}", "--dry-run")
    text = done.stdout + done.stderr
    assert f"{madrid}, sift: 1,344 images (catalogue), 902,496 pairs (exhaustive)" in text
    assert f"{madrid}, disk: 1,344 images (catalogue), 902,496 pairs (exhaustive)" in text
    assert re.search(r"shards: 1 of images, 1 of pairs; up to \d+\.\d GB of memory \(map\), \d+\.\d GB of files", text)
    cut = workspace.run(f"results/{madrid}", "--dry-run", *SHARDS)
    assert "shards: 16 of images, 16 of pairs" in cut.stdout + cut.stderr
    assert not (workspace.path / "data" / madrid).exists()
    assert not (workspace.path / "data/downloads").exists()


def test_the_plan_is_what_snakemake_runs_once_the_scene_is_there(workspace, madrid: str) -> None:
    work = workspace.path / "work" / madrid
    images = tuple(DatasetImage(name=f"{n:04d}.jpg", role="map", size=(800, 600), signature="1-1") for n in range(1344))
    write_json(work / "fetched.json", {"dataset": madrid}, kind="fetched")
    write_dataset(work / "dataset.json", Dataset(madrid, "eth_lfb", "data/x/images", images))
    done = workspace.run(f"results/{madrid}", "--config", "runs=[sift]", "--dry-run", *SHARDS)
    text = done.stdout + done.stderr
    assert "(catalogue)" not in text
    found = JOB.findall(text)
    load = planned(workspace, "sift")
    jobs = Counter(rule for rule, _ in found)
    assert (jobs["extract_features"], jobs["match_pairs"]) == (load.image_shards, load.pair_shards) == (16, 16)
    (body,) = [body for rule, body in found if rule == "map"]
    asked = re.search(r"mem_mb=(\d+)", body)
    assert asked is not None
    assert int(asked[1]) == memory_mb("map", load, 2) > 6000
