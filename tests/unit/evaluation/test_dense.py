"""Recall of poses in scans at InLoc's thresholds, and what the report makes of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trigpoint.datasets.inloc import PUBLISHED, published_row
from trigpoint.errors import EmptyResultError
from trigpoint.evaluation.dense import evaluate_dense
from trigpoint.report.dense import dense_report, query_table, write_dense_report
from trigpoint.storage.json_files import write_json
from trigpoint.storage.poses import write_poses
from trigpoint.types import Dataset, DatasetImage, Pose

NAMES = [f"query/{number}.jpg" for number in range(4)]


@dataclass(frozen=True)
class Source:
    made_with: dict[str, Any] = field(default_factory=lambda: {"features": {"method": "sift"}})
    kernel_backends: tuple[str, ...] = ()


def dataset(num_known: int) -> Dataset:
    images = tuple(DatasetImage(name, "query", (64, 48), split="query") for name in NAMES)
    poses = {name: Pose(np.eye(3), np.zeros(3)) for name in NAMES[:num_known]}
    published = tuple(published_row(*row) for row in PUBLISHED)
    return Dataset("inloc", "inloc", ".", images, poses=poses, pose_unit="metre", published=published)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Three queries with a pose, 0.3 m, 0.7 m and 2 m off, and one without."""
    poses, log = tmp_path / "poses.txt", tmp_path / "localization.json"
    offsets = dict(zip(NAMES, (0.3, 0.7, 2.0), strict=False))
    write_poses(poses, {name: Pose(np.eye(3), np.array([x, 0, 0])) for name, x in offsets.items()})
    rows = [
        {"name": name, "status": "localized", "num_inliers": 50, "num_found": 90, "from": "all cutouts"}
        for name in offsets
    ]
    rows.append({"name": NAMES[3], "status": "too few matches", "num_inliers": 0, "reason": "20 are needed"})
    write_json(log, {"settings": {"max_error_px": 48}, "queries": rows}, kind="localization")
    return poses, log


def test_recall_is_at_inlocs_thresholds_and_a_query_without_a_pose_is_a_miss(files: tuple[Path, Path]) -> None:
    metrics = evaluate_dense(dataset(4), "sift", Source(), *files)  # type: ignore[arg-type]
    found = metrics["localization"]["query"]
    assert found["recall_percent"] == {"0.25m_10deg": 0, "0.5m_10deg": 25, "1m_10deg": 50}
    assert (found["queries"], found["localized"]) == (4, 3)
    assert metrics["statuses"] == {"localized": 3, "too few matches": 1}
    assert metrics["made_with"]["localization"] == {"max_error_px": 48}
    assert metrics["queries"][0]["from"] == "all cutouts" and "from" not in metrics["queries"][3]


def test_without_known_poses_there_is_no_recall_and_the_page_says_so(files: tuple[Path, Path]) -> None:
    metrics = evaluate_dense(dataset(0), "sift", Source(), *files)  # type: ignore[arg-type]
    assert metrics["localization"]["query"] == {"queries": 4, "localized": 3}
    values = {"dataset": "inloc", "runs": {"sift": metrics}, "published": list(dataset(0).published)}
    report = dense_report(values, dataset(0))
    assert "not public" in report.truth
    titles = [table["title"] for table in report.tables]
    assert titles == ["Split query", "What became of the queries", "Published, DUC1", "Published, DUC2"]
    assert [column.title for column in report.tables[0]["columns"]] == ["localized"]
    duc1 = report.tables[2]["published"]
    assert [cell.text for cell in duc1[0].cells] == ["48.5", "73.2", "83.8"] and len(duc1) == 2


def test_the_text_names_every_query_and_why_one_has_no_pose(files: tuple[Path, Path]) -> None:
    metrics = evaluate_dense(dataset(4), "sift", Source(), *files)  # type: ignore[arg-type]
    lines = query_table(metrics["queries"]).splitlines()
    assert len(lines) == 5 and lines[0].split()[:3] == ["query", "status", "num_inliers"]
    assert "0.300" in lines[1] and lines[4].startswith(NAMES[3]) and lines[4].endswith("20 are needed")


def test_a_report_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmptyResultError, match="needs a finished run"):
        write_dense_report(dataset(0), tmp_path, tmp_path, [], [], {}, tmp_path / "report")
