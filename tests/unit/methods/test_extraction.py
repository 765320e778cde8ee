"""`trigpoint extract-features` and `match-pairs`: shards, kept results, images and pairs that fail."""

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import PIL.Image
import pytest
import torch

from trigpoint.cli import main
from trigpoint.methods.extraction import run_ahead
from trigpoint.methods.pair_matching import distinct_pairs
from trigpoint.networks.disk_unet import DiskUNet
from trigpoint.storage.dataset import write_dataset
from trigpoint.storage.features import FeatureReader, link_shards
from trigpoint.storage.matches import MatchReader, gather_matches
from trigpoint.storage.pairs import write_pairs
from trigpoint.types import Dataset, DatasetImage

NAMES = ["a b.png", "sub/ü.png", "c.png", "d.png", "e.png"]


class Scene:
    """Five noisy pictures, a dataset.json and random weights in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rng = np.random.default_rng(0)
        common = rng.integers(0, 256, (56, 72, 3), dtype=np.uint8)
        for index, name in enumerate(NAMES):
            path = folder / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(common[index : 48 + index, : 64 - index]).save(path)
        self.write_dataset(NAMES)
        torch.manual_seed(0)
        torch.save({"disk": DiskUNet().state_dict()}, folder / "random.pth")

    def write_dataset(self, names: Sequence[str]) -> None:
        images = tuple(DatasetImage(name, "map", (64 - NAMES.index(name), 48)) for name in sorted(names))
        root = str(self.folder / "images")
        write_dataset(self.folder / "dataset.json", Dataset("toy", "photos", root, images))

    def extract(self, shard: str = "1-of-1", into: str = "features", **more: object) -> int:
        method = {"weights": str(self.folder / "random.pth"), "score_threshold": None, "max_keypoints": 60}
        method |= more.pop("method_settings", {})  # type: ignore[arg-type]
        settings = {"method": "disk", "settings": method, "seed": 0, "code_version": 1, "deterministic": False, **more}
        return self.call("extract-features", settings, shard, into, [])

    def match(self, pairs: str = "pairs.txt", shard: str = "1-of-1", into: str = "matches", **more: object) -> int:
        settings = {"matcher": "mutual_nn", "settings": {}, "seed": 0, "code_version": 1, **more}
        inputs = ["--features", str(self.folder / "features.h5"), "--pairs", str(self.folder / pairs)]
        return self.call("match-pairs", settings, shard, into, inputs)

    def call(self, command: str, settings: dict[str, object], shard: str, into: str, inputs: list[str]) -> int:
        given = ["--settings", json.dumps(settings), "--dataset", str(self.folder / "dataset.json"), "--device", "cpu"]
        output = self.folder / into / f"{shard}.h5"
        return main([command, *given, *inputs, "--shard", shard, "--num-workers", "1", "--output", str(output)])

    def content(self, into: str) -> dict[str, bytes]:
        """All features of a folder's shards as bytes by name and array."""
        found = {}
        for path in sorted((self.folder / into).glob("*.h5")):
            with FeatureReader(path) as reader:
                for name in reader.names():
                    features = reader.read(name)
                    for key in ("keypoints", "descriptors", "scores"):
                        found[f"{name} {key}"] = getattr(features, key).tobytes()
        return found


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def summary(caplog: pytest.LogCaptureFixture) -> str:
    return [record.getMessage() for record in caplog.records if "computed" in record.getMessage()][-1]


