"""Aachen v1 and v1.1 as their server has them, made from the demo's old town: fetched, mapped, localized, submitted."""

import functools
import http.server
import itertools
import json
import threading
import zipfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import yaml

from trigpoint.datasets import aachen
from trigpoint.datasets.base import PrepareSettings, prepare_dataset
from trigpoint.datasets.catalogue import catalogue_entry
from trigpoint.geometry.metrics import absolute_pose_error
from trigpoint.geometry.pose import quaternion_from_matrix
from trigpoint.storage import colmap
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.json_files import read_json
from trigpoint.storage.pairs import read_pairs
from trigpoint.storage.poses import read_poses
from trigpoint.types import Camera, Dataset

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "src/trigpoint/datasets/demo"
LISTS = "https://raw.githubusercontent.com/tsattler/visuallocalizationbenchmark/master/local_feature_evaluation"
LISTS += "/data/aachen-day-night"
EVERY = 3  # every third map image is one that version 1.1 adds
PAIRS_OF_EACH = 8


class Town:
    """The demo as both versions of Aachen.

    Args:
        folder: where the server's files go.
        num_day, num_night: queries to take; every other one of the night is an additional one of version 1.1.
    """

    def __init__(self, folder: Path, num_day: int, num_night: int) -> None:
        self.folder = folder
        self.demo: Dataset = prepare_dataset("demo", "aachen", DEMO, PrepareSettings())
        self.cameras = {image.name: image.camera for image in self.demo.images if image.camera}
        maps = [image.name for image in self.demo.with_role("map")]
        queries = {
            split: [image.name for image in self.demo.with_role("query") if image.split == split][:count]
            for split, count in (("day", num_day), ("night", num_night))
        }
        added = maps[EVERY - 1 :: EVERY]
        self.maps_v1 = [name for name in maps if name not in added]
        self.names = {name: name for name in self.maps_v1 + queries["day"]}  # in version 1.1 -> in the demo
        for number, name in enumerate(added):
            place = "gopro3_undistorted" if number % 2 else "nexus4_sequences/sequence_1"
            self.names[f"sequences/{place}/{Path(name).stem}.png"] = name
        for number, name in enumerate(queries["night"]):
            self.names[name.replace("nexus5x", "nexus5x_additional_night") if number % 2 else name] = name
        self.day, self.night = queries["day"], [name for name in self.names if "/night/" in name]
        self.night_v1 = [name for name in self.night if not name.startswith(aachen.ADDITIONAL_NIGHT)]
        self.maps = [name for name in self.names if not name.startswith("query/")]
        self._write()

    def truth(self, name: str):
        return self.demo.poses[self.names[name]]

    def catalogue(self, address: str) -> dict:
        """The shipped entries with this server's addresses and this town's numbers of files."""
        text = files("trigpoint.datasets").joinpath("catalogue.yaml").read_text()
        text = text.replace(aachen.SERVER, f"{address}/Aachen-Day-Night").replace(LISTS, f"{address}/lists")
        entries = {name: yaml.safe_load(text)[name] for name in ("aachen", "aachen_v1_1")}
        folders = {
            "aachen": {"db": self.maps_v1, "query": self.day + self.night_v1},
            "aachen_v1_1": {
                "db": self.maps_v1,
                "query": self.day + self.night,
                "sequences": [name for name in self.maps if name.startswith("sequences/")],
            },
        }
        for dataset, counts in folders.items():
            counted = {f"images/images_upright/{folder}": len(names) for folder, names in counts.items()}
            entries[dataset]["expects"] |= counted
        for entry in entries.values():
            for extra in entry["files"]:
                extra.pop("size", None)  # of the real pair lists
        return entries

    def _write(self) -> None:
        server = self.folder / "Aachen-Day-Night"
        for part in ("images", "3D-models", "queries"):
            (server / part).mkdir(parents=True)
        (self.folder / "lists").mkdir()
        first = [*self.maps_v1, *self.day, *self.night_v1]
        with zipfile.ZipFile(server / "images/database_and_query_images.zip", "w") as archive:
            self._add_images(archive, first)
            archive.writestr("images_upright/db/of_no_list.jpg", self._jpeg(self.maps_v1[0]))
        self._write_nvm(server / "3D-models/aachen_cvpr2018_db.nvm", self.maps_v1)
        (server / "3D-models/database_intrinsics.txt").write_text(self._intrinsics(self.maps_v1))
        (server / "queries/day_time_queries_with_intrinsics.txt").write_text(self._intrinsics(self.day))
        (server / "queries/night_time_queries_with_intrinsics.txt").write_text(self._intrinsics(self.night_v1))
        with zipfile.ZipFile(server / "aachen_v1_1.zip", "w") as archive:
            self._add_images(archive, [name for name in self.names if name not in first])
            for path in self._colmap_model():
                archive.write(path, f"3D-models/aachen_v_1_1/{path.name}")
            archive.writestr("3D-models/aachen_v_1_1/database_intrinsics_v1_1.txt", self._intrinsics(self.maps))
            archive.writestr("queries/night_time_queries_with_intrinsics.txt", self._intrinsics(self.night))
        self._write_pairs("image_pairs_to_match.txt", self.maps_v1, self.night_v1)
        self._write_pairs("image_pairs_to_match_v1_1.txt", self.maps, self.night)

    def _jpeg(self, name: str) -> bytes:
        return (DEMO / "images/images_upright" / self.names[name]).read_bytes()

    def _add_images(self, archive: zipfile.ZipFile, names: list[str]) -> None:
        for name in names:
            if name.endswith(".png"):
                with archive.open(f"images_upright/{name}", "w") as stream:
                    PIL.Image.open(DEMO / "images/images_upright" / self.names[name]).save(stream, "PNG")
            else:
                archive.writestr(f"images_upright/{name}", self._jpeg(name))

    def _intrinsics(self, names: list[str]) -> str:
        def line(name: str, camera: Camera) -> str:
            params = " ".join(repr(value) for value in camera.params)
            return f"{name} {camera.model} {camera.width} {camera.height} {params}\n"

        return "".join(line(name, self.cameras[self.names[name]]) for name in names)

    def _write_nvm(self, path: Path, names: list[str]) -> None:
        rows = []
        for name in names:
            pose = self.truth(name)
            numbers = [*quaternion_from_matrix(pose.rotation), *pose.center]
            rows.append(f"./{name} 600 {' '.join(repr(float(number)) for number in numbers)} 0 0\n")
        path.write_text(f"NVM_V3 \n\n{len(rows)}\n{''.join(rows)}\n0\n")

    def _colmap_model(self) -> list[Path]:
        images = [(n, name, self.cameras[self.names[name]], self.truth(name)) for n, name in enumerate(self.maps, 1)]
        (self.folder / "model").mkdir()
        colmap.posed_model(images).write(self.folder / "model")
        return [self.folder / "model" / f"{part}.bin" for part in ("cameras", "images", "points3D")]

    def _write_pairs(self, name: str, maps: list[str], queries: list[str]) -> None:
        """Near images with each other and with the queries; one map image is in no pair, half of the lines repeat."""
        lines = []
        for first in [*maps[1:], *queries]:
            pose = self.truth(first)
            near = sorted(
                (
                    other
                    for other in maps[1:]
                    if other != first and self.truth(other).rotation[2] @ pose.rotation[2] > 0.5
                ),
                key=lambda other: np.linalg.norm(self.truth(other).center - pose.center),
            )
            lines += [f"{first} {other}\n" for other in near[:PAIRS_OF_EACH]]
            lines += [f"{other} {first}\n" for other in near[:PAIRS_OF_EACH:2]]
        (self.folder / "lists" / name).write_text("".join(lines))


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        pass


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return Town(tmp_path_factory.mktemp("town"), num_day=6, num_night=4)


