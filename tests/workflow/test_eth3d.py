"""ETH3D's dense flow from download to report: a made-up tree in the official archives, on a mirror of this machine."""

import functools
import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from miniature_eth3d import write_archives, write_tree


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("eth3d")
    archives = write_archives(write_tree(folder / "tree"), folder / "archives")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(archives))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.mark.timeout(600)
def test_dense_flow_is_fetched_matched_and_evaluated(workspace, mirror: str) -> None:
    config = workspace.config
    config["mirrors"] = [mirror]
    config["datasets"]["eth3d"] = {
        "layout": "eth3d",
        "runs": ["sift", "sift_strict"],
        "prepare": {"sequences": ["lakeside", "delivery_area", "forest"], "rates": [3, 15]},
    }
    workspace.config = config
    executed = workspace.executed("results/eth3d")
    assert executed == {
        **{"fetch": 1, "prepare": 1, "read_flow": 1, "report_flow": 1, "publish_flow": 1},
        **{"match_flow": 2, "evaluate_flow": 2},
    }
    results = workspace.path / "results/eth3d"
    assert {path.name for path in results.glob("[!.]*")} == {
        *("report.html", "metrics.json", "timings.json", "provenance.json", "summary.csv")
    }
    flow = json.loads((results / "metrics.json").read_text())["runs"]["sift_strict"]["flow"]
    assert (flow["pairs"], flow["failed_pairs"]) == (6, 0)
    assert flow["mean"]["aepe_px"] < 0.3
    made_with = json.loads((results / "provenance.json").read_text())["runs"]["sift_strict"]["flow"]
    assert made_with["matcher_settings"]["ratio"] == 0.7
    assert "match_flow" in json.loads((results / "timings.json").read_text())["runs"]["sift"]

    assert workspace.jobs("results/eth3d").total() == 0
    config["run_settings"]["sift_strict"]["matching"]["ratio"] = 0.75
    workspace.config = config
    changed = {"match_flow": 1, "evaluate_flow": 1, "report_flow": 1, "publish_flow": 1}
    assert workspace.jobs("results/eth3d") == changed
    cut = ("--resources", "max_shards=3", "image_pairs_per_shard=2", "--forcerun", "match_flow")
    sharded = workspace.jobs("results/eth3d", *cut)
    assert sharded["match_flow"] == 6
