"""The matching toolbox's geometry and its localization pieces, by our functions for the same."""

import json
from pathlib import Path

import numpy as np
import pytest

from trigpoint.datasets.scan_points import points_at
from trigpoint.geometry.epipolar import epipolar_distance_px, fundamental_matrix, sampson_distance_px
from trigpoint.geometry.pose import (
    direction_angle_deg,
    matrix_from_quaternion,
    quaternion_from_matrix,
    relative_pose,
    rotation_angle_deg,
)
from trigpoint.localization.covisibility import covisibility_clusters
from trigpoint.matching.pair_lists import PairSettings, covisible_pairs
from trigpoint.types import Pose

Arrays = np.lib.npyio.NpzFile


@pytest.fixture(scope="module")
def geometry(shared: Path) -> Arrays:
    return np.load(shared / "golden/patch2pix/geometry.npz")


@pytest.fixture(scope="module")
def localization(shared: Path) -> Arrays:
    return np.load(shared / "golden/patch2pix/localization.npz")


def test_relative_pose_and_fundamental_matrix(geometry: Arrays) -> None:
    poses = []
    for number in ("1", "2"):
        rotation = matrix_from_quaternion(geometry[f"q{number}_wxyz"])
        poses.append(Pose(rotation, -rotation @ geometry[f"c{number}"]))
    found = relative_pose(*poses)
    np.testing.assert_allclose(found.rotation, geometry["R12"], atol=1e-12)
    np.testing.assert_allclose(found.translation, geometry["t12"], atol=1e-12)
    np.testing.assert_allclose(quaternion_from_matrix(found.rotation), geometry["q12"], atol=1e-12)
    F = fundamental_matrix(found, geometry["K1"], geometry["K2"])
    np.testing.assert_allclose(F / np.linalg.norm(F), geometry["F"] / np.linalg.norm(geometry["F"]), atol=1e-12)


@pytest.mark.parametrize("which", ["exact", "noisy"])
def test_sampson_distances(geometry: Arrays, which: str) -> None:
    matches = geometry[f"matches_{which}"]
    squares = sampson_distance_px(matches[:, :2], matches[:, 2:], geometry["F"]) ** 2
    np.testing.assert_allclose(squares, geometry[f"sampson_np_{which}"], rtol=1e-6, atol=1e-12)
    if which == "noisy":
        np.testing.assert_allclose(squares, geometry["sampson_torch_noisy"], rtol=1e-4)


def test_symmetric_epipolar_distances(geometry: Arrays) -> None:
    xy0, xy1, F = *np.split(geometry["matches_noisy"], 2, axis=1), geometry["F"]
    both = [epipolar_distance_px(xy0, xy1, F), epipolar_distance_px(xy1, xy0, F.T)]
    np.testing.assert_allclose(both[0] ** 2 + both[1] ** 2, geometry["symepi_np_sq"], rtol=1e-6)
    np.testing.assert_allclose(both[0] ** 2 + both[1] ** 2, geometry["symepi_torch_noisy"], rtol=1e-4)


def test_angles(geometry: Arrays) -> None:
    found = [direction_angle_deg(a, b) for a, b in zip(geometry["vec_a"], geometry["vec_b"], strict=True)]
    np.testing.assert_allclose(found, geometry["vec_angle_deg"], atol=1e-6)
    rotations = [[matrix_from_quaternion(q) for q in geometry[f"quat_{side}"]] for side in "ab"]
    found = [rotation_angle_deg(a, b) for a, b in zip(*rotations, strict=True)]
    np.testing.assert_allclose(found, geometry["quat_angle_deg"], atol=1e-6)


def test_points_of_a_scan(localization: Arrays) -> None:
    points = np.where(localization["scan_nan"], np.nan, localization["scan"])
    found = points_at(points, localization["scan_kp"])
    valid = np.isfinite(found).all(axis=1)
    np.testing.assert_array_equal(valid, localization["scan_valid"])
    # the toolbox interpolates in float32
    np.testing.assert_allclose(found[valid], localization["scan_xyz"][valid], rtol=0, atol=1e-4)


def test_clusters_of_images_that_see_the_same_points(localization: Arrays) -> None:
    images_of_point = [json.loads(text) for text in localization["cluster_points_image_ids"]]
    seen = {
        str(name): np.array([point for point, images in enumerate(images_of_point) if name in images], dtype=np.int64)
        for name in localization["cluster_input"]
    }
    found = covisibility_clusters(seen)
    assert [len(cluster) for cluster in found] == sorted(map(len, found), reverse=True)
    expected = {tuple(json.loads(text)) for text in localization["cluster_out"]}
    assert {tuple(sorted(map(int, cluster))) for cluster in found} == expected


def test_covisible_pairs_of_a_model(localization: Arrays) -> None:
    """Which of equally covisible images is taken is the toolbox's dictionary order there, the name's here."""
    lines = [line.split() for line in str(localization["nvm_text"]).splitlines() if line]
    count = int(lines[1][0])
    names = [line[0].removeprefix("./").replace(".png", ".jpg") for line in lines[2 : 2 + count]]
    seen: dict[str, list[int]] = {name: [] for name in names}
    for point, line in enumerate(lines[3 + count :]):
        for image in line[7::4]:
            seen[names[int(image)]].append(point)
    observations = {name: np.array(points) for name, points in seen.items()}
    found = covisible_pairs(names, observations, PairSettings(kind="covisibility", num_neighbors=3))
    expected = [line.split() for line in str(localization["covis3_lines"]).splitlines()]
    for name in names:
        shared_points = {other: len(set(seen[name]) & set(seen[other])) for other in names if other != name}
        listed = [other for first, other in expected if first == name]
        most = sorted(shared_points.values(), reverse=True)[: len(listed)]
        assert [shared_points[other] for other in listed] == most
        clear = {other for other in listed if shared_points[other] > most[-1]}  # no tie with one that is left out
        assert clear <= {other for pair in found if name in pair for other in pair}
