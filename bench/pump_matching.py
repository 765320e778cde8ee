"""PUMP's matching (the network excluded) against the tensor operations of its release, in one process.

The peer is the release's schedule written plainly: the whole correlation volume, clamp and power as sweeps of their
own, max-pooling of whole levels, positions as 64-bit indices, full-size copies on the way down, read-out from the
volume. On two quiet cores it must take about 7.2 s and 5.0 GB for 49x75 patches and 200x300 pixels (--resize 300); more
is an error here, not a gain there. Rounds alternate between all forms; memory is the peak of the resident set of a
process of its own. Descriptors are random unit vectors, every patch a noisy copy of its pixel. Writes
bench/results/pump_matching.json.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import torch
from machine import describe_machine
from timing import paired_runs, product_rate, summary, with_floor
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d, normalize

from trigpoint.kernels import PYRAMID_DTYPES, backend_in_use, match_pyramid, reciprocal
from trigpoint.kernels.pyramid_cpu import free_workspace, last_seconds

ROOT = Path(__file__).parents[1]
CHANNELS = 128
SIDES = {"200": (200, 132), "300": (300, 200), "600": (600, 450), "800": (800, 600), "1024": (1024, 768)}
HALF_OCTAVES = range(-4, 5)
Pair = tuple[Tensor, Tensor]
Answer = tuple[Tensor, Tensor]  # best pixel of every patch, its score


def descriptors(
    size0: tuple[int, int], size1: tuple[int, int], mean_norm: float = 0.0, noise_norm: float = 0.6
) -> Pair:
    """(C, H/4, W/4) patches and (C, H, W) pixels; with a common part of the given norm, as networks have it."""
    generator = torch.Generator().manual_seed(0)
    grid, size = (size0[0] // 4, size0[1] // 4), (size1[0] // 4 * 4, size1[1] // 4 * 4)
    pixels = normalize(torch.randn(CHANNELS, *size, generator=generator), dim=0)
    noise = normalize(torch.randn(CHANNELS, *grid, generator=generator), dim=0)
    patches = normalize(interpolate(pixels[None], grid)[0] + noise_norm * noise, dim=0)
    if mean_norm:
        common = normalize(torch.randn(CHANNELS, 1, 1, generator=generator), dim=0) * mean_norm
        own = (1 - mean_norm**2) ** 0.5
        patches, pixels = (normalize(common + own * part, dim=0) for part in (patches, pixels))
    return patches, pixels


def smooth_descriptors(height: int, width: int) -> Pair:
    """Neighbours alike and a common mean of norm 0.95, as of a network: pixels interpolated from every second one."""
    grid = (height // 4, width // 4)
    pixels = descriptors(*[(height // 2, width // 2)] * 2, mean_norm=0.95)[1]
    pixels = normalize(interpolate(pixels[None], (4 * grid[0], 4 * grid[1]), mode="bilinear")[0], dim=0)
    noise = normalize(torch.randn(CHANNELS, *grid, generator=torch.Generator().manual_seed(1)), dim=0)
    return normalize(pixels[:, 2::4, 2::4] + 0.3 * noise, dim=0), pixels


def pairs_of(resize: str, multi_scale: bool) -> list[Pair]:
    """One pair, or nine: image 0 reduced where the scale is below 1, image 1 where it is above."""
    width, height = SIDES[resize]
    found = []
    for half_octave in HALF_OCTAVES if multi_scale else (0,):
        sizes = [
            tuple(int(side * min(1.0, 2 ** (sign * half_octave / 2))) for side in (height, width)) for sign in (1, -1)
        ]
        found.append(descriptors(*sizes))
    return found


def rectified(volume: Tensor) -> Tensor:
    return volume.clamp(min=0) ** 1.5


def pooled(volume: Tensor, positions: bool = False) -> Tensor | tuple[Tensor, Tensor]:
    return max_pool2d(volume.flatten(0, 1), 3, 2, 1, return_indices=positions)


def peer_up(level: int, lower: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Pool, then sum four shifted children and their weights."""
    small = pooled(lower).unflatten(0, lower.shape[:2])
    gaps = (0, 1) if level == 1 else (2 ** (level - 2),) * 2
    enlarged = int(level == 1)
    shape = (lower.shape[0] + enlarged, lower.shape[1] + enlarged, *small.shape[2:])
    values, visible, total = small.new_zeros(shape), small.new_full(shape, 1e-8), small.new_full(shape[:2], 1e-8)
    for target, source, cells, looked_up in shifts(gaps, shape, small.shape):
        values[(*target, *cells)].addcmul_(weights[source][..., None, None], small[(*source, *looked_up)])
        visible[(*target, *cells)] += weights[source][..., None, None]
        total[target] += weights[source]
    return rectified(values.div_(visible.pow_(0.9).mul_(total[..., None, None] ** 0.1))), total


