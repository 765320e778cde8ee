"""What import, verification and mapping refuse, and what the message says."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trigpoint.datasets.synthetic import SyntheticRun, write_synthetic_run
from trigpoint.errors import DataError, EmptyResultError, SettingsError, StorageError, TrigpointError
from trigpoint.mapping.components import REASONS, diagnosis_table, unregistered
from trigpoint.mapping.database import import_database
from trigpoint.mapping.reconstruction import map_database
from trigpoint.mapping.settings import ImportSettings, MappingSettings, VerificationSettings
from trigpoint.mapping.verification import verify_database
from trigpoint.storage import colmap
from trigpoint.storage.colmap import check_version
from trigpoint.storage.features import FeatureReader, FeatureWriter
from trigpoint.storage.matches import MatchWriter
from trigpoint.storage.pairs import read_pairs
from trigpoint.types import Dataset, Features, Matches

MAP0, MAP1, QUERY = "map/view 000.png", "map/view 001.png", "query/view 000.png"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> SyntheticRun:
    return write_synthetic_run(tmp_path_factory.mktemp("scene"), num_images=4, num_queries=1, num_points=60)


def import_scene(
    scene: SyntheticRun,
    output: Path,
    pairs: list[tuple[str, str]] | None = None,
    dataset: Dataset | None = None,
    settings: ImportSettings | None = None,
) -> None:
    pairs = read_pairs(scene.map_pairs) if pairs is None else pairs
    import_database(dataset or scene.truth, scene.features, scene.matches, pairs, output, settings or ImportSettings())


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([(MAP0, "map/view 009.png")], "'map/view 009.png' is not an image of dataset 'synthetic'"),
        ([(MAP0, QUERY)], "'query/view 000.png' is a query"),
        ([(MAP0, MAP0)], "'map/view 000.png' is paired with itself"),
        ([(MAP0, MAP1), (MAP1, MAP0)], "'map/view 001.png' 'map/view 000.png' is listed twice"),
    ],
)
def test_pair_lists_that_are_refused(
    scene: SyntheticRun, tmp_path: Path, pairs: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        import_scene(scene, tmp_path / "imported.db", pairs)
    assert list(tmp_path.iterdir()) == []


def test_a_pair_with_an_unusable_image_says_why(scene: SyntheticRun, tmp_path: Path) -> None:
    dataset = dataclasses.replace(scene.truth, unusable=(("map/broken.jpg", "truncated"),))
    with pytest.raises(DataError, match=r"'map/broken.jpg' .* cannot be used \(truncated\)"):
        import_scene(scene, tmp_path / "imported.db", [(MAP0, "map/broken.jpg")], dataset)


def with_features(scene: SyntheticRun, folder: Path, change: Callable[[Features], Features]) -> SyntheticRun:
    """The scene with the features of MAP0 changed."""
    path = folder / "features.h5"
    with FeatureReader(scene.features) as reader, FeatureWriter(path, {}) as writer:
        for name in reader.names():
            features = reader.read(name)
            writer.write(name, change(features) if name == MAP0 else features)
    return dataclasses.replace(scene, features=path)


def with_matches(scene: SyntheticRun, folder: Path, indices: np.ndarray) -> SyntheticRun:
    """The scene with these matches for every listed pair."""
    path = folder / "matches.h5"
    with MatchWriter(path, {}) as writer:
        for name0, name1 in read_pairs(scene.map_pairs):
            writer.write(name0, name1, Matches(indices.astype(np.int32), np.ones(len(indices), np.float32)))
    return dataclasses.replace(scene, matches=path)


def test_an_index_without_a_keypoint_is_refused_by_name(scene: SyntheticRun, tmp_path: Path) -> None:
    changed = with_matches(scene, tmp_path, np.array([[0, 80]]))
    with pytest.raises(DataError, match=r"matches of 'map/view 000.png' 'map/view 001.png': index 80 .* has 80"):
        import_scene(changed, tmp_path / "imported.db")
    assert not (tmp_path / "imported.db").exists()


def test_features_of_another_image_size_are_refused(scene: SyntheticRun, tmp_path: Path) -> None:
    changed = with_features(scene, tmp_path, lambda features: dataclasses.replace(features, image_size=(1200, 900)))
    with pytest.raises(DataError, match=r"'map/view 000.png' is 1024x768 px .* 1200x900"):
        import_scene(changed, tmp_path / "imported.db")


def test_missing_calibration_is_refused_with_its_cure(scene: SyntheticRun, tmp_path: Path) -> None:
    images = tuple(dataclasses.replace(image, camera=None) for image in scene.truth.images)
    dataset = dataclasses.replace(scene.truth, images=images)
    with pytest.raises(DataError, match=r"'map/view 000.png' has no calibration .*intrinsics: estimate"):
        import_scene(scene, tmp_path / "imported.db", dataset=dataset)
    import_scene(scene, tmp_path / "imported.db", dataset=dataset, settings=ImportSettings(intrinsics="estimate"))


@pytest.mark.parametrize(("mode", "cameras"), [("auto", 1), ("single", 1), ("per_folder", 1), ("per_image", 4)])
def test_who_shares_an_estimated_camera(scene: SyntheticRun, tmp_path: Path, mode: str, cameras: int) -> None:
    images = tuple(dataclasses.replace(image, camera=None) for image in scene.truth.images)
    dataset = dataclasses.replace(scene.truth, images=images)
    settings = ImportSettings(intrinsics="estimate", camera_mode=mode, camera_model="SIMPLE_PINHOLE")
    import_scene(scene, tmp_path / "imported.db", dataset=dataset, settings=settings)
    with colmap.open_database(tmp_path / "imported.db") as database:
        written = [colmap.from_colmap_camera(camera) for camera in database.read_all_cameras()]
        assert (database.num_rigs(), database.num_frames(), database.num_images()) == (cameras, 4, 4)
    assert len(written) == cameras
    assert written[0].params == (1.2 * 1024, 512.0, 384.0)
    assert not written[0].has_prior_focal_length


def test_a_pair_without_matches_is_kept_and_none_verified_is_an_error(scene: SyntheticRun, tmp_path: Path) -> None:
    changed = with_matches(scene, tmp_path, np.empty((0, 2)))
    import_scene(changed, tmp_path / "imported.db")
    assert list(colmap.summarize_database(tmp_path / "imported.db").matches.values()) == [0] * 6
    with pytest.raises(EmptyResultError, match=r"4 images \(80 keypoints .* 6 pairs \(0 matches .* 0 verified"):
        verify_database(tmp_path / "imported.db", tmp_path / "database.db", VerificationSettings())
    assert not (tmp_path / "database.db").exists()


def test_an_image_without_keypoints_is_kept(scene: SyntheticRun, tmp_path: Path) -> None:
    empty = Features(np.empty((0, 2), np.float32), np.empty((0, 128), np.float32), np.empty(0, np.float32), (1024, 768))
    changed = with_features(scene, tmp_path, lambda _: empty)
    path = tmp_path / "matches.h5"
    with MatchWriter(path, {}) as writer:
        for name0, name1 in read_pairs(scene.map_pairs):
            points0, points1 = scene.point_of_keypoint[name0], scene.point_of_keypoint[name1]
            _, rows0, rows1 = np.intersect1d(points0, points1, return_indices=True)
            indices = np.stack([rows0, rows1], axis=1)[1:].astype(np.int32)  # without the strays' -1
            if name0 == MAP0:
                indices = np.empty((0, 2), np.int32)
            writer.write(name0, name1, Matches(indices, np.ones(len(indices), np.float32)))
    changed = dataclasses.replace(changed, matches=path)
    import_scene(changed, tmp_path / "imported.db")
    verify_database(tmp_path / "imported.db", tmp_path / "database.db", VerificationSettings())
    settings = MappingSettings(init_min_num_inliers=30, abs_pose_min_num_inliers=15)
    map_database(changed.truth, tmp_path / "database.db", tmp_path / "model", tmp_path / "mapping.json", settings)
    assert sorted(colmap.registered_images(colmap.read_model(tmp_path / "model"))) == [
        f"map/view {number:03d}.png" for number in (1, 2, 3)
    ]


@pytest.mark.parametrize("mapper", ["incremental", "global", "hierarchical"])
def test_no_model_is_an_error_with_a_diagnosis(
    scene: SyntheticRun, tmp_path: Path, mapper: str, caplog: pytest.LogCaptureFixture
) -> None:
    import_scene(scene, tmp_path / "imported.db")  # nothing is verified in it
    model, log = tmp_path / "model", tmp_path / "mapping.json"
    with pytest.raises(EmptyResultError, match=r"no model .* 6 pairs .* 0 verified, largest connected group of 1"):
        map_database(scene.truth, tmp_path / "imported.db", model, log, MappingSettings(mapper=mapper))
    assert not model.exists()
    assert not log.exists()
    (table,) = [record.message for record in caplog.records if record.message.startswith("no model")]
    counts, images = table.split("\n\n")
    assert counts.splitlines()[1:] == ["images  reason", "4       no verified pairs"]
    rows = [re.split(r"\s{2,}", line) for line in images.splitlines()]
    assert rows[0][1:] == ["keypoints", "pairs (most matches)", "verified pairs (most matches)", "group (images)"]
    assert [row[0] for row in rows[1:]] == [f"map/view {number:03d}.png" for number in range(4)]
    assert [(row[1], row[2][:2], row[3], row[4]) for row in rows[1:]] == [
        ("80", "3 ", "0", f"{number} (1)") for number in range(4)
    ]


def test_a_long_diagnosis_ends_with_a_count() -> None:
    pairs = {("a", "b"): 40, ("b", "c"): 30, ("d", "e"): 20}
    summary = colmap.DatabaseSummary(
        images={name: number for number, name in enumerate("abcde")},
        num_keypoints=dict.fromkeys("abcd", 9),
        matches=pairs,
        inliers={("a", "b"): 25, ("b", "c"): 15},
    )
    lines = [re.split(r"\s{2,}", line) for line in diagnosis_table(summary, most=4)]
    assert lines[:5] == [
        ["images", "reason"],
        ["1", "no keypoints"],
        ["1", "no verified pairs"],
        ["3", "not registered"],
        [""],
    ]
    assert lines[6:] == [
        ["a", "9", "1 (40)", "1 (25)", "0 (3)"],
        ["b", "9", "2 (40)", "2 (25)", "0 (3)"],
        ["c", "9", "1 (30)", "1 (15)", "0 (3)"],
        ["d", "9", "1 (20)", "0", "1 (1)"],
        ["and 1 more images"],
    ]


def test_each_image_outside_a_map_has_the_reason_it_fell_short_of_first() -> None:
    names = ("a", "b", "alone", "apart0", "apart1", "connected", "empty", "few", "other", "unlike")
    matches = {("a", name): 20 for name in ("b", "connected", "few", "other")} | {("apart0", "apart1"): 50}
    inliers = {pair: 17 for pair in matches if "few" not in pair}
    summary = colmap.DatabaseSummary(
        images={name: number for number, name in enumerate(names)},
        num_keypoints={name: 0 if name in ("empty", "alone") else 100 for name in names},
        matches=matches | {("a", "empty"): 0, ("a", "unlike"): 0},
        inliers=inliers,
    )
    rows = {row.pop("name"): row for row in unregistered(summary, ["a", "b"], ["other"])}
    assert {name: row["reason"] for name, row in rows.items()} == {
        "alone": "no pairs",
        "apart0": "component",
        "apart1": "component",
        "connected": "not registered",
        "empty": "no keypoints",
        "few": "no verified pairs",
        "other": "component",
        "unlike": "no matches",
    }
    assert {row["reason"] for row in rows.values()} == set(REASONS)
    assert rows["connected"] == {
        "reason": "not registered",
        "keypoints": 100,
        "pairs": 1,
        "most_matches": 20,
        "verified_pairs": 1,
        "most_inliers": 17,
        "group": 0,
        "group_images": 4,
    }
    assert (rows["apart0"]["group"], rows["apart0"]["group_images"]) == (1, 2)
    assert (rows["alone"]["pairs"], rows["alone"]["most_matches"]) == (0, 0)


def test_triangulation_needs_reference_poses(scene: SyntheticRun, tmp_path: Path) -> None:
    import_scene(scene, tmp_path / "imported.db")
    settings = MappingSettings(mapper="triangulate")
    with pytest.raises(DataError, match="no map image with a reference pose"):
        map_database(scene.truth, tmp_path / "imported.db", tmp_path / "model", tmp_path / "mapping.json", settings)
    known = VerificationSettings(known_poses=True)
    with pytest.raises(DataError, match="no reference poses"):
        verify_database(tmp_path / "imported.db", tmp_path / "database.db", known, dataset=scene.truth)


def test_files_that_are_no_database_or_model(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="`trigpoint import-database` writes it"):
        verify_database(tmp_path / "none.db", tmp_path / "database.db", VerificationSettings())
    (tmp_path / "text.db").write_text("not a database, but long enough to have a header of sixteen bytes")
    with pytest.raises(StorageError, match="not a COLMAP database"):
        colmap.summarize_database(tmp_path / "text.db")
    with pytest.raises(StorageError, match="`trigpoint map` writes one"):
        colmap.read_model(tmp_path)


@pytest.mark.parametrize(
    ("settings_class", "values"),
    [
        (ImportSettings, {"intrinsics": "guess"}),
        (ImportSettings, {"camera_mode": "per_camera"}),
        (VerificationSettings, {"max_error_px": 0}),
        (VerificationSettings, {"known_poses": "yes"}),
        (MappingSettings, {"mapper": "glomap"}),
        (MappingSettings, {"refine_focal_length": "auto"}),
        (MappingSettings, {"seed": -1}),
    ],
)
def test_impossible_settings(settings_class: type, values: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(values))):
        settings_class(**values)


def test_an_unknown_camera_model_lists_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="SIMPLE_RADIAL"):
        colmap.check_camera_model("RADIAL_SIMPLE")


@pytest.mark.parametrize("version", ["3.13.0", "4.1.0", "4.3.0", "5.0.0"])
def test_other_versions_of_pycolmap_are_refused(version: str) -> None:
    with pytest.raises(TrigpointError, match=r"needs 4\.2\.x"):
        check_version(version)
    check_version("4.2.7")


def test_no_seed_and_no_thread_count_stays_open() -> None:
    pycolmap = colmap.pycolmap
    for kind in (
        pycolmap.IncrementalPipelineOptions, pycolmap.GlobalPipelineOptions, pycolmap.HierarchicalPipelineOptions,
        pycolmap.TwoViewGeometryOptions, pycolmap.GeometricVerifierOptions, pycolmap.AbsolutePoseEstimationOptions,
        pycolmap.RANSACOptions,
    ):  # fmt: skip
        open_keys = _open(colmap.seeded(kind(), 7, 1).todict())
        assert open_keys == []


def _open(values: dict[str, object]) -> list[str]:
    found = [key for key, value in values.items() if key in ("random_seed", "num_threads") and value == -1]
    return found + [key for value in values.values() if isinstance(value, dict) for key in _open(value)]
