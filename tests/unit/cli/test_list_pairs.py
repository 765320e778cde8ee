"""`trigpoint list-pairs` and `trigpoint gather` as a user calls them."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from trigpoint.cli import main
from trigpoint.datasets.synthetic import write_synthetic_run
from trigpoint.storage import colmap
from trigpoint.storage.dataset import write_dataset
from trigpoint.storage.features import FeatureReader, FeatureWriter
from trigpoint.storage.matches import MatchReader, MatchWriter
from trigpoint.storage.pairs import read_pairs, write_pairs
from trigpoint.storage.shards import Shard

NUM_MAPS, NUM_QUERIES = 6, 2


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    return write_synthetic_run(folder, NUM_MAPS, NUM_QUERIES, num_points=60, reference_poses=True)


@pytest.fixture(scope="module")
def model(scene, tmp_path_factory):
    """A COLMAP model with the poses of the map images and no points."""
    images = [image for image in scene.truth.images if image.role == "map"]
    posed = [
        (number, image.name, image.camera, scene.truth.poses[image.name])
        for number, image in enumerate(images, start=1)
    ]
    folder = tmp_path_factory.mktemp("model")
    colmap.posed_model(posed).write(folder)
    return folder


def list_pairs(scene, output, role="map", options=(), dataset=None, **settings):
    common = {"seed": 0, "code_version": 1, "deterministic": False}
    words = ["--settings", json.dumps({**common, **settings}), "--role", role, "--output", str(output)]
    return main(["list-pairs", *words, "--dataset", str(dataset or scene.dataset), *map(str, options)])


def changed(scene, path, **changes):
    write_dataset(path, replace(scene.truth, **changes))
    return path


def names(scene, role):
    return [image.name for image in scene.truth.with_role(role)]


def test_exhaustive_of_both_roles(scene, tmp_path):
    for role, expected in (("map", scene.map_pairs), ("query", scene.query_pairs)):
        assert list_pairs(scene, tmp_path / role, role, kind="exhaustive") == 0
        assert read_pairs(tmp_path / role) == sorted(read_pairs(expected))
    assert (tmp_path / "map").read_text().startswith("# 15 map pairs, kind exhaustive, of 6 map images\n")


def test_sequential(scene, tmp_path):
    assert list_pairs(scene, tmp_path / "pairs", kind="sequential", overlap=1, quadratic_overlap=False) == 0
    maps = names(scene, "map")
    assert read_pairs(tmp_path / "pairs") == list(pairwise(maps))


@pytest.mark.parametrize("given", ["settings", "dataset"])
def test_file_is_named_by_settings_or_dataset(scene, tmp_path, given):
    first, second, *_ = names(scene, "map")
    write_pairs(tmp_path / "given.txt", [(second, first)])
    path = str(tmp_path / "given.txt")
    dataset = changed(scene, tmp_path / "dataset.json", pairs_path=path if given == "dataset" else "")
    settings = {"path": path} if given == "settings" else {}
    assert list_pairs(scene, tmp_path / "pairs", dataset=dataset, kind="file", **settings) == 0
    assert read_pairs(tmp_path / "pairs") == [(first, second)]


def test_unknown_name_in_a_file_leaves_no_list(scene, tmp_path, capsys):
    write_pairs(tmp_path / "given.txt", [("map/view 000.png", "map/view 00.png")])
    assert list_pairs(scene, tmp_path / "pairs", kind="file", path=str(tmp_path / "given.txt")) == 2
    assert "given.txt:1: 'map/view 00.png' is no image" in capsys.readouterr().err
    assert not (tmp_path / "pairs").exists()


@pytest.mark.parametrize("role", ["map", "query"])
def test_retrieval(scene, tmp_path, role):
    options = ["--features", scene.features]
    for output in ("one", "two"):
        assert list_pairs(scene, tmp_path / output, role, options, kind="retrieval", num_neighbors=2, num_words=8) == 0
    pairs = read_pairs(tmp_path / "one")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    if role == "query":
        assert [query for query, _ in pairs] == [query for query in names(scene, "query") for _ in range(2)]
    assert {name1 for _, name1 in pairs} <= set(names(scene, "map"))
    assert {name for pair in pairs for name in pair} >= set(names(scene, role))


def test_poses_of_dataset_and_model_agree(scene, model, tmp_path):
    settings = {"kind": "poses", "num_neighbors": 2, "max_angle_deg": 120}
    assert list_pairs(scene, tmp_path / "dataset", **settings) == 0
    assert list_pairs(scene, tmp_path / "model", model=str(model), **settings) == 0
    assert read_pairs(tmp_path / "dataset") == read_pairs(tmp_path / "model")
    poses = {name: scene.truth.poses[name] for name in names(scene, "map")}
    for name0, name1 in read_pairs(tmp_path / "dataset"):
        assert np.degrees(np.arccos(poses[name0].rotation[2] @ poses[name1].rotation[2])) <= 120


def test_ground_truth_is_not_used_for_pairs(scene, tmp_path, capsys):
    dataset = changed(scene, tmp_path / "dataset.json", reference_images=())
    assert list_pairs(scene, tmp_path / "pairs", dataset=dataset, kind="poses") == 2
    assert "has no poses that mapping may use" in capsys.readouterr().err


def test_covisibility(scene, tmp_path):
    pycolmap = colmap.load()
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_cameras_per_rig, options.num_frames_per_rig = 1, 1, NUM_MAPS
    pycolmap.set_random_seed(0)
    reconstruction = pycolmap.synthesize_dataset(options)
    for image, name in zip(reconstruction.images.values(), names(scene, "map"), strict=True):
        image.name = name
    (tmp_path / "model").mkdir()
    reconstruction.write(tmp_path / "model")
    settings = {"kind": "covisibility", "model": str(tmp_path / "model"), "num_neighbors": 20}
    assert list_pairs(scene, tmp_path / "pairs", **settings) == 0
    assert len(read_pairs(tmp_path / "pairs")) == NUM_MAPS * (NUM_MAPS - 1) / 2  # all see all points


def test_covisibility_in_a_model_without_points_is_an_error(scene, model, tmp_path, capsys):
    assert list_pairs(scene, tmp_path / "pairs", model=str(model), kind="covisibility") == 2
    assert "found no map pair among 6 images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("role", "settings", "message"),
    [
        ("query", {"kind": "poses"}, "kind poses is for map images"),
        ("map", {"kind": "retrieval"}, "needs --features"),
        ("map", {"kind": "covisibility"}, "needs the setting model"),
        ("map", {"kind": "nearest"}, "kind must be one of exhaustive"),
        ("map", {"kind": "exhaustive", "neighbours": 3}, "unknown setting 'neighbours'"),
        ("map", {}, "kind"),
    ],
)
def test_wrong_settings_are_said_in_one_line(scene, tmp_path, capsys, role, settings, message):
    assert list_pairs(scene, tmp_path / "pairs", role, **settings) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("trigpoint list-pairs:")]
    assert message in line


def test_single_map_image_is_an_error_and_no_query_is_none(scene, tmp_path, capsys):
    maps = [image for image in scene.truth.images if image.role == "map"]
    single = changed(scene, tmp_path / "single.json", images=tuple(maps[:1]))
    assert list_pairs(scene, tmp_path / "pairs", dataset=single, kind="exhaustive") == 2
    assert "1 usable map image" in capsys.readouterr().err
    no_query = changed(scene, tmp_path / "maps.json", images=tuple(maps))
    assert list_pairs(scene, tmp_path / "pairs", "query", dataset=no_query, kind="exhaustive") == 0
    assert read_pairs(tmp_path / "pairs") == []


@pytest.mark.parametrize("count", [1, 3])
def test_gather(scene, tmp_path, count):
    shards = [Shard(index, count) for index in range(1, count + 1)]
    with FeatureReader(scene.features) as features, MatchReader(scene.matches) as matches:
        for shard in shards:
            with FeatureWriter(tmp_path / f"features/{shard}.h5", features.settings) as writer:
                for name in shard.select(features.names()):
                    writer.copy_from(features, name)
            with MatchWriter(tmp_path / f"matches/{shard}.h5", matches.settings) as writer:
                for pair in shard.select_pairs(matches.pairs()):
                    writer.write(*pair, matches.read(*pair))
    for kind in ("features", "matches"):
        files = [str(tmp_path / kind / f"{shard}.h5") for shard in shards]
        assert main(["gather", "--kind", kind, "--shards", *files, "--output", str(tmp_path / f"{kind}.h5")]) == 0
    with FeatureReader(tmp_path / "features.h5") as gathered, FeatureReader(scene.features) as features:
        assert gathered.names() == features.names()
        for name in features.names():
            np.testing.assert_array_equal(gathered.keypoints(name), features.keypoints(name))
    with MatchReader(tmp_path / "matches.h5") as gathered, MatchReader(scene.matches) as matches:
        assert gathered.pairs() == matches.pairs()
        for pair in matches.pairs():
            np.testing.assert_array_equal(gathered.read(*pair).indices, matches.read(*pair).indices)


def test_gather_of_the_other_kind_is_refused(scene, tmp_path, capsys):
    words = ["--kind", "features", "--shards", str(scene.matches), "--output", str(tmp_path / "out.h5")]
    assert main(["gather", *words]) == 2
    assert "kind matches, format 1; expected features" in capsys.readouterr().err


def test_queries_outside_of_a_given_list_get_similar_images(scene, tmp_path, capsys):
    first, second = names(scene, "query")
    maps = names(scene, "map")
    write_pairs(tmp_path / "given.txt", [(maps[0], first), (first, maps[0]), (maps[0], maps[1])])
    settings = {"kind": "file", "path": str(tmp_path / "given.txt"), "retrieve_missing": True, "num_neighbors": 3}
    options = ["--features", scene.features]
    assert list_pairs(scene, tmp_path / "pairs", "query", options, **settings, num_words=8) == 0
    pairs = read_pairs(tmp_path / "pairs")
    assert [pair for pair in pairs if pair[0] == first] == [(first, maps[0])]
    assert len([pair for pair in pairs if pair[0] == second]) == 3
    head = (tmp_path / "pairs").read_text().splitlines()[0]
    assert "1 queries in no pair of the list have similar images instead, 3 pairs" in head
    # nothing is missing: no features are asked for
    write_pairs(tmp_path / "given.txt", [(maps[0], first), (second, maps[0])])
    assert list_pairs(scene, tmp_path / "pairs", "query", **settings) == 0
    assert "similar" not in (tmp_path / "pairs").read_text()


def test_only_images_with_features_are_found(scene, tmp_path):
    kept = [*names(scene, "map")[:3], *names(scene, "query")]
    with FeatureReader(scene.features) as given, FeatureWriter(tmp_path / "some.h5", given.settings) as some:
        for name in kept:
            some.copy_from(given, name)
    options = ["--features", tmp_path / "some.h5"]
    assert list_pairs(scene, tmp_path / "pairs", "query", options, kind="retrieval", num_words=8) == 0
    assert {reference for _, reference in read_pairs(tmp_path / "pairs")} == set(kept[:3])


@pytest.mark.parametrize(
    ("role", "kind", "message"),
    [("map", "file", "retrieve_missing is for queries"), ("query", "retrieval", "belongs to kind file")],
)
def test_retrieve_missing_is_for_given_lists_of_queries(scene, tmp_path, capsys, role, kind, message):
    assert list_pairs(scene, tmp_path / "pairs", role, kind=kind, retrieve_missing=True) == 2
    assert message in capsys.readouterr().err
