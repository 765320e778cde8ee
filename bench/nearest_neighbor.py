"""Mutual nearest neighbours with ratio test, against dense formulations, in one process.

Peers: `two_products`, DISK's release: a distance matrix and its two smallest entries a row for each direction;
`one_matrix`, hloc's: one similarity matrix, top-2 of it and of its transpose (41 ms a pair of 2048 with file access on
two quiet cores). Ours: `streamed`, blocks of torch's product; `compiled`, register tiles (`make kernels`). Rounds
alternate between all forms. Memory is the peak of the resident set above what the process holds with the descriptors
loaded and the libraries warm, in a process of its own. Writes bench/results/nearest_neighbor.json.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from machine import describe_machine
from timing import paired_runs, product_rate, summary, with_floor

from trigpoint.kernels import backend_in_use, mutual_nearest_neighbors

ROOT = Path(__file__).parents[1]
SIZES = (2048, 8192)
WIDTH = 128
RATIO = 0.95
Matcher = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def descriptors(num: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two sets of unit rows; row i of one is a noisy copy of row i of the other."""
    generator = torch.Generator().manual_seed(0)
    first = torch.nn.functional.normalize(torch.randn(num, WIDTH, generator=generator), dim=1)
    noise = torch.nn.functional.normalize(torch.randn(num, WIDTH, generator=generator), dim=1)
    return first, torch.nn.functional.normalize(first + noise, dim=1)


def streamed(desc0: torch.Tensor, desc1: torch.Tensor) -> torch.Tensor:
    return mutual_nearest_neighbors(desc0, desc1, ratio=RATIO, backend="torch").indices


def compiled(desc0: torch.Tensor, desc1: torch.Tensor) -> torch.Tensor:
    return mutual_nearest_neighbors(desc0, desc1, ratio=RATIO, backend="cpu").indices


def two_products(desc0: torch.Tensor, desc1: torch.Tensor) -> torch.Tensor:
    def one_way(query: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        distance = 1.414213 * (1 - query @ target.T).clamp(min=1e-6).sqrt()
        values, index = torch.topk(distance, 2, dim=1, largest=False)
        kept = values[:, 0] / values[:, 1] < RATIO
        return torch.where(kept, index[:, 0], -1)

    return mutual(one_way(desc0, desc1), one_way(desc1, desc0))


def one_matrix(desc0: torch.Tensor, desc1: torch.Tensor) -> torch.Tensor:
    def one_way(similarity: torch.Tensor) -> torch.Tensor:
        values, index = similarity.topk(2, dim=1, largest=True)
        distance = 2 * (1 - values)
        return torch.where(distance[:, 0] <= RATIO**2 * distance[:, 1], index[:, 0], -1)

    similarity = torch.einsum("nd,md->nm", desc0, desc1)
    return mutual(one_way(similarity), one_way(similarity.T))


def mutual(forward: torch.Tensor, backward: torch.Tensor) -> torch.Tensor:
    index = torch.arange(len(forward))
    kept = (forward >= 0) & (backward[forward.clamp(min=0)] == index)
    return torch.stack([index[kept], forward[kept]], dim=1)


FORMS: dict[str, Matcher] = {
    "two_products": two_products,
    "one_matrix": one_matrix,
    "streamed": streamed,
    "compiled": compiled,
}


def status_mib(key: str) -> float:
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def memory_mib(form: str, num: int) -> float:
    """Peak of this process's resident set above what it holds before (Linux)."""
    desc0, desc1 = descriptors(num)
    FORMS[form](desc0[:512], desc1[:512])
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = status_mib("VmRSS")
    FORMS[form](desc0, desc1)
    return status_mib("VmHWM") - before


def memory_of_own_process(form: str, num: int, threads: int) -> float:
    command = [sys.executable, __file__, "--memory-of", form, "--num", str(num), "--threads", str(threads)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--memory-of", choices=[*FORMS], help="print the megabytes of one form and end")
    parser.add_argument("--num", type=int, default=8192, help="descriptors, with --memory-of")
    parser.add_argument("--output", type=Path, default=ROOT / "bench/results/nearest_neighbor.json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with torch.inference_mode():
        if args.memory_of:
            print(memory_mib(args.memory_of, args.num))
            return
        rate = product_rate()
        result = {
            "machine": describe_machine(),
            "threads": args.threads,
            "kernel_backend": backend_in_use("cpu"),
            "sgemm_gmac_per_s": round(rate, 1),
            "sizes": {},
        }
        for num in SIZES:
            desc0, desc1 = descriptors(num)
            for form in (streamed, compiled):
                assert torch.equal(form(desc0, desc1), two_products(desc0, desc1))
            seconds = paired_runs({name: partial(form, desc0, desc1) for name, form in FORMS.items()}, args.rounds)
            product = num * num * WIDTH / 1e9
            work = {"two_products": 2 * product, "one_matrix": product, "streamed": product, "compiled": product}
            rows = with_floor(summary(seconds, "two_products"), work, rate)
            for name, row in rows.items():
                row["memory_mib"] = round(memory_of_own_process(name, num, args.threads), 1)
            result["sizes"][f"{num}x{num}"] = rows
    args.output.parent.mkdir(exist_ok=True)
    args.output.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["sizes"], indent=1))


if __name__ == "__main__":
    main()
