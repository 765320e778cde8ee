"""config.yaml: what is accepted, what is said of mistakes, and what commands are given."""

import dataclasses
import json
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from trigpoint import config as settings
from trigpoint.errors import SettingsError, WeightsError

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "rules/config.schema.yaml"


@pytest.fixture
def config() -> dict:
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def test_the_shipped_configuration_is_valid(config: dict) -> None:
    settings.validate(config, SCHEMA)


def test_the_schema_is_what_the_settings_classes_make() -> None:
    from trigpoint.config_schema import build_schema

    assert yaml.safe_load(SCHEMA.read_text()) == yaml.safe_load(yaml.safe_dump(build_schema())), "run `make schema`"


def test_every_property_of_the_schema_is_described() -> None:
    def undescribed(schema: dict, path: str) -> list[str]:
        found = [
            f"{path}.{name}"
            for name, value in schema.get("properties", {}).items()
            if not {"description", "const"} & set(value)
        ]
        for name, value in schema.get("properties", {}).items():
            found += undescribed(value, f"{path}.{name}")
        extra = schema.get("additionalProperties")
        return found + (undescribed(extra, f"{path}.*") if isinstance(extra, dict) else [])

    schema = yaml.safe_load(SCHEMA.read_text())
    for branch in schema["properties"]["run_settings"]["additionalProperties"].pop("allOf"):
        for value in branch["if"]["properties"].values():
            assert "const" in value
    assert undescribed(schema, "") == []


