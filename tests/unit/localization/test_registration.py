"""Queries registered in a map by COLMAP's mapper, as the local feature challenge does."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest

from trigpoint.datasets.synthetic import SyntheticRun, write_synthetic_run
from trigpoint.errors import SettingsError
from trigpoint.geometry.metrics import absolute_pose_error
from trigpoint.localization.queries import localize_queries
from trigpoint.localization.settings import LocalizationSettings
from trigpoint.mapping.database import import_database
from trigpoint.mapping.reconstruction import map_database
from trigpoint.mapping.settings import ImportSettings, MappingSettings, VerificationSettings
from trigpoint.mapping.verification import verify_database
from trigpoint.storage.json_files import read_json
from trigpoint.storage.matches import MatchReader, MatchWriter
from trigpoint.storage.pairs import read_pairs
from trigpoint.storage.poses import read_poses
from trigpoint.types import Matches

QUERY0, QUERY1 = "query/view 000.png", "query/view 001.png"
CHALLENGE = LocalizationSettings(protocol="local_feature_challenge")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> SyntheticRun:
    return write_synthetic_run(tmp_path_factory.mktemp("scene"), num_images=6, num_points=100, reference_poses=True)


@pytest.fixture(scope="module", params=["triangulate", "incremental"])
def model(request: pytest.FixtureRequest, scene: SyntheticRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map whose camera numbers are its own (triangulated) or the database's (incremental)."""
    folder = tmp_path_factory.mktemp("map")
    pairs = read_pairs(scene.map_pairs)
    import_database(scene.truth, scene.features, scene.matches, pairs, folder / "imported.db", ImportSettings())
    verify_database(folder / "imported.db", folder / "database.db", VerificationSettings(), dataset=scene.truth)
    settings = MappingSettings(mapper=request.param)
    map_database(scene.truth, folder / "database.db", folder / "model", folder / "mapping.json", settings)
    return folder / "model"


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def register(scene, model, folder, settings=CHALLENGE, dataset=None, pairs=None, num_threads=2):
    """Position errors of the registered queries, and the rows of localization.json."""
    poses, log = folder / "poses.txt", folder / "localization.json"
    pairs = read_pairs(scene.query_pairs) if pairs is None else pairs
    dataset = dataset or scene.truth
    localize_queries(dataset, scene.features, scene.matches, pairs, model, poses, log, settings, num_threads)
    errors = {n: absolute_pose_error(p, scene.truth.poses[n]).position for n, p in read_poses(poses).items()}
    return errors, read_json(log, "localization")["queries"]


def test_queries_are_registered_exactly_and_the_map_stays(scene, model, tmp_path):
    before = digests(model)
    errors, rows = register(scene, model, tmp_path)
    assert sorted(errors) == [QUERY0, QUERY1]
    assert max(errors.values()) < 1e-3
    assert digests(model) == before
    for row in rows:
        assert row["status"] == "localized"
        assert 30 <= row["num_inliers"] <= row["num_matches"] <= 100
        assert len(row["references"]) == 6
    assert "cluster" not in rows[0]


def test_a_query_does_not_depend_on_the_others(scene, model, tmp_path):
    pairs = read_pairs(scene.query_pairs)
    texts = []
    for number, listed in enumerate([pairs, [pair for pair in pairs if QUERY0 not in pair]]):
        folder = tmp_path / str(number)
        folder.mkdir()
        _, rows = register(scene, model, folder, pairs=listed, num_threads=number + 1)
        texts.append([line for line in (folder / "poses.txt").read_text().splitlines() if QUERY1 in line])
    assert texts[0] == texts[1] != []
    assert next((row["status"], row["num_matches"]) for row in rows) == ("no pairs", 0)
    assert "retrieved or listed" in next(row["reason"] for row in rows)


@pytest.mark.parametrize(
    ("kept", "shuffled", "status"),
    [(10, False, "too few matches"), (100, True, "failed"), (100, False, "localized")],
)
def test_pairs_are_verified_before_they_give_matches(scene, model, tmp_path, kept, shuffled, status):
    rng = np.random.default_rng(0)
    path = tmp_path / "matches.h5"
    with MatchReader(scene.matches) as given, MatchWriter(path, {}) as writer:
        for name0, name1 in read_pairs(scene.query_pairs):
            indices = given.read(name0, name1).indices[:kept].copy()
            if shuffled:
                indices[:, 1] = rng.permutation(indices[:, 1])
            writer.write(name0, name1, Matches(indices, np.ones(len(indices), np.float32)))
    pairs = [pair for pair in read_pairs(scene.query_pairs) if QUERY0 in pair]
    _, rows = register(dataclasses.replace(scene, matches=path), model, tmp_path, pairs=pairs)
    assert rows[0]["status"] == status
    if kept < 15:  # of no pair enough, though of all together
        assert rows[0]["references"] == []
        assert rows[0]["num_matches"] == 0


def test_the_least_number_of_inliers_is_a_setting(scene, model, tmp_path):
    settings = dataclasses.replace(CHALLENGE, register_min_num_inliers=101)
    errors, rows = register(scene, model, tmp_path, settings)
    assert errors == {}
    assert {(row["status"], row["reason"]) for row in rows} == {("too few matches", "101 are needed")}


def test_unknown_calibration_fails_or_is_estimated(scene, model, tmp_path):
    images = [dataclasses.replace(i, camera=None) if i.role == "query" else i for i in scene.truth.images]
    dataset = dataclasses.replace(scene.truth, images=tuple(images))
    errors, rows = register(scene, model, tmp_path, dataset=dataset)
    assert errors == {}
    assert "no calibration" in rows[0]["reason"]
    settings = dataclasses.replace(CHALLENGE, estimate_focal_length=True)
    errors, _ = register(scene, model, tmp_path, settings, dataset)
    assert max(errors.values()) < 1e-2


def test_an_unknown_protocol_is_refused():
    with pytest.raises(SettingsError, match="protocol must be one of retrieval_pnp, local_feature_challenge"):
        LocalizationSettings(protocol="pnp")
