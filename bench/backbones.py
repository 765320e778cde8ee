"""Time of GCM's backbones for one photograph of 640x480, and the parameters that they have up to their last tap.

Beside our form, the same network with its maps in torch's usual order (channels first). Weights are drawn: the time
does not depend on them. Rounds alternate between the two forms. Writes bench/results/backbones.json.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import torch
from machine import describe_machine
from timing import paired_runs, summary

from trigpoint.kernels.heap import keep_freed_memory
from trigpoint.networks.backbones import BACKBONES, disk, inverted_residuals, load_backbone, r2d2, resnet, stereo, vgg
from trigpoint.networks.disk_unet import DiskUNet
from trigpoint.networks.r2d2_net import STUDENT, PatchNet

ROOT = Path(__file__).parents[1]
WIDTH, HEIGHT = 640, 480


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(BACKBONES), help="backbones; all of them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=Path, default=ROOT / "bench/results/backbones.json")
    parser.add_argument(
        "--processor-time", action="store_true", help="on one thread, for a machine that others use too"
    )
    args = parser.parse_args()
    clock = time.process_time if args.processor_time else time.perf_counter
    threads = 1 if args.processor_time else args.threads
    torch.set_num_threads(threads)
    keep_freed_memory()  # as `trigpoint match-pairs` does
    draw_weights()
    rows = {name: measure(name, args.rounds, clock) for name in args.names}
    result = {
        "machine": describe_machine(),
        "image": [WIDTH, HEIGHT],
        "clock": "processor time of one thread" if args.processor_time else f"wall clock, {threads} threads",
        "backbones": rows,
    }
    args.output.write_text(json.dumps(result, indent=2) + "\n")


def draw_weights() -> None:
    """Let the table's functions return networks as they are made, whatever the checkpoint."""
    for module in (inverted_residuals, resnet, stereo, vgg):
        module.load_part = lambda network, *_args, **_options: network
    disk.load_disk = lambda *_args: DiskUNet()
    r2d2.load_patch_net = lambda *_args: PatchNet(STUDENT).eval()


@torch.inference_mode()
def measure(name: str, rounds: int, clock: Any) -> dict[str, Any]:
    """One row: taps, parameters, times of both forms."""
    image = torch.randn(1, 3, HEIGHT, WIDTH)
    ours, usual = (load_backbone(name, {}, "drawn weights") for _ in range(2))
    usual = usual.to(memory_format=torch.contiguous_format)
    forms = {"ours": lambda: ours(image)}
    if ours.channels_last:
        forms["channels_first"] = lambda: usual(image)
    seconds = summary(paired_runs(forms, rounds, clock), "channels_first" if ours.channels_last else None)
    maps = [f"{WIDTH // found.shape[3]}:{found.shape[1]}" for found in ours(image)]
    parameters = sum(tensor.numel() for tensor in ours.parameters())
    print(f"{name:20} {parameters:>10} parameters {1000 * seconds['ours']['median_s']:7.0f} ms  {', '.join(maps)}")
    return {"parameters": parameters, "maps": maps, **seconds}


if __name__ == "__main__":
    main()
