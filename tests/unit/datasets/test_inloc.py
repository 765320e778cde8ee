"""The tree of InLoc, and the 3D points of its cutouts."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from miniature_inloc import DEMO, PAIR_LIST, QUERIES, SCANS, alignment, cutout_name, write_tree
from trigpoint.datasets.base import PrepareSettings, prepare_dataset
from trigpoint.datasets.cameras_gt import read_cameras_gt
from trigpoint.datasets.cutout_poses import view_of_points
from trigpoint.datasets.inloc import alignment_path, points_path, read_alignment, scan_of
from trigpoint.datasets.scan_points import points_at, read_points
from trigpoint.errors import DataError
from trigpoint.types import Dataset

CUTOUTS = [cutout_name(scan, index) for scan, names in SCANS.items() for index in range(len(names))]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("inloc") / "tree")


@pytest.fixture
def copy(tree: Path, tmp_path: Path) -> Path:
    """A tree to be changed; the large files are links."""
    shutil.copytree(tree, tmp_path / "copy", copy_function=lambda source, target: Path(target).symlink_to(source))
    return tmp_path / "copy"


def prepared(root: Path) -> Dataset:
    return prepare_dataset("inloc", "inloc", root)


def test_cutouts_are_the_map_and_queries_have_the_telephone(copy: Path) -> None:
    (copy / "cameras_gt.txt").unlink()
    dataset = prepared(copy)
    assert [image.name for image in dataset.with_role("map")] == sorted(CUTOUTS)
    assert [image.name for image in dataset.with_role("query")] == sorted(QUERIES)
    camera = dataset.with_role("query")[0].camera
    assert camera is not None and camera.model == "SIMPLE_PINHOLE"
    assert camera.params == (pytest.approx(640 * 28 / 36), 320, 240)
    assert dataset.poses == {} and dataset.reference_images == () and dataset.pose_unit == "metre"
    assert dataset.submission == "InLoc_eval_[{run}].txt"


def test_true_cameras_beside_the_tree_are_taken(tree: Path) -> None:
    dataset = prepared(tree)
    assert set(dataset.poses) == set(QUERIES)
    assert all(image.camera is not None and image.camera.model == "PINHOLE" for image in dataset.with_role("query"))


def test_the_pair_list_is_found_and_the_database_may_have_either_name(copy: Path) -> None:
    expected = {(query, cutout) for query in QUERIES for cutout in CUTOUTS}
    assert set(prepared(copy).pairs) == expected
    (copy / "database").rename(copy / "dataset")
    (copy / "pairs/inloc").mkdir(parents=True)
    (copy / PAIR_LIST).rename(copy / "pairs/inloc" / PAIR_LIST)
    renamed = prepared(copy)
    assert set(renamed.pairs) == {(query, cutout.replace("database", "dataset", 1)) for query, cutout in expected}
    (copy / "pairs/inloc" / PAIR_LIST).unlink()
    assert prepared(copy).pairs == ()


def test_what_is_missing_is_named(copy: Path) -> None:
    points_path(copy, CUTOUTS[0]).unlink()
    with pytest.raises(
        DataError, match=r"1 cutouts have no file of 3D points.*_0_0\.jpg; the archive with images only"
    ):
        prepared(copy)
    shutil.copyfile(points_path(copy, CUTOUTS[1]), points_path(copy, CUTOUTS[0]))
    alignment_path(copy, CUTOUTS[0]).unlink()
    with pytest.raises(DataError, match=r"1 alignments of scans are missing: .*DUC_trans_039\.txt"):
        prepared(copy)
    shutil.rmtree(copy / "query")
    with pytest.raises(DataError, match="trigpoint fetch --dataset inloc"):
        prepared(copy)


def test_names_say_the_scan_and_its_alignment_is_the_second_matrix(tree: Path, tmp_path: Path) -> None:
    scan = scan_of("database/cutouts/DUC2/024/DUC_cutout_024_60_-30.jpg")
    assert (scan.floor, scan.building, scan.number, str(scan)) == ("DUC2", "DUC", "024", "DUC2/024")
    with pytest.raises(DataError, match="no name of a cutout"):
        scan_of("cutout.jpg")
    np.testing.assert_allclose(read_alignment(alignment_path(tree, CUTOUTS[0])), alignment(0))
    for text in ("1 2 3\n" * 11, "a b c d\n" * 11, "1 0 0 0\n" * 9):
        (tmp_path / "wrong.txt").write_text(text)
        with pytest.raises(DataError, match="line 8: expected a matrix of 4 x 4"):
            read_alignment(tmp_path / "wrong.txt")


def test_points_of_either_version_of_matlab_are_read(tmp_path: Path) -> None:
    points = np.random.default_rng(0).random((4, 6, 3))
    scipy.io.savemat(tmp_path / "old.mat", {"XYZcut": points, "RGBcut": np.zeros((4, 6, 3), np.uint8)})
    with h5py.File(tmp_path / "new.mat", "w") as file:
        file["XYZcut"] = points.transpose()
    for name in ("old.mat", "new.mat"):
        np.testing.assert_array_equal(read_points(tmp_path / name), points)


def test_files_that_hold_no_points_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cutout.mat"
    with pytest.raises(DataError, match=r"cutout\.mat: No such file"):
        read_points(path)
    path.write_bytes(b"not MATLAB" * 100)
    with pytest.raises(DataError, match="damaged, or no file of MATLAB"):
        read_points(path)
    scipy.io.savemat(path, {"RGBcut": np.zeros((2, 2, 3))})
    with pytest.raises(DataError, match="holds no array XYZcut"):
        read_points(path)
    scipy.io.savemat(path, {"XYZcut": np.zeros((2, 2))})
    with pytest.raises(DataError, match=r"expected floats \(H, W, 3\)"):
        read_points(path)


def plane(height: int, width: int) -> np.ndarray:
    """Points whose coordinates are x, y and x + y of their pixel."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    return np.stack([x, y, x + y], axis=-1)


