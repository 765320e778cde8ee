"""Localization in scans: what becomes of matches, which pose is taken, and what a scan looks like from it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from miniature_inloc import QUERIES, SCANS, cutout_name, write_tree
from trigpoint.cli import main
from trigpoint.datasets.base import prepare_dataset
from trigpoint.datasets.inloc import points_path, world_points
from trigpoint.datasets.scan_points import read_points
from trigpoint.errors import DataError, SettingsError
from trigpoint.geometry.pixels import from_colmap
from trigpoint.localization.dense import ALL, localize_dense, localize_query
from trigpoint.localization.dense_settings import DenseLocalizationSettings
from trigpoint.localization.pose_verification import Verifier, descriptor_distance, draw_points
from trigpoint.localization.scan_matches import ScanMatches, scan_matches
from trigpoint.storage import colmap
from trigpoint.storage.json_files import read_json
from trigpoint.storage.poses import read_poses
from trigpoint.types import Camera, Dataset, DatasetImage, Pose

QUERY = sorted(QUERIES)[0]
CUTOUTS = [cutout_name(scan, index) for scan, names in SCANS.items() for index in range(len(names))]
SETTINGS = DenseLocalizationSettings(max_error_px=4, min_num_trials=100)


@dataclass(frozen=True)
class Found:
    xy: np.ndarray
    scores: np.ndarray


class TrueMatches:
    """What a perfect method finds: places of the cutout, and where their 3D points are in the query."""

    def __init__(self, dataset: Dataset, num: int) -> None:
        self.dataset, self.num = dataset, num

    def read(self, name0: str, name1: str) -> Found:
        image = next(image for image in self.dataset.images if image.name == name0)
        rng = np.random.default_rng(0)
        columns, rows = rng.integers(0, 640, 4 * self.num), rng.integers(0, 480, 4 * self.num)
        points = world_points(Path(self.dataset.image_root), name1)[rows, columns]
        pose, camera = self.dataset.poses[name0], image.camera
        assert camera is not None
        in_camera = points @ pose.rotation.T + pose.translation
        good = np.isfinite(in_camera).all(axis=1) & (in_camera[:, 2] > 0.5)
        pixels = from_colmap(np.asarray(colmap.to_colmap_camera(camera).img_from_cam(in_camera[good])))
        xy = np.concatenate([pixels, columns[good, None], rows[good, None]], axis=1)[: self.num]
        return Found(xy, np.linspace(1, 0, len(xy)))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare_dataset("inloc", "inloc", write_tree(tmp_path_factory.mktemp("inloc") / "tree"))


@pytest.fixture(scope="module")
def query(dataset: Dataset) -> DatasetImage:
    return next(image for image in dataset.images if image.name == QUERY)


@pytest.fixture(scope="module")
def matches(dataset: Dataset) -> list[ScanMatches]:
    return scan_matches(dataset, [(QUERY, cutout) for cutout in CUTOUTS], TrueMatches(dataset, 100), SETTINGS)[QUERY]


def error_m(pose: Pose | None, dataset: Dataset) -> float:
    assert pose is not None
    return float(np.linalg.norm(pose.center - dataset.poses[QUERY].center))


def test_true_matches_give_the_true_pose_and_half_a_pixel_is_added_once(dataset: Dataset, query, matches) -> None:
    outcome = localize_query(query, matches, SETTINGS)
    assert error_m(outcome.pose, dataset) < 1e-3
    assert outcome.row["status"] == "localized" and outcome.row["from"] == ALL
    assert outcome.row["num_inliers"] == outcome.row["num_matches"] == sum(map(len, matches)) > 300
    shifted = localize_query(query, matches, DenseLocalizationSettings(max_error_px=4, legacy=True)).pose
    assert shifted is not None
    turned = np.arccos((np.trace(shifted.rotation @ dataset.poses[QUERY].rotation.T) - 1) / 2)
    focal = query.camera.params[0]
    assert turned == pytest.approx(np.hypot(0.5, 0.5) / focal, rel=0.3)  # the published program leaves it out


def test_only_matches_without_a_point_are_dropped(dataset: Dataset) -> None:
    points = read_points(points_path(Path(dataset.image_root), CUTOUTS[2]))
    row, column = np.argwhere(~np.isfinite(points).all(axis=2))[0]  # sky
    ends = np.array([[5.0, 5, 100, 300], [6, 6, column, row], [7, 7, -0.3, 300], [8, 8, 700, 300], [9, 9, 200, 300]])

    class Fixed:
        def read(self, name0: str, name1: str) -> Found:
            return Found(ends, np.array([1, 1, 1, 1, 0.1]))

    found = scan_matches(dataset, [(QUERY, CUTOUTS[2])], Fixed(), DenseLocalizationSettings(min_score=0.5))[QUERY][0]
    np.testing.assert_array_equal(found.xy, [[5, 5], [7, 7]])
    assert found.num_found == 4 and np.isfinite(found.points).all()
    published = DenseLocalizationSettings(legacy=True)
    lost = scan_matches(dataset, [(QUERY, CUTOUTS[2])], Fixed(), published)[QUERY][0]
    assert (len(lost), lost.num_found) == (0, 0)  # one place outside, and the whole pair is gone


def test_pairs_with_few_matches_are_left_out_and_the_best_cutout_may_decide(dataset: Dataset, query, matches) -> None:
    few = [ScanMatches(matches[0].cutout, matches[0].xy[:10], matches[0].points[:10], 100), *matches[1:]]
    assert localize_query(query, few, SETTINGS).row["references"] == CUTOUTS[1:]
    legacy = DenseLocalizationSettings(max_error_px=4, legacy=True)  # counts what was found
    assert localize_query(query, few, legacy).row["references"] == CUTOUTS
    best = localize_query(query, few, DenseLocalizationSettings(max_error_px=4, combine="best"))
    assert best.row["from"] in CUTOUTS[1:] and best.row["num_matches"] <= 100
    assert error_m(best.pose, dataset) < 1e-2


def test_queries_without_a_pose_say_why(query, matches) -> None:
    assert localize_query(query, [], SETTINGS).row["status"] == "no pairs"
    few = [ScanMatches(found.cutout, found.xy[:5], found.points[:5], 5) for found in matches]
    outcome = localize_query(query, few, SETTINGS)
    assert outcome.pose is None and outcome.row["status"] == "too few matches"
    rng = np.random.default_rng(0)
    random = [ScanMatches(CUTOUTS[0], rng.random((30, 2)) * 400, rng.random((30, 3)) * 1e-9, 30)]
    strict = DenseLocalizationSettings(max_error_px=0.1, min_num_inliers=20, max_num_trials=1000)
    assert localize_query(query, random, strict).row["status"] == "failed"
    unknown = DatasetImage(QUERY, "query", query.size)
    assert "calibration" in localize_query(unknown, matches, SETTINGS).row["reason"]


def test_verification_prefers_the_pose_from_which_the_scan_looks_like_the_query(
    dataset: Dataset, query, matches
) -> None:
    """A wrong place with more agreeing matches loses: its scan does not look like the query from there."""
    turn = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    wrong = matches[2]
    wrong = ScanMatches(wrong.cutout, wrong.xy, (wrong.points @ turn.T).astype(np.float32), wrong.num_found)
    right = ScanMatches(matches[0].cutout, matches[0].xy[:60], matches[0].points[:60], 60)
    verifier = Verifier(Path(dataset.image_root), 320)
    options = {"max_error_px": 4, "combine": "best", "min_num_trials": 100}
    taken = localize_query(query, [wrong, right], DenseLocalizationSettings(**options))
    assert error_m(taken.pose, dataset) > 1
    verified = localize_query(query, [wrong, right], DenseLocalizationSettings(**options, verification=True), verifier)
    assert error_m(verified.pose, dataset) < 1e-2
    distances = {row["source"]: row.get("distance", np.inf) for row in verified.row["candidates"]}
    assert distances[right.cutout] < 0.6 and distances[wrong.cutout] > distances[right.cutout] + 0.1


def test_the_nearest_point_is_drawn_in_front_and_small_holes_are_filled() -> None:
    camera, pose = Camera("SIMPLE_PINHOLE", 40, 20, (20.0, 20.0, 10.0)), Pose(np.eye(3), np.zeros(3))
    points = np.array([[0, 0, 2.0], [0, 0, 1], [0, 0, 3], [0, 0, -1], [9, 0, 1], [0.2, 0, 2]])
    drawing, seen = draw_points(points, np.array([50, 100, 150, 200, 250, 60], np.uint8), pose, camera, (40, 20))
    assert drawing[10, 20] == 100 and drawing[10, 22] == 60
    assert seen[10, 17] and seen[10, 25] and not seen[10, 16] and not seen[10, 26] and not seen[0, 0]
    nothing, unseen = draw_points(points[3:4], np.array([9], np.uint8), pose, camera, (40, 20))
    assert not nothing.any() and not unseen.any()


def test_descriptors_tell_the_same_picture_from_another_and_ignore_light() -> None:
    rng = np.random.default_rng(0)
    picture, other = (np.kron(rng.integers(0, 120, (20, 30)), np.ones((6, 6))).astype(np.uint8) for _ in range(2))
    assert descriptor_distance(picture, picture) == 0
    assert descriptor_distance(picture, 2 * picture + 10) < 0.02
    shifted = descriptor_distance(picture[:, :-1], picture[:, 1:])
    assert 0.05 < shifted < 0.6 * descriptor_distance(picture, other)
    seen = np.zeros(picture.shape, dtype=bool)
    assert descriptor_distance(picture, picture, seen) == float("inf")
    seen[:, :90] = True
    half = np.where(seen, picture, 0).astype(np.uint8)
    assert descriptor_distance(picture, half, seen) < 0.02  # what the scan does not cover does not count
    assert descriptor_distance(np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)) == float("inf")


def test_the_files_of_a_run_hold_every_query(dataset: Dataset, tmp_path: Path) -> None:
    pairs = [(cutout, QUERY) for cutout in CUTOUTS[:2]]  # in either order
    poses, log = tmp_path / "poses.txt", tmp_path / "localization.json"
    localize_dense(dataset, pairs, TrueMatches(dataset, 60), poses, log, SETTINGS, num_threads=2)
    assert set(read_poses(poses)) == {QUERY}
    logged = read_json(log, "localization")
    assert {row["name"]: row["status"] for row in logged["queries"]} == {
        **dict.fromkeys(QUERIES, "no pairs"),
        QUERY: "localized",
    }
    assert logged["settings"]["max_error_px"] == 4
    with pytest.raises(DataError, match="not a query and a cutout"):
        localize_dense(dataset, [(CUTOUTS[0], CUTOUTS[1])], TrueMatches(dataset, 60), poses, log, SETTINGS)


def test_the_commands_refuse_what_they_cannot_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--dataset", "d.json", "--pairs", "p.txt", "--output", "poses.txt", "--log", "l.json"]
    assert main(["localize-dense", "--settings", '{"combin": "all"}', *given]) == 2
    assert "did you mean 'combine'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"combine": "some"}, "all, best"),
        ({"lookup": "cubic"}, "bilinear, nearest"),
        ({"max_error_px": 0}, "max_error_px"),
        ({"min_num_inliers": 3}, "min_num_inliers"),
        ({"max_num_trials": 10}, "max_num_trials"),
        ({"verification": 1}, "verification"),
        ({"verification_px": 10}, "verification_px"),
    ],
)
def test_impossible_settings_are_refused(values, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        DenseLocalizationSettings(**values)
