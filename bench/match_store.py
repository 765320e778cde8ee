"""Match files: packed shards against a group a pair, 200,000 pairs x 200 matches with scores.

Writes bench/results/match_store.json. The peer makes two datasets a pair with plain h5py and one open file, as other
tools do; it does not flush to the disk, the packed writer does. Needs 2 GB of disk for the time it takes.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from machine import describe_machine, spread

from trigpoint.storage.matches import MatchReader, MatchWriter, gather_matches
from trigpoint.types import Matches

ROOT = Path(__file__).parents[1]
NUM_IMAGES, NUM_READS, NUM_MATCHES, NUM_KEYPOINTS = 2000, 1000, 200, 4096
MEGABYTE = 1_000_000
Pair = tuple[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=ROOT / "bench/results/match_store.json")
    args = parser.parse_args()
    pairs = draw_pairs(args.pairs)
    load = round(os.getloadavg()[0], 1)  # processes that were running before the measurement
    folder = Path(tempfile.mkdtemp())
    try:
        layouts = measure(pairs, folder, args.repeats)
    finally:
        shutil.rmtree(folder)
    peer, packed = layouts["peer_groups"]["write"], layouts["packed"]["write"]
    result = {
        "machine": describe_machine(),
        "load_of_the_machine": load,
        "pairs": args.pairs,
        "matches_per_pair": NUM_MATCHES,
        "random_reads": NUM_READS,
        "layouts": layouts,
        "packed_writes_times_faster": round(peer["median_s"] / packed["median_s"], 1),
        "packed_writes_times_faster_cpu": round(peer["median_cpu_s"] / packed["median_cpu_s"], 1),
    }
    args.output.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    print(json.dumps(result, indent=2, sort_keys=True))


def draw_pairs(num: int) -> list[Pair]:
    """Different pairs of images, sorted as a pair list is."""
    rng = np.random.default_rng(0)
    all_pairs = np.stack(np.triu_indices(NUM_IMAGES, 1), axis=1)
    chosen = all_pairs[np.sort(rng.choice(len(all_pairs), num, replace=False))]
    return [(f"db/{first:05d}.jpg", f"db/{second:05d}.jpg") for first, second in chosen.tolist()]


def some_matches() -> list[Matches]:
    rng = np.random.default_rng(1)
    return [
        Matches(
            rng.integers(0, NUM_KEYPOINTS, (NUM_MATCHES, 2), dtype=np.int32), rng.random(NUM_MATCHES, dtype=np.float32)
        )
        for _ in range(64)
    ]


def measure(pairs: list[Pair], folder: Path, repeats: int) -> dict[str, dict]:
    chosen = [pairs[index] for index in np.random.default_rng(2).choice(len(pairs), NUM_READS, replace=False)]
    packed, peer, gathered, raw = (folder / name for name in ("packed.h5", "peer.h5", "gathered.h5", "raw.bin"))
    return {
        "raw_bytes_flushed": {"write": timed(lambda: write_raw(raw, len(pairs)), repeats), "file_mb": size_mb(raw)},
        "packed": {
            "write": timed(lambda: write_packed(packed, pairs), repeats),
            "read": timed(lambda: read_ours(packed, chosen), repeats + 2),
            "file_mb": size_mb(packed),
        },
        "peer_groups": {
            "write": timed(lambda: write_peer(peer, pairs), repeats),
            "read": timed(lambda: read_peer(peer, chosen), repeats + 2),
            "file_mb": size_mb(peer),
        },
        "gathered_groups": {
            "write": timed(lambda: gather_matches([packed], gathered), repeats),
            "read": timed(lambda: read_ours(gathered, chosen), repeats + 2),
            "file_mb": size_mb(gathered),
        },
    }


def timed(action: Callable[[], None], repeats: int) -> dict[str, object]:
    """Wall seconds, and the processor's, which tell more when others use the machine too."""
    seconds, cpu_seconds = [], []
    for _ in range(repeats):
        start, cpu_start = time.perf_counter(), time.process_time()
        action()
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu_start)
    return spread(seconds) | {"median_cpu_s": spread(cpu_seconds)["median_s"]}


def size_mb(path: Path) -> float:
    return round(path.stat().st_size / MEGABYTE, 1)


def write_raw(path: Path, num_pairs: int) -> None:
    """The least that any layout has to do: put the same bytes on the disk."""
    matches = some_matches()[0]
    block = (matches.indices.tobytes() + matches.scores.tobytes()) * 100
    with path.open("wb") as file:
        for _ in range(num_pairs // 100):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def write_packed(path: Path, pairs: list[Pair]) -> None:
    matches = some_matches()
    with MatchWriter(path, {}) as writer:
        for index, (name0, name1) in enumerate(pairs):
            writer.write(name0, name1, matches[index % len(matches)])


def write_peer(path: Path, pairs: list[Pair]) -> None:
    matches = some_matches()
    with h5py.File(path, "w") as file:
        for index, (name0, name1) in enumerate(pairs):
            group = file.require_group(name0.replace("/", "-")).create_group(name1.replace("/", "-"))
            group.create_dataset("matches", data=matches[index % len(matches)].indices)
            group.create_dataset("scores", data=matches[index % len(matches)].scores)


def read_ours(path: Path, chosen: list[Pair]) -> None:
    with MatchReader(path) as reader:
        for name0, name1 in chosen:
            assert len(reader.read(name0, name1)) == NUM_MATCHES


def read_peer(path: Path, chosen: list[Pair]) -> None:
    with h5py.File(path, "r") as file:
        for name0, name1 in chosen:
            group = file[name0.replace("/", "-")][name1.replace("/", "-")]
            assert len(group["matches"][()]) == len(group["scores"][()]) == NUM_MATCHES


if __name__ == "__main__":
    main()
