"""ETH3D's pairs: read from the released layout, fetched from archives, refused where they are damaged."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from miniature_eth3d import image_name, shift_of, write_archives, write_tree
from trigpoint.cli import main
from trigpoint.datasets.base import PrepareSettings, prepare_dataset
from trigpoint.datasets.eth3d import RATES, SEQUENCES, read_info, read_pairs
from trigpoint.datasets.fetching import fetch_dataset
from trigpoint.errors import DataError, SettingsError
from trigpoint.storage.dataset import read_dataset
from trigpoint.storage.download import Patience
from trigpoint.storage.flow import FlowTruth


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("eth3d") / "eth3d")


def test_pairs_of_ten_sequences_and_seven_rates_are_read(tree: Path) -> None:
    pairs = read_pairs(tree, PrepareSettings())
    assert len(pairs) == len(SEQUENCES) * len(RATES) == 70
    assert [(pair.sequence, pair.rate) for pair in pairs[:2]] == [("lakeside", 3), ("lakeside", 5)]
    for pair in pairs:
        shift = np.broadcast_to(shift_of(pair.rate), pair.source_xy.shape)
        np.testing.assert_allclose(pair.source_xy - pair.target_xy, shift, atol=1e-4)


def test_a_selection_keeps_the_order_of_the_benchmark(tree: Path) -> None:
    chosen = read_pairs(tree, PrepareSettings(sequences=["forest", "lakeside"], rates=[15, 3]))  # type: ignore[arg-type]
    assert [(pair.sequence, pair.rate) for pair in chosen] == [
        *[("lakeside", 3), ("lakeside", 15)],
        *[("forest", 3), ("forest", 15)],
    ]


@pytest.mark.parametrize("values", [{"sequences": ("boat",)}, {"rates": (4,)}, {"rates": ()}])
def test_an_unknown_selection_is_refused(tree: Path, values: dict) -> None:
    with pytest.raises(SettingsError, match="there are"):
        read_pairs(tree, PrepareSettings(**values))


def test_prepare_and_read_flow_write_what_the_next_commands_read(tree: Path, tmp_path: Path) -> None:
    settings = '{"sequences": ["forest"], "rates": [3, 7]}'
    words = ["--settings", settings, "--output", str(tmp_path / "dataset.json")]
    assert main(["prepare", "--dataset", "eth3d", "--layout", "eth3d", "--root", str(tree), *words]) == 0
    names = [image.name for image in read_dataset(tmp_path / "dataset.json").images]
    assert names == sorted(image_name("forest", frame) for frame in (0, 3, 7))
    words = ["--settings", settings, "--output", str(tmp_path / "truth.h5")]
    assert main(["read-flow", "--dataset", str(tmp_path / "dataset.json"), *words]) == 0
    with FlowTruth(tmp_path / "truth.h5") as truth:
        assert truth.names() == [(image_name("forest", 0), image_name("forest", frame)) for frame in (3, 7)]
        expected = next(read_info(tree, "forest", 7))
        np.testing.assert_array_equal(truth.read(1).source_xy, expected.source_xy)
        np.testing.assert_array_equal(truth.read(1).target_xy, expected.target_xy)
        assert (truth.read(1).sequence, truth.read(1).rate) == ("forest", 7)


def test_read_flow_refuses_other_datasets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from trigpoint.storage.dataset import write_dataset
    from trigpoint.types import Dataset

    write_dataset(tmp_path / "dataset.json", Dataset(id="x", layout="photos", image_root=str(tmp_path), images=()))
    words = ["--dataset", str(tmp_path / "dataset.json"), "--output", str(tmp_path / "truth.h5")]
    assert main(["read-flow", *words]) == 2
    assert "layout photos has no flow" in capsys.readouterr().err


def test_it_is_fetched_from_its_archives(tree: Path, tmp_path: Path) -> None:
    mirror = write_archives(tree, tmp_path / "mirror")
    root = tmp_path / "data/eth3d"
    record = fetch_dataset("eth3d", root, tmp_path / "downloads", [str(mirror)], Patience(timeout_s=1, tries=1))
    assert len(record["files"]) == 3
    assert len(prepare_dataset("eth3d", "eth3d", root).images) == 4 * 8
    found = {path.relative_to(root) for path in root.rglob("*") if path.is_file()}
    assert found == {path.relative_to(tree) for path in tree.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"Xs": [1.0]}, "expected source_image"),
        ({"source_image": "a", "target_image": "b", "Xs": [1], "Ys": [1], "Xt": [1], "Yt": [1, 2]}, "coordinates"),
        ({"source_image": "a", "target_image": "b", "Xs": [], "Ys": [], "Xt": [], "Yt": []}, "above 0"),
        ({"source_image": "a", "target_image": "b", "Xs": [np.nan], "Ys": [1], "Xt": [1], "Yt": [1]}, "not finite"),
        ({"source_image": "a", "target_image": "b", "Xs": ["x"], "Ys": [1], "Xt": [1], "Yt": [1]}, "no numbers"),
        ({"source_image": 3, "target_image": "b", "Xs": [1], "Ys": [1], "Xt": [1], "Yt": [1]}, "an image name is 3"),
    ],
)
def test_damaged_entries_are_named(tmp_path: Path, entry: dict, message: str) -> None:
    folder = tmp_path / "info_ETH3D_files"
    folder.mkdir()
    (folder / "forest_every_5_rate_of_3").write_bytes(pickle.dumps(np.array([entry], dtype=object)))
    with pytest.raises(DataError, match=f"forest_every_5_rate_of_3: pair 0: .*{message}"):
        list(read_info(tmp_path, "forest", 3))


def test_a_tree_without_info_files_says_how_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="trigpoint fetch --dataset eth3d"):
        prepare_dataset("eth3d", "eth3d", tmp_path)
