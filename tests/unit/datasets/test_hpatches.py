"""HPatches' layout: sequences in any folder, IME's names, and what is said of broken ones."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from miniature_hpatches import homography, write_sequence, write_tree
from trigpoint.cli import main
from trigpoint.datasets.base import PrepareSettings, prepare_dataset
from trigpoint.datasets.catalogue import catalogue_entry, place_members
from trigpoint.datasets.hpatches import LARGE_SEQUENCES, read_homography, sequence_of
from trigpoint.datasets.tree import dataset_tree_digest, is_image_name
from trigpoint.errors import DataError, SettingsError
from trigpoint.matching.pair_lists import file_pairs
from trigpoint.storage.dataset import read_dataset, write_dataset
from trigpoint.types import Dataset


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("hpatches") / "tree")


@pytest.fixture
def own_tree(tree: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tree, tmp_path / "tree")


def prepare(root: Path, **settings) -> Dataset:
    return prepare_dataset("hpatches", "hpatches", root, PrepareSettings(**settings))


def test_pairs_go_from_image_1_and_large_sequences_are_left_out(tree: Path, tmp_path: Path) -> None:
    dataset = prepare(tree)
    assert dataset.pairs == tuple(
        (f"{name}/1.ppm", f"{name}/{k}.ppm") for name in ("i_wall", "v_floor") for k in (2, 3, 4)
    )
    assert len(dataset.images) == 8
    np.testing.assert_allclose(dataset.homographies["v_floor/1.ppm", "v_floor/3.ppm"], homography("v", 3))
    write_dataset(tmp_path / "dataset.json", dataset)
    again = read_dataset(tmp_path / "dataset.json")
    assert again.pairs == dataset.pairs
    assert again.calibration_digest() == dataset.calibration_digest()
    assert file_pairs(again, "map") == sorted(dataset.pairs)
    assert len({*LARGE_SEQUENCES}) == 8
    assert len(prepare(tree, large_sequences=True).pairs) == 9
    assert {sequence_of(name) for name, _ in prepare(tree, sequences=["v_talent"]).pairs} == {"v_talent"}


def test_the_archive_is_unpacked_with_its_homographies() -> None:
    archive = catalogue_entry("hpatches").archives[0]
    names = [f"hpatches-sequences-release/v_x/{name}" for name in ("1.ppm", "2.ppm", "H_1_2")]
    assert place_members(archive, names, is_image_name) == {name: name for name in names}


def test_published_rows_come_with_the_dataset(tree: Path) -> None:
    rows = {row["method"]: row for row in prepare(tree).published}
    assert rows["DISK 2k"]["d2net"]["overall"]["accuracy"]["3"] == 0.7534
    assert rows["GCM"]["ime"]["mma"]["overall"]["accuracy"] == {"1": 0.68, "3": 0.92, "5": 0.95}


def test_ime_names_are_read_too(tree: Path, tmp_path: Path) -> None:
    """IME's tree has the folder's name before each file's, and folders by kind."""
    write_sequence(tmp_path / "illumination/i_wall", 0, prefix="i_wall_")
    write_sequence(tmp_path / "viewpoint/v_floor", 1, prefix="v_floor_")
    dataset = prepare(tmp_path)
    assert dataset.pairs[0] == ("illumination/i_wall/i_wall_1.ppm", "illumination/i_wall/i_wall_2.ppm")
    assert {sequence_of(name) for name, _ in dataset.pairs} == {"i_wall", "v_floor"}
    found, expected = (sorted(H.tolist() for H in item.homographies.values()) for item in (dataset, prepare(tree)))
    assert found == expected


def test_a_changed_homography_is_noticed(own_tree: Path) -> None:
    before = dataset_tree_digest(own_tree), prepare(own_tree).calibration_digest()
    np.savetxt(own_tree / "v_floor/H_1_2", 2 * np.eye(3))
    after = dataset_tree_digest(own_tree), prepare(own_tree).calibration_digest()
    assert before[0] != after[0] and before[1] != after[1]


@pytest.mark.parametrize("text", ["1 0 0 0 1 0 0 0", "1 0 0 0 1 0 0 0 x", "0 0 0 0 0 0 0 0 0", "nan 0 0 0 1 0 0 0 1"])
def test_a_damaged_homography_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "H_1_2").write_text(text)
    with pytest.raises(DataError, match="H_1_2"):
        read_homography(tmp_path / "H_1_2")


def test_what_is_missing_or_misnamed_is_told(own_tree: Path, tmp_path: Path) -> None:
    (own_tree / "v_floor/3.ppm").unlink()
    with pytest.raises(DataError, match=r"no image 3\.ppm"):
        prepare(own_tree)
    with pytest.raises(SettingsError, match="no v_wall"):
        prepare(own_tree, sequences=["v_wall"])
    (own_tree / "v_floor").rename(own_tree / "floor")
    with pytest.raises(DataError, match="i_ or v_"):
        prepare(own_tree)
    (tmp_path / "empty").mkdir()
    for root in (tmp_path / "empty", tmp_path / "none"):
        with pytest.raises(DataError, match="trigpoint fetch --dataset hpatches"):
            prepare(root)


def test_one_name_in_two_folders_is_refused(own_tree: Path) -> None:
    write_sequence(own_tree / "more/v_floor")
    with pytest.raises(DataError, match="v_floor too"):
        prepare(own_tree)


def test_an_unusable_image_stays_in_the_pairs(own_tree: Path, tmp_path: Path) -> None:
    (own_tree / "i_wall/2.ppm").write_bytes(b"P6 no image")
    words = ["--dataset", "x", "--layout", "hpatches", "--root", str(own_tree), "--output", str(tmp_path / "d.json")]
    assert main(["prepare", *words]) == 0
    dataset = read_dataset(tmp_path / "d.json")
    assert [name for name, _ in dataset.unusable] == ["i_wall/2.ppm"]
    assert len(dataset.pairs) == 6
    words = ["--dataset", str(tmp_path / "d.json"), "--role", "map", "--output", str(tmp_path / "pairs.txt")]
    assert main(["list-pairs", "--settings", json.dumps({"kind": "file"}), *words]) == 0
    assert len((tmp_path / "pairs.txt").read_text().splitlines()) == 1 + 5