MISTAKES = {
    "sed": (["sed"], 1, ["unknown key 'sed'", "did you mean 'seed'"]),
    "type": (["seed"], "zero", ["seed", "'zero'", "integer"]),
    "method": (["run_settings", "disk", "method"], "dsk", ["run_settings.disk.method", "'dsk'", "did you mean 'disk'"]),
    "feature": (
        ["run_settings", "disk", "features", "max_keypoint"],
        5,
        ["run_settings.disk.features", "max_keypoint", "did you mean 'max_keypoints'"],
    ),
    "matcher": (
        ["run_settings", "disk", "matching", "matcher"],
        "mutualnn",
        ["'mutualnn'", "mutual_nn", "did you mean 'mutual_nn'"],
    ),
    "matcher setting": (
        ["run_settings", "sift", "matching", "ration"],
        0.8,
        ["run_settings.sift.matching", "did you mean 'ratio'"],
    ),
    "mapper": (["photos", "mapping", "mapper"], "incremantal", ["photos.mapping.mapper", "did you mean 'incremental'"]),
    "kind": (["photos", "pairs", "map", "kind"], "exhaustiv", ["photos.pairs.map.kind", "did you mean 'exhaustive'"]),
    "roles": (["photos", "pairs"], {"maps": {}}, ["photos.pairs", "unknown key 'maps'"]),
    "list": (["photos", "pairs"], 3, ["photos.pairs", "found 3"]),
    "layout": (["datasets", "demo", "layout"], "achen", ["datasets.demo.layout", "did you mean 'aachen'"]),
    "run": (["runs"], ["sift", "dsik"], ["'dsik'", "did you mean 'disk'"]),
    "run type": (["runs"], "sift", ["runs", "'sift'", "array"]),
    "member": (
        ["collections", "eth_lfb"],
        ["eth_lfb_fontain"],
        ["collections.eth_lfb", "did you mean 'eth_lfb_fountain'"],
    ),
    "reserved": (["datasets", "downloads"], {"layout": "photos"}, ["'downloads'", "cannot name a dataset"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_line(config: dict, mistake: str) -> None:
    path, value, expected = MISTAKES[mistake]
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(SettingsError) as caught:
        settings.validate(config, SCHEMA)
    message = str(caught.value)
    assert "\n" not in message
    for words in expected:
        assert words in message


def test_a_missing_key_is_named(config: dict) -> None:
    del config["seed"]
    with pytest.raises(SettingsError, match="seed"):
        settings.validate(config, SCHEMA)


def test_a_run_wins_over_its_dataset(config: dict) -> None:
    config["run_settings"]["disk"]["mapping"] = {"mapper": "global"}
    assert settings.run_settings(config, "eth_lfb_fountain", "disk")["mapping"]["mapper"] == "global"
    assert settings.run_settings(config, "eth_lfb_fountain", "sift")["mapping"]["mapper"] == "incremental"


def test_another_matcher_does_not_inherit_the_settings_of_the_first() -> None:
    merged = settings.merge(
        {"matching": {"matcher": "mutual_nn", "ratio": 0.8}}, {"matching": {"matcher": "lightglue"}}
    )
    assert merged == {"matching": {"matcher": "lightglue"}}


def test_a_folder_of_photographs_gets_the_settings_of_photos(config: dict, tmp_path: Path) -> None:
    (tmp_path / "holiday/images").mkdir(parents=True)
    assert "holiday" in settings.known_datasets(config, tmp_path)
    chosen = settings.dataset_settings(config, "holiday")
    assert chosen["layout"] == "photos"
    assert chosen["pairs"] == config["photos"]["pairs"]


def test_an_unknown_dataset_is_told_what_there_is(config: dict, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.check_dataset(config, "eth_lfb_fontaine", tmp_path)
    assert "did you mean 'eth_lfb_fountain'" in str(caught.value)
    assert "demo" in str(caught.value)


@pytest.mark.parametrize(("images", "kind"), [(200, "exhaustive"), (201, "retrieval")])
def test_auto_pairs_depend_on_the_number_of_images(config: dict, images: int, kind: str) -> None:
    config["photos"]["pairs"]["map"] = {"kind": "auto"}
    assert settings.pair_kind(config, "holiday", "sift", "map", images) == kind


def test_a_command_is_given_its_own_settings_only(config: dict) -> None:
    before = settings.stage_json(config, "demo", "disk", "matching")
    changed = deepcopy(config)
    changed["run_settings"]["disk"]["mapping"] = {"min_num_matches": 20}
    changed["run_settings"]["sift"]["matching"]["ratio"] = 0.7
    assert settings.stage_json(changed, "demo", "disk", "matching") == before
    assert settings.stage_json(changed, "demo", "disk", "mapping") != settings.stage_json(
        config, "demo", "disk", "mapping"
    )
    assert json.loads(before)["matcher"] == "mutual_nn"


def test_code_versions_reach_the_commands(config: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    before = settings.stage_json(config, "demo", "disk", "mapping")
    monkeypatch.setitem(settings.CODE_VERSIONS, "map", settings.CODE_VERSIONS["map"] + 1)
    assert settings.stage_json(config, "demo", "disk", "mapping") != before


@pytest.fixture
def with_pairs(config: dict, pair_method: str) -> dict:
    """The shipped configuration with a run of a third party's pair method, whose settings are its own."""
    config["run_settings"]["sift_pairs"] = {"method": pair_method, "correspondences": {"ratio": 0.9}}
    return config


def test_a_pair_method_is_given_its_settings_as_a_method(with_pairs: dict) -> None:
    settings.validate(with_pairs, SCHEMA)
    given = json.loads(settings.stage_json(with_pairs, "demo", "sift_pairs", "correspondences"))
    assert given == {
        "method": "sift_pairs",
        "settings": {"ratio": 0.9},
        "strict": False,
        "seed": 0,
        "deterministic": False,
        "code_version": settings.CODE_VERSIONS["match-pairs"],
    }
    assert settings.runs_of_kind(with_pairs, "pair")[-1] == "sift_pairs"
    assert "sift_pairs" not in settings.runs_of_kind(with_pairs, "feature")


@pytest.mark.parametrize(
    ("run", "key", "value", "words"),
    [
        ("sift_pairs", "features", {}, "run_settings.sift_pairs.features: 'sift_pairs' is a pair method"),
        ("sift_pairs", "retrieval_run", "sift_pairs", "is no run of a feature method; known: disk"),
        ("sift", "correspondences", {}, "'sift' is a feature method, whose settings stand in features, matching"),
        ("sift", "retrieval_run", "disk", "'sift' is a feature method"),
    ],
)
def test_settings_of_the_other_kind_of_method_are_refused(with_pairs, run, key, value, words) -> None:
    with_pairs["run_settings"][run][key] = value
    with pytest.raises(SettingsError, match=words):
        settings.validate(with_pairs, SCHEMA)


def test_similar_images_of_a_pair_run_are_chosen_by_another_run(with_pairs: dict) -> None:
    assert settings.retrieval_run(with_pairs, "disk_lightglue") == "disk_lightglue"
    with_pairs["runs"] = ["sift_pairs"]
    settings.check_runs(with_pairs, "eth_lfb_fountain")  # all pairs: nothing is retrieved
    with_pairs["datasets"]["demo"]["pairs"]["map"] = {"kind": "retrieval"}
    with pytest.raises(SettingsError, match="set retrieval_run to one of sift, disk"):
        settings.check_runs(with_pairs, "demo")
    with_pairs["run_settings"]["sift_pairs"]["retrieval_run"] = "sift"
    settings.check_runs(with_pairs, "demo")
    assert settings.retrieval_run(with_pairs, "sift_pairs") == "sift"


def test_weights_that_can_be_fetched_are_no_reason_to_refuse_and_others_are(with_pairs, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TRIGPOINT_CACHE", str(tmp_path))
    with_pairs["runs"] = ["disk"]
    settings.check_runs(with_pairs, "demo")
    entry = dataclasses.replace(settings.WEIGHTS["disk-depth"], urls=(), package=None)
    monkeypatch.setitem(settings.WEIGHTS, "disk-depth", entry)
    with pytest.raises(WeightsError, match=r"run 'disk': .*disk-depth-save.pth is missing .*fetch-weights"):
        settings.check_runs(with_pairs, "demo")
    with_pairs["runs"] = ["sift_pairs"]
    with_pairs["datasets"]["demo"]["pairs"]["map"] = {"kind": "retrieval"}
    with_pairs["run_settings"]["sift_pairs"] |= {"retrieval_run": "disk"}
    with pytest.raises(WeightsError, match="run 'disk'"):  # its features are needed all the same
        settings.check_runs(with_pairs, "demo")
    own = tmp_path / "own.pt"
    with_pairs["run_settings"]["disk"]["features"]["weights"] = str(own)
    with pytest.raises(WeightsError, match=r"own.pt: neither a file nor"):
        settings.check_runs(with_pairs, "demo")
    own.touch()
    settings.check_runs(with_pairs, "demo")


def test_a_pair_list_can_stand_for_the_settings_of_both_roles(config: dict, tmp_path: Path) -> None:
    config["datasets"]["demo"]["pairs"] = config["photos"]["pairs"] = str(tmp_path / "pairs.txt")
    settings.validate(config, SCHEMA)
    for dataset in ("demo", "my_photos"):
        found = {role: json.loads(settings.stage_json(config, dataset, "sift", f"pairs.{role}", 5))
                 for role in ("map", "query")}  # fmt: skip
        assert {(values["kind"], values["path"]) for values in found.values()} == {("file", f"{tmp_path}/pairs.txt")}
        assert (found["query"]["retrieve_missing"], found["query"]["num_neighbors"]) == (True, 50)
        assert "retrieve_missing" not in found["map"]
    with pytest.raises(SettingsError, match=r"pairs\.txt' does not exist"):
        settings.given_for_pairs(config, "demo", "sift", "map", 5)
    (tmp_path / "pairs.txt").write_text("")
    assert settings.given_for_pairs(config, "demo", "sift", "query", 5) == [f"{tmp_path}/pairs.txt"]
    config["run_settings"]["sift"]["pairs"] = {"map": {"kind": "exhaustive"}}  # of a run, over the dataset's
    assert settings.pair_kind(config, "demo", "sift", "map", 5) == "exhaustive"


def test_only_given_lists_limit_the_images_to_extract(config: dict) -> None:
    cases = {
        ("file", "file", False): ["map", "query"],
        ("file", "file", True): ["map"],
        ("file", "retrieval", False): ["map"],
        ("poses", "file", False): [],
        ("exhaustive", "retrieval", False): [],
    }
    for (of_map, of_query, retrieve), expected in cases.items():
        query = {"kind": of_query, **({"retrieve_missing": True} if retrieve else {})}
        config["datasets"]["demo"]["pairs"] = {"map": {"kind": of_map}, "query": query}
        assert settings.roles_that_limit(config, "demo", "sift", 60) == expected
        needs = settings.pairs_need_features(config, "demo", "sift", "query", 60)
        assert needs == (retrieve or of_query == "retrieval")


def test_scans_have_pairs_of_queries_only(config: dict) -> None:
    assert settings.dense_datasets(config) == ["inloc"]
    assert settings.roles_that_limit(config, "inloc", "disk", 9972) == ["query"]
    config["datasets"]["inloc"]["dense_localization"] = {"verification": True}
    values = json.loads(settings.stage_json(config, "inloc", "disk", "dense_localization"))
    assert values["verification"] is True and "code_version" in values
    config["datasets"]["inloc"]["pairs"]["query"] = {"kind": "retrieval"}
    settings.validate(config, SCHEMA)
    assert settings.roles_that_limit(config, "inloc", "disk", 9972) == []
    assert settings.pairs_need_features(config, "inloc", "disk", "query", 9972)


def test_a_method_whose_package_is_missing_is_refused_before_the_first_job(
    config: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    config["run_settings"]["roma"] = {"method": "vismatch", "correspondences": {"matcher": "roma"}}
    config["datasets"]["eth_lfb_fountain"]["runs"] = ["roma"]
    settings.validate(config, SCHEMA)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="run 'roma': method 'vismatch' needs the package vismatch: pip install"):
        settings.check_runs(config, "eth_lfb_fountain")
