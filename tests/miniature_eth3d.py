"""A made-up ETH3D for dense flow: small images of four sequences, all 70 info files as released, archives."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import py7zr

from trigpoint.datasets.eth3d import RATES, SEQUENCES

FOLDERS = {"lakeside": "multiview_testing", "tunnel": "multiview_testing"}
FOLDERS |= {"delivery_area": "multiview_training", "forest": "multiview_training"}
SIZE = (220, 160)
ARCHIVES = {
    "multiview_training": "multi_view_training_rig.7z",
    "multiview_testing": "multi_view_test_rig_undistorted.7z",
}


def shift_of(rate: int) -> tuple[int, int]:
    """Where a target point lies in the source image, less where it lies in the target image."""
    return rate, -(rate // 2)


def image_name(sequence: str, frame: int) -> str:
    sequence = sequence if sequence in FOLDERS else "lakeside"
    return f"{FOLDERS[sequence]}/{sequence}/images/images_rig_cam4/{1000 + frame}.png"


def write_tree(root: Path, protocol: int = 2) -> Path:
    """Images and info files below `root`; frame i shows a texture moved by `shift_of(i)`."""
    for seed, sequence in enumerate(FOLDERS):
        noise = np.random.default_rng(seed).integers(0, 256, (45, 60), dtype=np.uint8)
        texture = PIL.Image.fromarray(noise).resize((360, 270), PIL.Image.Resampling.BICUBIC)
        for frame in (0, *RATES):
            x, y = shift_of(frame)
            path = root / image_name(sequence, frame)
            path.parent.mkdir(parents=True, exist_ok=True)
            texture.crop((40 + x, 40 + y, 40 + x + SIZE[0], 40 + y + SIZE[1])).save(path)
    (root / "info_ETH3D_files").mkdir()
    for sequence in SEQUENCES:
        for rate in RATES:
            entries = np.array([info(sequence, rate)], dtype=object)
            path = root / "info_ETH3D_files" / f"{sequence}_every_5_rate_of_{rate}"
            path.write_bytes(pickle.dumps(entries, protocol=protocol))
    return root


def info(sequence: str, rate: int) -> dict:
    """One pair: the target is the frame `rate` after the source; lists of floats, as they are released."""
    rng = np.random.default_rng(rate)
    xt, yt = rng.uniform(30, SIZE[0] - 50, 40), rng.uniform(40, SIZE[1] - 30, 40)
    dx, dy = shift_of(rate)
    return {
        "source_image": image_name(sequence, 0),
        "target_image": image_name(sequence, rate),
        "Xs": list(np.float32(xt + dx)),
        "Ys": list(np.float32(yt + dy)),
        "Xt": list(np.float32(xt)),
        "Yt": list(np.float32(yt)),
    }


def write_archives(tree: Path, folder: Path) -> Path:
    """The three archives, as the official addresses give them."""
    folder.mkdir(parents=True)
    for part, name in ARCHIVES.items():
        with py7zr.SevenZipFile(folder / name, "w") as archive:
            for path in sorted((tree / part).rglob("*.png")):
                archive.write(path, path.relative_to(tree / part).as_posix())
    with zipfile.ZipFile(folder / "info_ETH3D_files.zip", "w") as archive:
        for path in sorted((tree / "info_ETH3D_files").iterdir()):
            archive.write(path, f"info_ETH3D_files/{path.name}")
    return folder
