"""`trigpoint match-pairs` with a pair method, and `merge-keypoints`: from images to the files of any other run."""

import itertools
import json
import logging
from pathlib import Path

import h5py
import numpy as np
import PIL.Image
import pytest

from trigpoint.cli import main
from trigpoint.kernels import backend_in_use
from trigpoint.storage.correspondences import CorrespondenceReader
from trigpoint.storage.dataset import write_dataset
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.matches import MatchReader
from trigpoint.storage.pairs import write_pairs
from trigpoint.types import Dataset, DatasetImage

NAMES = ["a b.png", "c.png", "d.png", "sub/ü.png"]
QUERY = "query 1.png"
SIZE = (240, 180)
SETTINGS = {"max_keypoints": 300}
BACKENDS = {"torch-cpu", backend_in_use("cpu")}  # whichever is faster answers for nearest neighbours


class Scene:
    """Five crops of one picture, the last one a query; `shift` of each is known."""

    def __init__(self, folder: Path, method: str) -> None:
        self.folder, self.method = folder, method
        rng = np.random.default_rng(0)
        picture = np.kron(rng.random((64, 80, 3)), np.ones((4, 4, 1)))
        self.shift = {}
        for index, name in enumerate([*NAMES, QUERY]):
            self.shift[name] = np.array([7 * index, 3 * index])
            x, y = self.shift[name]
            path = folder / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            crop = (picture[y : y + SIZE[1], x : x + SIZE[0]] * 255).astype(np.uint8)
            PIL.Image.fromarray(crop).resize(SIZE, PIL.Image.Resampling.BILINEAR).save(path)
        images = [DatasetImage(name, "map", SIZE) for name in NAMES] + [DatasetImage(QUERY, "query", SIZE, "day")]
        images.sort(key=lambda image: image.name)
        write_dataset(folder / "dataset.json", Dataset("toy", "photos", str(folder / "images"), tuple(images)))
        write_pairs(folder / "map.txt", itertools.combinations(NAMES, 2))
        write_pairs(folder / "query.txt", [(QUERY, name) for name in NAMES[:3]])

    def match(self, shard: str = "1-of-1", into: str = "correspondences", pairs=("map", "query"), **more) -> int:
        settings = {"method": self.method, "settings": SETTINGS, "seed": 0, "deterministic": False, **more}
        return main(
            [
                *("match-pairs", "--settings", json.dumps(settings), "--dataset", str(self.folder / "dataset.json")),
                *("--pairs", *(str(self.folder / f"{role}.txt") for role in pairs), "--shard", shard),
                *("--device", "cpu", "--output", str(self.folder / into / f"{shard}.h5")),
            ]
        )

    def merge(self, shards: str = "correspondences", into: str = "merged", **settings) -> int:
        given = {"seed": 0, "code_version": 1, "deterministic": False, **settings}
        paths = sorted(map(str, (self.folder / shards).glob("*.h5")))
        outputs = {"features": "features.h5", "matches": "matches.h5", "log": "merge.json"}
        return main(
            [
                *("merge-keypoints", "--settings", json.dumps(given), "--dataset", str(self.folder / "dataset.json")),
                *("--shards", *paths[::-1]),
                *itertools.chain(*((f"--{key}", str(self.folder / into / name)) for key, name in outputs.items())),
            ]
        )

    def content(self, folder: str) -> dict[str, bytes]:
        """Everything a shards' folder or a merged folder holds, as bytes by name."""
        found: dict[str, bytes] = {}
        for path in sorted((self.folder / folder).glob("*.h5")):
            with h5py.File(path) as file:
                if file.attrs["kind"] == "correspondences":
                    with CorrespondenceReader(path) as reader:
                        for pair in reader.pairs():
                            found[f"{pair}"] = reader.read(*pair).xy.tobytes() + reader.read(*pair).scores.tobytes()
                else:
                    file.visititems(
                        lambda name, item, path=path: (
                            found.update({f"{path.name} {name}": item[()].tobytes()})
                            if isinstance(item, h5py.Dataset)
                            else None
                        )
                    )
        return found

    def log(self, folder: str = "merged") -> dict:
        return json.loads((self.folder / folder / "merge.json").read_text())


@pytest.fixture
def scene(tmp_path: Path, pair_method: str) -> Scene:
    return Scene(tmp_path, pair_method)


