"""What DISK's training and validation are made of, against the authors' code: views, matching, metrics."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from trigpoint.evaluation.disk_validation import discrete_metric, pose_error_as_released, selection_score
from trigpoint.training.disk_matching import MatchDistribution, descriptor_distances, mutual_pairs
from trigpoint.training.views import (
    View,
    epipolar_distances,
    essential_matrix,
    fundamental_matrix,
    homogeneous,
    relative_pose,
)
from trigpoint.types import Pose

Golden = np.lib.npyio.NpzFile
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}  # of the acceptance list


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return np.load(shared / "golden/disk/disk_geometry.npz")


@pytest.fixture(scope="module")
def matching(shared: Path) -> Golden:
    return np.load(shared / "golden/disk/disk_matching.npz")


@pytest.fixture(scope="module")
def views(golden: Golden) -> list[View]:
    arrays = [[torch.from_numpy(golden[f"{key}_{i}"]) for key in ("bitmap", "K", "R", "T")] for i in range(3)]
    return [View(*found, torch.from_numpy(golden[f"depth_{i}"][0])) for i, found in enumerate(arrays)]


@pytest.fixture(scope="module")
def points(golden: Golden) -> tuple[torch.Tensor, torch.Tensor]:
    """(60, 2) of view 0, some of them outside, and (45, 2) of view 1."""
    xy0, xy1 = (torch.from_numpy(golden[key].T.copy()) for key in ("xy", "xy_b"))
    return xy0, xy1


def test_depth_and_points_agree(golden: Golden, views: list[View], points: tuple[torch.Tensor, ...]) -> None:
    np.testing.assert_array_equal(views[0].contains(points[0]), golden["in_range_0"])
    np.testing.assert_array_equal(views[0].depth_at(points[0], legacy=True), golden["fetch_depth_0"])
    world = views[0].points_at(points[0], legacy=True)
    np.testing.assert_allclose(world.T, golden["unproject_0"], **TOLERANCE)
    np.testing.assert_allclose(views[1].project(world).T, golden["project_01"], rtol=1e-5, atol=1e-4)
    assert np.isnan(golden["fetch_depth_0"]).any() and np.isfinite(golden["fetch_depth_0"]).any()


def test_relative_geometry_agrees(golden: Golden, views: list[View]) -> None:
    rotation, translation = relative_pose(views[0], views[1])
    np.testing.assert_allclose(rotation, golden["rel_R_01"], **TOLERANCE)
    np.testing.assert_allclose(translation / translation.norm(), golden["rel_T_01"], **TOLERANCE)
    np.testing.assert_allclose(essential_matrix(views[0], views[1]), golden["E_01"], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(fundamental_matrix(views[0], views[1]), golden["F_01"], rtol=1e-4, atol=1e-8)


def test_epipolar_distances_agree(golden: Golden, views: list[View], points: tuple[torch.Tensor, ...]) -> None:
    F = fundamental_matrix(views[0], views[1])
    found = epipolar_distances(*points, F)
    np.testing.assert_allclose(found, golden["asymmdist_01"], rtol=1e-4, atol=1e-4)
    paired = epipolar_distances(points[0][:45], points[1], F, paired=True)
    np.testing.assert_allclose(paired, golden["p_asymmdist_01"], rtol=1e-4, atol=1e-4)
    # the authors' unused symmetric form: the residual of normalized points, not squared a second time
    x0, x1 = (homogeneous(xy) @ torch.linalg.inv(view.K).T for xy, view in zip(points, views, strict=False))
    E = essential_matrix(views[0], views[1])
    both = epipolar_distances(x0[:, :2], x1[:, :2], E) + epipolar_distances(x1[:, :2], x0[:, :2], E.T).T
    np.testing.assert_allclose((x1 @ E @ x0.T).T * both, golden["symdimm_01"], rtol=1e-3, atol=1e-6)


def test_scaling_and_padding_agree(golden: Golden, views: list[View]) -> None:
    scaled = views[1].scaled((32, 32), legacy=True)
    np.testing.assert_allclose(scaled.image, golden["scaled1_bitmap"], **TOLERANCE)
    np.testing.assert_allclose(scaled.K, golden["scaled1_K"], **TOLERANCE)
    padded = scaled.padded((32, 32))
    np.testing.assert_allclose(padded.image, golden["padded1_bitmap"], **TOLERANCE)
    assert scaled.depth is not None and padded.depth is not None
    np.testing.assert_allclose(scaled.depth, golden["scaled1_depth"][0], **TOLERANCE)
    np.testing.assert_allclose(padded.depth, golden["padded1_depth"][0], **TOLERANCE)


def test_pose_errors_agree(golden: Golden, views: list[View]) -> None:
    first, second = (Pose(*(part.double().numpy() for part in relative_pose(views[0], view))) for view in views[1:])
    np.testing.assert_allclose(pose_error_as_released(first, second)[0], golden["pose_error_rel01_rel02"][0], rtol=1e-5)
    assert pose_error_as_released(first, second)[1] == pytest.approx(golden["pose_error_rel01_rel02"][1], abs=0.1)
    turned = Pose(second.rotation, -second.translation)
    np.testing.assert_allclose(pose_error_as_released(first, turned), golden["pose_error_rel01_negT02"], rtol=1e-3)


def test_distances_agree(matching: Golden) -> None:
    found = descriptor_distances(torch.from_numpy(matching["desc1"]), torch.from_numpy(matching["desc2"]))
    np.testing.assert_allclose(found, matching["distance"], **TOLERANCE)


@pytest.mark.parametrize("temperature", [15, 50])
def test_the_distribution_of_matches_agrees(matching: Golden, temperature: int) -> None:
    desc0, desc1 = torch.from_numpy(matching["desc1"]), torch.from_numpy(matching["desc2"])
    distribution = MatchDistribution.of_descriptors(desc0, desc1, temperature)
    logs = distribution.log_probabilities()
    np.testing.assert_allclose(logs, matching[f"logp_T{temperature}"], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(logs.exp(), matching[f"p_T{temperature}"], rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(distribution.most_likely().T, matching[f"mle_T{temperature}"])
    columns, rows = (torch.from_numpy(matching[f"sample_{side}_T{temperature}"]) for side in "IT")
    np.testing.assert_array_equal(mutual_pairs(columns, rows).T, matching[f"sample_pairs_T{temperature}"])


def test_discrete_metrics_agree(shared: Path, views: list[View]) -> None:
    golden, given = (np.load(shared / f"golden/disk/{name}.npz") for name in ("disk_metrics", "disk_rewards_loss"))
    keypoints = [torch.from_numpy(given[f"kp_{i}"]).float() for i in range(3)]
    for (i, j), expected in zip([(0, 1), (0, 2), (1, 2)], golden["stats"], strict=True):
        index = torch.arange(min(len(keypoints[i]), len(keypoints[j])))
        found = discrete_metric(views[i], views[j], keypoints[i], keypoints[j], torch.stack([index, index], dim=1))
        values = {
            "n_kps": found.num_keypoints,
            "n_pairs": found.num_matches,
            "tp": found.num_true,
            "fp": found.num_false,
            "reward": found.reward,
            "precision": found.precision,
        }
        np.testing.assert_allclose([values[name] for name in golden["names"].tolist()], expected, rtol=1e-6)


def test_the_score_of_a_checkpoint_agrees(shared: Path) -> None:
    golden = np.load(shared / "golden/disk/disk_metrics.npz")
    assert selection_score(golden["auc_err_theta_T"].T) == pytest.approx(float(golden["auc"]), abs=1e-12)


@pytest.mark.parametrize(("name", "key"), [("DISK 2k", "hpatches_mma_2048"), ("DISK 8k", "hpatches_mma_8000")])
def test_the_published_rows_are_the_releases_caches(shared: Path, name: str, key: str) -> None:
    golden = np.load(shared / "golden/disk/disk_metrics.npz")[key]
    (table, *_) = yaml.safe_load(files("trigpoint.datasets").joinpath("hpatches_published.yaml").read_text())["d2net"]
    row = dict(zip(table["columns"], table["rows"][name], strict=True))
    splits = ("illumination", "viewpoint", "overall")
    for threshold, *shares in golden:
        found = [row.get(f"{split}/accuracy/{int(threshold)}") for split in splits]
        assert found == ([None] * 3 if threshold not in (1, 2, 3, 5, 10) else [round(share, 4) for share in shares])
