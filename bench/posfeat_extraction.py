"""PoSFeat's features of one photograph at 640x480, part by part, against the plain formulation in the same process.

The peer runs the whole description network, the detector on 256 channels at every pixel, suppression by unfolded
windows and a full sort, as the release does. Rounds alternate between all forms. Work is counted in
multiply-accumulates and set against the rate of this machine's 3x3 convolution. Also: how many keypoints stay on their
pixel, and the descriptors' cosines. Weights are drawn (no checkpoint can be had); the numbers do not depend on them,
but for bfloat16's keypoints. Writes bench/results/posfeat_extraction.json.
"""

import argparse
import importlib.util
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from machine import describe_machine
from timing import paired_runs, product_rate, summary, with_floor
from torch.nn import functional

from trigpoint.datasets.images import load_image
from trigpoint.datasets.tree import list_images
from trigpoint.kernels.heap import keep_freed_memory
from trigpoint.networks.posfeat_detection import ROWS, DetectionInference
from trigpoint.networks.posfeat_inference import DescriptionInference, PosfeatMaps, sample_descriptors
from trigpoint.networks.posfeat_keypoints import DetectionOptions, detect
from trigpoint.networks.posfeat_net import KeypointDet, ResUNet
from trigpoint.networks.preprocessing import normalize_image, to_tensor

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("TRIGPOINT_SHARED", ROOT.parent / "shared"))
FOLDERS = (SHARED / "data/sacre_coeur/mapping", ROOT / "src/trigpoint/datasets/demo")
WIDTH, HEIGHT = 640, 480
OPTIONS = DetectionOptions(limit=8192, nms="hard", nms_radius_px=1, threshold=0.9, threshold_mode="abs")  # HPatches
Clock = Callable[[], float]
Features = tuple[torch.Tensor, torch.Tensor]  # positions (N, 2) and descriptors (N, 128)


class Form:
    """Both networks prepared for inference in one type."""

    def __init__(self, backbone: ResUNet, head: KeypointDet, dtype: torch.dtype) -> None:
        self.description = DescriptionInference(backbone, dtype=dtype)
        self.detection = DetectionInference(head, dtype=dtype)

    def __call__(self, image: torch.Tensor) -> Features:
        maps = self.description.maps(image)
        xy, _ = detect(self.detection.scores(maps, image), OPTIONS)
        return xy, sample_descriptors(maps.local, xy, half_cell_shift=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=next(path for path in FOLDERS if path.exists()))
    parser.add_argument("--num-images", type=int, default=3, help="for the share of equal keypoints")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=Path, default=ROOT / "bench/results/posfeat_extraction.json")
    parser.add_argument(
        "--processor-time", action="store_true", help="on one thread, for a machine that others use too"
    )
    args = parser.parse_args()
    clock = time.process_time if args.processor_time else time.perf_counter
    threads = 1 if args.processor_time else args.threads
    torch.set_num_threads(threads)
    keep_freed_memory()  # as trigpoint extract-features does
    backbone, head, origin = networks()
    forms = {"float32": Form(backbone, head, torch.float32), "bfloat16": Form(backbone, head, torch.bfloat16)}
    with torch.inference_mode():
        images = [photograph(args.images, name) for name in list_images(args.images)[: args.num_images]]
        rate = convolution_rate(clock)
        work = {name: plain for name, plain, _ in PARTS}, {name: ours for name, _, ours in PARTS if ours}
        functions: dict[str, Callable[[], Any]] = {"plain": lambda: plain_features(backbone, head, images[0])}
        functions |= {name: lambda form=form: form(images[0]) for name, form in forms.items()}
        rows = summary(paired_runs(functions, args.rounds, clock), "plain")
        totals = {"plain": sum(work[0].values()), **dict.fromkeys(forms, sum(work[1].values()))}
        parts = {name: time_parts(form, images[0], args.rounds, clock) for name, form in forms.items()}
        plain = time_plain_parts(backbone, head, images[0], max(3, args.rounds // 2), clock)
        result = {
            "machine": describe_machine(),
            "threads": threads,
            "clock": "processor time" if args.processor_time else "wall time",
            "weights": origin,
            "keypoints": len(forms["float32"](images[0])[0]),
            "sgemm_gmac_per_s": round(product_rate(clock=clock), 1),
            "convolution_gmac_per_s": round(rate, 1),
            "seconds": with_floor(rows, totals, rate),
            "parts": {name: with_floor(timed, work[1], rate) for name, timed in parts.items()},
            "plain_parts": plain,
            "plain_gmac": {name: round(value, 2) for name, value in work[0].items()},
            "limit": {name: max(timed, key=lambda part: timed[part]["median_s"]) for name, timed in parts.items()},
            "agreement": {name: agreement(backbone, head, form, images) for name, form in forms.items()},
        }
    args.output.parent.mkdir(exist_ok=True)
    args.output.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "machine"}, indent=1))


