"""`trigpoint write-submission`: the benchmark's own queries, under its file name, parsed back."""

import dataclasses

import numpy as np
import pytest

from trigpoint.cli import main
from trigpoint.datasets.base import HOLDOUT
from trigpoint.datasets.synthetic import write_synthetic_run
from trigpoint.geometry.pose import matrix_from_quaternion
from trigpoint.storage.dataset import write_dataset
from trigpoint.storage.poses import write_poses


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return write_synthetic_run(tmp_path_factory.mktemp("scene"), 4, 3, num_points=30)


def write(scene, folder, **changes):
    write_dataset(folder / "dataset.json", dataclasses.replace(scene.truth, **changes))
    words = ["--dataset", str(folder / "dataset.json"), "--run", "disk", "--poses", str(folder / "poses.txt")]
    return main(["write-submission", *words, "--output", str(folder / "submissions")])


def test_poses_of_queries_come_back_by_their_file_names(scene, tmp_path):
    first, second, third = (image.name for image in scene.truth.with_role("query"))
    images = [
        dataclasses.replace(image, split=HOLDOUT) if image.name == third else image for image in scene.truth.images
    ]
    write_poses(tmp_path / "poses.txt", {name: scene.truth.poses[name] for name in (first, third)})
    assert write(scene, tmp_path, images=tuple(images), submission="Aachen_eval_[{run}].txt") == 0
    (path,) = (tmp_path / "submissions").iterdir()
    assert path.name == "Aachen_eval_[disk].txt"
    (line,) = path.read_text().splitlines()
    name, *numbers = line.rsplit(" ", 7)  # a name may have blanks, which the format does not quote
    assert name == first.rsplit("/", 1)[-1]
    values = [float(number) for number in numbers]
    np.testing.assert_allclose(matrix_from_quaternion(values[:4]), scene.truth.poses[first].rotation, atol=1e-12)
    assert values[4:] == scene.truth.poses[first].translation.tolist()
    assert second not in path.read_text()


def test_no_pose_at_all_is_an_empty_file(scene, tmp_path):
    write_poses(tmp_path / "poses.txt", {})
    assert write(scene, tmp_path, submission="[{run}]") == 0
    assert (tmp_path / "submissions/[disk]").read_bytes() == b""


def test_a_dataset_without_a_benchmark_is_refused(scene, tmp_path, capsys):
    write_poses(tmp_path / "poses.txt", {})
    assert write(scene, tmp_path) == 2
    assert "belongs to no benchmark with a server" in capsys.readouterr().err
