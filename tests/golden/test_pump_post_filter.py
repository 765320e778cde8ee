"""PUMP's post-filter and densification against the authors' numbers."""

from pathlib import Path

import numpy as np
import pytest

from trigpoint.matching.pump.densify import densify
from trigpoint.matching.pump.post_filter import component_sizes, edges, post_filter
from trigpoint.networks.image_transforms import transform_points


@pytest.fixture(scope="module")
def golden(shared: Path) -> np.lib.npyio.NpzFile:
    return np.load(shared / "golden/pump/post_filter.npz")


@pytest.mark.parametrize("legacy", [True, False])
def test_edges_and_components(golden: np.lib.npyio.NpzFile, legacy: bool) -> None:
    found = edges(golden["corres"], 2, legacy=legacy)
    np.testing.assert_array_equal(found, golden["graph_edges_locality2"])
    np.testing.assert_array_equal(component_sizes(len(golden["corres"]), found), golden["cc_sizes_locality2"])


@pytest.mark.parametrize(
    ("name", "locality", "min_cc_size"),
    [("filtered_default", 2, 50), ("filtered_locality1p2_min10", 1.2, 10), ("filtered_locality3_min20", 3, 20)],
)
def test_rows_that_are_left(golden: np.lib.npyio.NpzFile, name: str, locality: float, min_cc_size: int) -> None:
    options = {"locality": locality, "min_cc_size": min_cc_size}
    found = post_filter(golden["corres"], **options, legacy=True)
    np.testing.assert_allclose(found.rows, golden[name], rtol=1e-12)
    ours = post_filter(golden["corres"], **options)
    np.testing.assert_array_equal(ours.component_sizes, found.component_sizes)
    np.testing.assert_allclose(ours.rows[:, 4] + np.log2(ours.component_sizes), golden[name][:, 4], rtol=1e-12)


def test_rows_of_resized_images(golden: np.lib.npyio.NpzFile) -> None:
    rows = golden["corres_scaled"].copy()
    for columns, name in ((slice(0, 2), "trf0"), (slice(2, 4), "trf1")):
        rows[:, columns] = transform_points(np.linalg.inv(golden[name].astype(np.float64)), rows[:, columns])
    kept = post_filter(rows, legacy=True).rows
    for columns, name in ((slice(0, 2), "trf0"), (slice(2, 4), "trf1")):
        kept[:, columns] = transform_points(golden[name].astype(np.float64), kept[:, columns])
    np.testing.assert_allclose(kept, golden["filtered_scaled"], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "mode", "side", "size0", "size1"),
    [
        ("dense_full_left_48x64", "full", "left", (64, 48), (100, 80)),
        ("dense_convex_left_48x64", "convex", "left", (64, 48), (100, 80)),
        ("dense_full_right_40x50", "full", "right", (96, 72), (50, 40)),
    ],
)
def test_dense_rows(
    golden: np.lib.npyio.NpzFile, name: str, mode: str, side: str, size0: tuple[int, int], size1: tuple[int, int]
) -> None:
    kept = post_filter(golden["corres_dense_in"], min_cc_size=30, legacy=True).rows
    np.testing.assert_allclose(densify(kept, size0, size1, mode=mode, side=side), golden[name], rtol=0, atol=1e-9)
