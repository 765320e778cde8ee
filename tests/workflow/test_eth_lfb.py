"""Fountain and Herzjesu: downloaded by the product's own rule from a mirror on this machine, mapped, evaluated."""

import csv
import functools
import http.server
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark_statistics import statistics
from trigpoint.datasets.eth_lfb import published_rows
from trigpoint.datasets.scene_size import SceneSize
from trigpoint.planning import memory_mb, plan_run

SIZES = ("registered", "points3D", "observations", "inlier_pairs", "inlier_matches")
SCENES = {"Fountain": ("eth_lfb_fountain", 11), "Herzjesu": ("eth_lfb_herzjesu", 8)}


@pytest.fixture(scope="module")
def mirror(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An HTTP server with the archives and the ground truth, as the real addresses would give them."""
    folder = tmp_path_factory.mktemp("mirror")
    for scene in SCENES:
        with zipfile.ZipFile(folder / f"Strecha-{scene}.zip", "w") as archive:
            for image in sorted((shared / f"data/eth_lfb/{scene}/images").iterdir()):
                archive.write(image, f"{scene}/images/{image.name}")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def peak_memory(folder: Path) -> dict[str, float]:
    """Rule -> the largest memory of its jobs, as Snakemake measured it."""
    found: dict[str, float] = {}
    for path in folder.rglob("*.tsv"):
        (row,) = csv.DictReader(path.read_text().splitlines(), delimiter="\t")
        rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
        found[rule] = max(found.get(rule, 0.0), float(row["max_rss"]))
    assert {"extract_features", "match_pairs", "map"} <= found.keys()
    return found


@pytest.mark.shared
@pytest.mark.timeout(900)
def test_the_collection_is_fetched_mapped_and_evaluated(workspace, mirror: str, shared: Path) -> None:
    workspace.use_shipped_configuration()
    config = workspace.config
    config["mirrors"] = [mirror]
    config["runs"] = ["sift"]
    config["collections"]["eth_lfb"] = [dataset for dataset, _ in SCENES.values()]
    workspace.config = config
    for scene, (dataset, _) in SCENES.items():  # ground truth a user has beside the photographs
        truth = workspace.path / f"data/{dataset}/cameras_gt.txt"
        truth.parent.mkdir(parents=True)
        truth.write_bytes((shared / f"data/eth_lfb/{scene}/cameras_gt.txt").read_bytes())
    workspace.run("results/eth_lfb")
    page = workspace.path / "results/eth_lfb"
    assert (page / "report.html").is_file()
    metrics = json.loads((page / "metrics.json").read_text())["datasets"]
    for dataset, images in SCENES.values():
        mapping = metrics[dataset]["runs"]["sift"]["mapping"]
        assert mapping["registered"] == mapping["images"] == images
        assert mapping["auc_percent"]["5"] > 90  # measured 93 and 94: the principal point is not the image centre
        work = workspace.path / f"work/{dataset}/sift"
        expected = statistics(work / "model", work / "database.db")
        assert {name: mapping[name] for name in SIZES} == {name: expected[name] for name in SIZES}
        assert mapping["mean_reprojection_error_px"] == pytest.approx(expected["reprojected_px"], rel=1e-6)
        published = metrics[dataset]["published"][0]
        assert published == published_rows(dataset.removeprefix("eth_lfb_"))[0]
        for name in ("points3D", "observations", "inlier_matches"):
            assert mapping[name] == pytest.approx(published[name], rel=0.08)
        error = mapping["mean_reprojection_error_px"] - published["mean_reprojection_error_px"]
        assert abs(error) <= 0.03
        assert mapping["inlier_pairs"] == published["inlier_pairs"]
        load = plan_run(config, dataset, "sift", SceneSize(map_images=images, source="prepared"), {})
        for rule, megabytes in peak_memory(workspace.path / f"benchmarks/{dataset}/sift").items():
            assert megabytes <= memory_mb(rule, load, threads=2), f"{dataset}: {rule}"
    assert workspace.jobs("results/eth_lfb").total() == 0
    assert workspace.jobs("results/eth_lfb_fountain") == {"publish": 1}
