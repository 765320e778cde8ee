"""Feature files: round trip, refusals, the view over shards."""

import shutil

import h5py
import numpy as np
import pytest

from trigpoint.errors import StorageError
from trigpoint.storage.features import FeatureReader, FeatureWriter, link_shards
from trigpoint.types import Features


def features(num=5, dim=4, seed=0, size=(640, 480)):
    rng = np.random.default_rng(seed)
    return Features(
        keypoints=rng.uniform(0, 640, (num, 2)).astype(np.float32),
        descriptors=rng.normal(size=(num, dim)).astype(np.float32),
        scores=rng.random(num).astype(np.float32),
        image_size=size,
    )


def write(path, names, settings=None, **options):
    with FeatureWriter(path, settings or {"seed": 0}, **options) as writer:
        for name in names:
            writer.write(name, features(num=len(name), seed=len(name)), cache_key=f"key of {name}")
    return path


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("num", [0, 1, 7])
def test_round_trip(tmp_path, dtype, num):
    written = features(num)
    with FeatureWriter(tmp_path / "f.h5", {"method": "disk"}, descriptor_dtype=dtype) as writer:
        writer.write("db/1 ä.jpg", written, cache_key="abc")
    with FeatureReader(tmp_path / "f.h5") as reader:
        read = reader.read("db/1 ä.jpg")
        assert reader.names() == ["db/1 ä.jpg"]
        assert (reader.cache_key("db/1 ä.jpg"), reader.num_keypoints("db/1 ä.jpg")) == ("abc", num)
        assert reader.settings == {"method": "disk"}
        np.testing.assert_array_equal(reader.keypoints("db/1 ä.jpg"), written.keypoints)
    np.testing.assert_array_equal(read.keypoints, written.keypoints)
    np.testing.assert_array_equal(read.scores, written.scores)
    np.testing.assert_array_equal(read.descriptors, written.descriptors.astype(dtype))
    assert (read.keypoints.dtype, read.descriptors.dtype, read.image_size) == (np.float32, np.dtype(dtype), (640, 480))


@pytest.mark.parametrize("field", ["keypoints", "descriptors", "scores"])
def test_not_a_number_is_refused_with_the_image(tmp_path, field):
    damaged = features()
    getattr(damaged, field)[2] = np.nan
    refused = pytest.raises(StorageError, match=r"'b.jpg'.*not a number")
    with refused, FeatureWriter(tmp_path / "f.h5", {}) as writer:
        writer.write("b.jpg", damaged)
    assert list(tmp_path.iterdir()) == []


def test_descriptor_beyond_half_precision_is_refused(tmp_path):
    large = features()
    large.descriptors[0, 0] = 1e5
    with pytest.raises(StorageError, match=r"descriptor_dtype float32"), FeatureWriter(tmp_path / "f.h5", {}) as writer:
        writer.write("a.jpg", large)


def test_lengths_that_differ_are_refused(tmp_path):
    good = features()
    bad = Features(good.keypoints, good.descriptors[:-1], good.scores, good.image_size)
    with pytest.raises(StorageError, match=r"descriptors \(4, 4\)"), FeatureWriter(tmp_path / "f.h5", {}) as writer:
        writer.write("a.jpg", bad)


def test_second_write_of_an_image_is_refused(tmp_path):
    with pytest.raises(StorageError, match=r"'a.jpg' were written twice"):
        write(tmp_path / "f.h5", ["a.jpg", "a.jpg"])


def test_missing_image_is_named(tmp_path):
    with FeatureReader(write(tmp_path / "f.h5", ["a.jpg"])) as reader:
        assert "a.jpg" in reader
        assert "b.jpg" not in reader
        with pytest.raises(StorageError, match=r"'b.jpg'.*extract-features"):
            reader.read("b.jpg")


def test_same_content_gives_the_same_bytes(tmp_path):
    first = write(tmp_path / "1.h5", ["a", "bb"]).read_bytes()
    assert write(tmp_path / "2.h5", ["a", "bb"]).read_bytes() == first


def test_copy_keeps_content_and_key(tmp_path):
    write(tmp_path / "old.h5", ["a", "bb"])
    with FeatureReader(tmp_path / "old.h5") as old, FeatureWriter(tmp_path / "new.h5", {"seed": 0}) as writer:
        for name in ["a", "bb"]:
            writer.copy_from(old, name)
    assert (tmp_path / "new.h5").read_bytes() == (tmp_path / "old.h5").read_bytes()


def test_view_over_shards_survives_a_move(tmp_path):
    run = tmp_path / "run"
    shards = [write(run / "features/1-of-2.h5", ["a", "db/1.jpg"]), write(run / "features/2-of-2.h5", ["bb", ".."])]
    link_shards(shards, run / "features.h5")
    moved = tmp_path / "elsewhere"
    shutil.move(run, moved)
    with FeatureReader(moved / "features.h5") as reader:
        assert reader.names() == ["..", "a", "bb", "db/1.jpg"]
        assert [len(reader.read(name)) for name in reader.names()] == [2, 1, 2, 8]
    with h5py.File(moved / "features.h5") as file:  # as another tool would
        assert file["db%2F1.jpg/keypoints"].shape == (8, 2)
    assert str(tmp_path).encode() not in (moved / "features.h5").read_bytes()


def test_missing_shard_is_named(tmp_path):
    link_shards([write(tmp_path / "features/1-of-1.h5", ["a"])], tmp_path / "features.h5")
    (tmp_path / "features/1-of-1.h5").unlink()
    with FeatureReader(tmp_path / "features.h5") as reader, pytest.raises(StorageError, match=r"features/1-of-1.h5"):
        reader.read("a")


def test_shards_that_contradict_are_refused(tmp_path):
    one, two = write(tmp_path / "1.h5", ["a"]), write(tmp_path / "2.h5", ["a"])
    other = write(tmp_path / "3.h5", ["b"], {"seed": 1})
    with pytest.raises(StorageError, match=r"'a' is in .*1.h5 too"):
        link_shards([one, two], tmp_path / "out.h5")
    with pytest.raises(StorageError, match=r"other settings than .*1.h5 .seed."):
        link_shards([one, other], tmp_path / "out.h5")
    with pytest.raises(StorageError, match="no feature shards"):
        link_shards([], tmp_path / "out.h5")


def test_empty_shard_is_valid(tmp_path):
    link_shards([write(tmp_path / "1.h5", []), write(tmp_path / "2.h5", ["a"])], tmp_path / "out.h5")
    with FeatureReader(tmp_path / "out.h5") as reader:
        assert reader.names() == ["a"]


def test_keypoints_without_descriptors_have_none_in_the_file(tmp_path):
    path = tmp_path / "features.h5"
    xy = np.ones((3, 2), dtype=np.float32)
    with FeatureWriter(path, {}) as writer:
        writer.write("a.jpg", Features(xy, np.zeros((3, 0), np.float32), np.ones(3, np.float32), (8, 6)))
        writer.kernel_backends.add("cpu-x")
    with h5py.File(path) as file:
        assert sorted(file["a.jpg"]) == ["keypoints", "scores"]
        assert file.attrs["kernel_backend"] == "cpu-x"
    with FeatureReader(path) as reader:
        read = reader.read("a.jpg")
        np.testing.assert_array_equal(read.keypoints, xy)
        assert (read.descriptors.shape, reader.kernel_backends) == ((3, 0), {"cpu-x"})
