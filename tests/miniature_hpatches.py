"""A small tree in HPatches' layout: a textured plane under known homographies, and results in D2-Net's form."""

import pickle
from pathlib import Path

import cv2
import numpy as np

SIZE = (240, 200)  # width, height
NUM_IMAGES = 4


def homography(kind: str, number: int) -> np.ndarray:
    """(3, 3) image `number` from image 1: none for illumination, a small tilt and shift for viewpoint."""
    if kind == "i":
        return np.eye(3)
    step = number - 1
    return np.array([[1 + 0.02 * step, 0.01 * step, 3.0 * step], [-0.015 * step, 1, 2.0], [4e-5 * step, 0, 1]])


def write_sequence(folder: Path, seed: int = 0, prefix: str = "") -> Path:
    """`1.ppm` to `4.ppm` and `H_1_2` to `H_1_4` below a folder named `i_...` or `v_...`."""
    folder.mkdir(parents=True)
    kind = folder.name[0]
    width, height = SIZE
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (height // 5, width // 5, 3), dtype=np.uint8)
    first = cv2.GaussianBlur(cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC), (0, 0), 1.0)
    for number in range(1, NUM_IMAGES + 1):
        H = homography(kind, number) if number > 1 else np.eye(3)
        moved = cv2.warpPerspective(first, H, SIZE, borderValue=(90, 90, 90))
        brightness = 1.0 if kind == "v" else 1.0 - 0.12 * (number - 1)
        image = np.clip(moved * brightness + rng.normal(0, 2, moved.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{prefix}{number}.ppm"), image)
        if number > 1:
            np.savetxt(folder / f"{prefix}H_1_{number}", H)
    return folder


def write_tree(root: Path) -> Path:
    """Two sequences to be evaluated, and a large one by name only."""
    for seed, name in enumerate(("i_wall", "v_floor", "v_talent")):
        write_sequence(root / name, seed)
    return root


def write_cache(
    path: Path, accuracies: np.ndarray, features: list[int], matches: dict[str, list[int]], protocol: int = 4
) -> Path:
    """A file `<method>.npy` of D2-Net's form.

    Args:
        path: to write.
        accuracies: (2, T) mean over the illumination and the viewpoint pairs, at 1, 2, ... px.
        features: numbers of features.
        matches: `i` and `v` -> numbers of matches of its pairs.
        protocol: of the pickle.
    """
    kinds = [kind for kind, counts in matches.items() for _ in counts]
    sums = [
        {np.int64(t): np.float64(value * len(matches[kind])) for t, value in enumerate(row, start=1)}
        for kind, row in zip("iv", accuracies, strict=True)
    ]
    values = np.empty(3, dtype=object)
    values[:] = [*sums, [np.array(kinds), np.array(features), [count for own in matches.values() for count in own]]]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        header = np.lib.format.header_data_from_array_1_0(values)
        np.lib.format.write_array_header_1_0(stream, header)
        pickle.dump(values, stream, protocol=protocol)
    return path
