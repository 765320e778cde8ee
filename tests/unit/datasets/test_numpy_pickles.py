"""Pickles of arrays are read, and nothing in a pickle ever runs."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from trigpoint.datasets.numpy_pickles import read_numpy_pickle
from trigpoint.errors import DataError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def dump(path: Path, value: object, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_dictionaries_come_back(tmp_path: Path, protocol: int) -> None:
    pair = {
        "source_image": "multiview_training/a.png",
        "Xs": [1.5, np.float32(2.5), np.float64(3.25)],
        "Ys": np.array([1.0, 2.0, 3.0], dtype=">f4"),
        "grid": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "flags": (True, None, np.bool_(False)),
        "words": np.array(["ab", "c"]),
    }
    found = read_numpy_pickle(dump(tmp_path / "p", np.array([pair, {"n": 1}], dtype=object), protocol))
    assert found[0]["source_image"] == "multiview_training/a.png"
    assert [float(value) for value in found[0]["Xs"]] == [1.5, 2.5, 3.25]
    np.testing.assert_array_equal(found[0]["Ys"], [1, 2, 3])
    np.testing.assert_array_equal(found[0]["grid"], [[0, 1, 2], [3, 4, 5]])
    assert [bool(value) for value in found[0]["flags"]] == [True, False, False]
    assert found[0]["words"].tolist() == ["ab", "c"]
    assert found[1] == {"n": 1}


class RunsACommand:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_code_in_a_pickle_does_not_run(tmp_path: Path, protocol: int) -> None:
    path = dump(tmp_path / "p", np.array([{"Xs": RunsACommand(tmp_path / "ran")}], dtype=object), protocol)
    with pytest.raises(DataError, match=r"p: not read, .*\.system"):
        read_numpy_pickle(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["builtins eval", "numpy load", "numpy.core.multiarray fromfile", "functools partial"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    module, function = name.split()
    (tmp_path / "p").write_bytes(f"c{module}\n{function}\n(S'1'\ntR.".encode())
    with pytest.raises(DataError, match=f"it names {module}.{function}"):
        read_numpy_pickle(tmp_path / "p")


def test_bytes_are_never_taken_for_objects(tmp_path: Path) -> None:
    """A type of objects whose state denies it would make numpy's own function read addresses from the file."""

    class Forged:
        def __reduce__(self) -> tuple:
            dtype = np.dtype("O")
            return np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), (1, (1,), dtype, False, b"A" * 8)

    with pytest.raises(DataError, match="it holds objects of shape"):
        read_numpy_pickle(dump(tmp_path / "p", Forged()))


@pytest.mark.parametrize(
    "value", [np.zeros(2, dtype=[("x", "f4")]), np.zeros(2, dtype="datetime64[s]"), {1, 2}, 1 + 2j, np.zeros(1, "V4")]
)
def test_other_types_are_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(DataError, match="not read"):
        read_numpy_pickle(dump(tmp_path / "p", value))


def test_damaged_files_are_one_line(tmp_path: Path) -> None:
    whole = pickle.dumps(np.arange(100.0), protocol=2)
    for length in (0, 1, 40, len(whole) - 5):
        (tmp_path / "p").write_bytes(whole[:length])
        with pytest.raises(DataError, match="p: not read"):
            read_numpy_pickle(tmp_path / "p")
    with pytest.raises(DataError, match="missing"):
        read_numpy_pickle(tmp_path / "missing")


def test_a_list_within_itself_ends(tmp_path: Path) -> None:
    ring: list = []
    ring.append(ring)
    with pytest.raises(DataError, match="nested"):
        read_numpy_pickle(dump(tmp_path / "p", ring))
