"""The run `pump` of the shipped configuration: with weights through the whole chain, without them refused at once."""

import json
from pathlib import Path

import PIL.Image
import pytest

NUM_IMAGES = 6
WIDTH = 160


@pytest.fixture
def small_photographs(workspace, shared: Path) -> str:
    """Six real photographs at a size that PUMP matches in tenths of a second, with their calibration."""
    source = shared / "data/eth_lfb/Fountain"
    folder = workspace.path / "data/fountain_small"
    (folder / "images").mkdir(parents=True)
    rows = [line.split() for line in (source / "cameras_gt.txt").read_text().splitlines() if line[0] != "#"]
    lines = ["# pixel_origin: corner"]
    for name, *numbers in rows[:NUM_IMAGES]:
        with PIL.Image.open(next(source.rglob(name))) as image:
            scale = WIDTH / image.width
            size = (WIDTH, round(scale * image.height))
            image.resize(size, PIL.Image.Resampling.BOX).save(folder / "images" / f"{Path(name).stem}.png")
        values = [float(number) * (scale if column < 4 else 1) for column, number in enumerate(numbers[:16])]
        lines.append(" ".join(map(str, [f"{Path(name).stem}.png", *values, *size])))
    (folder / "cameras_gt.txt").write_text("\n".join(lines) + "\n")
    return "results/fountain_small"


@pytest.mark.shared
def test_photographs_go_through_the_chain_by_pump(workspace, small_photographs: str, filled_pump: Path) -> None:
    """The weights are stand-ins: that all images are in one map is what they are good for, not where."""
    workspace.use_shipped_configuration()
    config = workspace.config
    run = config["run_settings"]["pump"]
    run["correspondences"] = {"desc": str(filled_pump), "resize": WIDTH}
    run["merging"]["longer_side_px"] = WIDTH
    config["photos"]["import"] = {"intrinsics": "given"}
    workspace.config = config
    choice = ("--config", "runs=[pump]")
    workspace.run(small_photographs, *choice)
    results = workspace.path / small_photographs
    metrics = json.loads((results / "metrics.json").read_text())["runs"]["pump"]
    assert metrics["mapping"]["registered"] == NUM_IMAGES
    assert metrics["mapping"]["inlier_pairs"] >= NUM_IMAGES
    assert metrics["mapping"]["mean_track_length"] > 2.5
    assert metrics["merging"]["lost_percent"] < 30
    provenance = json.loads((results / "provenance.json").read_text())
    assert len(provenance["kernel_backends"]["pump"]) == 1
    settings = provenance["runs"]["pump"]["matches"]
    assert settings["settings"]["desc"] == ".../filled.pt"  # the file's name, not where it is
    assert len(settings["weights_sha256"]) == 64
    assert sum(workspace.jobs(small_photographs, *choice).values()) == 0


@pytest.mark.parametrize("own_file", [False, True])
def test_without_weights_nothing_is_started(workspace, monkeypatch, own_file: bool) -> None:
    monkeypatch.setenv("TRIGPOINT_CACHE", str(workspace.path / "cache"))
    workspace.use_shipped_configuration()
    if own_file:
        config = workspace.config
        config["run_settings"]["pump"]["correspondences"]["desc"] = "my/own.pt"
        workspace.config = config
    done = workspace.run("results/my_photos", "--config", "runs=[sift,pump]", ok=False)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("trigpoint:")]
    words = ("my/own.pt",) if own_file else ("PUMP-stytrf.pt is missing", "naver/pump", "fetch-weights pump-stytrf")
    for word in ("run 'pump'", *words):
        assert word in line
    assert "Traceback" not in done.stderr
    assert not (workspace.path / "work").exists()
