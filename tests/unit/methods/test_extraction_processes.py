"""Features of a method that works on one core, extracted by several processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import psutil
import pytest

from trigpoint.methods.extraction import ExtractionSettings, extract_shard
from trigpoint.storage.dataset import write_dataset
from trigpoint.storage.features import FeatureReader
from trigpoint.types import Dataset, DatasetImage

NAMES = [f"{index}.png" for index in range(9)]
SETTINGS = ExtractionSettings(method="sift", settings={"max_keypoints": 50})


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    rng = np.random.default_rng(0)
    for name in NAMES:
        noise = PIL.Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        noise.resize((64, 48), PIL.Image.Resampling.BICUBIC).save(tmp_path / name)
    return Dataset("toy", "photos", str(tmp_path), tuple(DatasetImage(name, "map", (64, 48)) for name in NAMES))


def features_of(path: Path) -> dict[str, tuple[bytes, ...]]:
    with FeatureReader(path) as reader:
        read = {name: reader.read(name) for name in reader.names()}
    return {name: (f.keypoints.tobytes(), f.descriptors.tobytes(), f.scores.tobytes()) for name, f in read.items()}


def test_processes_give_the_same_bits_as_one(dataset: Dataset, tmp_path: Path) -> None:
    extract_shard(dataset, NAMES, SETTINGS, tmp_path / "one/f.h5")
    extract_shard(dataset, NAMES, SETTINGS, tmp_path / "two/f.h5", num_workers=2)
    one = features_of(tmp_path / "one/f.h5")
    assert one == features_of(tmp_path / "two/f.h5")
    assert list(one) == NAMES and all(all(arrays) for arrays in one.values())


def test_image_that_a_process_cannot_decode_is_recorded(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / NAMES[3]).write_bytes(b"no image")
    extract_shard(dataset, NAMES, SETTINGS, tmp_path / "f.h5", num_workers=2)
    assert [name for name, arrays in features_of(tmp_path / "f.h5").items() if not arrays[0]] == [NAMES[3]]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's")
def test_processes_end_when_the_command_is_killed(dataset: Dataset, tmp_path: Path) -> None:
    large = np.random.default_rng(0).integers(0, 256, (1600, 1600, 3), dtype=np.uint8)
    for name in NAMES:
        PIL.Image.fromarray(large).save(tmp_path / name)
    write_dataset(tmp_path / "dataset.json", dataset)
    settings = json.dumps({"method": "sift", "settings": {}})
    options = ["--settings", settings, "--dataset", str(tmp_path / "dataset.json"), "--num-workers", "2"]
    command = [sys.executable, "-m", "trigpoint", "extract-features", *options, "--output", str(tmp_path / "f.h5")]
    running = psutil.Process(subprocess.Popen(command, stderr=subprocess.DEVNULL).pid)
    workers = wait_for_workers(running)
    os.kill(running.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


def wait_for_workers(process: psutil.Process) -> list[psutil.Process]:
    """The two processes that extract, once both have loaded pycolmap."""
    for _ in range(600):
        workers = [child for child in process.children() if "spawn_main" in " ".join(child.cmdline())]
        loaded = [child for child in workers if any("_core" in m.path for m in child.memory_maps())]
        if len(loaded) == 2:
            return workers
        time.sleep(0.1)
    pytest.fail("two worker processes did not appear within a minute")
