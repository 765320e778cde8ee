"""DISK against numbers computed with the authors' release (acceptance list: network, features, matching)."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from trigpoint.kernels import mutual_nearest_neighbors
from trigpoint.kernels.nearest_neighbors import mutual_matches, two_nearest
from trigpoint.matching.nearest_neighbor import (
    MutualNearestNeighbor,
    MutualNearestNeighborSettings,
    one_sided_by_chunk,
)
from trigpoint.methods.disk import Disk, DiskSettings, strongest_as_released
from trigpoint.networks.disk_inference import DiskInference
from trigpoint.networks.disk_unet import DiskUNet, load_disk
from trigpoint.networks.keypoints import local_maxima, strongest
from trigpoint.storage.weights import load_state_dict
from trigpoint.types import Features, Image

BACKENDS = ["reference", "torch"]


@pytest.fixture(scope="module")
def filled_net(shared: Path) -> np.lib.npyio.NpzFile:
    return np.load(shared / "golden/disk/disk_filled_net.npz")


@pytest.fixture(scope="module")
def filled(fill_weights: Callable) -> DiskUNet:
    """The network with the goldens' deterministic weights."""
    network = DiskUNet()
    network.load_state_dict(fill_weights(network.state_dict()))
    return network.eval()


@pytest.fixture(scope="module")
def real_pair(shared: Path) -> np.lib.npyio.NpzFile:
    return np.load(shared / "golden/disk/disk_real_pair.npz")


def test_official_checkpoint_loads_strictly(checkpoint: Callable[[str], Path]) -> None:
    network = load_disk(load_state_dict(checkpoint("disk-depth")), "disk-depth")
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_092_369


def test_state_dict_has_the_official_names_and_shapes(filled: DiskUNet, filled_net: np.lib.npyio.NpzFile) -> None:
    state = filled.state_dict()
    assert list(state) == filled_net["state_dict_keys"].tolist()
    assert [list(value.shape) for value in state.values()] == [
        json.loads(shape) for shape in filled_net["state_dict_shapes"]
    ]
    sums = [value.double().sum().item() for value in state.values()]
    np.testing.assert_allclose(sums, filled_net["state_dict_sums"], rtol=1e-6, atol=1e-6)


def test_dense_network_agrees(filled: DiskUNet, filled_net: np.lib.npyio.NpzFile) -> None:
    activations: dict[str, np.ndarray] = {}

    def record(name: str) -> Callable[..., None]:
        def hook(_module: torch.nn.Module, _inputs: object, output: torch.Tensor) -> None:
            activations[name] = output[0].numpy()

        return hook

    blocks = {f"act_down{i}": block for i, block in enumerate(filled.unet.path_down)}
    blocks |= {f"act_up{i}": block for i, block in enumerate(filled.unet.path_up) if i < 3}
    handles = [block.register_forward_hook(record(name)) for name, block in blocks.items()]
    with torch.inference_mode():
        output = filled(torch.from_numpy(filled_net["image"]))
    for handle in handles:
        handle.remove()
    # 5e-5: convolution backends differ by about 6e-6
    np.testing.assert_allclose(output.numpy(), filled_net["output"], rtol=0, atol=5e-5)
    assert len(activations) == 8
    for name, values in activations.items():
        np.testing.assert_allclose(values, filled_net[name], rtol=0, atol=5e-5, err_msg=name)


@pytest.mark.parametrize("sample", [0, 1])
def test_inference_form_agrees(filled: DiskUNet, filled_net: np.lib.npyio.NpzFile, sample: int) -> None:
    output = torch.from_numpy(filled_net["output"])[sample]
    network = DiskInference(filled)
    with torch.inference_mode():
        maps = network.maps(torch.from_numpy(filled_net["image"])[sample])
        y, x = torch.meshgrid(torch.arange(32), torch.arange(48), indexing="ij")
        descriptors = network.descriptors(maps, torch.stack([x.flatten(), y.flatten()], dim=1))
    torch.testing.assert_close(maps.logits, output[128], rtol=0, atol=5e-5)
    expected = torch.nn.functional.normalize(output[:128].flatten(1).T, dim=1)
    torch.testing.assert_close(descriptors, expected, rtol=0, atol=5e-6)


