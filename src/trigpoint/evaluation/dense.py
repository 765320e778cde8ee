"""What localization in scans is worth: recall at InLoc's thresholds, and a row for each query."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.evaluation.localization import localization_metrics
from trigpoint.evaluation.run_matches import RunMatches
from trigpoint.geometry.pose import Sim3
from trigpoint.storage.json_files import read_json
from trigpoint.storage.poses import read_poses
from trigpoint.types import Dataset

# (metres, degrees) of visuallocalization.net for InLoc
RECALL_THRESHOLDS = ((0.25, 10.0), (0.5, 10.0), (1.0, 10.0))
FROM_LOG = ("num_found", "from", "candidates")  # of localization.json, beside what every localization logs


def evaluate_dense(dataset: Dataset, run: str, source: RunMatches, poses: Path, log: Path) -> dict[str, Any]:
    """All metrics of a run: {"run", "localization", "statuses", "made_with", "kernel_backends", "queries"}.

    Queries without a known pose have no error, and without any there is no recall. The scans' floor is the world of
    the poses, so nothing is aligned.

    Raises:
        StorageError: a file is missing or damaged.
    """
    logged = read_json(log, "localization")
    world = Sim3(1.0, np.eye(3), np.zeros(3))
    splits, rows = localization_metrics(dataset, read_poses(poses), logged, world, RECALL_THRESHOLDS)
    own = {row["name"]: {key: row[key] for key in FROM_LOG if key in row} for row in logged["queries"]}
    statuses = Counter(row.get("status", "unknown") for row in rows)
    return {
        "run": run,
        "localization": splits,
        "statuses": dict(sorted(statuses.items())),
        "made_with": {**source.made_with, "localization": logged["settings"]},
        "kernel_backends": source.kernel_backends,
        "queries": [{**row, **own.get(row["name"], {})} for row in rows],
    }
