"""Timing of several forms of one computation against each other; shared by the scripts of this folder."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any


def paired_runs(
    functions: dict[str, Callable[[], Any]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each function in each round; a round runs all of them, so that a busy moment meets all alike.

    Where others keep the machine busy, `time.process_time` of a single thread still tells forms apart.
    """
    for function in functions.values():
        function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            started = clock()
            function()
            seconds[name].append(clock() - started)
    return seconds


def summary(seconds: dict[str, list[float]], peer: str | None) -> dict[str, dict[str, float]]:
    """Median, smallest and largest seconds; if a peer ran too, the median over rounds of how much faster than it."""
    rows = {
        name: {"median_s": round(median(values), 4), "min_s": round(min(values), 4), "max_s": round(max(values), 4)}
        for name, values in seconds.items()
    }
    if peer is not None:
        for name, values in seconds.items():
            ratios = (a / b for a, b in zip(seconds[peer], values, strict=True))
            rows[name]["times_faster_than_peer"] = round(median(ratios), 2)
    return rows


def product_rate(size: int = 2048, rounds: int = 7, clock: Callable[[], float] = time.perf_counter) -> float:
    """Multiply-accumulates a second, in 1e9, of a float32 matrix product: the rate behind arithmetic floors."""
    import torch

    a, b = torch.rand(size, size), torch.rand(size, size)
    seconds = paired_runs({"product": lambda: a @ b}, rounds, clock)["product"]
    return size**3 / min(seconds) / 1e9


def with_floor(rows: dict[str, dict[str, float]], gmacs: dict[str, float], rate: float) -> dict[str, dict[str, float]]:
    """The rows with counted work, its time at the machine's product rate, and how far above that the median is."""
    for name, work in gmacs.items():
        rows[name]["gmac"] = round(work, 2)
        rows[name]["floor_s"] = round(work / rate, 4)
        rows[name]["times_floor"] = round(rows[name]["median_s"] / (work / rate), 2)
    return rows
