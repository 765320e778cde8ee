"""Runs of both kinds on a small tree, from matches to the report, by the commands themselves."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from miniature_hpatches import write_cache, write_tree
from trigpoint.cli import main
from trigpoint.errors import DataError, SettingsError
from trigpoint.evaluation.hpatches_cache import read_cached
from trigpoint.evaluation.hpatches_immatch import above, in_frame
from trigpoint.evaluation.hpatches_pairs import PlanarPair
from trigpoint.evaluation.hpatches_settings import HpatchesSettings
from trigpoint.evaluation.pair_benchmarks import PAIR_BENCHMARKS, load
from trigpoint.evaluation.run_matches import PairMatches, open_run
from trigpoint.geometry.homography import corner_error_px, image_corners, transfer_errors_px
from trigpoint.report.pair_benchmark import REPORTERS
from trigpoint.storage.correspondences import CorrespondenceWriter
from trigpoint.storage.dataset import read_dataset
from trigpoint.types import Correspondences


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dataset.json of two sequences, one of whose images is damaged, pairs, and SIFT's features and matches."""
    folder = tmp_path_factory.mktemp("hpatches_run") / "work"
    root = write_tree(folder.parent / "tree")
    (root / "i_wall/4.ppm").write_bytes(b"P6 no image")
    dataset, run = folder / "dataset.json", folder / "sift"
    given, pairs = ["--dataset", str(dataset)], ["--pairs", str(run / "pairs/map.txt")]
    features, matches = ["--features", str(run / "features.h5")], ["--matches", str(run / "matches.h5")]
    method, matcher = {"method": "sift", "settings": {"max_keypoints": 300}}, {"matcher": "mutual_nn"}
    for words in (
        ["prepare", "--dataset", "tiny", "--layout", "hpatches", "--root", str(root), "--output", str(dataset)],
        ["list-pairs", "--settings", '{"kind": "file"}', "--role", "map", *given, "--output", pairs[1]],
        ["extract-features", "--settings", json.dumps(method), *given, "--output", str(run / "features/1-of-1.h5")],
        ["gather", "--kind", "features", "--shards", str(run / "features/1-of-1.h5"), "--output", features[1]],
        ["match-pairs", "--settings", json.dumps(matcher), *given, *features, *pairs, "--output", str(run / "m.h5")],
        ["gather", "--kind", "matches", "--shards", str(run / "m.h5"), "--output", matches[1]],
    ):
        assert main(words) == 0, words
    return folder


def evaluate(work: Path, run: str, settings: dict, found: list[str]) -> tuple[dict, list[dict[str, str]]]:
    folder = work / run
    folder.mkdir(exist_ok=True)
    words = ["--settings", json.dumps(settings), "--dataset", str(work / "dataset.json"), "--run", run]
    words += ["--pairs", str(work / "sift/pairs/map.txt"), *found]
    output = ["--output", str(folder / "metrics.json"), "--rows", str(folder / "pairs.csv")]
    assert main(["evaluate-pairs", *words, *output]) == 0
    rows = list(csv.DictReader((folder / "pairs.csv").read_text().splitlines()))
    return json.loads((folder / "metrics.json").read_text())["hpatches"], rows


@pytest.fixture(scope="module")
def sift(work: Path) -> tuple[dict, list[dict[str, str]]]:
    files = ["--features", str(work / "sift/features.h5"), "--matches", str(work / "sift/matches.h5")]
    return evaluate(work, "sift", {"seed": 0, "code_version": 1, "top_k": 200}, files)


@pytest.fixture(scope="module")
def exact(work: Path) -> tuple[dict, list[dict[str, str]]]:
    """A pair method whose correspondences are true but for every fourth, which has a low score; none in one pair."""
    dataset = read_dataset(work / "dataset.json")
    shard = work / "exact.h5"
    rng = np.random.default_rng(0)
    with CorrespondenceWriter(shard, {"method": "made up"}) as writer:
        for number, pair in enumerate(pair for pair in dataset.pairs if pair[1] != "i_wall/4.ppm"):
            xy0 = rng.uniform(10, 150, (40 if number else 0, 2))
            xy1 = np.column_stack([xy0, np.ones(len(xy0))]) @ dataset.homographies[pair].T
            xy1 = xy1[:, :2] / xy1[:, 2:]
            wrong = np.arange(len(xy0)) % 4 == 0
            xy1[wrong] += 50
            writer.write(*pair, Correspondences(np.hstack([xy0, xy1]), np.where(wrong, 0.2, 0.8)))
    return evaluate(work, "exact", {"score_thresholds": [0, 0.5], "top_k": 5}, ["--shards", str(shard)])