@pytest.fixture(autouse=True)
def log_lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the command's log set-up from removing pytest's handler."""
    monkeypatch.setattr("trigpoint.log.set_up", lambda verbose: None)
    caplog.set_level(logging.INFO)


def test_any_number_of_shards_gives_the_same_bits(scene: Scene) -> None:
    assert scene.extract() == 0
    for index in (1, 2, 3):
        assert scene.extract(f"{index}-of-3", into="three") == 0
    whole = scene.content("features")
    assert whole == scene.content("three")
    assert len(whole) == 15 and all(whole.values())


def test_added_image_costs_one_extraction(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.write_dataset(NAMES[:4])
    scene.extract()
    before = scene.content("features")
    output = scene.folder / "features/1-of-1.h5"
    assert output.samefile(scene.folder / "features/.kept/1-of-1.h5")
    output.unlink()  # what Snakemake does
    scene.write_dataset(NAMES)
    scene.extract()
    assert summary(caplog) == "5 images: 1 computed, 4 kept, 0 failed"
    assert before.items() <= scene.content("features").items()


@pytest.mark.parametrize(
    "change", ["settings", "weights", "pixels", "version", "descriptors"], ids=lambda change: f"other {change}"
)
def test_kept_features_are_not_used_after_a_change(scene: Scene, caplog: pytest.LogCaptureFixture, change: str) -> None:
    scene.extract()
    more: dict[str, object] = {}
    if change == "settings":
        more = {"method_settings": {"nms_window_px": 3}}
    elif change == "weights":
        torch.manual_seed(1)
        torch.save({"disk": DiskUNet().state_dict()}, scene.folder / "random.pth")
    elif change == "version":
        more = {"code_version": 2}
    elif change == "descriptors":
        more = {"descriptor_dtype": "float32"}
    else:
        PIL.Image.new("RGB", (64, 48), "grey").save(scene.folder / "images" / NAMES[0])
    scene.extract(**more)
    computed = 1 if change == "pixels" else 5
    assert summary(caplog).startswith(f"5 images: {computed} computed")


def test_image_that_cannot_be_decoded_is_recorded_and_the_rest_goes_on(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    (scene.folder / "images/c.png").write_bytes(b"no picture")
    (scene.folder / "images/d.png").unlink()
    assert scene.extract() == 0
    assert summary(caplog) == "5 images: 5 computed, 0 kept, 2 failed"
    link_shards([scene.folder / "features/1-of-1.h5"], scene.folder / "features.h5")
    with FeatureReader(scene.folder / "features.h5") as reader:
        assert sorted(reader.failed) == ["c.png", "d.png"]
        assert "c.png" in reader.failed["c.png"]
        assert [reader.num_keypoints(name) > 0 for name in reader.names()] == [True, False, False, True, True]
    write_pairs(scene.folder / "pairs.txt", [("a b.png", "c.png"), ("a b.png", "e.png")])
    assert scene.match() == 0
    with MatchReader(scene.folder / "matches/1-of-1.h5") as matches:
        assert len(matches.read("a b.png", "c.png")) == 0
        assert len(matches.read("a b.png", "e.png")) > 0


def test_strict_stops_at_the_first_bad_image(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    (scene.folder / "images/c.png").write_bytes(b"no picture")
    assert scene.extract(strict=True) == 2
    assert "c.png: not an image" in capsys.readouterr().err
    assert not (scene.folder / "features/1-of-1.h5").exists()


def test_stage_without_a_single_usable_image_fails(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    for name in NAMES:
        (scene.folder / "images" / name).write_bytes(b"")
    assert scene.extract() == 2
    assert "none of the 5 images" in capsys.readouterr().err


def test_shard_without_images_is_a_valid_empty_file(scene: Scene) -> None:
    scene.write_dataset(["c.png"])
    for index in (1, 2):
        assert scene.extract(f"{index}-of-2") == 0
    assert len(scene.content("features")) == 3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"method": "disc"}, "did you mean 'disk'"),
        ({"descriptor_dtype": "int8"}, "float16, float32"),
        ({"method_settings": {"nms": 3}}, "unknown setting 'nms'"),
        ({"speed": 3}, "unknown setting 'speed'"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(
    scene: Scene, capsys: pytest.CaptureFixture[str], more: dict[str, object], message: str
) -> None:
    assert scene.extract(**more) == 2
    error = capsys.readouterr().err
    (line,) = [line for line in error.splitlines() if " INFO " not in line]
    assert line.startswith("trigpoint extract-features: ")
    assert message in line


@pytest.fixture
def extracted(scene: Scene) -> Scene:
    scene.extract()
    link_shards([scene.folder / "features/1-of-1.h5"], scene.folder / "features.h5")
    pairs = [(name0, name1) for i, name0 in enumerate(NAMES) for name1 in NAMES[i + 1 :]]
    write_pairs(scene.folder / "pairs.txt", pairs)
    return scene


def dump(path: Path) -> dict[str, bytes]:
    with MatchReader(path) as reader:
        read = {pair: reader.read(*pair) for pair in reader.pairs()}
        return {str(pair): found.indices.tobytes() + found.scores.tobytes() for pair, found in read.items()}


def test_any_number_of_match_shards_gives_the_same_bits(extracted: Scene) -> None:
    assert extracted.match() == 0
    for index in (1, 2, 3):
        assert extracted.match(shard=f"{index}-of-3", into="three") == 0
    gather_matches([extracted.folder / "matches/1-of-1.h5"], extracted.folder / "one.h5")
    gather_matches(sorted((extracted.folder / "three").glob("*.h5")), extracted.folder / "three.h5")
    whole = dump(extracted.folder / "one.h5")
    assert whole == dump(extracted.folder / "three.h5") and len(whole) == 10


def test_added_pairs_are_matched_and_the_others_kept(extracted: Scene, caplog: pytest.LogCaptureFixture) -> None:
    extracted.match()
    before = dump(extracted.folder / "matches/1-of-1.h5")
    (extracted.folder / "matches/1-of-1.h5").unlink()  # a temporary output of the workflow
    with (extracted.folder / "pairs.txt").open("a") as lines:
        lines.write("d.png sub/ü.png\n")  # turned: matched once
    extracted.match()
    assert summary(caplog).startswith("10 pairs: 0 computed, 10 kept")
    assert dump(extracted.folder / "matches/1-of-1.h5") == before
    extracted.match(settings={"ratio": 0.9})
    assert summary(caplog).startswith("10 pairs: 10 computed, 0 kept")


def test_pair_with_an_unknown_image_is_refused(extracted: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    write_pairs(extracted.folder / "wrong.txt", [("a b.png", "z.png")])
    assert extracted.match("wrong.txt") == 2
    assert "'z.png' is no image of" in capsys.readouterr().err


def test_damaged_kept_file_is_ignored(extracted: Scene, caplog: pytest.LogCaptureFixture) -> None:
    extracted.match()
    (extracted.folder / "matches/.kept/1-of-1.h5").unlink()
    (extracted.folder / "matches/.kept/1-of-1.h5").write_bytes(b"cut off")
    assert extracted.match() == 0
    assert summary(caplog).startswith("10 pairs: 10 computed")
    with h5py.File(extracted.folder / "matches/.kept/1-of-1.h5") as file:
        assert file.attrs["kind"] == "matches"


def test_repeated_and_turned_pairs_are_matched_once() -> None:
    assert distinct_pairs([("a", "b"), ("c", "a"), ("b", "a"), ("a", "b"), ("a", "c")]) == [("a", "b"), ("c", "a")]


def test_work_runs_ahead_in_order_and_no_further() -> None:
    started: list[int] = []

    def work(item: int) -> int:
        started.append(item)
        return item * 10

    results = run_ahead(work, range(6), ahead=2)
    assert next(results) == 0
    time.sleep(0.05)
    assert max(started) <= 2
    assert list(results) == [10, 20, 30, 40, 50]


def test_error_of_work_ahead_arrives_in_its_turn() -> None:
    results = run_ahead(lambda item: 1 // item, [2, 1, 0, 3], ahead=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
