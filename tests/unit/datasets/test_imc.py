"""The challenge's tree: what is read of a miniature, and what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from miniature_imc import write_tree
from trigpoint.datasets import imc
from trigpoint.datasets.base import PrepareSettings, prepare_dataset
from trigpoint.errors import DataError, SettingsError

IMAGE = "{}/set_100/images/{}.jpg".format


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("imc"))


@pytest.fixture
def tree(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "imc"))


def test_scenes_have_images_cameras_poses_and_all_pairs_of_their_own(whole):
    dataset = prepare_dataset("imc", "imc", whole)
    assert len(dataset.images) == 12 and len(dataset.poses) == 12
    assert len(dataset.pairs) == 21 + 10
    assert all(imc.scene_of(name0) == imc.scene_of(name1) for name0, name1 in dataset.pairs)
    assert dataset.images[0].camera is not None and dataset.images[0].camera.params[2:] == (320.0, 240.0)
    bags = imc.dataset_bags(dataset)
    assert sorted(bags) == ["market/5bag_000", "old_town/5bag_000", "old_town/5bag_001", "old_town/6bag_000"]
    assert bags["market/5bag_000"][0] == IMAGE("market", "0042")
    assert sorted(imc.dataset_bags(dataset, most=1)) == [*("market/5bag_000", "old_town/5bag_000", "old_town/6bag_000")]
    one = prepare_dataset("imc", "imc", whole, PrepareSettings(sequences=("market",)))
    assert len(one.images) == 5


def test_covisible_pairs_have_the_larger_stem_first(whole):
    root = whole / "phototourism"
    pairs = imc.covisible_pairs(root, "old_town", 0.1)
    assert len(pairs) == 19
    assert (IMAGE("old_town", "0042"), IMAGE("old_town", "0036")) in pairs
    assert len(imc.covisible_pairs(root, "old_town", 0.0)) == 21


def test_depth_is_that_of_the_image_or_none(whole):
    root = whole / "phototourism"
    depth = imc.read_depth(root, IMAGE("old_town", "0040"))
    assert depth is not None and depth.shape == (480, 640)
    assert 1 < np.median(depth[depth > 0]) < 40
    assert imc.read_depth(root, IMAGE("old_town", "0036")) is None


def test_what_is_missing_or_damaged_is_named(tree, tmp_path):
    folder = tree / "phototourism/old_town/set_100"
    root = tree / "phototourism"
    with pytest.raises(SettingsError, match=r"no reichstag.*there are market, old_town"):
        prepare_dataset("imc", "imc", tree, PrepareSettings(sequences=("reichstag",)))
    (folder / "calibration/calibration_0037.h5").write_bytes(b"no HDF5")
    with pytest.raises(DataError, match=r"calibration_0037\.h5: no readable K, R, T"):
        prepare_dataset("imc", "imc", tree)
    np.save(folder / "new-vis-pairs/keys-th-0.1.npy", np.array(["0036-0099"]))
    with pytest.raises(DataError, match=r"keys-th-0\.1\.npy: '0036-0099'"):
        imc.covisible_pairs(root, "old_town", 0.1)
    (folder / "sub_set/5bag_000.txt").write_text("images/0036.jpg\n")
    with pytest.raises(DataError, match=r"5bag_000\.txt: 1 images, its name says 5"):
        imc.read_bags(root, "old_town")
    (folder / "sub_set/5bag_000.txt").write_text("images/0099.jpg\n")
    with pytest.raises(DataError, match=r"5bag_000\.txt: not in images\.txt: old_town/set_100/images/0099\.jpg"):
        imc.read_bags(root, "old_town")
    (folder / "images.txt").write_text("images/a-b.jpg\nimages/c.jpg\n")
    with pytest.raises(DataError, match=r"images\.txt.*'-'"):
        imc.list_images(root, "old_town")
    with pytest.raises(DataError, match=r"no <scene>/set_100; run `trigpoint fetch --dataset imc`"):
        prepare_dataset("imc", "imc", tmp_path / "nothing")
