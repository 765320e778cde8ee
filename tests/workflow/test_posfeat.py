"""PoSFeat in the workflow: refused before the first job without weights, and run with a folder of them."""

from pathlib import Path

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