def shifts(
    gaps: tuple[int, int], shape: tuple[int, ...], lower: tuple[int, ...]
) -> list[tuple[tuple[slice, ...], ...]]:
    """Parents, children, their cells and the cells looked up, for the four children."""

    def overlap(targets: int, sources: int, shift: int) -> tuple[slice, slice]:
        start = max(0, -shift)
        stop = max(start, min(targets, sources - shift))
        return slice(start, stop), slice(start + shift, stop + shift)

    found = []
    for row, v in ((1, gaps[0]), (-1, -gaps[1])):
        for column, u in ((1, gaps[0]), (-1, -gaps[1])):
            moved = (v, u, row, column)
            four = [overlap(shape[i], lower[i], moved[i]) for i in range(4)]
            to, of = tuple(pair[0] for pair in four), tuple(pair[1] for pair in four)
            found.append((to[:2], of[:2], to[2:], of[2:]))
    return found


def peer_down(level: int, upper: Tensor, lower: Tensor) -> Tensor:
    """Votes of the parents at the first maximum of every window, the last row and column left out."""
    gaps = (0, 1) if level == 1 else (2 ** (level - 2),) * 2
    added = upper.new_zeros((*lower.shape[:2], *upper.shape[2:]))
    for target, source, cells, looked_up in shifts(gaps, upper.shape, added.shape):
        child, own = (*source, *looked_up), (*target, *cells)
        added[child] = torch.maximum(added[child], upper[own])
    allowed = lower.clone()
    allowed[:, :, -1] = allowed[..., -1] = -1
    best, where = pooled(allowed, positions=True)
    raised = torch.zeros_like(lower).flatten(2).flatten(0, 1)  # a full-size copy, as the release unpools
    raised.scatter_reduce_(1, where.flatten(1), best.add_(added.flatten(0, 1)).flatten(1), "amax")
    return torch.maximum(lower, raised.view_as(lower))


def peer(desc0: Tensor, desc1: Tensor) -> Answer:
    levels = [rectified(torch.einsum("cij,ckl->ijkl", desc0, desc1))]
    weights = torch.ones(desc0.shape[1:])
    while min(levels[-1].shape[2:]) > 5 or len(levels) == 1:
        upper, weights = peer_up(len(levels), levels[-1], weights)
        levels.append(upper)
    scores = levels.pop()
    while levels:
        scores = peer_down(len(levels), scores, levels.pop())
    best, pixel = scores.flatten(2).max(dim=2)
    best_of_pixel, _ = scores.flatten(0, 1).max(dim=0)
    max_pool2d(best_of_pixel[None], 4, 4, return_indices=True)
    return pixel, best


def ours(desc0: Tensor, desc1: Tensor, positions: str, dtype: str = "float32") -> Answer:
    found = match_pyramid(desc0, desc1, positions=positions, dtype=dtype, backend="cpu")
    return found.pixel_of_patch, found.score_of_patch


FORMS: dict[str, Callable[[Tensor, Tensor], Answer]] = {
    "peer": peer,
    "stored": partial(ours, positions="stored"),
    "recomputed": partial(ours, positions="recomputed"),
    "stored_bfloat16": partial(ours, positions="stored", dtype="bfloat16"),
}


def run_all(form: str, pairs: list[Pair]) -> list[Answer]:
    return [FORMS[form](*pair) for pair in pairs]


def gmacs(pairs: list[Pair]) -> float:
    return sum(CHANNELS * a[0].numel() * b[0].numel() for a, b in pairs) / 1e9


def assert_same(pairs: list[Pair]) -> None:
    """The peer's roundings decide some near ties; all but one in a thousand best pixels and scores must agree."""
    for mine, theirs in zip(run_all("stored", pairs), run_all("peer", pairs), strict=True):
        differing = (mine[0] != theirs[0]) | ((mine[1] - theirs[1]).abs() > 1e-4)
        assert float(differing.float().mean()) < 1e-3, float(differing.float().mean())


