"""D2-Net's protocol on HPatches against numbers computed with PoSFeat's evaluation, and its authors' results."""

from pathlib import Path

import numpy as np
import pytest
import torch

from trigpoint.evaluation.hpatches import (
    MatchingAccuracy,
    root_descriptors,
    sequence_errors,
    weighted_score,
)
from trigpoint.kernels import mutual_nearest_neighbors
from trigpoint.types import Features

Golden = np.lib.npyio.NpzFile
# Weighted scores as the authors' table prints them: overall, illumination, viewpoint.
PRINTED = {"PoSFeat_CVPR": (0.775, 0.826, 0.728), "disk-epipolar": (0.723, 0.803, 0.649), "caps": (0.699, 0.764, 0.639)}


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return np.load(shared / "golden/posfeat/hpatches_mma.npz")


def mutual(features0: Features, features1: Features) -> np.ndarray:
    found = mutual_nearest_neighbors(*(torch.from_numpy(item.descriptors) for item in (features0, features1)))
    return found.indices.numpy()


def features(golden: Golden, name: str, number: int) -> Features:
    keypoints = golden[f"kpts::{name}::{number}"]
    scores = np.zeros(len(keypoints), dtype=np.float32)
    return Features(keypoints, golden[f"desc::{name}::{number}"], scores, (640, 480))


@pytest.fixture(scope="module")
def accuracy(golden: Golden) -> MatchingAccuracy:
    sequences = [
        sequence_errors(
            name,
            [features(golden, name, number) for number in range(1, 7)],
            [golden[f"H::{name}::{number}"] for number in range(2, 7)],
            mutual,
        )
        for name in golden["sequences"].tolist()
    ]
    return MatchingAccuracy(tuple(sequences))


def test_matches_agree(golden: Golden) -> None:
    pair = [features(golden, "v_gamma", number) for number in (1, 2)]
    np.testing.assert_array_equal(mutual(*pair), golden["matches::v_gamma::1-2"])


def test_counts_agree(golden: Golden, accuracy: MatchingAccuracy) -> None:
    np.testing.assert_array_equal(accuracy.num_features(), golden["n_feats"])
    np.testing.assert_array_equal(accuracy.num_matches(), golden["n_matches"])
    assert ["v" if item else "i" for item in accuracy.pairs_of("viewpoint")] == golden["seq_type"].tolist()


def test_accuracies_agree(golden: Golden, accuracy: MatchingAccuracy) -> None:
    assert list(accuracy.thresholds_px) == golden["thresholds"].tolist()
    for split, name in ((None, "overall"), ("illumination", "illumination"), ("viewpoint", "viewpoint")):
        np.testing.assert_allclose(accuracy.mean(split), golden[f"mma_{name}"], rtol=0, atol=1e-12)
    for split, name in (("illumination", "i_err_sum"), ("viewpoint", "v_err_sum")):
        sums = accuracy.shares[accuracy.pairs_of(split)].sum(axis=0)
        np.testing.assert_allclose(sums, golden[name], rtol=0, atol=1e-12)


def test_scores_agree(golden: Golden, accuracy: MatchingAccuracy) -> None:
    scores = [accuracy.score(split) for split in (None, "illumination", "viewpoint")]
    np.testing.assert_allclose(scores, golden["mma_score"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", PRINTED)
def test_published_accuracies_give_the_printed_scores(golden: Golden, method: str) -> None:
    row = golden["cache_mma"][golden["cache_methods"].tolist().index(method)]
    assert tuple(round(weighted_score(values), 3) for values in row) == PRINTED[method]


def test_root_descriptors_agree(golden: Golden) -> None:
    np.testing.assert_allclose(root_descriptors(golden["rootsift_in"]), golden["rootsift_out"], rtol=0, atol=1e-6)
