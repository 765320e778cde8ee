"""What became of correspondences while they were merged: merge.json, and a table of the report."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class MergeCounts:
    """What became of correspondences; every one of them is in exactly one of the first six numbers."""

    matches: int = 0
    joined: int = 0  # like another of the pair once both ends had moved
    far: int = 0  # an end without a keypoint in reach
    rival: int = 0  # a better one holds a keypoint
    few: int = 0  # of pairs left with too few
    weak: int = 0  # with a score below the least that is quantized
    pairs: int = 0
    shift_px: float = 0.0  # sum over ends that moved to a keypoint
    ends: int = 0

    @property
    def correspondences(self) -> int:
        return self.matches + self.joined + self.far + self.rival + self.few + self.weak

    def add(self, index0: np.ndarray, index1: np.ndarray, rows: np.ndarray) -> None:
        """Count a pair by the keypoints of all its correspondences, -1 for none, and the rows that became matches."""
        reached = (index0 >= 0) & (index1 >= 0)
        width = int(index1.max(initial=0)) + 1
        like_taken = reached & np.isin(index0 * width + index1, index0[rows] * width + index1[rows])
        self.pairs += 1
        self.matches += len(rows)
        self.joined += int(like_taken.sum()) - len(rows)
        self.far += int((~reached).sum())
        self.rival += int((reached & ~like_taken).sum())

    def add_shift(self, points: NDArray[np.float32], keypoints: NDArray[np.float32]) -> None:
        """Count how far ends (M, 2) moved to their keypoints (M, 2)."""
        self.shift_px += float(np.linalg.norm(points.astype(np.float64) - keypoints, axis=1).sum())
        self.ends += len(points)

    def as_json(self) -> dict[str, Any]:
        total = self.correspondences
        values: dict[str, Any] = {
            "pairs": self.pairs,
            "correspondences": total,
            "matches": self.matches,
            "joined": self.joined,
            "lost": {"far": self.far, "rival": self.rival, "few": self.few, "weak": self.weak},
        }
        if total:
            values["lost_percent"] = round(100 * (total - self.matches - self.joined) / total, 3)
        if self.ends:
            values["mean_shift_px"] = round(self.shift_px / self.ends, 4)
        return values


@dataclass
class MapMergeCounts(MergeCounts):
    """Of pairs of map images."""

    pairs_dropped: int = 0
    matched_in: dict[str, NDArray[np.int32]] = field(default_factory=dict)  # map image -> pairs of each keypoint

    def as_json(self) -> dict[str, Any]:
        matched = np.concatenate([np.zeros(0, np.int32), *(counts[counts > 0] for counts in self.matched_in.values())])
        values = {**super().as_json(), "pairs_dropped": self.pairs_dropped}
        if len(matched):
            values["matched_once_percent"] = round(100 * float((matched == 1).mean()), 3)
        return values
