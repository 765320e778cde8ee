"""Files of arrays from outside: objects come out as values, code does not run, damage is one line."""

import numpy as np
import pytest

from trigpoint.datasets.npz_files import read_npy, read_npz
from trigpoint.errors import DataError


def objects(rows: list) -> np.ndarray:
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return array


def test_numbers_texts_and_objects_come_out(tmp_path):
    path = tmp_path / "scene.npz"
    matrices = objects([np.eye(3), None, 2 * np.eye(4)])
    pairs = np.array([[(0, 2), 0.3], [(2, 1), 0.1]], dtype=object)  # NumPy makes rows of rows of such a list
    np.savez(path, matrices=matrices, pairs=pairs, names=np.array(["a-b", "c"]), counts=np.arange(6).reshape(2, 3))
    found = read_npz(path)
    np.testing.assert_array_equal(found["matrices"][2], 2 * np.eye(4))
    assert found["matrices"][1] is None
    assert found["pairs"] == [[(0, 2), 0.3], [(2, 1), 0.1]]
    assert found["names"].tolist() == ["a-b", "c"]
    assert found["counts"].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("array", [np.zeros((0, 3)), np.asfortranarray(np.arange(6).reshape(2, 3)), np.array(3.0)])
def test_arrays_of_any_order_and_size_come_out(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    found = read_npy(tmp_path / "a.npy")
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype


class Hostile:
    def __reduce__(self):
        return print, ("run",)


def test_code_is_refused(tmp_path, capsys):
    np.savez(tmp_path / "a.npz", x=objects([Hostile()]))
    with pytest.raises(DataError, match=r"a\.npz: x\.npy: not read.*names builtins\.print"):
        read_npz(tmp_path / "a.npz")
    assert capsys.readouterr().out == ""


def test_damage_is_one_line(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(100))
    whole = (tmp_path / "a.npy").read_bytes()
    for cut in (0, 5, 60, len(whole) - 8):
        (tmp_path / "a.npy").write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"a\.npy"):
            read_npy(tmp_path / "a.npy")
    (tmp_path / "a.npz").write_bytes(b"no archive")
    for path in (tmp_path / "a.npz", tmp_path / "absent.npz"):
        with pytest.raises(DataError, match=path.name):
            read_npz(path)