def test_between_pixels_points_are_interpolated_and_at_the_border_the_last_ones_hold() -> None:
    xy = np.array([[1.25, 2.5], [0, 0], [5, 3], [-0.4, 1], [5.4, 3.4], [-0.6, 1], [2, 3.6]])
    expected = [[1.25, 2.5, 3.75], [0, 0, 0], [5, 3, 8], [0, 1, 1], [5, 3, 8], [np.nan] * 3, [np.nan] * 3]
    np.testing.assert_allclose(points_at(plane(4, 6), xy), expected)
    nearest = [[1, 3, 4], [0, 0, 0], [5, 3, 8], [0, 1, 1], [5, 3, 8], [np.nan] * 3, [np.nan] * 3]
    np.testing.assert_allclose(points_at(plane(4, 6), xy, "nearest"), nearest)


def test_beside_a_hole_the_nearest_point_is_taken_and_in_it_none() -> None:
    points = plane(4, 6)
    points[1, 2] = np.nan
    found = points_at(points, np.array([[1.4, 1.0], [1.6, 1.0], [2.0, 1.0], [3.5, 1.0], [2.2, 2.4]]))
    np.testing.assert_allclose(found, [[1, 1, 2], [np.nan] * 3, [np.nan] * 3, [3.5, 1, 4.5], [2.2, 2.4, 4.6]])
    assert points_at(points, np.zeros((0, 2))).shape == (0, 3)
    np.testing.assert_array_equal(points_at(plane(1, 1), np.array([[0.3, -0.2]])), [[0, 0, 0]])


def test_cutouts_that_are_held_out_have_the_camera_that_their_points_say(tree: Path) -> None:
    dataset = prepare_dataset("inloc", "inloc", tree, PrepareSettings(holdout=2))
    held = [image for image in dataset.with_role("query") if image.split == "holdout"]
    assert len(held) == 2 and len(dataset.with_role("map")) == 2
    truth = read_cameras_gt(DEMO / "cameras_gt.txt")
    names = {
        cutout_name(scan, index): f"db/{name}.jpg" for scan, own in SCANS.items() for index, name in enumerate(own)
    }
    for image in held:
        camera, pose = truth[names[image.name]]
        assert image.camera is not None
        assert image.camera.params == pytest.approx((camera.params[0], 320, 240), abs=0.5)
        assert np.linalg.norm(dataset.poses[image.name].center - pose.center) < 0.01
        np.testing.assert_allclose(dataset.poses[image.name].rotation, pose.rotation, atol=1e-3)


def test_points_that_fit_no_camera_give_no_view() -> None:
    assert view_of_points(np.full((20, 30, 3), np.nan), (30, 20)) is None
    assert view_of_points(np.random.default_rng(0).random((40, 60, 3)), (60, 40)) is None