@pytest.mark.parametrize(
    ("name", "window", "threshold"),
    [("nms_w3_cut0", 3, 0.0), ("nms_w5_cut0", 5, 0.0), ("nms_w9_cut0", 9, 0.0), ("nms_w5_nocut", 5, None)],
)
def test_local_maxima_agree(filled_net: np.lib.npyio.NpzFile, name: str, window: int, threshold: float | None) -> None:
    for logits, expected in zip(filled_net["output"][:, 128], filled_net[name], strict=True):
        xy = local_maxima(torch.from_numpy(logits), window, threshold).numpy()
        np.testing.assert_array_equal(xy, np.argwhere(expected)[:, ::-1])


@pytest.mark.parametrize("sample", [0, 1])
def test_selected_keypoints_agree(filled_net: np.lib.npyio.NpzFile, sample: int) -> None:
    logits = torch.from_numpy(filled_net["output"][sample, 128])
    xy = local_maxima(logits, 5, 0.0)
    scores = logits[xy[:, 1], xy[:, 0]]
    chosen = {
        "nall": (xy, scores),
        "n10": strongest(xy, scores, 10),
        "n100000": strongest_as_released(xy, scores, 100_000),  # one fewer than there are
    }
    for name, (found, found_scores) in chosen.items():
        expected = filled_net[f"feat_{name}_kp_{sample}"]
        row_major = np.lexsort(found.numpy().T)
        np.testing.assert_array_equal(found.numpy()[row_major], expected, err_msg=name)
        np.testing.assert_array_equal(found_scores.numpy()[row_major], filled_net[f"feat_{name}_score_{sample}"])


@pytest.mark.parametrize("sample", [0, 1])
def test_descriptors_of_the_ten_best_agree(filled: DiskUNet, filled_net: np.lib.npyio.NpzFile, sample: int) -> None:
    network, xy = DiskInference(filled), torch.from_numpy(filled_net[f"feat_n10_kp_{sample}"]).long()
    with torch.inference_mode():
        found = network.descriptors(network.maps(torch.from_numpy(filled_net["image"])[sample]), xy)
    np.testing.assert_allclose(found, filled_net[f"feat_n10_desc_{sample}"], rtol=0, atol=5e-6)


def extract(pixels: np.ndarray, side: int, limit: int) -> Features:
    method = Disk(DiskSettings(max_keypoints=limit, resize_px=side, subpixel=False, legacy=True))
    height, width = pixels.shape[:2]
    return method.extract(Image("golden.png", pixels, (width, height)))


def test_real_photographs_agree(checkpoint: Callable[[str], Path], real_pair: np.lib.npyio.NpzFile) -> None:
    checkpoint("disk-depth")
    found = {}
    for side in "ab":
        features = found[side] = extract(real_pair[f"image_{side}"], 512, 1024)
        rows = {tuple(xy): row for row, xy in enumerate(features.keypoints)}
        expected = [tuple(xy) for xy in real_pair[f"keypoints_{side}"]]
        same = [(rows[xy], row) for row, xy in enumerate(expected) if xy in rows]
        assert len(features) == len(expected) == 1024
        assert len(same) >= 0.995 * len(expected)
        ours, theirs = np.array(same).T
        cosines = (features.descriptors[ours] * real_pair[f"descriptors_{side}"][theirs]).sum(axis=1)
        assert cosines.min() >= 0.9999
        np.testing.assert_allclose(features.scores[ours], real_pair[f"scores_{side}"][theirs], rtol=1e-3, atol=0.01)
        assert np.all(np.diff(features.scores) <= 0)
    matches = mutual_nearest_neighbors(*(torch.from_numpy(found[side].descriptors) for side in "ab"), ratio=0.95)
    ours_xy = positions(found["a"].keypoints, found["b"].keypoints, matches.indices.numpy())
    theirs_xy = positions(real_pair["keypoints_a"], real_pair["keypoints_b"], real_pair["matches_rt095"].T)
    assert len(ours_xy & theirs_xy) / len(ours_xy | theirs_xy) >= 0.98


def positions(keypoints0: np.ndarray, keypoints1: np.ndarray, indices: np.ndarray) -> set[tuple[float, ...]]:
    return {tuple(row) for row in np.hstack([keypoints0[indices[:, 0]], keypoints1[indices[:, 1]]]).tolist()}


@pytest.mark.parametrize("backend", BACKENDS)
def test_matches_of_stored_descriptors_are_identical(real_pair: np.lib.npyio.NpzFile, backend: str) -> None:
    desc0, desc1 = (torch.from_numpy(real_pair[f"descriptors_{side}"]) for side in "ab")
    with_ratio = mutual_nearest_neighbors(desc0, desc1, ratio=0.95, backend=backend)
    np.testing.assert_array_equal(with_ratio.indices.numpy().T, real_pair["matches_rt095"])
    without = mutual_nearest_neighbors(desc0, desc1, ratio=1.0, backend=backend)
    np.testing.assert_array_equal(without.indices.numpy().T, real_pair["matches_no_rt_u16"])


