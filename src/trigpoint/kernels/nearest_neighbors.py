"""Mutual nearest neighbours over streamed blocks: one product, no N x M matrix.

Only maxima of groups of 64 products are kept, along rows and along columns; the group of the best is then looked at
(for columns: computed) once more for the exact best and second best. Memory: one block of rows, (N / 64) x M maxima.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

GROUP = 64  # products whose maximum is kept
BLOCK_BYTES = 12 << 20  # of products at a time; from 2 to 16 MiB times differ by 8 %, fewer blocks suit busy cores
LOWEST = float("-inf")
MIN_SQUARED_HALF = 1e-6  # DISK's floor of 1 - a.b; closer pairs tie
EUCLIDEAN_FACTOR = 2**0.5


@dataclass(frozen=True)
class TwoNearest:
    """For every row: index of the largest dot product, its value, and the second largest (-inf if there is none)."""

    index: Tensor
    best: Tensor
    second: Tensor


@dataclass(frozen=True)
class MutualMatches:
    """`indices` (K, 2) int64, sorted by the first column; `similarity` (K,) float32 dot products."""

    indices: Tensor
    similarity: Tensor


def no_matches(device: torch.device) -> MutualMatches:
    """K = 0."""
    return MutualMatches(torch.zeros(0, 2, dtype=torch.int64, device=device), torch.zeros(0, device=device))


def two_nearest(desc0: Tensor, desc1: Tensor, block_rows: int | None = None) -> tuple[TwoNearest, TwoNearest]:
    """The two largest dot products of every row with the rows of the other matrix, in both directions.

    Args:
        desc0: (N, D) float32, N > 0.
        desc1: (M, D) float32, M > 0.
        block_rows: rows of `desc0` at a time, a multiple of 64; by default what fits BLOCK_BYTES.
    """
    num0, num1 = len(desc0), len(desc1)
    groups0, groups1 = -(-num0 // GROUP), -(-num1 // GROUP)
    threads = torch.get_num_threads() if desc0.device.type == "cpu" else 1
    rows = block_rows or max(1, min(-(-groups0 // threads), BLOCK_BYTES // threads // (4 * GROUP**2 * groups1))) * GROUP
    column_maxima = desc0.new_empty((groups0, num1))
    mode = torch.is_inference_mode_enabled()

    def strip(first: int) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Every `threads`-th block, from the `first`."""
        with torch.inference_mode(mode):
            return _two_largest_of_blocks(desc0, desc1, rows, range(first * rows, num0, threads * rows), column_maxima)

    with _one_thread_each(desc0.device, threads) as run:
        strips = run(strip, range(threads))
        blocks = [strips[index % threads][index // threads] for index in range(-(-num0 // rows))]
        nearest0 = TwoNearest(*(torch.cat(values) for values in zip(*blocks, strict=True)))
        return nearest0, _two_largest_of_columns(desc0, desc1, column_maxima)


@contextmanager
def _one_thread_each(device: torch.device, threads: int) -> Iterator[Callable[..., list[Any]]]:
    """`map` over as many threads, on the CPU, with torch's own threads off meanwhile.

    With torch's threads each of hundreds of small operations would end at a barrier, which costs a time slice where
    another process holds a core: 2 s for 8192 x 8192 on two shared cores, against 0.3 s.
    """
    if device.type != "cpu":
        yield lambda function, items: [function(item) for item in items]
        return
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield lambda function, items: list(pool.map(function, items))
    finally:
        torch.set_num_threads(threads)


def _two_largest_of_blocks(
    desc0: Tensor, desc1: Tensor, rows: int, starts: Iterable[int], column_maxima: Tensor
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Index, best and second best of the rows of each block; group maxima of its columns go into `column_maxima`."""
    num0, num1 = len(desc0), len(desc1)
    groups1 = -(-num1 // GROUP)
    # the last group of columns is filled up with -inf once; the products are written beside it
    block = desc0.new_full((rows, groups1 * GROUP), LOWEST)
    parts = []
    for start in starts:
        count = min(rows, num0 - start)
        torch.mm(desc0[start : start + count], desc1.T, out=block[:count, :num1])
        parts.append(_two_largest_of_rows(block[:count].view(count, groups1, GROUP)))
        full = count // GROUP
        first = start // GROUP
        if full:
            blocked = block[: full * GROUP, :num1].unflatten(0, (full, GROUP))
            torch.amax(blocked, dim=1, out=column_maxima[first : first + full])
        if count % GROUP:
            torch.amax(block[full * GROUP : count, :num1], dim=0, out=column_maxima[first + full])
    return parts


def _two_largest_of_rows(products: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(R, G, 64) to index, best and second best (R,) over the last two dimensions."""
    maxima = products.amax(dim=2)
    _, group, other = _best_two(maxima)
    inside = products[torch.arange(len(products), device=products.device), group]  # (R, 64)
    best, index, second = _best_two(inside)
    return group * GROUP + index, best, torch.maximum(second, other)


def _two_largest_of_columns(desc0: Tensor, desc1: Tensor, maxima: Tensor) -> TwoNearest:
    """From (G, M) maxima over groups of rows; each column's best group is computed again."""
    _, group, other = _best_two(maxima.T.contiguous())
    order = torch.argsort(group, stable=True)
    counts = torch.bincount(group, minlength=len(maxima)).tolist()
    index, best, second = torch.empty_like(group), torch.empty_like(other), torch.empty_like(other)
    start = 0
    for number, count in enumerate(counts):
        if count == 0:
            continue
        columns = order[start : start + count]
        start += count
        products = desc1[columns] @ desc0[number * GROUP : (number + 1) * GROUP].T
        best[columns], inside, second[columns] = _best_two(products)
        index[columns] = inside + number * GROUP
    return TwoNearest(index, best, torch.maximum(second, other))


def _best_two(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(R, C) to largest, its first index, second largest (-inf for C = 1), each (R,); `values` is overwritten."""
    best, index = values.max(dim=1)
    values.scatter_(1, index[:, None], LOWEST)
    return best, index, values.amax(dim=1)


def mutual_matches(
    nearest0: TwoNearest,
    nearest1: TwoNearest,
    ratio: float | None,
    distance: str,
    max_distance: float | None,
    *,
    mutual: bool = True,
    ratio_sides: str = "both",
) -> MutualMatches:
    """The pairs that choose each other and pass the tests of `trigpoint.kernels.mutual_nearest_neighbors`.

    Args:
        ratio_sides: `first`: only rows of the first matrix have to pass the ratio test.
        mutual: off: a row and its nearest are a pair whatever that one's own nearest is; both pass the tests as ever.
    """
    index0 = torch.arange(len(nearest0.index), device=nearest0.index.device)
    index1 = nearest0.index
    ratio1 = ratio if ratio_sides == "both" else None
    kept = accepted(nearest0, ratio, distance, max_distance)
    kept &= accepted(nearest1, ratio1, distance, max_distance)[index1]
    if mutual:
        kept &= nearest1.index[index1] == index0
    return MutualMatches(torch.stack([index0[kept], index1[kept]], dim=1), nearest0.best[kept])


def accepted(nearest: TwoNearest, ratio: float | None, distance: str, max_distance: float | None) -> Tensor:
    """(N,) which rows pass the two tests with their nearest."""
    passes = torch.ones_like(nearest.index, dtype=torch.bool)
    first = to_distance(nearest.best, distance)
    if max_distance is not None:
        passes &= first <= max_distance
    if ratio is not None:
        second = to_distance(nearest.second, distance)
        passes &= (first / second < ratio) | nearest.second.isneginf()
    return passes


def to_distance(products: Tensor, distance: str) -> Tensor:
    """Dot products of unit vectors as `euclidean` distances or as `angle`s in radians."""
    if distance == "angle":
        return torch.arccos(products.clamp(-1, 1))
    return EUCLIDEAN_FACTOR * (1 - products).clamp(min=MIN_SQUARED_HALF).sqrt()
