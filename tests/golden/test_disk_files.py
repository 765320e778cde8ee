"""DISK's files and database against those of the authors' programs, through our own commands."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import PIL.Image
import pycolmap
import pytest

from trigpoint.cli import main
from trigpoint.storage.dataset import write_dataset
from trigpoint.types import Dataset, DatasetImage

NAMES = ("img_a", "img_b", "img_c")
FILES = ("keypoints", "descriptors", "scores", "matches")
SAVE_THRESHOLD = "10"  # of the goldens, as their README says


@pytest.fixture(scope="module")
def tiny(shared: Path) -> Path:
    """The files as the original wrote them."""
    return shared / "golden/disk/tiny"


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, np.ndarray]:
    return dict(np.load(shared / "golden/disk/disk_colmap_db.npz"))


@pytest.fixture
def dataset(golden: dict[str, np.ndarray], tmp_path: Path) -> Path:
    """dataset.json of the goldens' three JPEGs."""
    images = [DatasetImage(f"{name}.jpg", "map", golden[name].shape[1::-1]) for name in NAMES]
    write_dataset(tmp_path / "dataset.json", Dataset("tiny", "photos", "images", tuple(images)))
    return tmp_path / "dataset.json"


@pytest.fixture
def run(tiny: Path, dataset: Path, tmp_path: Path) -> Path:
    """The goldens as a run of ours."""
    words = ["import-run", str(tiny), "--from", "disk", "--dataset", str(dataset), "--output", str(tmp_path / "run")]
    assert main(words) == 0
    return tmp_path / "run"


def content(path: Path) -> dict[str, np.ndarray | None]:
    """Every dataset of a file by its path, and every group with None."""
    found: dict[str, np.ndarray | None] = {}
    with h5py.File(path) as file:
        assert not file.attrs
        file.visititems(lambda name, item: found.update({name: item[()] if hasattr(item, "shape") else None}))
    return found


def export(run: Path, output: Path, *options: str) -> None:
    assert main(["export", "--run", str(run), "--output", str(output), *options]) == 0


def test_the_files_come_out_as_they_went_in(run: Path, tiny: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "disk", "--to", "disk", "--save-threshold", SAVE_THRESHOLD)
    for name in FILES:
        found, expected = content(tmp_path / "disk" / f"{name}.h5"), content(tiny / f"{name}.h5")
        assert list(found) == list(expected), name
        for key, values in expected.items():
            if values is None:
                assert found[key] is None
            else:
                assert found[key].dtype == values.dtype, (name, key)
                np.testing.assert_array_equal(found[key], values, err_msg=f"{name} {key}")


def test_matching_the_stored_descriptors_gives_the_stored_matches(
    run: Path, dataset: Path, tiny: Path, tmp_path: Path
) -> None:
    match(dataset, run / "features.h5", tmp_path)
    options = ["--to", "disk", "--save-threshold", SAVE_THRESHOLD, "--matches", str(tmp_path / "matches.h5")]
    export(run, tmp_path / "disk", *options)
    found, expected = content(tmp_path / "disk" / "matches.h5"), content(tiny / "matches.h5")
    assert list(found) == list(expected)
    for key, values in expected.items():
        if values is not None:
            np.testing.assert_array_equal(found[key], values, err_msg=key)


def match(dataset: Path, features: Path, folder: Path) -> None:
    """matches.h5 of all pairs with ratio 0.95 on both sides."""
    given = ["--dataset", str(dataset)]
    pairs, shard = folder / "pairs.txt", folder / "shard.h5"
    exhaustive = ["--settings", '{"kind": "exhaustive"}', "--role", "map", "--output", str(pairs)]
    settings = json.dumps({"matcher": "mutual_nn", "settings": {"ratio": 0.95}})
    assert main(["list-pairs", *given, *exhaustive]) == 0
    words = ["--settings", settings, "--features", str(features), "--pairs", str(pairs), "--output", str(shard)]
    assert main(["match-pairs", *given, *words]) == 0
    assert main(["gather", "--kind", "matches", "--shards", str(shard), "--output", str(folder / "matches.h5")]) == 0