@pytest.fixture
def served(town: Town, workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    """The workspace with the shipped settings of Aachen, whose server is here."""
    handler = functools.partial(QuietHandler, directory=str(town.folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        own = workspace.path / "catalogue.yaml"
        own.write_text(yaml.safe_dump(town.catalogue(f"http://127.0.0.1:{server.server_port}")))
        monkeypatch.setenv("TRIGPOINT_CATALOGUE", str(own))
        config = workspace.config
        config["run_settings"]["sift"]["features"] = {"max_keypoints": 1500}
        for name in ("aachen", "aachen_v1_1"):
            config["datasets"][name]["pairs"]["map"]["num_neighbors"] = PAIRS_OF_EACH
            config["datasets"][name]["pairs"]["query"]["num_neighbors"] = PAIRS_OF_EACH
        workspace.config = config
        yield town
        server.shutdown()
        thread.join()


def submitted(town: Town, results: Path, name: str) -> dict[str, tuple[float, float]]:
    """Errors in metres and degrees of the poses in a submission, by name of the query."""
    (path,) = (results / "submissions").iterdir()
    assert path.name == name
    full = {Path(query).name: query for query in [*town.day, *town.night]}
    found = {}
    for base, pose in read_poses(path).items():
        error = absolute_pose_error(pose, town.truth(full[base]))
        found[full[base]] = (error.position, error.rotation_deg)
    return found


def within(errors: dict[str, tuple[float, float]], names: list[str], metres: float, degrees: float) -> float:
    return np.mean([name in errors and errors[name][0] <= metres and errors[name][1] <= degrees for name in names])


def test_v1_is_fetched_and_localized_by_retrieval(served: Town, workspace) -> None:
    workspace.run("results/aachen")
    results = workspace.path / "results/aachen"
    errors = submitted(served, results, "Aachen_eval_[sift].txt")
    assert set(errors) <= {*served.day, *served.night_v1}
    assert within(errors, served.day, 0.25, 2) == 1
    assert within(errors, served.day + served.night_v1, 0.5, 5) >= 0.75
    metrics = read_json(results / "metrics.json", "metrics")["runs"]["sift"]["localization"]
    assert metrics["day"] == {"queries": 6, "localized": 6}  # their poses are not known to the run
    root = workspace.path / "data/aachen"
    assert not (root / "cameras_gt.txt").exists()
    record = json.loads((workspace.path / "work/aachen/fetched.json").read_text())
    assert all(file["source"].startswith("http://127.0.0.1:") for file in record["files"])
    assert len(record["files"]) == 1 + len(catalogue_entry("aachen").files)
    assert not workspace.jobs("results/aachen")


def test_v1_1_registers_queries_and_measures_held_out_images(served: Town, workspace) -> None:
    config = workspace.config
    config["datasets"]["aachen_v1_1"]["prepare"]["holdout"] = 4
    workspace.config = config
    example = yaml.safe_load((ROOT / "examples/aachen_challenge.yaml").read_text())
    example["datasets"]["aachen_v1_1"]["pairs"]["query"]["num_neighbors"] = PAIRS_OF_EACH
    (workspace.path / "challenge.yaml").write_text(yaml.safe_dump(example))
    workspace.run("results/aachen_v1_1", "--configfile", "challenge.yaml")
    results, work = workspace.path / "results/aachen_v1_1", workspace.path / "work/aachen_v1_1/sift"
    errors = submitted(served, results, "Aachen_v1_1_eval_[sift].txt")
    assert within(errors, served.day, 0.25, 2) >= 5 / 6
    assert any(name.startswith(aachen.ADDITIONAL_NIGHT) for name in served.night)
    metrics = read_json(results / "metrics.json", "metrics")["runs"]["sift"]["localization"]
    assert {split: values["queries"] for split, values in metrics.items()} == {"day": 6, "holdout": 4, "night": 4}
    assert metrics["holdout"]["recall_percent"]["0.25m_2deg"] >= 50  # one of the four looks at little that others see
    assert "recall_percent" not in metrics["night"]
    pairs = read_pairs(work / "pairs/query.txt")
    assert {query for query, _ in pairs} >= {*served.day, *served.night}
    assert "6 queries in no pair of the list have similar images instead" in (work / "pairs/query.txt").read_text()
    listed = read_pairs(workspace.path / "data/aachen_v1_1/image_pairs_to_match_v1_1.txt")
    assert len({frozenset(pair) for pair in listed}) < len(listed)
    of_map = read_pairs(work / "pairs/map.txt")
    assert len({frozenset(pair) for pair in of_map}) == len(of_map)
    assert served.maps[0] not in set(itertools.chain.from_iterable([*of_map, *pairs]))
    with FeatureReader(work / "features.h5") as features:
        assert served.maps[0] not in features  # it is in no pair, so nothing is computed of it
        assert set(served.day) <= set(features.names())
