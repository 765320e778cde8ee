"""A run that is killed, again and again, ends where one ends that never was."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

NUM_KILLS = 10


@pytest.mark.timeout(900)
def test_ten_kills_change_nothing(workspace, finished) -> None:
    rng = random.Random(0)
    kills = 0
    while kills < NUM_KILLS:
        running = subprocess.Popen(
            workspace.command("results/my_photos"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=workspace.environment,
            start_new_session=True,
        )
        try:
            running.wait(timeout=rng.uniform(1.0, 6.0))
            for folder in ("work", "results"):  # done before the moment came: start from nothing again
                shutil.rmtree(workspace.path / folder, ignore_errors=True)
        except subprocess.TimeoutExpired:
            os.kill(running.pid, signal.SIGKILL)  # the main process only: its children must end by themselves
            running.wait()
            kills += 1
    time.sleep(0.2)
    assert orphans(str(workspace.path)) == []
    workspace.run("results/my_photos")
    killed = json.loads((workspace.path / "results/my_photos/metrics.json").read_text())
    assert killed == json.loads((finished.path / "results/my_photos/metrics.json").read_text())


def orphans(folder: str) -> list[str]:
    """Processes that still work in a folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and str((process / "cwd").readlink()).startswith(folder):
                found.append(process.name)
        except OSError:  # it ended meanwhile
            continue
    return found
