"""Localization of left-out images of a synthetic scene, and what becomes of queries that cannot be localized."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from trigpoint.cli import main
from trigpoint.datasets.synthetic import SyntheticRun, write_synthetic_run
from trigpoint.errors import DataError, SettingsError, StorageError
from trigpoint.geometry.metrics import absolute_pose_error
from trigpoint.localization.absolute_pose import point_matches
from trigpoint.localization.covisibility import covisibility_clusters
from trigpoint.localization.queries import localize_queries
from trigpoint.localization.settings import LocalizationSettings
from trigpoint.mapping.database import import_database
from trigpoint.mapping.reconstruction import map_database
from trigpoint.mapping.settings import ImportSettings, MappingSettings, VerificationSettings
from trigpoint.mapping.verification import verify_database
from trigpoint.storage.json_files import read_json
from trigpoint.storage.matches import MatchWriter
from trigpoint.storage.pairs import read_pairs
from trigpoint.storage.poses import read_poses
from trigpoint.types import Dataset, Matches

QUERY0, QUERY1 = "query/view 000.png", "query/view 001.png"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> SyntheticRun:
    return write_synthetic_run(tmp_path_factory.mktemp("scene"), num_images=6, num_points=100, reference_poses=True)


@pytest.fixture(scope="module")
def model(scene: SyntheticRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map of the true poses, so that a query's error is its own."""
    folder = tmp_path_factory.mktemp("map")
    pairs = read_pairs(scene.map_pairs)
    import_database(scene.truth, scene.features, scene.matches, pairs, folder / "imported.db", ImportSettings())
    known = VerificationSettings(known_poses=True)
    verify_database(folder / "imported.db", folder / "database.db", known, dataset=scene.truth)
    settings = MappingSettings(mapper="triangulate")
    map_database(scene.truth, folder / "database.db", folder / "model", folder / "mapping.json", settings)
    return folder / "model"


def localize(
    scene: SyntheticRun,
    model: Path,
    folder: Path,
    settings: LocalizationSettings | None = None,
    dataset: Dataset | None = None,
    pairs: list[tuple[str, str]] | None = None,
    num_threads: int = 1,
) -> tuple[dict[str, float], list[dict[str, object]]]:
    """Position errors of the localized queries, and the rows of localization.json."""
    poses, log = folder / "poses.txt", folder / "localization.json"
    pairs = read_pairs(scene.query_pairs) if pairs is None else pairs
    localize_queries(
        dataset or scene.truth, scene.features, scene.matches, pairs, model, poses, log,
        settings or LocalizationSettings(), num_threads,
    )  # fmt: skip
    errors = {n: absolute_pose_error(p, scene.truth.poses[n]).position for n, p in read_poses(poses).items()}
    return errors, read_json(log, "localization")["queries"]


def without_calibration(dataset: Dataset) -> Dataset:
    images = [dataclasses.replace(i, camera=None) if i.role == "query" else i for i in dataset.images]
    return dataclasses.replace(dataset, images=tuple(images))


def test_left_out_images_are_localized_exactly_through_the_command(
    scene: SyntheticRun, model: Path, tmp_path: Path
) -> None:
    poses, log = tmp_path / "poses.txt", tmp_path / "localization.json"
    files = {
        "--dataset": scene.dataset, "--features": scene.features, "--matches": scene.matches, "--model": model,
        "--pairs": scene.query_pairs, "--num-threads": 2, "--output": poses, "--log": log,
    }  # fmt: skip
    settings = json.dumps({"seed": 0, "code_version": 1, "deterministic": False, "max_error_px": 4})
    words = ["localize", "--settings", settings, *(str(word) for item in files.items() for word in item)]
    assert main(words) == 0
    found = read_poses(poses)
    assert sorted(found) == [QUERY0, QUERY1]
    for name, pose in found.items():
        error = absolute_pose_error(pose, scene.truth.poses[name])
        assert error.position < 1e-6  # half a pixel too much or too little would be 2e-3
        assert error.rotation_deg < 1e-5
    for row in read_json(log, "localization")["queries"]:
        assert row["status"] == "localized"
        assert row["split"] == "synthetic"
        assert row["num_matches"] == row["num_inliers"] == 100
        assert row["references"] == [f"map/view {number:03d}.png" for number in range(6)]
    assert main([*words[:2], '{"max_error": 4}', *words[3:]]) == 2


