"""A folder to run the workflow in, with photographs of a small synthetic scene."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from trigpoint.datasets.synthetic import write_synthetic_run

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "tests/plugin"  # a third party's pair method, as an installer would lay it out
NUM_IMAGES = 7
JOB = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):$", re.MULTILINE)


@dataclass
class Workspace:
    """A working directory with a config.yaml of its own; the Snakefile is the repository's."""

    path: Path
    num_images: int = NUM_IMAGES
    packages: Path | None = None  # further ones, in front of the installed

    @property
    def config(self) -> dict:
        return yaml.safe_load((self.path / "config.yaml").read_text())

    @config.setter
    def config(self, values: dict) -> None:
        (self.path / "config.yaml").write_text(yaml.safe_dump(values))

    def use_shipped_configuration(self) -> None:
        """The repository's config.yaml, with the demo's root as seen from this folder."""
        values = yaml.safe_load((ROOT / "config.yaml").read_text())
        for dataset in ("demo", "relative_pose"):
            values["datasets"][dataset]["root"] = str(ROOT / values["datasets"][dataset]["root"])
        self.config = values

    @property
    def photographs(self) -> Path:
        return self.path / "data/my_photos/images"

    def command(self, *arguments: str) -> list[str]:
        snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        return [*snakemake, "--directory", str(self.path), "--cores", "2", *arguments]

    def run(self, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess:
        done = subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            cwd=self.path,
            env=self.environment,
            check=False,
        )
        if ok:
            assert done.returncode == 0, done.stdout + done.stderr + self.logs()
        return done

    def jobs(self, *arguments: str) -> Counter:
        """Rules that a run would execute, with how often."""
        done = self.run(*arguments, "--dry-run")
        return Counter(JOB.findall(done.stdout + done.stderr))

    def executed(self, *arguments: str) -> Counter:
        """Rules that a run did execute, with how often."""
        done = self.run(*arguments)
        return Counter(JOB.findall(done.stdout + done.stderr))

    @property
    def environment(self) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if name != "TRIGPOINT_PARENT"}
        return environment | ({"PYTHONPATH": str(self.packages)} if self.packages else {})

    def logs(self) -> str:
        return "".join(f"\n--- {path}\n{path.read_text()}" for path in sorted(self.path.glob("logs/**/*.log")))


def small_config() -> dict:
    """The shipped configuration with one quick run, and a second one that differs in one setting."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["runs"] = ["sift"]
    config["run_settings"]["sift"]["features"] = {"max_keypoints": 1000}
    config["run_settings"]["sift_strict"] = {
        "method": "sift",
        "features": {"max_keypoints": 1000},
        "matching": {"matcher": "mutual_nn", "distance": "angle", "ratio": 0.7, "max_distance": 0.7},
    }
    config["deterministic"] = True
    return config


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`images/` and `cameras_gt.txt` of a synthetic scene, drawn once."""
    folder = tmp_path_factory.mktemp("scene")
    run = write_synthetic_run(folder / "run", NUM_IMAGES, 0, with_images=True)
    shutil.copytree(run.images, folder / "images")
    write_cameras_gt(run.truth, folder / "cameras_gt.txt")
    return folder


def write_cameras_gt(truth, path: Path) -> None:
    lines = ["# name fx fy cx cy R t width height", "# pixel_origin: corner"]
    for image in truth.images:
        pose, camera = truth.poses[image.name], image.camera
        focal, cx, cy = camera.params[:3]
        numbers = [focal, focal, cx, cy, *pose.rotation.ravel(), *pose.translation]
        lines.append(f"{image.name} {' '.join(repr(float(n)) for n in numbers)} {image.size[0]} {image.size[1]}")
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def workspace(tmp_path: Path, scene: Path) -> Workspace:
    space = Workspace(tmp_path)
    space.config = small_config()
    shutil.copytree(scene / "images", space.photographs)
    shutil.copy2(scene / "cameras_gt.txt", space.photographs.parent)
    return space


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, scene: Path) -> Workspace:
    """A workspace where results/my_photos is done; a test that changes it works on a copy."""
    space = Workspace(tmp_path_factory.mktemp("finished"))
    space.config = small_config()
    shutil.copytree(scene / "images", space.photographs)
    shutil.copy2(scene / "cameras_gt.txt", space.photographs.parent)
    space.run("results/my_photos")
    return space


@pytest.fixture
def copy_of_finished(finished: Workspace, tmp_path: Path) -> Workspace:
    """The finished workspace in a folder of its own, with its times, so that nothing is due in it."""
    target = tmp_path / "copy"
    shutil.copytree(finished.path, target, symlinks=True)
    return Workspace(target)


@pytest.fixture(scope="session")
def finished_pairs(tmp_path_factory: pytest.TempPathFactory, scene: Path) -> Workspace:
    """A workspace where results/my_photos is done by a third party's pair method; not to be changed."""
    space = Workspace(tmp_path_factory.mktemp("finished_pairs"), packages=PLUGIN)
    space.config = pair_config()
    shutil.copytree(scene / "images", space.photographs)
    shutil.copy2(scene / "cameras_gt.txt", space.photographs.parent)
    space.run("results/my_photos")
    return space


@pytest.fixture
def copy_of_finished_pairs(finished_pairs: Workspace, tmp_path: Path) -> Workspace:
    """The finished workspace of the pair method in a folder of its own, so that nothing is due in it."""
    target = tmp_path / "copy"
    shutil.copytree(finished_pairs.path, target, symlinks=True)
    return Workspace(target, packages=PLUGIN)


def pair_config() -> dict:
    """The quick run, and beside it the selected one of a pair method."""
    config = small_config()
    config["run_settings"]["sift_pairs"] = {
        "method": "sift_pairs",
        "correspondences": {"max_keypoints": 1000},
        "retrieval_run": "sift",
    }
    config["runs"] = ["sift_pairs"]
    return config
