"""NCNet and Patch2Pix on a pair of photographs against the plain formulation of their release, in one process.

The peer is the release's schedule written plainly: networks layer by layer, the whole correlation volume, pooling by a
stack of its 16 parts, the 4D convolutions as three 3D ones for each row, softmax over the volume, sorted unique rows,
windows by one look-up a level, regressors in groups of 1200. At 480x360 its 4D network must take about 2 s on two quiet
cores (4.9 s of processor time); more is an error here, not a gain there. Every round runs both forms on the same pair,
with nothing kept from earlier ones. Weights are random, with a consensus that passes scores on, so that matches are
many. Memory is the peak of the resident set of a process of its own. Writes bench/results/patch2pix_inference.json.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from machine import describe_machine
from timing import paired_runs, product_rate, summary
from torch import Tensor
from torch.nn import functional

from trigpoint.datasets.images import load_image
from trigpoint.kernels import backend_in_use
from trigpoint.methods.patch2pix import Ncnet, Patch2Pix
from trigpoint.methods.patch2pix_settings import NcnetSettings, Patch2PixSettings
from trigpoint.networks.patch2pix_net import Patch2PixNet, Regressor, RegressorConfig, decode
from trigpoint.networks.preprocessing import normalize_image, to_tensor
from trigpoint.networks.resnet34 import LEVEL_STRIDES
from trigpoint.types import Image

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "src/trigpoint/datasets/demo/images/images_upright/db"
SIZES = {"480": (480, 360), "1024": (1024, 768)}
CELL_PX, WINDOW_PX, GROUP = 8, 16, 1200
Found = tuple[np.ndarray, np.ndarray]  # positions in the network's images, scores


def random_network() -> Patch2PixNet:
    """Features of random layers; a consensus that mostly enlarges scores, so that cells are told apart."""
    torch.manual_seed(0)
    network = Patch2PixNet(RegressorConfig()).eval()
    with torch.no_grad():
        for layer in network.ncn.conv.values():
            layer.weight.mul_(0.1)[1, 0, 0, 1, 1, 1] = 30
    return network


def pair_of(size: str) -> list[Image]:
    """Two photographs of the demo, as large as asked for."""
    found = []
    for name in ("0044.jpg", "0045.jpg"):
        loaded = load_image(DEMO, name).pixels
        tensor = torch.from_numpy(loaded).permute(2, 0, 1)[None].float()
        width, height = SIZES[size]
        resized = functional.interpolate(tensor, (height, width), mode="bilinear", antialias=True)
        pixels = np.ascontiguousarray(resized[0].permute(1, 2, 0).round().byte().numpy())
        found.append(Image(name, pixels, (width, height), name))
    return found


# The plain formulation.


def plain_input(image: Image) -> Tensor:
    height, width = (side // 16 * 16 for side in image.pixels.shape[:2])
    pixels = torch.from_numpy(image.pixels).permute(2, 0, 1)[None].float()
    resized = functional.interpolate(pixels, (height, width), mode="bicubic", antialias=True)
    return normalize_image(to_tensor(resized[0].permute(1, 2, 0).clamp(0, 255).round().byte().numpy()))[None]


def plain_normalize(maps: Tensor) -> Tensor:
    return maps / torch.sqrt((maps**2).sum(dim=1, keepdim=True) + 1e-6)


def plain_correlation(features0: Tensor, features1: Tensor) -> Tensor:
    (_, channels, height0, width0), (height1, width1) = features0.shape, features1.shape[2:]
    rows = features0.view(1, channels, -1).transpose(1, 2)
    return torch.bmm(rows, features1.view(1, channels, -1)).view(1, 1, height0, width0, height1, width1)


def plain_pool(volume: Tensor, k: int = 2) -> tuple[Tensor, list[Tensor]]:
    parts = [
        volume[:, 0, i::k, j::k, a::k, b::k] for i in range(k) for j in range(k) for a in range(k) for b in range(k)
    ]
    largest, which = torch.stack(parts, dim=1).max(dim=1, keepdim=True)
    offsets = []
    for _ in range(4):
        offsets.insert(0, which % k)
        which = which // k
    return largest, offsets


def plain_mutual(volume: Tensor) -> Tensor:
    _, _, height0, width0, height1, width1 = volume.shape
    of_0 = volume.view(1, height0 * width0, height1, width1)
    of_1 = volume.view(1, height0, width0, height1 * width1)
    largest0 = of_0.max(dim=1, keepdim=True).values[:, None].view(1, 1, 1, 1, height1, width1)
    largest1 = of_1.max(dim=3, keepdim=True).values.view(1, 1, height0, width0, 1, 1)
    return volume * ((volume / (largest1 + 1e-5)) * (volume / (largest0 + 1e-5)))


def plain_conv4d(volume: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    zeros = torch.zeros_like(volume[:, :, :1])
    padded = torch.cat([zeros, volume, zeros], dim=2)
    out = torch.zeros(1, weight.shape[1], *volume.shape[2:])
    for row in range(volume.shape[2]):
        out[:, :, row] = functional.conv3d(padded[:, :, row + 1], weight[1], bias=bias, padding=1)
        for tap in (0, 2):
            out[:, :, row] = out[:, :, row] + functional.conv3d(padded[:, :, row + tap], weight[tap], padding=1)
    return out


def plain_consensus(network: Patch2PixNet, volume: Tensor) -> Tensor:
    def directed(values: Tensor) -> Tensor:
        for layer in network.ncn.conv.values():
            values = functional.relu(plain_conv4d(values, layer.weight, layer.bias))
        return values

    swapped = volume.permute(0, 1, 4, 5, 2, 3).contiguous()
    return directed(volume) + directed(swapped).permute(0, 1, 4, 5, 2, 3)


def plain_extraction(volume: Tensor, offsets: list[Tensor], k: int = 2) -> tuple[Tensor, Tensor]:
    _, _, height0, width0, height1, width1 = volume.shape
    matches, scores = [], []
    shares1 = functional.softmax(volume.reshape(1, height0 * width0, height1, width1), dim=1)
    best1, of0 = shares1.view(height0 * width0, -1).max(dim=0)
    shares0 = functional.softmax(volume.reshape(1, height0, width0, height1 * width1), dim=3)
    best0, of1 = shares0.view(-1, height1 * width1).max(dim=1)
    every0, every1 = torch.arange(height0 * width0), torch.arange(height1 * width1)
    for cell0, cell1, best in ((of0, every1, best1), (every0, of1, best0)):
        y0, x0, y1, x1 = cell0 // width0, cell0 % width0, cell1 // width1, cell1 % width1
        inside = [offset[0, 0, y0, x0, y1, x1] for offset in offsets]
        columns = [x0 * k + inside[1], y0 * k + inside[0], x1 * k + inside[3], y1 * k + inside[2]]
        matches.append(torch.stack(columns, dim=1) * CELL_PX + CELL_PX // 2)
        scores.append(best)
    return torch.cat(matches), torch.cat(scores)


def plain_coarse(network: Patch2PixNet, levels: list[list[Tensor]]) -> Found:
    volume = plain_correlation(*(plain_normalize(pyramid[4]) for pyramid in levels))
    pooled, offsets = plain_pool(volume)
    final = plain_mutual(plain_consensus(network, plain_mutual(pooled)))
    matches, scores = plain_extraction(final, offsets)
    unique, first, counts = np.unique(matches.numpy(), axis=0, return_index=True, return_counts=True)
    return unique[counts > 1], scores.numpy()[first[counts > 1]]


def plain_windows(pyramid: list[Tensor], xy: Tensor) -> Tensor:
    height, width = pyramid[0].shape[2:]
    steps = torch.arange(-WINDOW_PX // 2, WINDOW_PX // 2)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    pixel_x, pixel_y = xy[:, :1].long() + x.flatten(), xy[:, 1:].long() + y.flatten()
    found = []
    for level in range(4):
        stride = LEVEL_STRIDES[level]
        column = (pixel_x // stride).clamp(0, width // stride - 1)
        row = (pixel_y // stride).clamp(0, height // stride - 1)
        found.append(pyramid[level][0][:, row, column].transpose(0, 1))
    windows = plain_normalize(torch.cat(found, dim=1))
    return windows.view(len(xy), -1, WINDOW_PX, WINDOW_PX)


def plain_regression(regressor: Regressor, levels: list[list[Tensor]], matches: Tensor) -> tuple[Tensor, Tensor]:
    moved, scores = [], []
    sizes = [side for pyramid in levels for side in (pyramid[0].shape[3], pyramid[0].shape[2])]
    for group in matches.split(GROUP):
        windows = [plain_windows(pyramid, group[:, 2 * i : 2 * i + 2]) for i, pyramid in enumerate(levels)]
        decoded = decode(regressor(*windows), group, (sizes[0], sizes[1], sizes[2], sizes[3]), WINDOW_PX)
        moved.append(decoded[0])
        scores.append(decoded[1])
    return torch.cat(moved), torch.cat(scores)


def plain_ncnet(network: Patch2PixNet, images: list[Image]) -> Found:
    return plain_coarse(network, [network.extract(plain_input(image)) for image in images])


def plain_patch2pix(network: Patch2PixNet, images: list[Image]) -> Found:
    levels = [network.extract(plain_input(image)) for image in images]
    coarse, _ = plain_coarse(network, levels)
    mid, _ = plain_regression(network.regress_mid, levels, torch.from_numpy(coarse).float())
    fine, scores = plain_regression(network.regress_fine, levels, mid)
    return fine.numpy(), scores.numpy()


# Ours.


def our_methods(network: Patch2PixNet) -> tuple[Ncnet, Patch2Pix]:
    """The methods as a user has them, but for thresholds of 0, so that both forms regress the same matches."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "random.pt")
        torch.save(network.state_dict(), path)
        ncnet = Ncnet(NcnetSettings(weights=path, ncn_thres=0, cache_mib=0))
        return ncnet, Patch2Pix(Patch2PixSettings(weights=path, io_thres=0, cache_mib=0))


