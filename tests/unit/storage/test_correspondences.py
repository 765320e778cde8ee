"""Correspondence shards: what is written is read, whatever the sharding; what cannot be right is refused."""

import numpy as np
import pytest

from trigpoint.errors import StorageError
from trigpoint.storage.correspondences import CorrespondenceReader, CorrespondenceShards, CorrespondenceWriter
from trigpoint.storage.matches import MatchReader
from trigpoint.storage.shards import Shard
from trigpoint.types import Correspondences

PAIRS = [(f"map/{i} a.jpg", f"ü {j}.jpg") for i in range(4) for j in range(3)]


def of_pair(pair):
    index = PAIRS.index(pair)
    rng = np.random.default_rng(index)
    return Correspondences(rng.random((index % 5, 4), dtype=np.float32), rng.random(index % 5, dtype=np.float32))


def write(path, pairs=PAIRS, settings=None, backend="", failed=()):
    with CorrespondenceWriter(path, settings or {"seed": 0}) as writer:
        for pair in pairs:
            writer.write(*pair, of_pair(pair), cache_key=f"key{PAIRS.index(pair)}")
        for name in failed:
            writer.note_failed(name, "gone")
        writer.kernel_backends |= {backend} - {""}
    return path


def check(reader):
    assert reader.settings == {"seed": 0}
    assert reader.pairs() == sorted(PAIRS)
    for pair in PAIRS:
        found = reader.read(*pair)
        np.testing.assert_array_equal(found.xy, of_pair(pair).xy)
        np.testing.assert_array_equal(found.scores, of_pair(pair).scores)
        assert (found.xy.dtype, found.scores.dtype) == (np.float32, np.float32)


def test_round_trip_of_one_shard(tmp_path):
    with CorrespondenceReader(write(tmp_path / "1-of-1.h5")) as reader:
        check(reader)
        assert [reader.cache_key(*pair) for pair in PAIRS] == [f"key{index}" for index in range(len(PAIRS))]
        assert reader.cache_key("no", "pair") == ""
        assert (reader.failed, reader.kernel_backends) == ({}, set())
        with pytest.raises(StorageError, match="holds no pair 'no' 'pair'; run `trigpoint match-pairs`"):
            reader.read("no", "pair")


@pytest.mark.parametrize("count", [1, 3, 40])
def test_shards_are_read_as_one(tmp_path, count):
    names = [f"{number + 1}-of-{count}" for number in range(count)]
    paths = [
        write(tmp_path / f"{name}.h5", Shard.parse(name).select_pairs(PAIRS), backend=f"b{number % 2}", failed=[name])
        for number, name in enumerate(names)
    ]
    with CorrespondenceShards(paths[::-1]) as shards:
        check(shards)
        assert shards.failed == dict.fromkeys(names, "gone")
        assert shards.kernel_backends == {f"b{number % 2}" for number in range(count)}


def test_shards_that_do_not_belong_together_are_refused(tmp_path):
    first = write(tmp_path / "a.h5", PAIRS[:3])
    again = write(tmp_path / "b.h5", PAIRS[2:5])
    other = write(tmp_path / "c.h5", PAIRS[5:], {"seed": 1})
    with (
        pytest.raises(StorageError, match=r"b\.h5: the pair .* is in .*a\.h5 too"),
        CorrespondenceShards([first, again]),
    ):
        pass
    with pytest.raises(StorageError, match=r"c\.h5: made with other settings .*\(seed\)"):
        CorrespondenceShards([first, other]).__enter__()
    with pytest.raises(StorageError, match="no correspondence shards"):
        CorrespondenceShards([])


@pytest.mark.parametrize(
    ("xy", "scores", "words"),
    [
        (np.zeros((2, 4)), np.zeros(3), "expected"),
        (np.zeros((2, 2)), np.zeros(2), "expected"),
        (np.array([[0, np.nan, 0, 0]]), np.zeros(1), "not finite"),
        (np.zeros((1, 4)), np.array([-0.1]), "negative"),
        (np.zeros((1, 4)), np.array([np.inf]), "not finite"),
    ],
)
def test_values_that_cannot_be_are_refused_and_nothing_is_left(tmp_path, xy, scores, words):
    with (
        pytest.raises(StorageError, match=f"pair 'a' 'b': .*{words}"),
        CorrespondenceWriter(tmp_path / "x.h5", {}) as writer,
    ):
        writer.write("a", "b", Correspondences(xy, scores))
    assert list(tmp_path.iterdir()) == []


def test_a_pair_is_written_once(tmp_path):
    with CorrespondenceWriter(tmp_path / "x.h5", {}) as writer:
        writer.write("a", "b", of_pair(PAIRS[0]))
        with pytest.raises(StorageError, match="twice"):
            writer.write("b", "a", of_pair(PAIRS[0]))
        with pytest.raises(StorageError, match="itself"):
            writer.write("a", "a", of_pair(PAIRS[0]))


def test_another_kind_of_file_is_refused(tmp_path):
    with pytest.raises(StorageError, match=r"kind correspondences.*expected matches"):
        MatchReader(write(tmp_path / "x.h5")).__enter__()