@pytest.mark.parametrize("block_rows", [64, 128, 448, 1024])
def test_matches_do_not_depend_on_the_block_size(real_pair: np.lib.npyio.NpzFile, block_rows: int) -> None:
    """The authors' program finds 564 matches, some twice, where blocks are small; here there are 353 always."""
    desc0, desc1 = (torch.from_numpy(real_pair[f"descriptors_{side}"]) for side in "ab")
    found = mutual_matches(*two_nearest(desc0, desc1, block_rows), 0.95, "euclidean", None)
    np.testing.assert_array_equal(found.indices.numpy().T, real_pair["matches_rt095"])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("ratio", ["1", "0.95", "0.8"])
def test_floor_and_ties_agree(shared: Path, backend: str, ratio: str) -> None:
    golden = np.load(shared / "golden/disk/disk_matching.npz")
    desc0, desc1 = torch.from_numpy(golden["desc1"]), torch.from_numpy(golden["desc2"])
    found = mutual_nearest_neighbors(desc0, desc1, ratio=float(ratio), backend=backend)
    np.testing.assert_array_equal(found.indices.numpy().T, golden[f"ratio_pairs_rt{ratio}"])


def test_chunks_of_the_release_agree_mistake_included(shared: Path, real_pair: np.lib.npyio.NpzFile) -> None:
    golden = np.load(shared / "golden/disk/disk_matching.npz")
    cases = [
        (golden["desc1"], golden["desc2"], 800, golden["ratio_pairs_rt0.95_chunk800"]),
        (*(real_pair[f"descriptors_{side}"] for side in "ab"), 300_000, real_pair["matches_rt095_chunked_300000"]),
    ]
    for desc0, desc1, limit, expected in cases:
        matcher = MutualNearestNeighbor(MutualNearestNeighborSettings(ratio=0.95, max_full_matrix=limit))
        found = matcher.match(described(desc0), described(desc1))
        np.testing.assert_array_equal(found.indices.T, expected)
        similarities = (desc0[expected[0]] * desc1[expected[1]]).sum(axis=1)
        np.testing.assert_allclose(found.scores, similarities, rtol=0, atol=1e-6)


def described(descriptors: np.ndarray) -> Features:
    count = len(descriptors)
    return Features(np.zeros((count, 2), np.float32), descriptors, np.zeros(count, np.float32), (512, 512))


def test_one_sided_ratio_tests_agree(shared: Path) -> None:
    golden = np.load(shared / "golden/disk/disk_matching.npz")
    desc0, desc1 = torch.from_numpy(golden["desc1"]), torch.from_numpy(golden["desc2"])
    everything = len(desc0) * len(desc1)
    there, back = (one_sided_by_chunk(*pair, 0.95, everything) for pair in ((desc0, desc1), (desc1, desc0)))
    np.testing.assert_array_equal(there.numpy().T, golden["ratio_fwd_rt0.95"])
    np.testing.assert_array_equal(back.numpy().T, golden["ratio_bck_rt0.95"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_cycle_consistent_pairs_agree(shared: Path, backend: str) -> None:
    golden = np.load(shared / "golden/disk/disk_matching.npz")
    desc0, desc1 = torch.from_numpy(golden["desc1"]), torch.from_numpy(golden["desc2"])
    found = mutual_nearest_neighbors(desc0, desc1, backend=backend)
    np.testing.assert_array_equal(found.indices.numpy().T, golden["cycle_pairs"])


def test_files_of_the_release_agree(checkpoint: Callable[[str], Path], shared: Path) -> None:
    checkpoint("disk-depth")
    golden = np.load(shared / "golden/disk/disk_colmap_db.npz")
    with (
        h5py.File(shared / "golden/disk/tiny/keypoints.h5") as keypoints,
        h5py.File(shared / "golden/disk/tiny/scores.h5") as scores,
    ):
        for name in ("img_a", "img_b", "img_c"):
            features = extract(golden[name], 160, 96)
            expected = keypoints[name][()]
            found = {tuple(row) for row in np.round(features.keypoints, 2).tolist()}
            same = [tuple(row) in found for row in np.round(expected, 2).tolist()]
            assert len(features) == len(expected) and np.mean(same) >= 0.98, name
            np.testing.assert_allclose(features.scores, scores[name][()], rtol=1e-3, atol=0.01)
