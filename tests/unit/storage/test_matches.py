"""Match files: packed and gathered give the same, whatever the sharding; what cannot be right is refused."""

import h5py
import numpy as np
import pytest

from trigpoint.errors import StorageError
from trigpoint.storage import matches as matches_module
from trigpoint.storage.matches import MatchReader, MatchWriter, gather_matches
from trigpoint.storage.shards import Shard
from trigpoint.types import Matches

PAIRS = [(f"db/{i}.jpg", f"q {j}.jpg") for i in range(4) for j in range(i + 2)]


def matches(num, seed=0):
    rng = np.random.default_rng(seed)
    return Matches(rng.integers(0, 9000, (num, 2), dtype=np.int32), rng.random(num, dtype=np.float32))


def of_pair(pair):
    index = PAIRS.index(pair)
    return matches(index % 5, seed=index)


def write(path, pairs=PAIRS, settings=None):
    with MatchWriter(path, settings or {"seed": 0}) as writer:
        for pair in pairs:
            writer.write(*pair, of_pair(pair), cache_key=f"key{PAIRS.index(pair)}")
    return path


def write_one(path, name0, name1, value):
    with MatchWriter(path, {}) as writer:
        writer.write(name0, name1, value)


@pytest.mark.parametrize("layout", ["packed", "groups"])
def test_round_trip(tmp_path, layout):
    path = write(tmp_path / "packed.h5")
    if layout == "groups":
        gather_matches([path], tmp_path / "groups.h5")
        path = tmp_path / "groups.h5"
    with MatchReader(path) as reader:
        assert reader.settings == {"seed": 0}
        assert reader.pairs() == sorted(PAIRS)
        for pair in PAIRS:
            read, swapped = reader.read(*pair), reader.read(*reversed(pair))
            np.testing.assert_array_equal(read.indices, of_pair(pair).indices)
            np.testing.assert_array_equal(read.scores, of_pair(pair).scores)
            np.testing.assert_array_equal(swapped.indices, of_pair(pair).indices[:, ::-1])
            assert (read.indices.dtype, read.scores.dtype) == (np.int32, np.float32)
            assert reader.cache_key(*pair) == f"key{PAIRS.index(pair)}"
            assert pair in reader
        assert ("db/0.jpg", "db/1.jpg") not in reader
        with pytest.raises(StorageError, match=r"no pair 'db/0.jpg' 'new.jpg'"):
            reader.read("db/0.jpg", "new.jpg")


def test_groups_are_what_other_tools_read(tmp_path):
    gather_matches([write(tmp_path / "packed.h5")], tmp_path / "groups.h5")
    with h5py.File(tmp_path / "groups.h5") as file:
        group = file["db%2F3.jpg/q 4.jpg"]
        assert (group["matches"].dtype, group["scores"].dtype) == (np.int32, np.float32)
        np.testing.assert_array_equal(group["matches"][()], of_pair(("db/3.jpg", "q 4.jpg")).indices)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_gathered_bytes_do_not_depend_on_the_shards(tmp_path, count):
    gather_matches([write(tmp_path / "whole.h5", list(reversed(PAIRS)))], tmp_path / "expected.h5")
    shards = [write(tmp_path / f"{index}.h5", Shard(index, count).select_pairs(PAIRS)) for index in range(1, count + 1)]
    gather_matches(shards, tmp_path / "gathered.h5")
    assert (tmp_path / "gathered.h5").read_bytes() == (tmp_path / "expected.h5").read_bytes()


def test_rows_are_written_before_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(matches_module, "CHUNK_ROWS", 64)
    with MatchWriter(tmp_path / "m.h5", {}) as writer:
        for index in range(40):
            writer.write("a", f"b{index}", matches(30 if index else 200, index))
            assert writer._num_rows < 64
            assert writer._indices.shape == (64, 2)
    with MatchReader(tmp_path / "m.h5") as reader:
        for index in range(40):
            np.testing.assert_array_equal(
                reader.read("a", f"b{index}").indices, matches(30 if index else 200, index).indices
            )


def test_writer_keeps_its_own_copy(tmp_path):
    buffer = matches(3)
    with MatchWriter(tmp_path / "m.h5", {}) as writer:
        writer.write("a", "b", buffer)
        buffer.indices[:] = 0
        buffer.scores[:] = 0
    with MatchReader(tmp_path / "m.h5") as reader:
        np.testing.assert_array_equal(reader.read("a", "b").indices, matches(3).indices)
        np.testing.assert_array_equal(reader.read("a", "b").scores, matches(3).scores)


@pytest.mark.parametrize(
    ("indices", "scores", "message"),
    [
        (np.zeros((2, 3), np.int32), np.zeros(2, np.float32), r"matches \(2, 3\)"),
        (np.zeros((2, 2), np.int32), np.zeros(3, np.float32), r"scores \(3,\)"),
        (np.zeros((2, 2), np.float32), np.zeros(2, np.float32), "float32, expected integers"),
        (np.array([[0, 2**31]]), np.zeros(1, np.float32), r"match \[0, 2147483648\]"),
        (np.array([[0, -1]]), np.zeros(1, np.float32), r"match \[0, -1\]"),
        (np.zeros((1, 2), np.int32), np.array([np.nan], np.float32), "score nan"),
    ],
)
def test_impossible_values_are_refused_with_the_pair(tmp_path, indices, scores, message):
    with pytest.raises(StorageError, match=f"pair 'a' 'b'.*{message}"):
        write_one(tmp_path / "m.h5", "a", "b", Matches(indices, scores))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("again", [PAIRS[0], tuple(reversed(PAIRS[0]))])
def test_pair_written_twice_is_refused(tmp_path, again):
    with pytest.raises(StorageError, match="was written twice"), MatchWriter(tmp_path / "m.h5", {}) as writer:
        writer.write(*PAIRS[0], matches(2))
        writer.write(*again, matches(2))


def test_image_with_itself_is_refused(tmp_path):
    with pytest.raises(StorageError, match=r"'a' 'a'.*with itself"):
        write_one(tmp_path / "m.h5", "a", "a", matches(2))


def test_shards_that_contradict_are_refused(tmp_path):
    one, two = write(tmp_path / "1.h5", PAIRS[:2]), tmp_path / "2.h5"
    with MatchWriter(two, {"seed": 0}) as writer:
        writer.write(PAIRS[0][1], PAIRS[0][0], matches(1))
    with pytest.raises(StorageError, match=r"is in .*1.h5 too"):
        gather_matches([one, two], tmp_path / "out.h5")
    with pytest.raises(StorageError, match="other settings"):
        gather_matches([one, write(tmp_path / "3.h5", PAIRS[3:], {"seed": 1})], tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_empty_shards_are_valid(tmp_path):
    gather_matches([write(tmp_path / "1.h5", []), write(tmp_path / "2.h5", [])], tmp_path / "out.h5")
    for path in ["1.h5", "out.h5"]:
        with MatchReader(tmp_path / path) as reader:
            assert reader.pairs() == []
