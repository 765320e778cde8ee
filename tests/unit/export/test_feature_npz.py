"""Archives of features for each image, there and back."""

from pathlib import Path

import numpy as np
import pytest

from trigpoint.cli import main
from trigpoint.errors import DataError, SettingsError, StorageError
from trigpoint.export.feature_npz import export_feature_npz, read_feature_npz
from trigpoint.storage.features import FeatureReader, FeatureWriter
from trigpoint.types import Features


@pytest.fixture
def features(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "features.h5"
    with FeatureWriter(path, {}, "float16") as writer:
        for name, count in (("v_boat/1.ppm", 5), ("db/b c.jpg", 0)):
            keypoints = rng.random((count, 2), dtype=np.float32) * 100
            descriptors = rng.random((count, 8), dtype=np.float32)
            writer.write(name, Features(keypoints, descriptors, rng.random(count, dtype=np.float32), (640, 480)))
    return path


def test_archives_come_back_as_they_were(features: Path, tmp_path: Path) -> None:
    words = ["--features", str(features), "--postfix", "PoSFeat", "--output", str(tmp_path / "desc")]
    assert main(["export", "--to", "posfeat", *words]) == 0
    with FeatureReader(features) as reader:
        for name in reader.names():
            found = read_feature_npz(tmp_path / "desc" / f"{name}.PoSFeat", (640, 480))
            expected = reader.read(name)
            np.testing.assert_array_equal(found.keypoints, expected.keypoints)
            np.testing.assert_array_equal(found.descriptors, expected.descriptors.astype(np.float32))
            np.testing.assert_array_equal(found.scores, expected.scores)


def test_nothing_is_replaced_and_postfixes_are_words(features: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="postfix 'a/b'"):
        export_feature_npz(features, tmp_path / "new", "a/b")
    (tmp_path / "there").mkdir()
    with pytest.raises(StorageError, match="exists"):
        export_feature_npz(features, tmp_path / "there", "posfeat")


def test_archives_of_the_originals_are_read(tmp_path: Path) -> None:
    path = tmp_path / "1.ppm.d2-net"
    with path.open("wb") as stream:
        np.savez(stream, keypoints=np.ones((3, 3)), descriptors=np.ones((3, 16)), scores=np.ones((3, 1)))
    found = read_feature_npz(path, (10, 10))
    assert found.keypoints.shape == (3, 2) and found.scores.shape == (3,)
    with path.open("wb") as stream:
        np.savez(stream, keypoints=np.ones((3, 2)), descriptors=np.ones((2, 16)))
    with pytest.raises(DataError, match=r"d2-net: keypoints \(3, 2\), descriptors \(2, 16\)"):
        read_feature_npz(path, (10, 10))
    path.write_bytes(b"no archive")
    with pytest.raises(DataError, match="no archive of features"):
        read_feature_npz(path, (10, 10))