def test_sift_is_measured_by_all_protocols(sift: tuple[dict, list[dict[str, str]]]) -> None:
    metrics, rows = sift
    assert (metrics["pairs"], metrics["sequences_evaluated"], metrics["unusable_pairs"]) == (6, 2, 1)
    assert metrics["d2net"]["features"]["max"] == 200
    assert metrics["d2net"]["matching"] == "mutual nearest neighbours"
    for protocol in (metrics["d2net"], metrics["immatch"]["scores"]["0"]["matching"], metrics["ime"]["mma"]):
        assert protocol["viewpoint"]["accuracy"]["3"] > 0.4
    assert metrics["immatch"]["scores"]["0"]["homography"]["viewpoint"]["accuracy"]["3"] == 1
    assert metrics["ime"]["homography"]["viewpoint"]["accuracy"]["3"] == 1
    assert len(rows) == 6 and rows[0]["sequence"] == "i_wall"


def test_a_pair_with_an_unusable_image_counts_as_nothing(sift: tuple[dict, list[dict[str, str]]]) -> None:
    metrics, rows = sift
    assert [row["matches"] for row in rows if row["name1"] == "i_wall/4.ppm"] == ["0"]
    shares = [float(row["d2net_mma_3px"]) for row in rows if row["sequence"] == "i_wall"]
    assert shares[2] == 0 and metrics["d2net"]["illumination"]["accuracy"]["3"] == pytest.approx(sum(shares) / 3)
    assert metrics["immatch"]["scores"]["0"]["homography"]["illumination"]["failed"] == 1
    assert metrics["ime"]["homography"]["illumination"]["accuracy"]["10"] == pytest.approx(2 / 3)


def test_raw_correspondences_give_the_shares_they_were_made_with(exact: tuple[dict, list[dict[str, str]]]) -> None:
    metrics, _ = exact
    assert metrics["d2net"]["matching"] == "the run's" and "features" not in metrics["d2net"]
    for accuracy in (
        metrics["d2net"]["sequences"]["v_floor"],
        metrics["immatch"]["scores"]["0"]["matching"]["viewpoint"],
    ):
        assert accuracy["accuracy"]["1"] == pytest.approx(0.75)
    assert metrics["immatch"]["scores"]["0.5"]["matching"]["viewpoint"]["accuracy"]["1"] == 1
    assert metrics["immatch"]["scores"]["0"]["features"]["mean"] == pytest.approx(40 * 4 / 6)
    assert metrics["immatch"]["scores"]["0"]["homography"]["viewpoint"]["accuracy"]["1"] == 1
    assert metrics["d2net"]["illumination"]["accuracy"]["1"] == pytest.approx(0.25)  # one of three pairs has any


def test_the_report_has_tables_curves_texts_and_cached_rows(
    work: Path, sift: tuple[dict, list], exact: tuple[dict, list], tmp_path: Path
) -> None:
    del sift, exact  # they wrote the runs
    cache = write_cache(
        tmp_path / "other.m0.5.npy", np.full((2, 15), 0.5), [7] * 8, {"i": [3], "v": [5, 5]}, protocol=2
    )
    words = ["--dataset", str(work / "dataset.json"), "--work", str(work), "--benchmarks", str(tmp_path / "none")]
    words += ["--runs", "sift", "exact", "--cached", str(cache), "--settings", '{"seed": 1}']
    assert main(["report-pairs", *words, "--output", str(tmp_path / "report")]) == 0
    page = (tmp_path / "report/report.html").read_text()
    metrics = json.loads((tmp_path / "report/metrics.json").read_text())
    assert metrics["cached"]["other.m0.5"]["overall"]["accuracy"]["3"] == 0.5
    for words_of_page in (
        "other.m0.5",
        "(cached",
        "DISK 2k",
        "0.7534",
        "LAVA/PoSFeat",
        "MMA@3 of each sequence",
    ):
        assert words_of_page in page
    accuracy = metrics["runs"]["sift"]["hpatches"]["d2net"]["overall"]["accuracy"]["3"]
    assert f'data-path="runs/sift/hpatches/d2net/overall/accuracy/3">{accuracy:.4f}<' in page
    assert page.count("<svg") == 6
    names = {path.relative_to(tmp_path / "report").as_posix() for path in (tmp_path / "report").rglob("*.*")}
    assert {"hseq.txt", "mma.txt", "overall_results_mma.csv", "sequences.csv", "exact/pairs.csv"} <= names
    assert "sift & 175.0 & " in (tmp_path / "report/hseq.txt").read_text()
    assert "hpatches.d2net.overall.accuracy.3" in (tmp_path / "report/summary.csv").read_text().splitlines()[0]
    provenance = json.loads((tmp_path / "report/provenance.json").read_text())
    assert provenance["runs"]["exact"]["correspondences"]["method"] == "made up"
    sequences = list(csv.DictReader((tmp_path / "report/sequences.csv").read_text().splitlines()))
    assert [(row["run"], row["sequence"]) for row in sequences][:2] == [("sift", "i_wall"), ("sift", "v_floor")]