def measure(resize: str, forms: list[str], rounds: int, rate: float, multi_scale: bool = False) -> dict[str, object]:
    pairs = pairs_of(resize, multi_scale)
    if "peer" in forms:
        assert_same(pairs)
    phases: dict[str, list[float]] = {}
    processor: dict[str, list[float]] = {form: [] for form in forms}

    def timed(form: str) -> None:
        started = time.process_time()
        run_all(form, pairs)
        processor[form].append(time.process_time() - started)
        if form != "peer":
            phases.setdefault(form, []).append(last_seconds()["products"])

    seconds = paired_runs({form: partial(timed, form) for form in forms}, rounds)
    product = gmacs(pairs)
    work = {form: product * (2 if form == "recomputed" else 1) for form in forms}
    rows = with_floor(summary(seconds, "peer" if "peer" in forms else None), work, rate)
    for form, row in rows.items():
        row["median_processor_s"] = round(median(processor[form][1:]), 4)  # of both cores; hardly sees other load
        if form in phases and not multi_scale:
            row["fused_stage_s"] = round(median(phases[form][1:]), 4)
            row["fused_gflop_per_s"] = round(2 * work[form] / median(phases[form][1:]))
    free_workspace()
    return rows


def products_alone(resize: str, rounds: int) -> dict[str, float]:
    """Seconds of torch's product of the same shape, which writes the volume and nothing else."""
    desc0, desc1 = pairs_of(resize, False)[0]
    rows, columns = desc0.flatten(1).T.contiguous(), desc1.flatten(1)
    out = torch.empty(len(rows), columns.shape[1])
    seconds = paired_runs(
        {"new_output": lambda: rows @ columns, "existing_output": lambda: torch.mm(rows, columns, out=out)}, rounds
    )
    return {name: round(median(values), 4) for name, values in seconds.items()}


def changed_by_bfloat16(resize: str) -> dict[str, dict[str, float]]:
    """Reciprocal matches of float32 and the share of them that bfloat16 products do not give."""
    height, width = SIDES[resize][::-1]
    found = {}
    for name, smooth in (("independent", False), ("smooth_with_common_mean", True)):
        pair = smooth_descriptors(height, width) if smooth else descriptors(*[(height, width)] * 2, noise_norm=2.5)
        exact, rounded = (
            {tuple(row) for row in reciprocal(match_pyramid(*pair, dtype=dtype, backend="cpu")).tolist()}
            for dtype in PYRAMID_DTYPES[:2]
        )
        found[name] = {"matches": len(exact), "share_changed": round(1 - len(exact & rounded) / len(exact), 4)}
    return found


def peak_gb(form: str, resize: str, multi_scale: bool, threads: int) -> float:
    """Largest resident set of a process that does one matching."""
    command = [sys.executable, __file__, "--memory-of", form, "--resize", resize, "--threads", str(threads)]
    command += ["--multi-scale"] if multi_scale else []
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def report_own_peak(form: str, resize: str, multi_scale: bool) -> None:
    started = time.perf_counter()
    run_all(form, pairs_of(resize, multi_scale))
    taken = time.perf_counter() - started
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    print(round(int(found[1]) * 1024 / 1e9, 3))
    print(f"{form} at {resize}: {taken:.1f} s with the making of descriptors", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--cases", nargs="+", default=["single_300", "multi_300", "single_600"])
    parser.add_argument("--memory-of", choices=[*FORMS], help="print the peak of one form in GB and end")
    parser.add_argument("--resize", choices=[*SIDES], default="300", help="with --memory-of")
    parser.add_argument("--multi-scale", action="store_true", help="with --memory-of")
    parser.add_argument("--output", type=Path, default=ROOT / "bench/results/pump_matching.json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with torch.inference_mode():
        if args.memory_of:
            report_own_peak(args.memory_of, args.resize, args.multi_scale)
            return
        cases = measure_cases(args.cases, args.rounds, args.threads)
    result = json.loads(args.output.read_text()) if args.output.is_file() else {}
    cases["load_average"] = os.getloadavg()[0]
    result |= {"machine": describe_machine(), "backend": backend_in_use("cpu"), "threads": args.threads} | cases
    args.output.parent.mkdir(exist_ok=True)
    args.output.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(cases, indent=1))


def measure_cases(cases: list[str], rounds: int, threads: int) -> dict[str, object]:
    rate = product_rate()
    found: dict[str, object] = {"sgemm_gmac_per_s": round(rate, 1)}
    for case in cases:
        kind, resize = case.split("_")
        forms = [*FORMS] if resize in ("200", "300") else [form for form in FORMS if form != "peer"]
        forms = ["recomputed"] if resize in ("800", "1024") else forms
        multi = kind == "multi"
        rows = measure(resize, forms, min(rounds, 3) if multi or resize != "300" else rounds, rate, multi)
        for form, row in rows.items():
            row["peak_gb"] = peak_gb(form, resize, multi, threads)
        found[case] = rows
        if case == "single_300":
            found["torch_product_alone_300_s"] = products_alone(resize, rounds)
            found["bfloat16_300"] = changed_by_bfloat16(resize)
    return found


if __name__ == "__main__":
    main()
