"""End-point errors of dense flow: numbers reckoned by hand, failures counted, and the chain on made-up data."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from miniature_eth3d import write_tree
from trigpoint.cli import main
from trigpoint.errors import EmptyResultError, SettingsError, ShapeError, StorageError
from trigpoint.evaluation.eth3d import evaluate_flow, pair_errors
from trigpoint.methods.flow_matching import places_at
from trigpoint.storage.flow import FlowPair, FlowTruth, FlowWriter, write_flow_truth


def test_the_flow_is_taken_at_the_rounded_point_and_compared_with_the_true_one() -> None:
    """Spec: F at the rounded target point, less (Xs - Xt, Ys - Yt) of the points as they are."""
    places = np.array([[13.0, 20.0], [17.0, 24.0]])  # for pixels (10, 20) and (12, 20)
    target = np.array([[10.4, 19.6], [12.5, 20.5]])  # halves go to even: 12 and 20
    source = target + np.array([[3.0, 0.0], [5.0, 0.0]])
    found = pair_errors(places, source, target)
    assert found.aepe_px == pytest.approx((0 + 4) / 2)
    assert found.pck_percent == {"1": 50.0, "3": 50.0, "5": 100.0}
    assert found.fl_percent == 50.0
    assert (found.answered, found.points) == (2, 2)


def test_an_outlier_exceeds_3_px_and_5_percent() -> None:
    target = np.zeros((3, 2))
    source = np.array([[100.0, 0.0], [100.0, 0.0], [10.0, 0.0]])
    places = source + np.array([[4.9, 0.0], [5.1, 0.0], [2.9, 0.0]])
    assert pair_errors(places, source, target).fl_percent == pytest.approx(100 / 3)


def test_a_point_without_a_flow_counts_with_zero_flow_and_as_wrong() -> None:
    target = np.array([[5.0, 5.0], [9.0, 9.0]])
    source = target + np.array([0.0, 0.5])  # so small a flow that zero is within a pixel
    found = pair_errors(np.array([[5.0, 5.5], [np.nan, np.nan]]), source, target)
    assert found.aepe_px == pytest.approx(0.25)
    assert found.pck_percent["1"] == 50.0
    assert found.fl_percent == 50.0
    assert (found.answered, found.points) == (1, 2)


@pytest.mark.parametrize(("places", "points"), [((2, 2), 3), ((3, 3), 3), ((0, 2), 0)])
def test_other_shapes_are_refused(places: tuple[int, int], points: int) -> None:
    with pytest.raises(ShapeError):
        pair_errors(np.zeros(places), np.zeros((points, 2)), np.zeros((points, 2)))


def truth_of(path: Path, *pairs: tuple[str, int, int]) -> Path:
    """Pairs (sequence, rate, points) whose true flow is zero."""
    write_flow_truth(
        path,
        [
            FlowPair(f"{i}s", f"{i}t", sequence, rate, np.ones((points, 2)), np.ones((points, 2)))
            for i, (sequence, rate, points) in enumerate(pairs)
        ],
        {},
    )
    return path


def predict(path: Path, truth_path: Path, errors: dict[int, float]) -> Path:
    """Places that are so many px off, for some of the pairs."""
    with FlowTruth(truth_path) as truth, FlowWriter(path, {"method": "made up"}, truth.digest) as writer:
        for number, error in errors.items():
            count = len(truth.read(number).source_xy)
            writer.write(number, np.ones((count, 2)) + np.array([error, 0]), 9)
    return path


def test_means_are_over_points_then_pairs_then_sequences(tmp_path: Path) -> None:
    truth = truth_of(tmp_path / "t.h5", ("a", 3, 10), ("a", 3, 1), ("b", 3, 5), ("a", 5, 2))
    shards = [
        predict(tmp_path / "1.h5", truth, {0: 1.0, 2: 6.0}),
        predict(tmp_path / "2.h5", truth, {1: 3.0, 3: np.nan}),
    ]
    found = evaluate_flow(truth, shards)
    assert found["aepe_px"] == {"a": {"3": 2.0, "5": 0.0}, "b": {"3": 6.0}}  # zero flow is right for pair 3
    assert found["rates"]["3"]["aepe_px"] == pytest.approx(4.0)
    assert found["rates"]["3"]["pck_percent"] == {"1": 25.0, "3": 50.0, "5": 50.0}
    assert found["rates"]["5"] == {
        "aepe_px": 0.0,
        "pck_percent": {"1": 0.0, "3": 0.0, "5": 0.0},
        "fl_percent": 100.0,
        **{"pairs": 1, "failed_pairs": 1, "points": 2, "points_without_flow": 2},
    }
    assert found["mean"]["aepe_px"] == pytest.approx(2.0)
    assert found["sequences"]["a"]["aepe_px"] == pytest.approx(1.0)
    assert (found["pairs"], found["failed_pairs"], found["points"]) == (4, 1, 18)
    assert found["made_with"] == {"method": "made up"}


def test_all_shards_of_this_truth_are_needed_once(tmp_path: Path) -> None:
    truth, other = truth_of(tmp_path / "t.h5", ("a", 3, 2), ("a", 3, 2)), truth_of(tmp_path / "o.h5", ("b", 3, 2))
    one, all_of_it = predict(tmp_path / "1.h5", truth, {0: 0}), predict(tmp_path / "2.h5", truth, {0: 0, 1: 0})
    for shards, message in (
        ([one], "1 of 2 pairs are in no shard"),
        ([one, all_of_it], "pair 0 is in another shard"),
        ([predict(tmp_path / "3.h5", other, {0: 0})], "another ground truth"),
        ([tmp_path / "none.h5"], "trigpoint match-flow"),
    ):
        with pytest.raises(StorageError, match=message):
            evaluate_flow(truth, shards)
    with pytest.raises(EmptyResultError):
        evaluate_flow(truth_of(tmp_path / "e.h5"), [])


def test_places_are_looked_up_in_dense_rows_of_the_target() -> None:
    x, y = np.meshgrid(np.arange(6.0), np.arange(4.0))
    dense = np.column_stack([x.ravel() + 2.5, y.ravel() - 1, x.ravel(), y.ravel()])
    found = places_at(dense, np.array([[1.4, 2.5], [4.5, 0.0], [6.0, 1.0], [-0.6, 1.0]]), (9, 9), (6, 4))
    np.testing.assert_array_equal(found, [[3.5, 1.0], [6.5, -1.0], [np.nan] * 2, [np.nan] * 2])
    with pytest.raises(SettingsError, match="dense_side"):
        places_at(dense[:, [2, 3, 0, 1]], np.zeros((1, 2)), (6, 4), (9, 9))


def test_sparse_rows_are_densified_over_the_target() -> None:
    corners = np.array([[0, 0], [8, 0], [0, 6], [8, 6]], dtype=np.float32)
    rows = np.column_stack([corners / 2 + 1, corners, np.ones((4, 2))])
    np.testing.assert_allclose(places_at(rows, np.array([[4.2, 3.4]]), (9, 9), (9, 7)), [[3.0, 2.5]])
    assert np.isnan(places_at(rows[:3], np.array([[4.0, 3.0]]), (9, 9), (9, 7))).all()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dataset.json and the truth of four sequences at two rates."""
    folder = tmp_path_factory.mktemp("flow")
    tree = write_tree(folder / "eth3d")
    settings = '{"sequences": ["lakeside", "tunnel", "delivery_area", "forest"], "rates": [3, 9]}'
    dataset = str(folder / "dataset.json")
    words = ["--settings", settings, "--output", dataset]
    assert main(["prepare", "--dataset", "eth3d", "--layout", "eth3d", "--root", str(tree), *words]) == 0
    words = ["--settings", settings, "--output", str(folder / "truth.h5")]
    assert main(["read-flow", "--dataset", dataset, *words]) == 0
    return folder