@pytest.fixture(autouse=True)
def log_lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the command's log set-up from removing pytest's handler."""
    monkeypatch.setattr("trigpoint.log.set_up", lambda verbose: None)
    caplog.set_level(logging.INFO)


def summary(caplog: pytest.LogCaptureFixture) -> str:
    return [record.getMessage() for record in caplog.records if "computed" in record.getMessage()][-1]


def test_images_become_tracks_over_many_views(scene: Scene) -> None:
    assert scene.match() == 0
    assert scene.merge() == 0
    log = scene.log()
    for counts in (log, log["queries"]):
        assert counts["correspondences"] == counts["matches"] + counts["joined"] + sum(counts["lost"].values())
    assert (log["pairs"], log["pairs_dropped"], log["images"], log["queries"]["pairs"]) == (6, 0, len(NAMES), 3)
    assert 0.05 < log["mean_shift_px"] < 0.5  # the plug-in's noise is 0.3 px on each axis
    assert log["lost_percent"] < 25
    assert log["matched_once_percent"] < 50  # without merging it is 100
    with FeatureReader(scene.folder / "merged/features.h5") as features:
        assert features.names() == sorted([*NAMES, QUERY])
        assert all(features.read(name).descriptors.shape[1] == 0 for name in NAMES)
        keypoints = {name: features.keypoints(name) for name in features.names()}
        features_made_by = features.kernel_backends
        assert len(features_made_by) == 1 and features_made_by <= BACKENDS
    with MatchReader(scene.folder / "merged/matches.h5") as matches:
        assert len(matches.pairs()) == 9
        assert matches.settings["method"] == scene.method
        assert matches.settings["merging"]["cell_px"] == 4.0
        assert matches.kernel_backends == features_made_by
        for name0, name1 in matches.pairs():
            indices = matches.read(name0, name1).indices
            ends = [keypoints[name][column] for name, column in zip((name0, name1), indices.T, strict=True)]
            moved = ends[0] - ends[1] - (scene.shift[name1] - scene.shift[name0])
            assert len(indices) > 50
            assert np.median(np.abs(moved)) < 0.7
            for column in indices.T:
                assert len(np.unique(column)) == len(column)


def test_any_number_of_shards_gives_the_same(scene: Scene) -> None:
    assert scene.match() == 0
    for number in (1, 2, 3):
        assert scene.match(f"{number}-of-3", "three") == 0
    assert scene.content("correspondences") == scene.content("three")
    assert scene.merge() == scene.merge("three", "merged three") == 0
    assert scene.content("merged") == scene.content("merged three")
    for name in ("features.h5", "matches.h5", "merge.json"):
        assert (scene.folder / "merged" / name).read_bytes() == (scene.folder / "merged three" / name).read_bytes()


def test_queries_never_change_the_map(scene: Scene) -> None:
    assert scene.match() == 0
    assert scene.match(into="map only", pairs=("map",)) == 0
    assert scene.merge() == scene.merge("map only", "merged map") == 0
    with_queries, without = scene.content("merged"), scene.content("merged map")
    of_query = [key for key in with_queries if QUERY in key]
    assert len(of_query) == 2 + 3 * 2
    assert {key: value for key, value in with_queries.items() if key not in of_query} == {
        key: value for key, value in without.items() if QUERY not in key
    }


@pytest.mark.parametrize("points", ["raw", "merged"])
def test_points_of_queries_stay_as_they_are_unless_asked(scene: Scene, points: str) -> None:
    assert scene.match() == 0
    assert scene.merge(query_points=points) == 0
    raw = set()
    with CorrespondenceReader(scene.folder / "correspondences/1-of-1.h5") as reader:
        for name in NAMES[:3]:
            raw |= {tuple(row) for row in reader.read(QUERY, name).xy[:, :2].tolist()}
    with (
        FeatureReader(scene.folder / "merged/features.h5") as features,
        MatchReader(scene.folder / "merged/matches.h5") as matches,
    ):
        keypoints = features.keypoints(QUERY)
        used = np.concatenate([matches.read(QUERY, name).indices[:, 0] for name in NAMES[:3]])
        np.testing.assert_array_equal(np.unique(used), np.arange(len(keypoints)))
        assert len(keypoints) > 50
        assert ({tuple(row) for row in keypoints.tolist()} <= raw) == (points == "raw")


def test_pairs_with_too_few_matches_lose_them_and_stay_listed(scene: Scene) -> None:
    assert scene.match() == 0
    assert scene.merge(min_matches=10_000) == 0
    log = scene.log()
    assert log["pairs_dropped"] == 6  # those of map images
    assert log["lost"]["few"] > 0
    with MatchReader(scene.folder / "merged/matches.h5") as matches:
        assert [len(matches.read(*pair)) for pair in itertools.combinations(NAMES, 2)] == [0] * 6
        assert len(matches.read(QUERY, NAMES[0])) > 50


def test_kept_correspondences_answer_for_what_did_not_change(scene: Scene, caplog) -> None:
    assert scene.match(pairs=("map",)) == 0
    output = scene.folder / "correspondences/1-of-1.h5"
    output.unlink()  # what Snakemake does
    assert scene.match() == 0
    assert summary(caplog).startswith("9 pairs: 3 computed, 6 kept, 0 failed")
    with CorrespondenceReader(output) as reader:
        assert len(reader.kernel_backends) == 1 and reader.kernel_backends <= BACKENDS
    PIL.Image.fromarray(np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)).save(scene.folder / "images" / NAMES[0])
    assert scene.match() == 0
    assert summary(caplog).startswith("9 pairs: 4 computed, 5 kept, 0 failed")
    assert scene.match(settings={"max_keypoints": 299}) == 0
    assert summary(caplog).startswith("9 pairs: 9 computed, 0 kept, 0 failed")


def test_an_image_that_is_gone_has_no_correspondences_and_a_reason(scene: Scene, capsys, caplog) -> None:
    (scene.folder / "images" / NAMES[1]).unlink()
    assert scene.match() == 0
    assert summary(caplog).startswith("9 pairs: 5 computed, 0 kept, 4 failed")
    assert scene.merge() == 0
    with FeatureReader(scene.folder / "merged/features.h5") as features:
        assert features.num_keypoints(NAMES[1]) == 0
        assert "No such file" in features.failed[NAMES[1]]
    assert scene.match(strict=True) == 2
    assert NAMES[1] in capsys.readouterr().err


def test_images_without_structure_have_no_keypoints(scene: Scene) -> None:
    for name in [*NAMES, QUERY]:
        PIL.Image.new("RGB", SIZE, "grey").save(scene.folder / "images" / name)
    assert scene.match() == 0
    assert scene.merge() == 0
    log = scene.log()
    assert (log["correspondences"], log["matches"], log["keypoints"]) == (0, 0, 0)
    assert not {"lost_percent", "mean_shift_px", "matched_once_percent"} & set(log)


@pytest.mark.parametrize(
    ("settings", "features", "words"),
    [
        ({"method": "disk"}, False, "use extract-features"),
        ({"method": "sift_pair"}, False, "did you mean 'sift_pairs'"),
        ({"method": "sift_pairs", "settings": {"ratios": 1}}, False, "did you mean 'ratio'"),
        ({"method": "sift_pairs", "settings": {"checkpoint": "gone.pt"}}, False, "gone.pt: neither a file nor"),
        ({"method": "sift_pairs"}, True, "takes none"),
        ({"matcher": "mutual_nn"}, False, "needs --features"),
        ({"matcher": "mutual_nn", "method": "sift_pairs"}, True, 'either "matcher" or "method"'),
    ],
)
def test_what_a_user_can_get_wrong(scene: Scene, capsys, settings, features, words, checkpoint) -> None:
    if settings.get("method") == "disk":
        checkpoint("disk-depth")
    options = ["--features", "features.h5"] if features else []
    code = main(
        [
            *("match-pairs", "--settings", json.dumps(settings), "--dataset", str(scene.folder / "dataset.json")),
            *("--pairs", str(scene.folder / "map.txt"), *options, "--output", str(scene.folder / "x.h5")),
        ]
    )
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("trigpoint ")]
    assert code == 2
    assert words in error
    assert not (scene.folder / "x.h5").exists()


def test_correspondences_of_another_dataset_are_refused(scene: Scene, capsys) -> None:
    assert scene.match() == 0
    images = tuple(DatasetImage(name, "map", SIZE) for name in NAMES[:3])
    write_dataset(scene.folder / "dataset.json", Dataset("toy", "photos", str(scene.folder / "images"), images))
    assert scene.merge() == 2
    assert "is no image of the dataset" in capsys.readouterr().err
    assert not (scene.folder / "merged/features.h5").exists()