def test_our_commands_write_the_originals_files(
    checkpoint: Callable[[str], Path], golden: dict[str, np.ndarray], tiny: Path, tmp_path: Path
) -> None:
    """From photographs on: `detect --height 160 --width 160 --n 96` and `match --rt 0.95 --save-threshold 10`."""
    checkpoint("disk-depth")
    images = tmp_path / "photos" / "images"
    images.mkdir(parents=True)
    for name in NAMES:
        PIL.Image.fromarray(golden[name]).save(images / f"{name}.png")
    dataset = tmp_path / "dataset.json"
    words = [
        "prepare",
        "--dataset",
        "tiny",
        "--layout",
        "photos",
        "--root",
        str(images.parent),
        "--output",
        str(dataset),
    ]
    assert main(words) == 0
    disk = {"max_keypoints": 96, "height": 160, "width": 160, "subpixel": False, "legacy": True}
    settings = json.dumps({"method": "disk", "settings": disk, "descriptor_dtype": "float32"})
    features = tmp_path / "features.h5"
    words = ["--settings", settings, "--dataset", str(dataset), "--output", str(features)]
    assert main(["extract-features", *words]) == 0
    match(dataset, features, tmp_path)
    options = ["--to", "disk", "--features", str(features), "--matches", str(tmp_path / "matches.h5")]
    assert main(["export", *options, "--save-threshold", SAVE_THRESHOLD, "--output", str(tmp_path / "disk")]) == 0
    found = {name: content(tmp_path / "disk" / f"{name}.h5") for name in FILES}
    expected = {name: content(tiny / f"{name}.h5") for name in FILES}
    assert {name: list(values) for name, values in found.items()} == {name: list(expected[name]) for name in FILES}
    for key in NAMES:
        # two convolution libraries round differently: an almost equal neighbour or order may change
        rows = {tuple(xy): row for row, xy in enumerate(np.round(expected["keypoints"][key], 2).tolist())}
        same = [(row, rows[tuple(xy)]) for row, xy in enumerate(np.round(found["keypoints"][key], 2).tolist())
                if tuple(xy) in rows]  # fmt: skip
        assert len(found["keypoints"][key]) == 96 and len(same) >= 0.98 * 96
        ours, theirs = np.array(same).T
        cosines = (found["descriptors"][key][ours] * expected["descriptors"][key][theirs]).sum(axis=1)
        assert cosines.min() >= 0.9999
        np.testing.assert_allclose(found["scores"][key], expected["scores"][key], rtol=1e-3, atol=0.01)
    for pair in ("img_a/img_b", "img_a/img_c", "img_b/img_c"):
        shared_matches = matched_places(found, pair) & matched_places(expected, pair)
        all_matches = matched_places(found, pair) | matched_places(expected, pair)
        assert len(shared_matches) / len(all_matches) >= 0.95, pair


def matched_places(files: dict, pair: str) -> set[tuple[float, ...]]:
    """Coordinates of both ends of each match: indices may differ where two scores are almost equal."""
    columns = files["matches"][pair]
    ends = [files["keypoints"][key][rows] for key, rows in zip(pair.split("/"), columns, strict=True)]
    return {tuple(row) for row in np.round(np.hstack(ends), 2).tolist()}


@pytest.mark.parametrize(
    ("variant", "options"),
    [
        ("simple_radial", []),
        ("simple_pinhole", ["--camera-model", "simple-pinhole"]),
        ("pinhole_single", ["--camera-model", "pinhole", "--single-camera"]),
        ("opencv_single", ["--camera-model", "opencv", "--single-camera"]),
    ],
)
def test_the_database_is_that_of_h5_to_db(
    run: Path, dataset: Path, golden: dict[str, np.ndarray], tmp_path: Path, variant: str, options: list[str]
) -> None:
    export(run, tmp_path / "out", "--to", "colmap", "--legacy", "--dataset", str(dataset), *options)
    with pycolmap.Database.open(tmp_path / "out" / "database.db") as database:
        cameras = sorted(database.read_all_cameras(), key=lambda camera: camera.camera_id)
        rows = [[c.camera_id, int(c.model), c.width, c.height, c.has_prior_focal_length] for c in cameras]
        assert rows == golden[f"{variant}/cameras_id_model_w_h_prior"].tolist()
        np.testing.assert_array_equal([camera.params for camera in cameras], golden[f"{variant}/camera_params"])
        images = sorted(database.read_all_images(), key=lambda image: image.image_id)
        assert [image.image_id for image in images] == golden[f"{variant}/image_id"].tolist()
        assert [image.name for image in images] == golden[f"{variant}/image_name"].tolist()
        assert [image.camera_id for image in images] == golden[f"{variant}/image_camera"].tolist()
        assert not golden[f"{variant}/image_prior"].any() and database.num_pose_priors() == 0  # COLMAP has a table now
        for image in images:
            stored = database.read_keypoints(image.image_id)
            np.testing.assert_array_equal(stored[:, :2], golden[f"keypoints/{image.image_id}"])
        pair_ids, matches = database.read_all_matches()
        assert sorted(pair_ids) == sorted(int(key.split("/")[1]) for key in golden if key.startswith("matches/"))
        for pair_id, indices in zip(pair_ids, matches, strict=True):
            np.testing.assert_array_equal(indices, golden[f"matches/{pair_id}"])
        assert database.read_two_view_geometries()[0] == []
