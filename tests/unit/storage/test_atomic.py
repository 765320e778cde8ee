"""Outputs appear whole or not at all: errors, full disks, SIGKILL."""

import errno
import os
import resource
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from trigpoint.errors import StorageError
from trigpoint.storage.atomic import atomic_path
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.hdf5 import create_h5, open_h5
from trigpoint.storage.matches import MatchReader

NUM_KILLS = 50
# Writes a whole file of each kind again and again, each time with other content; says when it has started.
WRITER = """
import sys
import numpy as np
from trigpoint.storage.features import FeatureWriter
from trigpoint.storage.matches import MatchWriter
from trigpoint.types import Features, Matches

print("ready", flush=True)
version = 0
while True:
    version += 1
    rows = np.full((3000, 2), version)
    with FeatureWriter("features.h5", {"version": version}, "float32") as features:
        for image in range(5):
            features.write(f"{image}", Features(rows, rows, rows[:, 0], (version, image)))
    with MatchWriter("matches.h5", {"version": version}) as matches:
        for image in range(5):
            matches.write(f"{image}", "last", Matches(rows, rows[:, 0]))
"""


def test_body_that_fails_leaves_what_was_there(tmp_path):
    output = tmp_path / "out.txt"
    output.write_text("old")
    with pytest.raises(RuntimeError, match="stop"), atomic_path(output) as partial:
        partial.write_text("half")
        assert partial.name == f"out.txt.{os.getpid()}.partial"
        raise RuntimeError("stop")
    assert output.read_text() == "old"
    assert list(tmp_path.iterdir()) == [output]


def test_folder_replaces_folder(tmp_path):
    output = tmp_path / "deep" / "model"
    for content in ("first", "second"):
        with atomic_path(output) as partial:
            (partial / "sub").mkdir(parents=True)
            (partial / "sub" / content).write_text(content)
    assert [path.name for path in (output / "sub").iterdir()] == ["second"]
    assert list(output.parent.iterdir()) == [output]


def test_folder_that_fails_is_removed(tmp_path):
    with pytest.raises(RuntimeError, match="stop"), atomic_path(tmp_path / "model") as partial:
        partial.mkdir()
        (partial / "cameras.bin").write_text("half")
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_nothing_written_is_an_error(tmp_path):
    with pytest.raises(StorageError, match="nothing was written"), atomic_path(tmp_path / "out"):
        pass


def test_leftovers_of_the_dead_are_removed_and_of_the_living_kept(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    (tmp_path / f"out.{int(dead.stdout)}.partial").write_text("half")
    living = tmp_path / f"out.{os.getppid()}.partial"
    living.write_text("half")
    with atomic_path(tmp_path / "out") as partial:
        partial.write_text("whole")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "out", living])


def test_full_disk_is_said_in_one_line(tmp_path):
    with pytest.raises(StorageError, match="out: no room left"), atomic_path(tmp_path / "out") as partial:
        partial.touch()
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_full_disk_in_hdf5(tmp_path):
    """A real refusal by the system: the process may not write files beyond 1 MB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(StorageError, match="no room left"), create_h5(tmp_path / "f.h5", "features", {}) as file:
            file["large"] = np.zeros(1_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_file_says_what_it_is(tmp_path):
    with create_h5(tmp_path / "f.h5", "features", {"b": 1, "a": 2}):
        pass
    with h5py.File(tmp_path / "f.h5") as file:
        assert (file.attrs["kind"], file.attrs["format_version"]) == ("features", 1)
        assert file.attrs["settings"] == '{"a": 2, "b": 1}'
        assert file.attrs["trigpoint_version"]


def test_wrong_files_are_refused_with_the_command(tmp_path):
    path = tmp_path / "f.h5"
    with pytest.raises(StorageError, match="no such file; `trigpoint extract-features`"):
        open_h5(path, "features")
    path.write_text("text")
    with pytest.raises(StorageError, match="cannot be read as HDF5"):
        open_h5(path, "features")
    with create_h5(path, "features", {}) as file:
        file.attrs["format_version"] = 7
    with pytest.raises(StorageError, match=r"kind features, format 7; expected features, format 1.*extract-features"):
        open_h5(path, "features")
    with pytest.raises(StorageError, match=r"expected matches.*match-pairs"):
        open_h5(path, "matches")
    with h5py.File(path, "w"):
        pass
    with pytest.raises(StorageError, match="kind None"):
        open_h5(path, "features")


def test_truncated_file_is_refused(tmp_path):
    with create_h5(tmp_path / "f.h5", "features", {}) as file:
        file["a"] = np.zeros(1000)
    whole = (tmp_path / "f.h5").read_bytes()
    (tmp_path / "f.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StorageError, match="cannot be read as HDF5"):
        open_h5(tmp_path / "f.h5", "features")


def test_nothing_is_unreadable_after_sigkill(tmp_path):
    delays_s = np.random.default_rng(0).uniform(0, 0.12, NUM_KILLS)
    num_whole = 0
    for delay_s in delays_s:
        with subprocess.Popen([sys.executable, "-c", WRITER], cwd=tmp_path, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"ready\n"
            time.sleep(delay_s)
            process.kill()
        num_whole += check_whole(tmp_path)
    assert num_whole > NUM_KILLS / 2
    assert len(list(tmp_path.iterdir())) <= 4  # two outputs, and the last process' partial file of each


def check_whole(folder):
    """Check each file that is there to its last number; 1 if there was one."""
    found = 0
    if (folder / "features.h5").exists():
        with FeatureReader(folder / "features.h5") as reader:
            version = reader.settings["version"]
            assert reader.names() == [str(image) for image in range(5)]
            for image in range(5):
                features = reader.read(str(image))
                assert features.image_size == (version, image)
                assert (features.keypoints == version).all()
                assert (features.descriptors == version).all()
        found = 1
    if (folder / "matches.h5").exists():
        with MatchReader(folder / "matches.h5") as reader:
            version = reader.settings["version"]
            assert len(reader.pairs()) == 5
            for name0, name1 in reader.pairs():
                assert (reader.read(name0, name1).indices == version).all()
        found = 1
    return found