def ours(method: Ncnet, images: list[Image]) -> Found:
    """Positions in pixels of the network's images, as the peer has them."""
    found = method.match_images(*images)
    sides = [side for image in images for side in image.size]
    return (found.xy + 0.5) * [side // 16 * 16 / side for side in sides], found.scores


def forms_of(network: Patch2PixNet, images: list[Image]) -> dict[str, dict[str, Callable[[], object]]]:
    """Case -> form -> what is run."""
    ncnet, patch2pix = our_methods(network)
    described = [patch2pix.images.of(image) for image in images]
    volume = plain_mutual(plain_pool(plain_correlation(*(one.features[None] for one in described if one)))[0])
    return {
        "ncnet": {"peer": partial(plain_ncnet, network, images), "ours": partial(ours, ncnet, images)},
        "patch2pix": {"peer": partial(plain_patch2pix, network, images), "ours": partial(ours, patch2pix, images)},
        "network_4d": {
            "peer": partial(plain_consensus, network, volume),
            "ours": partial(network.ncn, volume[0, 0]),
        },
    }


def assert_same(forms: dict[str, dict[str, Callable[[], object]]]) -> int:
    """Matches that both forms find; all but near ties must be the same."""
    (theirs, _), (mine, _) = forms["patch2pix"]["peer"](), forms["patch2pix"]["ours"]()
    rows = {tuple(np.round(row, 2)) for row in theirs.tolist()}
    agreed = sum(any(np.abs(np.array(other) - row).max() < 0.02 for other in rows) for row in mine.tolist())
    assert agreed >= 0.98 * max(len(mine), len(theirs)), (agreed, len(mine), len(theirs))
    difference = forms["network_4d"]["peer"]()[0, 0] - forms["network_4d"]["ours"]()
    largest = float(forms["network_4d"]["ours"]().max())
    assert float(difference.abs().max()) <= 1.5e-6 * max(1.0, largest), float(difference.abs().max()) / largest
    return len(mine)


def measure(size: str, rounds: int) -> dict[str, object]:
    forms = forms_of(random_network(), pair_of(size))
    rows: dict[str, object] = {"matches": assert_same(forms)}
    for case, functions in forms.items():
        processor: dict[str, list[float]] = {form: [] for form in functions}

        def timed(form: str, functions=functions, processor=processor) -> None:
            started = time.process_time()
            functions[form]()
            processor[form].append(time.process_time() - started)

        rows[case] = summary(paired_runs({form: partial(timed, form) for form in functions}, rounds), "peer")
        for form, seconds in processor.items():
            rows[case][form]["median_processor_s"] = round(median(seconds[1:]), 3)
        peer, own = (rows[case][form]["median_processor_s"] for form in ("peer", "ours"))
        rows[case]["ours"]["times_less_processor_time"] = round(peer / own, 2)
    return rows


def peak_gb(case: str, form: str, threads: int) -> float:
    """Largest resident set of a process that matches one pair at 1024x768, less what it has before."""
    command = [sys.executable, __file__, "--memory-of", case, form, "--threads", str(threads)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def resident_gb(key: str) -> float:
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 / 1e9


def report_own_peak(case: str, form: str) -> None:
    network, images = random_network(), pair_of("1024")
    if form == "peer":
        run = partial({"ncnet": plain_ncnet, "patch2pix": plain_patch2pix}[case], network, images)
    else:
        method = our_methods(network)[("ncnet", "patch2pix").index(case)]
        run = partial(ours, method, images)
    before = resident_gb("VmRSS")
    found, _ = run()
    print(round(resident_gb("VmHWM"), 3))
    print(f"{case} {form}: {len(found)} matches, {before:.3f} GB before", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--memory-of", nargs=2, metavar=("CASE", "FORM"), help="print the peak in GB and end")
    parser.add_argument("--parts", nargs="+", choices=("time", "memory"), default=["time", "memory"])
    parser.add_argument("--output", type=Path, default=ROOT / "bench/results/patch2pix_inference.json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    result = json.loads(args.output.read_text()) if args.output.is_file() else {}
    with torch.inference_mode():
        if args.memory_of:
            report_own_peak(*args.memory_of)
            return
        if "time" in args.parts:
            result["sgemm_gmac_per_s"] = round(product_rate(), 1)
            result["480x360"] = measure("480", args.rounds)
            result["load_average"] = os.getloadavg()[0]
    if "memory" in args.parts:
        cases = [(case, form) for case in ("ncnet", "patch2pix") for form in ("peer", "ours")]
        result["peak_gb_1024x768"] = {f"{case}_{form}": peak_gb(case, form, args.threads) for case, form in cases}
    result |= {"machine": describe_machine(), "backend": backend_in_use("cpu"), "threads": args.threads}
    args.output.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "machine"}, indent=1))


if __name__ == "__main__":
    main()