def test_one_protocol_alone_makes_a_report_too(work: Path, tmp_path: Path, capsys) -> None:
    shard = work / "none.h5"
    with CorrespondenceWriter(shard, {"method": "made up"}) as writer:
        for pair in read_dataset(work / "dataset.json").pairs:
            if pair[1] != "i_wall/4.ppm":
                writer.write(*pair, Correspondences(np.zeros((0, 4), np.float32), np.zeros(0, np.float32)))
    metrics, rows = evaluate(work, "none", {"protocols": ["ime"], "legacy": True}, ["--shards", str(shard)])
    assert set(metrics) == {"sequences_evaluated", "pairs", "unusable_pairs", "ime"}
    assert metrics["ime"]["homography"]["overall"]["accuracy"]["10"] == 0
    assert metrics["ime"]["mma"]["overall"]["pairs"] == len(rows) - 1
    words = ["--dataset", str(work / "dataset.json"), "--work", str(work), "--benchmarks", str(tmp_path / "none")]
    assert main(["report-pairs", *words, "--runs", "none", "--output", str(tmp_path / "report")]) == 0
    page = (tmp_path / "report/report.html").read_text()
    assert "x and y of the corners are exchanged" in page and "D2-Net, by kind" not in page
    assert not (tmp_path / "report/sequences.csv").exists()
    assert (tmp_path / "report/overall_results_mma.csv").read_text().splitlines()[2].startswith("none,0.00,")
    assert main(["summary", str(tmp_path / "report")]) == 2
    assert "none made no map" in capsys.readouterr().err


def test_a_file_of_another_form_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "numbers.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"numbers\.npy: no result"):
        read_cached(tmp_path / "numbers.npy")
    path = write_cache(tmp_path / "short.npy", np.full((2, 9), 0.5), [7], {"i": [3], "v": [5]})
    with pytest.raises(DataError, match="thresholds"):
        read_cached(path)


def planar(xy: np.ndarray, H: np.ndarray, sizes: tuple) -> PlanarPair:
    scores = np.arange(len(xy)) / 10
    return PlanarPair(
        sequence="v_a", names=("a", "b"), H=H, sizes=sizes, matches=PairMatches(xy, scores), num_features=None
    )


def test_errors_shrink_with_the_frame() -> None:
    H = np.array([[1.1, 0.1, 5], [-0.05, 0.9, 3], [1e-4, 0, 1]])
    rng = np.random.default_rng(1)
    pair = planar(rng.uniform(0, 300, (20, 4)), H, ((800, 600), (400, 300)))
    framed = in_frame(pair, HpatchesSettings(imsize=400))
    assert framed.sizes == ((400, 300), (400, 300))
    full, half = (transfer_errors_px(item.matches.xy[:, :2], item.matches.xy[:, 2:], item.H) for item in (pair, framed))
    np.testing.assert_allclose(half, full, rtol=1e-9)  # the second image keeps its size
    smaller = in_frame(pair, HpatchesSettings(imsize=200))
    reduced = transfer_errors_px(smaller.matches.xy[:, :2], smaller.matches.xy[:, 2:], smaller.H)
    np.testing.assert_allclose(reduced, full / 2, rtol=1e-9)
    assert in_frame(pair, HpatchesSettings(imsize=600, imsize_side="shorter")).sizes == pair.sizes
    assert [len(above(pair, threshold).matches) for threshold in (0, 0.5)] == [20, 15]


def test_corners_are_those_of_pixel_centres() -> None:
    corners = image_corners((100, 50))
    assert corners.tolist() == [[0, 0], [0, 49], [99, 0], [99, 49]]
    shift = np.array([[1, 0, 3], [0, 1, 4], [0, 0, 1]], dtype=float)
    assert corner_error_px(shift, np.eye(3), corners) == 5
    assert corner_error_px(None, np.eye(3), corners) == np.inf


@pytest.mark.parametrize(
    "wrong",
    [
        {"protocols": ["d2"]},
        {"protocols": []},
        {"score_thresholds": []},
        {"score_thresholds": [-1]},
        {"solver": "degensac"},
        {"top_k": 0},
        {"ransac_threshold_px": 0},
        {"ransac_confidence": 1.0},
        {"legacy": "yes"},
    ],
)
def test_impossible_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        HpatchesSettings(**wrong)


def test_files_of_both_kinds_are_not_mixed(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--shards"):
        open_run(tmp_path, None, [])
    with pytest.raises(SettingsError, match="--shards"):
        open_run(tmp_path, tmp_path, [tmp_path])


def test_every_benchmark_can_be_loaded_and_reported() -> None:
    assert set(PAIR_BENCHMARKS) == set(REPORTERS)
    for benchmark in PAIR_BENCHMARKS.values():
        assert callable(load(benchmark.evaluator)) and load(benchmark.settings)()
    assert all(callable(load(target)) for target in REPORTERS.values())
