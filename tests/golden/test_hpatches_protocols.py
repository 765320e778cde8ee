"""The image-matching toolbox' and IME's protocols on HPatches against numbers computed with their own evaluations."""

from pathlib import Path

import numpy as np
import pytest

from trigpoint.evaluation.homographies import HomographySolver
from trigpoint.evaluation.hpatches_ime import ime_rows, summarize, text_table
from trigpoint.evaluation.hpatches_immatch import evaluate_frame, homography_errors
from trigpoint.evaluation.hpatches_pairs import PlanarPair
from trigpoint.evaluation.run_matches import PairMatches
from trigpoint.geometry.metrics import pose_auc

Golden = np.lib.npyio.NpzFile
SOLVER = HomographySolver(name="cv2", threshold_px=2.0)
LETTERS = {"illumination": "i", "viewpoint": "v", "overall": "a"}


@pytest.fixture(scope="module")
def immatch(shared: Path) -> Golden:
    return np.load(shared / "golden/patch2pix/hpatches.npz")


@pytest.fixture(scope="module")
def ime(shared: Path) -> Golden:
    return np.load(shared / "golden/gcm/hpatches_metrics.npz")


@pytest.fixture(scope="module")
def toolbox_pairs(immatch: Golden) -> list[PlanarPair]:
    size = {name: tuple(immatch[f"{name}/wh"].tolist()) for name in ("i_a", "i_b", "v_a", "v_b")}
    return [
        PlanarPair(
            sequence=name,
            names=(f"{name}/1.ppm", f"{name}/{number}.ppm"),
            H=immatch[f"{name}/H{number}"],
            sizes=(size[name], size[name]),
            matches=PairMatches(xy, np.ones(len(xy))),
            num_features=None,
        )
        for name in size
        for number in range(2, 7)
        for xy in [immatch[f"{name}/matches{number}"]]
    ]


@pytest.fixture(scope="module")
def ime_pairs(ime: Golden) -> list[PlanarPair]:
    pairs = []
    for number, line in enumerate(str(ime["image_pairs_txt"]).splitlines()):
        points, matches = (ime[f"pair{number}_points{side}"] for side in "AB"), ime[f"pair{number}_matches"]
        points0, points1 = points
        size = tuple(ime[f"pair{number}_size_wh"].tolist())
        xy = np.concatenate([points0[matches[:, 0]], points1[matches[:, 1]]], axis=1)
        pairs.append(
            PlanarPair(
                sequence=line.split("/")[1],
                names=(line.split()[0], line.split()[1]),
                H=ime[f"pair{number}_H"],
                sizes=(size, size),
                matches=PairMatches(xy, np.ones(len(xy))),
                num_features=(len(points0), len(points1)),
            )
        )
    return pairs


def test_matching_of_the_toolbox_agrees(immatch: Golden, toolbox_pairs: list[PlanarPair]) -> None:
    section, _ = evaluate_frame(toolbox_pairs, SOLVER, legacy=False)
    for row, split in enumerate(("illumination", "viewpoint", "overall")):
        found = list(section["matching"][split]["accuracy"].values())
        np.testing.assert_allclose(found, immatch["mma_over_5_pairs_per_seq_i_v_a"][row], rtol=0, atol=1e-12)
    assert section["features"]["mean"] == immatch["n_feats"].mean()
    assert section["matching"]["overall"]["matches"] == immatch["n_matches"].mean()


def test_fixed_denominators_of_the_toolbox_agree(immatch: Golden, toolbox_pairs: list[PlanarPair]) -> None:
    section, _ = evaluate_frame(toolbox_pairs, SOLVER, legacy=True)
    sums = {"illumination": immatch["i_err_sum_1to15"], "viewpoint": immatch["v_err_sum_1to15"]}
    sums["overall"] = sums["illumination"] + sums["viewpoint"]
    for split, count in (("illumination", 52), ("viewpoint", 56), ("overall", 108)):
        found = list(section["matching"][split]["accuracy"].values())
        np.testing.assert_allclose(found, sums[split] / (5 * count), rtol=0, atol=1e-12)


def test_homographies_of_the_toolbox_agree(immatch: Golden, toolbox_pairs: list[PlanarPair]) -> None:
    by_name = {f"{pair.sequence}/1-{pair.names[1][-5]}": homography_errors(pair, SOLVER)[0] for pair in toolbox_pairs}
    found = np.array([by_name[name] for name in immatch["order_of_pairs"].tolist()])
    expected = np.where(immatch["corner_dist_all"] < 0, np.inf, immatch["corner_dist_all"])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    homography = evaluate_frame(toolbox_pairs, SOLVER, legacy=False)[0]["homography"]
    for split, letter in LETTERS.items():
        areas = list(homography[split]["auc_percent"].values())
        np.testing.assert_allclose(areas, immatch[f"auc_{letter}"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(list(homography["overall"]["accuracy"].values()), immatch["acc_a"], rtol=0, atol=1e-12)
    assert homography["viewpoint"]["failed"] == 1


def test_area_under_the_toolbox_curve_agrees(immatch: Golden) -> None:
    errors = np.where(immatch["auc_test_errors"] < 0, np.inf, immatch["auc_test_errors"])
    found = 100 * np.array(pose_auc(errors, immatch["thres"].tolist(), strictly_below=True))
    np.testing.assert_allclose(found, immatch["auc_test"], rtol=0, atol=1e-12)


def test_rows_of_ime_agree(ime: Golden, ime_pairs: list[PlanarPair]) -> None:
    rows = ime_rows(ime_pairs, legacy=True)
    np.testing.assert_allclose(rows.mma, ime["mma_rows"], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(rows.homography[:, :11], ime["homography_rows"][:, :11])
    assert np.abs(rows.homography[:, 11] - ime["homography_rows"][:, 11]).max() <= 5  # USAC's inliers vary


@pytest.mark.parametrize("table", ["mma", "homography"])
def test_text_tables_of_ime_agree(ime: Golden, ime_pairs: list[PlanarPair], table: str) -> None:
    """The homographies' rows are the golden ones: their inliers depend on the OpenCV that drew the samples."""
    rows = ime_rows(ime_pairs, legacy=True)
    values = rows.mma if table == "mma" else ime["homography_rows"]
    found = text_table({"tiny": summarize(values, rows.kinds, table, legacy=True)}, table)
    assert found == str(ime[f"overall_{table}_csv"])


def test_all_pairs_count_unless_legacy_is_asked_for(ime_pairs: list[PlanarPair]) -> None:
    rows = ime_rows(ime_pairs)
    assert summarize(rows.mma, rows.kinds, "mma")["viewpoint"]["pairs"] == 3
    assert summarize(rows.mma, rows.kinds, "mma", legacy=True)["viewpoint"]["pairs"] == 2
