"""InLoc from download to report and submission: a miniature of exactly its layout, in archives as they are released."""

import json
from pathlib import Path

import pytest
import yaml

from conftest import PLUGIN
from miniature_inloc import PAIR_LIST, QUERIES, write_archives, write_tree
from trigpoint.datasets.catalogue import catalogue_entry

TARGET = "results/inloc"


@pytest.fixture
def mirror(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the archives; the catalogue's entry for them expects as many files as they have."""
    folder = tmp_path_factory.mktemp("inloc")
    archives = write_archives(write_tree(folder / "tree"), folder / "archives")
    shipped = Path(__file__).parents[2] / "src/trigpoint/datasets/catalogue.yaml"
    entry = yaml.safe_load(shipped.read_text())["inloc"]
    entry["expects"] |= {"database/cutouts": 8, "query/iphone7": 2}
    (folder / "catalogue.yaml").write_text(yaml.safe_dump({"inloc": entry}))
    monkeypatch.setenv("TRIGPOINT_CATALOGUE", str(folder / "catalogue.yaml"))
    return archives


def test_the_catalogue_knows_what_the_pipeline_reads() -> None:
    entry = catalogue_entry("inloc")
    assert {archive.file for archive in entry.archives} == {
        *("cutouts.tar.gz", "iphone7.tar.gz", "DUC1_alignment.zip", "DUC2_alignment.zip")
    }
    assert [extra.path for extra in entry.files] == [PAIR_LIST]


@pytest.mark.timeout(600)
def test_queries_are_localized_in_scans_by_methods_of_either_kind(workspace, mirror: Path) -> None:
    workspace.packages = PLUGIN
    config = workspace.config
    config["mirrors"] = [str(mirror)]
    config["run_settings"]["sift_pairs"] = {"method": "sift_pairs", "correspondences": {"noise_px": 0.0}}
    config["run_settings"]["sift_strict"]["dense_localization"] = {"combine": "best", "max_error_px": 8}
    config["datasets"]["inloc"]["runs"] = ["sift_strict", "sift_pairs"]
    workspace.config = config
    truth = mirror.parent / "tree/cameras_gt.txt"
    (workspace.path / "data/inloc").mkdir(parents=True)
    (workspace.path / "data/inloc/cameras_gt.txt").write_bytes(truth.read_bytes())  # no part of what is fetched
    executed = workspace.executed(TARGET)
    assert executed == {
        **{"fetch": 1, "prepare": 1, "report_dense": 1, "publish_dense": 1, "list_pairs": 2},
        **{"extract_features": 1, "gather_features": 1, "match_pairs": 1, "gather_matches": 1, "match_images": 1},
        **{"localize_dense": 2, "evaluate_dense": 2, "write_submission": 2},
    }
    results = workspace.path / TARGET
    runs = json.loads((results / "metrics.json").read_text())["runs"]
    for run, source in (("sift_strict", "database/cutouts/"), ("sift_pairs", "all cutouts")):
        found = runs[run]["localization"]["query"]
        assert found["recall_percent"] == {"0.25m_10deg": 100, "0.5m_10deg": 100, "1m_10deg": 100}
        assert found["median_m"] < 0.01 and found["median_deg"] < 0.1
        assert all(row["from"].startswith(source) for row in runs[run]["queries"])
        submission = (results / f"submissions/InLoc_eval_[{run}].txt").read_text().splitlines()
        assert [line.split()[0] for line in submission] == [Path(name).name for name in QUERIES]
        assert all(len(line.split()) == 8 for line in submission)
        assert "IMG_0001.JPG" in (results / run / "queries.txt").read_text()
    page = (results / "report.html").read_text()
    assert "0.25 m, 10° %" in page and "Published, DUC1" in page and "IMG_0002.JPG" in page
    made_with = json.loads((results / "provenance.json").read_text())["runs"]["sift_strict"]
    assert made_with["localization"]["combine"] == "best"

    config["run_settings"]["sift_strict"]["dense_localization"]["verification"] = True
    workspace.config = config
    changed = {"localize_dense": 1, "evaluate_dense": 1, "write_submission": 1, "report_dense": 1, "publish_dense": 1}
    assert workspace.jobs(TARGET) == changed