def match(folder: Path, output: Path, *options: str, settings: dict | None = None) -> int:
    values = settings or {"method": "sift", "matcher": "mutual_nn", "matcher_settings": {"ratio": 0.8}}
    words = ["--settings", json.dumps({"seed": 0, **values}), "--dataset", str(folder / "dataset.json")]
    return main(["match-flow", *words, "--truth", str(folder / "truth.h5"), "--output", str(output), *options])


def test_a_method_is_matched_in_shards_and_evaluated(prepared: Path, tmp_path: Path) -> None:
    shards = [tmp_path / f"{number}-of-3.h5" for number in (1, 2, 3)]
    for path in shards:
        assert match(prepared, path, "--shard", path.stem, "--device", "cpu", "--num-threads", "1") == 0
    assert match(prepared, tmp_path / "whole.h5") == 0
    metrics = []
    for paths in (shards, [tmp_path / "whole.h5"]):
        output = tmp_path / "metrics.json"
        words = ["--truth", str(prepared / "truth.h5"), "--run", "sift", "--shards", *map(str, paths)]
        assert main(["evaluate-flow", *words, "--output", str(output)]) == 0
        metrics.append(json.loads(output.read_text())["flow"])
    assert metrics[0] == metrics[1]
    assert metrics[0]["pairs"] == 8
    assert metrics[0]["failed_pairs"] == 0
    assert metrics[0]["mean"]["aepe_px"] < 0.1  # the true flow is constant, and SIFT finds it
    assert metrics[0]["mean"]["pck_percent"]["1"] > 98
    assert metrics[0]["made_with"]["method"] == "sift"


