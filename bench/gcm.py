"""Time of a pair at 640x480 by GCM, part by part: what is computed, and what the plain form of each part would take.

    python bench/gcm.py --vgg19 FILE --student FILE     # without files: random weights

Processor time, the least of three, since other programs may share the machine.
"""

import argparse
import functools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from torch.nn.utils import convert_conv2d_weight_memory_format

from trigpoint.matching.gcm.dense import match_dense
from trigpoint.matching.gcm.refinement import refine
from trigpoint.methods.gcm_maps import map_sampler
from trigpoint.networks.backbones import load_backbone
from trigpoint.networks.backbones.disk import DiskEncoder
from trigpoint.networks.backbones.vgg import TAPS, Vgg19, coarse_vgg19
from trigpoint.networks.disk_unet import DiskUNet
from trigpoint.networks.preprocessing import normalize_image, to_tensor
from trigpoint.networks.r2d2_inference import PatchInference
from trigpoint.networks.r2d2_net import STUDENT, PatchNet, load_patch_net
from trigpoint.storage.weights import load_state_dict

HEIGHT, WIDTH = 480, 640
REPEATS = 3


def least_seconds(compute: Callable[[], object]) -> float:
    """Processor seconds of the fastest repetition."""
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        compute()
        seconds.append(time.process_time() - start)
    return min(seconds)


def picture() -> torch.Tensor:
    """(1, 3, H, W) normalised noise of blocks."""
    cells = np.random.default_rng(0).random((HEIGHT // 8, WIDTH // 8, 3))
    pixels = (np.kron(cells, np.ones((8, 8, 1))) * 255).astype(np.uint8)
    return normalize_image(to_tensor(pixels))[None].contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vgg19", type=Path)
    parser.add_argument("--student", type=Path)
    args = parser.parse_args()
    torch.manual_seed(0)
    vgg_state = load_state_dict(args.vgg19) if args.vgg19 else Vgg19(TAPS).state_dict()
    plain_vgg = coarse_vgg19(vgg_state, "vgg19").eval()
    net = load_patch_net(load_state_dict(args.student), "student") if args.student else PatchNet(STUDENT).eval()
    student, images = PatchInference(net), picture()
    plain_images = images.contiguous()
    rows = [("VGG19 of one image, channels apart", least_seconds(lambda: plain_vgg(plain_images)))]
    vgg = load_backbone("COARSEVGG19", vgg_state, "vgg19")
    rows.append(("VGG19 of one image, channels together", least_seconds(lambda: vgg(images))))
    encoder = DiskEncoder(DiskUNet()).eval()
    rows.append(("DISK's encoder of one image, channels apart", least_seconds(lambda: encoder(plain_images))))
    convert_conv2d_weight_memory_format(encoder, torch.channels_last)
    rows.append(("DISK's encoder of one image, channels together", least_seconds(lambda: encoder(images))))
    rows.append(("student of one image, layer by layer", least_seconds(lambda: net(plain_images))))
    rows.append(("student of one image, norms folded, channels together", least_seconds(lambda: student.maps(images))))
    rows.append(("the same without the last layer", least_seconds(lambda: student.body(images))))
    maps, shifted = [m[0] for m in vgg(images)], [m[0] for m in vgg(images.roll(5, 3))]
    rows.append(("dense matching, 1200 x 1200 x 512", least_seconds(lambda: match_dense(maps[3], shifted[3], ratio=1))))
    stages = [match_dense(maps[3], shifted[3], ratio=1)]
    for level in (2, 1, 0):
        pair = map_sampler(maps[level]), map_sampler(shifted[level])
        parents = stages[-1]
        seconds = least_seconds(functools.partial(refine, parents, *pair, ratio=1))
        rows.append((f"refinement of {len(parents)} matches to stride {2 ** (level + 1)}", seconds))
        stages.append(refine(parents, *pair, ratio=1))
    parents = stages[-1]
    body0, body1 = student.body(images)[0], student.body(images.roll(5, 3))[0]

    def lazily() -> None:
        refine(
            parents, lambda xy: student.descriptors(body0, xy), lambda xy: student.descriptors(body1, xy), ratio=0.95
        )

    def densely() -> None:
        whole = [functional.normalize(student._last(body[None]), dim=1)[0] for body in (body0, body1)]
        refine(parents, map_sampler(whole[0]), map_sampler(whole[1]), ratio=0.95)

    rows.append((f"fine refinement of {len(parents)} matches, whole maps of the last layer", least_seconds(densely)))
    rows.append((f"fine refinement of {len(parents)} matches, descriptors where needed", least_seconds(lazily)))
    for name, seconds in rows:
        print(f"{seconds:8.3f} s  {name}")


if __name__ == "__main__":
    main()