def test_threads_and_order_of_pairs_do_not_matter(scene: SyntheticRun, model: Path, tmp_path: Path) -> None:
    pairs = read_pairs(scene.query_pairs)
    turned = [(name1, name0) for name0, name1 in reversed(pairs)]
    texts = []
    for number, (listed, num_threads) in enumerate([(pairs, 1), (pairs, 4), (turned, 2)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        localize(scene, model, folder, pairs=listed, num_threads=num_threads)
        texts.append((folder / "poses.txt").read_text())
    assert texts[0] == texts[1] == texts[2]


def test_a_query_without_pairs_has_no_pose(scene: SyntheticRun, model: Path, tmp_path: Path) -> None:
    pairs = [pair for pair in read_pairs(scene.query_pairs) if QUERY0 not in pair]
    errors, rows = localize(scene, model, tmp_path, pairs=pairs)
    assert sorted(errors) == [QUERY1]
    assert [row["status"] for row in rows] == ["no pairs", "localized"]
    assert rows[0]["reason"] == "no image of the map was retrieved or listed for it"


@pytest.mark.parametrize(("count", "status"), [(0, "too few matches"), (8, "too few matches"), (40, "failed")])
def test_wrong_or_few_matches_give_no_pose(
    scene: SyntheticRun, model: Path, tmp_path: Path, count: int, status: str
) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "matches.h5"
    with MatchWriter(path, {}) as writer:
        for name0, name1 in read_pairs(scene.query_pairs):
            keypoints = np.flatnonzero(scene.point_of_keypoint[name1] >= 0)[:count]
            indices = np.stack([rng.permutation(100)[:count], keypoints], axis=1).astype(np.int32)
            writer.write(name0, name1, Matches(indices, np.ones(len(indices), np.float32)))
    pairs = [(QUERY0, "map/view 000.png")]
    changed = dataclasses.replace(scene, matches=path)
    errors, rows = localize(changed, model, tmp_path, LocalizationSettings(max_error_px=2), pairs=pairs)
    assert errors == {}
    assert rows[0]["status"] == status
    assert rows[0]["num_matches"] == count


def test_a_query_without_calibration_fails_or_is_estimated(scene: SyntheticRun, model: Path, tmp_path: Path) -> None:
    dataset = without_calibration(scene.truth)
    errors, rows = localize(scene, model, tmp_path, dataset=dataset)
    assert errors == {}
    assert {row["status"] for row in rows} == {"failed"}
    assert "no calibration" in str(rows[0]["reason"])
    settings = LocalizationSettings(estimate_focal_length=True, refine_extra_params=True)
    errors, rows = localize(scene, model, tmp_path, settings, dataset)
    assert max(errors.values()) < 1e-3
    assert rows[0]["focal_length_px"] == pytest.approx(1280, rel=1e-3)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ((QUERY0, "map/view 099.png"), "'map/view 099.png' is not an image"),
        ((QUERY0, QUERY1), "are not a query and a map image"),
        (("map/view 000.png", "map/view 001.png"), "are not a query and a map image"),
    ],
)
def test_pairs_that_are_refused(
    scene: SyntheticRun, model: Path, tmp_path: Path, pair: tuple[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        localize(scene, model, tmp_path, pairs=[pair])
    assert list(tmp_path.iterdir()) == []


def test_a_map_that_is_missing_names_its_command(scene: SyntheticRun, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="`trigpoint map` writes one"):
        localize(scene, tmp_path / "none", tmp_path)


def test_each_keypoint_and_point_is_matched_once() -> None:
    points = {"a": np.array([7, -1, 9]), "b": np.array([9, 7])}
    indices = {"a": np.array([[0, 0], [1, 1], [2, 2]]), "b": np.array([[0, 1], [2, 1]])}
    matches = point_matches(["a", "b"], indices, points)
    assert list(zip(matches.keypoints.tolist(), matches.points.tolist(), strict=True)) == [(0, 7), (2, 7), (2, 9)]
    assert len(point_matches([], indices, points)) == 0


def test_clusters_are_joined_through_others() -> None:
    points = {
        "a": np.array([1, 2]), "b": np.array([-1, 5]), "c": np.array([2, 3]), "d": np.array([3, 4]),
        "e": np.array([-1, -1]), "f": np.array([5]),
    }  # fmt: skip
    assert covisibility_clusters(points) == [["a", "c", "d"], ["b", "f"], ["e"]]
    assert covisibility_clusters({}) == []


def test_impossible_settings() -> None:
    for values in ({"max_error_px": -1}, {"min_num_inliers": 3}, {"covisibility_clustering": 1}, {"max_num_trials": 5}):
        with pytest.raises(SettingsError, match=next(iter(values))):
            LocalizationSettings(**values)
