"""PoSFeat in the workflow: refused before the first job without weights, and run with a folder of them."""

import json
from collections.abc import Callable
from pathlib import Path

import PIL.Image
import pytest
import torch

from trigpoint.networks.posfeat_net import KeypointDet, ResUNet
from trigpoint.storage.features import FeatureReader


def test_without_weights_no_job_starts(workspace, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TRIGPOINT_CACHE", str(tmp_path / "empty"))
    for run in ("posfeat", "posfeat_sift"):
        done = workspace.run("results/my_photos", "--config", f"runs=[{run}]", ok=False)
        assert done.returncode != 0
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("trigpoint:")]
        assert f"run '{run}'" in line and "posfeat.pth is missing" in line and "LAVA/PoSFeat" in line
        assert "Traceback" not in done.stderr
    assert not (workspace.path / "work").exists()


@pytest.mark.shared
def test_its_row_of_a_benchmark_is_made_by_the_same_command_as_disks(
    workspace, tmp_path: Path, shared: Path, fill_weights: Callable, checkpoint: Callable
) -> None:
    """On four photographs, reduced to save time; the stand-in weights match a little."""
    checkpoint("disk-depth")
    root = tmp_path / "herzjesu"
    (root / "images").mkdir(parents=True)
    for number in range(2, 6):
        with PIL.Image.open(shared / f"data/eth_lfb/Herzjesu/images/{number:04d}.jpg") as photograph:
            photograph.reduce(6).save(root / f"images/{number}.jpg", quality=95)
    folder = tmp_path / "filled"
    folder.mkdir()
    torch.save(fill_weights(ResUNet().state_dict()), folder / "backbone.pth")
    torch.save(fill_weights(KeypointDet().state_dict()), folder / "localheader.pth")
    workspace.use_shipped_configuration()
    config = workspace.config
    config["datasets"]["eth_lfb_herzjesu"] |= {"root": str(root)}
    config["datasets"]["eth_lfb_herzjesu"]["mapping"] |= {"init_min_num_inliers": 30, "abs_pose_min_num_inliers": 15}
    config["run_settings"]["posfeat"]["features"] = {"weights": str(folder), "max_keypoints": 1500, "resize_px": 320}
    config["run_settings"]["disk"]["features"] = {"max_keypoints": 1000, "resize_px": 320}
    config["runs"] = ["disk", "posfeat"]
    workspace.config = config
    workspace.run("results/eth_lfb_herzjesu")
    rows = json.loads((workspace.path / "results/eth_lfb_herzjesu/metrics.json").read_text())
    assert rows["published"][0]["method"] == "SIFT"
    assert rows["runs"]["disk"]["mapping"]["registered"] == 4
    for run in config["runs"]:
        row = rows["runs"][run]["mapping"]
        assert row["registered"] >= 3
        assert row["points3D"] > 30
        assert row["inlier_pairs"] >= 3
        assert row["mean_reprojection_error_px"] < 4


def test_a_run_with_the_users_folder_of_weights_passes_through(workspace, tmp_path: Path) -> None:
    torch.manual_seed(0)
    folder = tmp_path / "keypoint/005"
    folder.mkdir(parents=True)
    torch.save(ResUNet().state_dict(), folder / "backbone.pth")
    torch.save(KeypointDet().state_dict(), folder / "localheader.pth")
    config = workspace.config
    values = {"weights": str(folder), "max_keypoints": 500, "resize_px": 320}
    config["run_settings"]["posfeat"]["features"] = values
    config["run_settings"]["posfeat_sift"]["features"] = values
    config["runs"] = ["posfeat", "posfeat_sift"]
    workspace.config = config
    for run in config["runs"]:
        features = f"work/my_photos/{run}/features.h5"
        workspace.run(features)
        with FeatureReader(workspace.path / features) as reader:
            assert len(reader.names()) == workspace.num_images
            assert all(0 < reader.num_keypoints(name) <= 500 for name in reader.names())
    assert not workspace.jobs("work/my_photos/posfeat/features.h5")
