"""Retrieval with SIFT on photographs of four places: neighbours show the same place."""

import cv2
import numpy as np
import pytest

from trigpoint.retrieval.neighbors import nearest_images
from trigpoint.retrieval.vlad import VladSettings
from trigpoint.storage.features import FeatureReader, FeatureWriter
from trigpoint.types import Features

PLACES = ("sacre_coeur/mapping", "reichstag/images", "eth_lfb/Fountain/images", "eth_lfb/Herzjesu/images")
LONGER_SIDE_PX = 640
MAX_KEYPOINTS = 600


@pytest.fixture(scope="module")
def features(shared, tmp_path_factory):
    path = tmp_path_factory.mktemp("retrieval") / "features.h5"
    with FeatureWriter(path, {}) as writer:
        for place in PLACES:
            for file in sorted((shared / "data" / place).glob("*.jpg")):
                writer.write(f"{place}:{file.name}", sift(file))
    with FeatureReader(path) as reader:
        yield reader


def sift(file):
    pixels = cv2.imread(str(file), cv2.IMREAD_REDUCED_GRAYSCALE_4 if "eth_lfb" in str(file) else cv2.IMREAD_GRAYSCALE)
    scale = LONGER_SIDE_PX / max(pixels.shape)
    pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    found, descriptors = cv2.SIFT_create(MAX_KEYPOINTS).detectAndCompute(pixels, None)
    keypoints = cv2.KeyPoint_convert(found)
    scores = np.array([keypoint.response for keypoint in found], dtype=np.float32)
    return Features(keypoints, descriptors, scores, pixels.shape[::-1])


def share_of_same_place(neighbors):
    return np.mean(
        [other.split(":")[0] == name.split(":")[0] for name, others in neighbors.items() for other in others]
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_five_nearest_show_the_same_place(features, seed):
    names = features.names()
    assert len(names) == 39
    neighbors = nearest_images(features, names, names, 5, VladSettings(seed=seed))
    assert share_of_same_place(neighbors) >= 0.95  # by chance: 0.23


def test_same_seed_gives_the_same_neighbours(features):
    names = features.names()
    settings = VladSettings(num_words=16, max_training_descriptors=4000)
    expected = nearest_images(features, names, names, 5, settings)
    assert nearest_images(features, names[::-1], names[::-1], 5, settings) == expected
    assert share_of_same_place(expected) >= 0.9
