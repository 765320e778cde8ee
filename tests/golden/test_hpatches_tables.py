"""Cached results of other methods, read from files of the originals' form, print as in the tables made from them."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import yaml

from miniature_hpatches import write_cache
from trigpoint.evaluation.hpatches_cache import read_cached
from trigpoint.report.hpatches_columns import D2NET, D2NET_SPLITS
from trigpoint.report.hpatches_texts import mma_text, posfeat_text
from trigpoint.report.tables import lookup, write_number

NAMES = {
    "PoSFeat_CVPR": "PoSFeat",
    "aslfeat": "ASLFeat",
    "caps": "SIFT + CAPS",
    "contextdesc": "SIFT + ContextDesc",
    "d2-net": "D2-Net (SS, off-the-shelf)",
    "delf-new": "DELF (new)",
    "disk-d-2k-official": "DISK 2k",
    "disk-d-8k-official": "DISK 8k",
    "disk-epipolar": "DISK-W (epipolar)",
    "hesaff": "Hes.Aff. + RootSIFT",
    "hesaffnet": "HAN + HN++",
    "lf-net": "LF-Net",
    "r2d2": "R2D2",
    "superpoint": "SuperPoint",
}
PAIRS = {"i": 260, "v": 280}
IMAGES = 648


def published(protocol: str) -> dict[str, dict[str, float]]:
    """Method -> path of a number -> the number, of the package's file."""
    tables = yaml.safe_load(files("trigpoint.datasets").joinpath("hpatches_published.yaml").read_text())
    return {
        name: dict(zip(table["columns"], values, strict=True))
        for table in tables[protocol]
        for name, values in table["rows"].items()
    }


def counts_of(total: float, number: int, smallest: int | None = None, largest: int | None = None) -> list[int]:
    """Whole numbers of this mean, the smallest and largest among them given."""
    fixed = [value for value in (smallest, largest) if value is not None]
    if smallest is not None and smallest == largest:
        return [smallest] * number
    rest = round(total * number) - sum(fixed)
    share, more = divmod(rest, number - len(fixed))
    return [*fixed, *([share + 1] * more), *([share] * (number - len(fixed) - more))]


@pytest.fixture(scope="module")
def golden(shared: Path) -> np.lib.npyio.NpzFile:
    return np.load(shared / "golden/posfeat/hpatches_mma.npz")


@pytest.fixture(scope="module")
def cached(golden: np.lib.npyio.NpzFile, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """What is read of the authors' results, put back into files of their form."""
    folder = tmp_path_factory.mktemp("cache")
    found = {}
    for name, mma, counts in zip(
        golden["cache_methods"].tolist(), golden["cache_mma"], golden["cache_counts"].tolist(), strict=True
    ):
        mean, smallest, largest, _, illumination, viewpoint = counts
        path = write_cache(
            folder / f"{name}.npy",
            mma[1:],
            counts_of(mean, IMAGES, int(smallest), int(largest)),
            {"i": counts_of(illumination, PAIRS["i"]), "v": counts_of(viewpoint, PAIRS["v"])},
        )
        found[name] = read_cached(path)
    return found


@pytest.mark.parametrize("method", NAMES)
def test_a_cached_result_prints_as_its_authors_table(cached: dict[str, dict], method: str) -> None:
    row, numbers = published("d2net")[NAMES[method]], cached[method]
    shown = {
        column.key: write_number(lookup(numbers, column.key), column.decimals) for column in (*D2NET, *D2NET_SPLITS)
    }
    assert shown["overall/pairs"] == "540"
    for key, value in row.items():
        if key in shown:
            decimals = next(column.decimals for column in (*D2NET, *D2NET_SPLITS) if column.key == key)
            assert shown[key] == write_number(value, decimals), key
    assert {key for key in row if key not in shown} == {"features/min", "features/max"}
    assert (numbers["features"]["min"], numbers["features"]["max"]) == (row["features/min"], row["features/max"])


def test_text_tables_print_the_digits_of_the_authors(cached: dict[str, dict]) -> None:
    lines = posfeat_text({"posfeat": cached["PoSFeat_CVPR"], "delf": cached["delf-new"]}).splitlines()
    assert lines == [
        "posfeat & 8192.0 & 4275.3 & 0.775 & 0.826 & 0.728",
        "delf & 4590.0 & 1940.3 & 0.571 & 0.903 & 0.262",
    ]
    table = mma_text({"hesaff": cached["hesaff"]}).splitlines()[1]
    for cells in (
        "2852 / 1586 / 4027",
        "0.3134 0.4864 0.5624 0.6406 0.7036",
        "0.3362 0.4579 0.5135 0.5874 0.6499",
        "0.2921 0.5129 0.6079 0.6900 0.7535",
    ):
        assert cells in table


@pytest.mark.parametrize("method", ["hesaff", "hesaffnet", "aslfeat"])
def test_results_that_both_tables_have_agree(cached: dict[str, dict], method: str) -> None:
    """The toolbox took these from D2-Net's caches; its table has other roundings of the counts."""
    row = published("immatch")[method]
    for key, value in row.items():
        path = key.removeprefix("matching/")
        decimals = 4 if "accuracy" in key else 0
        assert write_number(lookup(cached[method], path), decimals) == write_number(value, decimals), key


def test_overall_accuracies_are_the_golden_ones(golden: np.lib.npyio.NpzFile, cached: dict[str, dict]) -> None:
    for name, mma in zip(golden["cache_methods"].tolist(), golden["cache_mma"], strict=True):
        found = list(cached[name]["overall"]["accuracy"].values())
        np.testing.assert_allclose(found, mma[0], rtol=0, atol=1e-9)
