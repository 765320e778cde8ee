"""GCM's single steps on random maps against the published code's results."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from trigpoint.matching.gcm.dense import CellMatches, match_dense
from trigpoint.matching.gcm.refinement import refine

Golden = np.lib.npyio.NpzFile
DIRECTIONS = {"bi": True, "uni": False}


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return np.load(shared / "golden/gcm/units.npz")


def rows(found: CellMatches) -> list[list[int]]:
    return torch.cat([found.cells0, found.cells1], dim=1).tolist()


def expected(golden: Golden, name: str) -> list[list[int]]:
    return np.hstack([golden[f"{name}_a"], golden[f"{name}_b"]]).tolist()


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("percent", [100, 70, 50])
def test_dense_matches(golden: Golden, percent: int, direction: str) -> None:
    maps = [torch.from_numpy(golden[f"dense_map_{side}"]) for side in "ab"]
    found = match_dense(*maps, ratio=percent / 100, bidirectional=DIRECTIONS[direction], border_cells=1)
    assert rows(found) == expected(golden, f"dense_r{percent}_{direction}")


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("name", "ratio"), [("100", 1.0), ("80", 0.8), ("60", 0.6), ("m1", -1.0), ("2", 0.02)])
def test_refinement(golden: Golden, name: str, ratio: float, direction: str) -> None:
    maps = [torch.from_numpy(golden[f"refine_map_{side}"]) for side in "ab"]
    cells = [torch.from_numpy(golden[f"refine_in_{side}"]).long() for side in "ab"]
    parents = CellMatches(cells[0], cells[1], torch.ones(len(cells[0])), torch.zeros(len(cells[0])))
    samplers = [sampler(m) for m in maps]
    found = refine(parents, *samplers, ratio=ratio, bidirectional=DIRECTIONS[direction], legacy=True)
    assert rows(found) == expected(golden, f"refine_r{name}_{direction}")


def sampler(values: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda xy: values[:, xy[:, 1], xy[:, 0]].T
