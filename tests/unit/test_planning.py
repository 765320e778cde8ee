"""What a dataset will take, before it is there: counts, shards, memory and disk."""

import importlib
import re
from pathlib import Path

import pytest
import yaml

from trigpoint import planning
from trigpoint.cli import main
from trigpoint.datasets.scene_size import SceneSize
from trigpoint.errors import SettingsError
from trigpoint.planning import Load, memory_mb, plan_run, requested_mb, scene_size
from trigpoint.storage.dataset import write_dataset
from trigpoint.storage.pairs import write_pairs
from trigpoint.types import Dataset, DatasetImage

ROOT = Path(__file__).parents[2]
MADRID, ALAMO = "eth_lfb_madrid_metropolis", "eth_lfb_alamo"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """The shipped configuration, in a folder without data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text((ROOT / "config.yaml").read_text())
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def load_of(config: dict, dataset: str, run: str = "disk", **sharding: int) -> Load:
    return plan_run(config, dataset, run, scene_size(config, dataset), sharding)


def test_a_scene_that_is_not_there_is_counted_by_the_catalogue(config: dict) -> None:
    load = load_of(config, MADRID)
    assert load.scene == SceneSize(map_images=1344, queries=0, source="catalogue")
    assert (load.pair_kind, load.pairs) == ("exhaustive", 1344 * 1343 // 2)
    assert (load.image_shards, load.pair_shards) == (1, 1)
    cut = load_of(config, MADRID, max_shards=64)
    assert (cut.image_shards, cut.pair_shards) == (21, 64)
    assert load_of(config, ALAMO).pairs == 2915 * 100


def test_half_a_download_is_not_the_scene(config: dict, tmp_path: Path) -> None:
    images = tmp_path / "data/eth_lfb_herzjesu/images"
    images.mkdir(parents=True)
    for number in range(8):
        assert scene_size(config, "eth_lfb_herzjesu") == SceneSize(map_images=8, queries=0, source="catalogue")
        (images / f"{number}.png").touch()
    assert scene_size(config, "eth_lfb_herzjesu") == SceneSize(map_images=8, queries=0, source="folder")


def test_queries_are_counted_beside_the_map(config: dict) -> None:
    load = load_of(config, "aachen")
    assert (load.scene.map_images, load.scene.queries) == (4328, 922)
    assert (load.map_pairs, load.query_pairs) == (4328 * 20, 922 * 50)


def test_photographs_and_a_prepared_dataset_are_counted_themselves(config: dict, tmp_path: Path) -> None:
    folder = tmp_path / "data/my_photos/images/query"
    folder.mkdir(parents=True)
    for name in ("../a.jpg", "../b.png", "../notes.txt", "c.jpg"):
        (folder / name).touch()
    assert scene_size(config, "my_photos") == SceneSize(map_images=3, queries=0, source="folder")
    config["photos"]["prepare"] = {"query_pattern": "query/*"}
    assert scene_size(config, "my_photos") == SceneSize(map_images=2, queries=1, source="folder")
    images = tuple(DatasetImage(name=f"{number}.jpg", role="map", size=(640, 480)) for number in range(3))
    listed = tmp_path / "pairs.txt"
    write_pairs(listed, [("0.jpg", "1.jpg")])
    (tmp_path / "work/my_photos").mkdir(parents=True)
    dataset = Dataset("my_photos", "photos", str(folder.parent), images, pairs_path=str(listed))
    write_dataset(tmp_path / "work/my_photos/dataset.json", dataset)
    assert scene_size(config, "my_photos") == SceneSize(
        map_images=3, queries=0, source="prepared", pairs_path=str(listed)
    )
    config["photos"]["pairs"]["map"] = {"kind": "file"}
    assert load_of(config, "my_photos").pairs == 1


def test_more_images_need_more_memory_and_each_retry_asks_for_more(config: dict) -> None:
    small, large = load_of(config, "eth_lfb_fountain", "sift"), load_of(config, "eth_lfb_artsquad_dataset", "sift")
    for rule in planning.stage_jobs(large):
        assert 0 < memory_mb(rule, small, 8) <= memory_mb(rule, large, 8)
    assert requested_mb("map", small, 8) == planning.LEAST_MEMORY_MB
    assert requested_mb("map", large, 8) == memory_mb("map", large, 8) > 20_000
    assert requested_mb("map", large, 8, attempt=2) == 2 * requested_mb("map", large, 8)
    assert memory_mb("match_pairs", load_of(config, MADRID, "sift", max_shards=64), 8) < memory_mb(
        "match_pairs", load_of(config, MADRID, "sift"), 8
    )


def test_matches_without_a_ratio_test_fill_the_disk(config: dict) -> None:
    plain = planning.disk_mb(load_of(config, MADRID, "disk"))
    config["run_settings"]["disk"]["matching"]["ratio"] = 0.95
    tested = planning.disk_mb(load_of(config, MADRID, "disk"))
    assert plain["matches.h5"] > 5 * (tested["matches.h5"] - 650)  # 650 MB of groups, whatever is in them
    assert plain["features.h5"] == tested["features.h5"] == round(1344 * 2048 * 268 / 1e6)
    config["run_settings"]["disk"]["descriptor_dtype"] = "float32"
    assert planning.disk_mb(load_of(config, MADRID, "disk"))["features.h5"] == round(1344 * 2048 * 524 / 1e6)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("sift", "trigpoint.methods.sift:SiftSettings"),
        ("disk", "trigpoint.methods.disk:DiskSettings"),
        ("posfeat", "trigpoint.methods.posfeat:PosfeatSettings"),
        ("posfeat_sift", "trigpoint.methods.posfeat:PosfeatSettings"),
    ],
)
def test_defaults_are_those_of_the_methods(method: str, target: str) -> None:
    module, name = target.split(":")
    values, cost = getattr(importlib.import_module(module), name)(), planning.METHOD_COSTS[method]
    assert getattr(values, cost.keypoints_setting) == cost.keypoints
    assert getattr(values, cost.side_setting) == cost.side_px


def test_constants_are_those_of_the_stages() -> None:
    pair_matching = importlib.import_module("trigpoint.methods.pair_matching")
    colmap_sift = importlib.import_module("trigpoint.matching.colmap_sift")
    assert planning.IMAGES_IN_MEMORY == pair_matching.FEATURES_IN_MEMORY
    assert planning.INDEXED_IMAGES == colmap_sift.BLOCK_PAIRS


def test_every_rule_of_the_table_asks_for_its_own_memory(config: dict) -> None:
    text = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    for rule in planning.stage_jobs(load_of(config, "aachen")):
        (body,) = re.findall(rf"^rule {rule}:$(.*?)^    shell:$", text, re.MULTILINE | re.DOTALL)
        assert f'mem_mb=memory_of("{rule}")' in body


def test_the_command_prints_a_table(config: dict, capsys: pytest.CaptureFixture[str]) -> None:
    profile = str(ROOT / "profiles/slurm")
    assert main(["estimate", "dataset", MADRID, "--run", "disk", "--profile", profile]) == 0
    printed = capsys.readouterr().out
    first, *lines = printed.splitlines()
    assert first.startswith(
        f"{MADRID}, disk: 1,344 images (catalogue), 902,496 pairs (exhaustive), shards: 21 of images,"
    )
    table = {words[0]: words[1:] for line in lines if (words := line.split())}
    load = load_of(config, MADRID, max_shards=64)
    assert table["match_pairs"][0] == "64"
    assert table["map"] == ["1", f"{memory_mb('map', load, 8):,}", "6,000"]
    assert table["features.h5"] == ["738"]


def test_a_collection_has_a_line_for_each_run_of_each_scene(config: dict, capsys: pytest.CaptureFixture[str]) -> None:
    profile = str(ROOT / "profiles/default")
    assert main(["estimate", "dataset", "eth_lfb", "--profile", profile]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["eth_lfb_fountain, sift", "eth_lfb_fountain, disk"]
    assert len(lines) == 18


def test_settings_of_further_files_count(config: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        yaml.safe_dump({"datasets": {MADRID: {"pairs": {"map": {"kind": "retrieval", "num_neighbors": 30}}}}})
    )
    words = ["--run", "disk", "--profile", str(ROOT / "profiles/default"), "--configfile", str(own)]
    assert main(["estimate", "dataset", MADRID, *words]) == 0
    assert "40,320 pairs (retrieval)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["eth_lfb_madrid"], "no dataset is called 'eth_lfb_madrid'"),
        (["eth3d"], "whose evaluation makes no map"),
        ([MADRID, "--run", "pump"], "'pump' matches image pairs; `trigpoint estimate match"),
        ([MADRID, "--run", "dsik"], "no run is called 'dsik'; known"),
        ([MADRID, "--configfile", "absent.yaml"], "absent.yaml: cannot be read"),
        ([MADRID, "--profile", "absent"], "absent/config.yaml: cannot be read"),
    ],
)
def test_mistakes_are_one_line(
    config: dict, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    profile = [] if "--profile" in words else ["--profile", str(ROOT / "profiles/default")]
    assert main(["estimate", "dataset", *words, *profile]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_a_pair_list_that_is_not_there_yet_is_refused(config: dict) -> None:
    config["datasets"]["aachen"]["pairs"]["map"] = {"kind": "file"}
    with pytest.raises(SettingsError, match="the map pairs of 'aachen' come from a list that is not there yet"):
        load_of(config, "aachen")