def test_nothing_found_in_any_pair_is_an_error(prepared: Path, tmp_path: Path, capsys) -> None:
    settings = {"method": "sift", "settings": {"peak_threshold": 10.0}}
    assert match(prepared, tmp_path / "x.h5", settings=settings) == 2
    assert "none of the 8 pairs" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "x.h5").exists()


def test_the_report_shows_every_number_of_the_metrics(prepared: Path, tmp_path: Path) -> None:
    for run in ("sift", "other"):
        assert match(prepared, tmp_path / "work" / run / "flow.h5") == 0
        words = [
            "--truth",
            str(prepared / "truth.h5"),
            "--run",
            run,
            "--shards",
            str(tmp_path / "work" / run / "flow.h5"),
        ]
        assert main(["evaluate-flow", *words, "--output", str(tmp_path / "work" / run / "metrics.json")]) == 0
    words = ["--dataset", str(prepared / "dataset.json"), "--work", str(tmp_path / "work"), "--runs", "sift", "other"]
    words += ["--benchmarks", str(tmp_path / "none"), "--settings", '{"seed": 3}', "--left-out", "pump"]
    assert main(["report-flow", *words, "--output", str(tmp_path / "report")]) == 0
    page = (tmp_path / "report/report.html").read_text()
    metrics = json.loads((tmp_path / "report/metrics.json").read_text())
    assert "made_with" not in metrics["runs"]["sift"]["flow"]  # it names files of this machine
    assert f"{metrics['runs']['sift']['flow']['mean']['aepe_px']:.2f}" in page
    assert 'data-path="runs/sift/flow/rates/9/aepe_px"' in page
    assert 'data-path="runs/other/flow/sequences/forest/aepe_px"' in page
    assert "left out of this report: pump" in page
    assert page.count("<svg") == 2
    assert "http" not in page.replace("https://www.eth3d.net/", "").replace("http://www.w3.org/2000/svg", "")
    provenance = json.loads((tmp_path / "report/provenance.json").read_text())
    assert provenance["seed"] == 3
    assert provenance["runs"]["sift"]["flow"]["method"] == "sift"
    assert "flow.mean.aepe_px" in (tmp_path / "report/summary.csv").read_text().splitlines()[0]


@pytest.mark.shared
def test_pump_is_densified_over_the_target_and_looked_up(prepared: Path, filled_pump: Path, tmp_path: Path) -> None:
    """Quality is not judged with these weights, but every point has a place, and nearly the right one."""
    options = {"resize": 128, "desc": str(filled_pump), "max_scale": 1.5}
    options["post_filter"] = {"densify": "full", "dense_side": "right", "min_cc_size": 5}
    assert (
        match(prepared, tmp_path / "1.h5", "--shard", "2-of-4", settings={"method": "pump", "settings": options}) == 0
    )
    with FlowTruth(prepared / "truth.h5") as truth, h5py.File(tmp_path / "1.h5") as file:
        assert file.attrs["kernel_backend"]
        for row, number in enumerate(file["pairs"][:]):
            pair = truth.read(int(number))
            places = file["xy"][file["offsets"][row] : file["offsets"][row + 1]]
            errors = pair_errors(places, pair.source_xy, pair.target_xy)
            assert errors.answered == errors.points == 40
            assert errors.aepe_px < 6
