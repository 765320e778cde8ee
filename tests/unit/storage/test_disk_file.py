"""HDF5 files on a disk that fills up: an error and nothing left, never a crash; and bytes that know no time."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from trigpoint.errors import StorageError
from trigpoint.storage import hdf5
from trigpoint.storage.disk_file import DiskFile
from trigpoint.storage.features import FeatureWriter
from trigpoint.storage.matches import MatchWriter, gather_matches
from trigpoint.types import Features, Matches

MATCHES = Matches(np.arange(40, dtype=np.int32).reshape(20, 2), np.ones(20, dtype=np.float32))
WRITE_FEATURES = """
import numpy as np, sys
from trigpoint.errors import StorageError
from trigpoint.storage.features import FeatureWriter
from trigpoint.types import Features
features = Features(np.ones((50, 2), np.float32), np.ones((50, 128), np.float32), np.ones(50, np.float32), (9, 9))
try:
    with FeatureWriter(sys.argv[1], {}) as writer:
        for number in range(100):
            writer.write(str(number), features)
            sys.stdout.write(".")
except StorageError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("limit", [0, 100, 5_000, 200_000])
def test_a_disk_that_fills_up_is_said_and_leaves_nothing(tmp_path, limit):
    ended = subprocess.run(
        [sys.executable, "-c", WRITE_FEATURES, str(tmp_path / "features.h5")],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert ended.returncode == 1
    assert ended.stderr == f"{tmp_path}/features.h5: no room left on the disk; free some or choose another place\n"
    assert list(tmp_path.iterdir()) == []
    assert len(ended.stdout) < 100  # it was noticed on the way


def test_what_was_lost_reads_as_zeros_and_the_first_error_is_kept(tmp_path):
    file = DiskFile(tmp_path / "x")
    file.write(memoryview(b"abc"))
    file._raw.close()
    file._raw = open(os.devnull, "rb", buffering=0)  # noqa: PTH123, SIM115
    assert file.write(memoryview(b"lost")) == 4
    assert isinstance(file.error, OSError)
    buffer = bytearray(b"xxxx")
    file.readinto(memoryview(buffer))
    assert buffer == bytes(4)
    file.close()


def test_an_error_of_the_body_is_not_replaced(tmp_path):
    with pytest.raises(StorageError, match="written twice"), FeatureWriter(tmp_path / "x.h5", {}) as writer:
        nothing = Features(*(np.zeros(shape, np.float32) for shape in ((0, 2), (0, 1), (0,))), (9, 9))
        writer.write("a", nothing)
        writer.write("a", nothing)
    assert list(tmp_path.iterdir()) == []


def test_bytes_do_not_depend_on_the_time(tmp_path):
    def write(folder: Path) -> list[bytes]:
        folder.mkdir()
        with MatchWriter(folder / "1-of-1.h5", {}) as writer:
            writer.write("a", "b", MATCHES, "key")
        gather_matches([folder / "1-of-1.h5"], folder / "matches.h5")
        with hdf5.create_h5(folder / "free.h5", "features", {}) as file:
            hdf5.create_group(file, "g").create_dataset("d", data=[1, 2])
        return [(folder / name).read_bytes() for name in ("1-of-1.h5", "matches.h5", "free.h5")]

    first = write(tmp_path / "first")
    time.sleep(1.1)  # HDF5's time stamps count seconds
    assert write(tmp_path / "second") == first