def networks() -> tuple[ResUNet, KeypointDet, str]:
    """Both with drawn weights, by the goldens' rule where it is beside this checkout."""
    torch.manual_seed(0)
    backbone, head = ResUNet(), KeypointDet()
    origin, path = "torch's initial weights, seed 0", SHARED / "golden/fill_weights.py"
    if path.is_file():
        spec = importlib.util.spec_from_file_location("fill_weights", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for network in (backbone, head):
            network.load_state_dict(module.fill(network.state_dict()))
        origin = "drawn by key, as the goldens"
    return backbone.eval(), head.eval(), origin


def photograph(folder: Path, name: str) -> torch.Tensor:
    """(3, 480, 640), resampled whatever its aspect, normalised."""
    pixels = cv2.resize(load_image(folder, name).pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return normalize_image(to_tensor(np.asarray(pixels, dtype=np.uint8)))


def convolution_rate(clock: Clock, rounds: int = 5) -> float:
    """Multiply-accumulates a second, in 1e9, of the decoder's second join, the plain form's largest convolution."""
    maps = torch.rand(1, 512, HEIGHT // 4, WIDTH // 4).contiguous(memory_format=torch.channels_last)
    weight = torch.rand(256, 512, 3, 3).contiguous(memory_format=torch.channels_last)
    seconds = paired_runs({"join": lambda: functional.conv2d(maps, weight, padding=1)}, rounds, clock)["join"]
    return 9 * 512 * 256 * maps[0, 0].numel() / min(seconds) / 1e9


def counted_parts() -> list[tuple[str, float, float]]:
    """Name, multiply-accumulates of the plain form and of ours, in 1e9; interpolation and elementwise work excluded."""
    full, half, fourth = WIDTH * HEIGHT, WIDTH * HEIGHT // 4, WIDTH * HEIGHT // 16
    eighth, sixteenth = fourth // 4, fourth // 16
    encoder = half * 49 * 3 * 64
    for pixels_in, pixels, channels, width, blocks in (
        (fourth, fourth, 64, 64, 3),
        (fourth, eighth, 256, 128, 4),
        (eighth, sixteenth, 512, 256, 6),
    ):
        encoder += pixels_in * channels * width + pixels * (9 * width**2 + 4 * width**2 + 4 * width * channels)
        encoder += (blocks - 1) * pixels * (4 * width**2 + 9 * width**2 + 4 * width**2)
    rows = [
        ("encoder", encoder, encoder),
        ("coarse head", sixteenth * 1024 * 128, 0),
        ("first enlargement", eighth * 9 * 1024 * 512, sixteenth * 9 * 1024 * 512),
        ("first join", eighth * 9 * 1024 * 512, eighth * 9 * 1024 * 512),
        ("second enlargement", fourth * 9 * 512 * 256, eighth * 9 * 512 * 256),
        ("second join", fourth * 9 * 512 * 256, fourth * 9 * 512 * 256),
        ("fine head", fourth * 256 * 128, fourth * 256 * 128),
        ("detector at stride 4", fourth * 9 * 192 * 192, fourth * 9 * (192 * 192 + 192 * 128)),
        ("detector's image part", full * 9 * (3 * 64 + 64 * 128), full * (9 * 3 * 64 + 25 * 3 * 128)),
        ("detector at full size", full * (9 * 192 * 128 + 128), full * 128),
    ]
    return [(name, plain / 1e9, ours / 1e9) for name, plain, ours in rows]


PARTS = counted_parts()


def time_parts(form: Form, image: torch.Tensor, rounds: int, clock: Clock) -> dict[str, dict[str, float]]:
    """Seconds of each part of ours; what is computed in one pass is one part."""
    description, detection = form.description, form.detection
    batch = image[None].to(description.dtype).contiguous(memory_format=torch.channels_last)
    small, fourth, eighth, sixteenth = description.encode(batch)
    decoded3 = description.enlarge(0, sixteenth)
    joined3 = description.join(0, decoded3, eighth)
    decoded2 = description.enlarge(1, joined3)
    joined2 = description.join(1, decoded2, fourth)
    maps = PosfeatMaps(description.describe(joined2), small.float())
    channels_last = image[None].contiguous(memory_format=torch.channels_last)
    products = detection.low_products(maps)
    part = detection.image_part(channels_last)
    scores = detection.scores(maps, image)
    xy, _ = detect(scores, OPTIONS)
    functions: dict[str, Callable[[], Any]] = {
        "encoder": lambda: description.encode(batch),
        "first enlargement": lambda: description.enlarge(0, sixteenth),
        "first join": lambda: description.join(0, decoded3, eighth),
        "second enlargement": lambda: description.enlarge(1, joined3),
        "second join": lambda: description.join(1, decoded2, fourth),
        "fine head": lambda: description.describe(joined2),
        "detector at stride 4": lambda: detection.low_products(maps),
        "detector's image part": lambda: [
            *(detection.image_part(channels_last), *(part.rows(row, row + ROWS) for row in range(0, HEIGHT, ROWS)))
        ],
        "detector at full size": lambda: detection.logits(products, part),
        "keypoints": lambda: detect(scores, OPTIONS),
        "descriptors": lambda: sample_descriptors(maps.local, xy, half_cell_shift=True),
    }
    return summary(paired_runs(functions, rounds, clock), "encoder")


def time_plain_parts(
    backbone: ResUNet, head: KeypointDet, image: torch.Tensor, rounds: int, clock: Clock
) -> dict[str, Any]:
    """Seconds of the plain form's three parts."""
    maps = backbone(image[None])
    scores = head(maps, image[None])[0, 0]
    functions: dict[str, Callable[[], Any]] = {
        "description": lambda: backbone(image[None]),
        "detection": lambda: head(maps, image[None]),
        "keypoints": lambda: plain_keypoints(scores),
    }
    return summary(paired_runs(functions, rounds, clock), "description")


def plain_features(backbone: ResUNet, head: KeypointDet, image: torch.Tensor) -> Features:
    """Keypoints and descriptors by the release's formulation, with our borders."""
    maps = backbone(image[None])
    xy = plain_keypoints(head(maps, image[None])[0, 0])
    return xy, sample_descriptors(maps.local, xy, half_cell_shift=True)


def plain_keypoints(scores: torch.Tensor) -> torch.Tensor:
    """(N, 2): unfolded windows, a product of masks, the largest k of all pixels, unfolded centres of gravity."""
    side, height, width = 2 * OPTIONS.nms_radius_px + 1, *scores.shape
    padded = functional.pad(scores[None, None], (OPTIONS.nms_radius_px,) * 4, value=float("-inf"))
    windows = functional.unfold(padded, side)[0]
    kept = (windows.argmax(dim=0) == side**2 // 2).view(height, width) & (scores > OPTIONS.threshold)
    kept[:1], kept[-1:], kept[:, :1], kept[:, -1:] = False, False, False, False
    count = min(OPTIONS.limit or height * width, int(kept.sum()))
    chosen = torch.topk((kept * scores).flatten(), count).indices
    weights = functional.unfold(scores[None, None], 3, padding=1)[0][:, chosen]
    y, x = torch.meshgrid(torch.arange(-1, 2), torch.arange(-1, 2), indexing="ij")
    moved = torch.stack([(weights * step.reshape(-1, 1)).sum(dim=0) / weights.sum(dim=0) for step in (x, y)], dim=1)
    return torch.stack([chosen % width, chosen // width], dim=1) + moved


def agreement(backbone: ResUNet, head: KeypointDet, form: Form, images: list[torch.Tensor]) -> dict[str, float]:
    """Share of the plain form's keypoints found on the same pixel, how far they moved, smallest cosine there."""
    shares, cosines, moves = [], [], []
    for image in images:
        expected_xy, expected = plain_features(backbone, head, image)
        xy, descriptors = form(image)
        rows = {tuple(point): row for row, point in enumerate(xy.round().int().tolist())}
        places = [tuple(point) for point in expected_xy.round().int().tolist()]
        both = torch.tensor([(rows[point], row) for row, point in enumerate(places) if point in rows])
        shares.append(len(both) / len(places))
        moves.append((xy[both[:, 0]] - expected_xy[both[:, 1]]).norm(dim=1))
        cosines.append((descriptors[both[:, 0]] * expected[both[:, 1]]).sum(dim=1))
    return {
        "images": len(images),
        "same_pixel_percent_min": round(100 * min(shares), 2),
        "same_pixel_percent_mean": round(100 * sum(shares) / len(shares), 2),
        "moved_px_mean": round(torch.cat(moves).mean().item(), 6),
        "cosine_min": round(torch.cat(cosines).min().item(), 6),
        "cosine_mean": round(torch.cat(cosines).mean().item(), 6),
    }


if __name__ == "__main__":
    main()
