"""DISK's features of one photograph, against the dense formulation of its release, in one process.

The peer computes 129 channels at every pixel, finds maxima by max pooling with positions, selects by the (n + 1)-th
largest logit and gathers descriptors, as the release does (2.1 s at 1024 px on two quiet cores). Rounds alternate
between all forms. Also: how many keypoints stay on their pixel. Writes bench/results/disk_extraction.json.
"""

import argparse
import json
import os
from pathlib import Path

import cv2
import numpy as np
import torch
from machine import describe_machine
from timing import paired_runs, product_rate, summary, with_floor

from trigpoint.datasets.images import load_image
from trigpoint.datasets.tree import list_images
from trigpoint.networks.disk_inference import DiskInference
from trigpoint.networks.disk_unet import DiskUNet, load_disk
from trigpoint.networks.keypoints import local_maxima, strongest
from trigpoint.networks.preprocessing import to_tensor
from trigpoint.storage.weights import load_state_dict

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("TRIGPOINT_SHARED", ROOT.parent / "shared"))
FOLDERS = (SHARED / "data/sacre_coeur/mapping", ROOT / "src/trigpoint/datasets/demo")
NUM_KEYPOINTS = 2048
SIZES = {"640x480": (640, 480), "1024x768": (1024, 768)}
DOWN_MACS, LAST_MACS, LOGIT_MACS, DESCRIPTOR_MACS = 64_000, 258_000, 2_000, 2_000 * 128  # a pixel, ..., a keypoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    folders = [SHARED / "data/sacre_coeur/mapping", ROOT / "src/trigpoint/datasets/demo"]
    parser.add_argument(
        "--images", type=Path, default=next(path for path in folders if path.exists()), help="folder of photographs"
    )
    parser.add_argument("--num-images", type=int, default=5, help="for the share of equal keypoints")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=Path, default=ROOT / "bench/results/disk_extraction.json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    network = load_disk(load_state_dict("disk-depth"), "disk-depth")
    forms = {"float32": DiskInference(network), "bfloat16": DiskInference(network, dtype=torch.bfloat16)}
    names = list_images(args.images)[: args.num_images]
    rate = product_rate()
    result = {"machine": describe_machine(), "threads": args.threads, "sgemm_gmac_per_s": round(rate, 1), "sizes": {}}
    with torch.inference_mode():
        for label, size in SIZES.items():
            images = [photograph(args.images, name, size) for name in names]
            rows = time_forms(network, forms, images[0], args.rounds)
            pixels = size[0] * size[1]
            sparse = (pixels * (DOWN_MACS + LOGIT_MACS) + NUM_KEYPOINTS * DESCRIPTOR_MACS) / 1e9
            work = {"dense": pixels * (DOWN_MACS + LAST_MACS) / 1e9, "float32": sparse, "bfloat16": sparse}
            result["sizes"][label] = {
                "keypoints": NUM_KEYPOINTS,
                "seconds": with_floor(rows, work, rate),
                "agreement": {name: agreement(network, form, images) for name, form in forms.items()},
            }
    args.output.parent.mkdir(exist_ok=True)
    args.output.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["sizes"], indent=1))


def photograph(folder: Path, name: str, size: tuple[int, int]) -> torch.Tensor:
    """(3, H, W), resampled to the size whatever its aspect."""
    pixels = cv2.resize(load_image(folder, name).pixels, size, interpolation=cv2.INTER_AREA)
    return to_tensor(np.asarray(pixels, dtype=np.uint8))


def time_forms(
    network: DiskUNet, forms: dict[str, DiskInference], image: torch.Tensor, rounds: int
) -> dict[str, dict[str, float]]:
    functions = {"dense": lambda: dense_features(network, image)}
    functions |= {name: lambda form=form: sparse_features(form, image) for name, form in forms.items()}
    return summary(paired_runs(functions, rounds), "dense")


def sparse_features(form: DiskInference, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Keypoints and descriptors as the plug-in computes them."""
    maps = form.maps(image)
    xy = local_maxima(maps.logits, 5, 0.0)
    xy, _ = strongest(xy, maps.logits[xy[:, 1], xy[:, 0]], NUM_KEYPOINTS)
    return xy, form.descriptors(maps, xy)


def dense_features(network: DiskUNet, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Keypoints and descriptors by the release's formulation."""
    output = network(image[None])
    descriptors, heatmap = output[:, :128], output[:, 128:]
    _, position = torch.nn.functional.max_pool2d(heatmap, 5, stride=1, padding=2, return_indices=True)
    itself = torch.arange(heatmap[0, 0].numel()).reshape(heatmap.shape[2:])
    found = (position[0, 0] == itself) & (heatmap[0, 0] > 0)
    y, x = torch.nonzero(found, as_tuple=True)
    scores = heatmap[0, 0, y, x]
    if len(scores) > NUM_KEYPOINTS:
        threshold = torch.kthvalue(-scores, NUM_KEYPOINTS + 1).values.neg()
        y, x, scores = y[scores > threshold], x[scores > threshold], scores[scores > threshold]
    rows = descriptors[0][:, y, x].T
    order = scores.argsort().flip(0)
    return torch.stack([x, y], dim=1)[order], torch.nn.functional.normalize(rows, dim=1)[order]


def agreement(network: DiskUNet, form: DiskInference, images: list[torch.Tensor]) -> dict[str, float]:
    """Share of the dense form's keypoints that are found on the same pixel, and the smallest cosine there."""
    shares, cosines = [], []
    for image in images:
        expected_xy, expected = dense_features(network, image)
        xy, descriptors = sparse_features(form, image)
        rows = {tuple(point): row for row, point in enumerate(xy.tolist())}
        both = [(row, rows[tuple(point)]) for row, point in enumerate(expected_xy.tolist()) if tuple(point) in rows]
        shares.append(len(both) / max(1, len(expected_xy)))
        ours, theirs = torch.tensor([b for _, b in both]), torch.tensor([a for a, _ in both])
        cosines.append((descriptors[ours] * expected[theirs]).sum(dim=1).min().item())
    return {
        "images": len(images),
        "same_pixel_percent_min": round(100 * min(shares), 2),
        "same_pixel_percent_mean": round(100 * sum(shares) / len(shares), 2),
        "cosine_min": round(min(cosines), 6),
    }


if __name__ == "__main__":
    main()
