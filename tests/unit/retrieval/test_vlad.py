"""Visual words, vectors and nearest images on descriptors with known groups."""

import logging

import numpy as np
import pytest

from trigpoint.errors import EmptyResultError, SettingsError
from trigpoint.retrieval.neighbors import nearest_images, top_k
from trigpoint.retrieval.vlad import Vlad, VladSettings
from trigpoint.retrieval.vocabulary import learn_words, nearest_word, sum_by_word
from trigpoint.storage.features import FeatureReader, FeatureWriter
from trigpoint.types import Features

PLACES, VIEWS, DIMENSIONS = 4, 5, 16
SETTINGS = VladSettings(num_words=8)


def place_descriptors(place, view, num=120):
    """Views of a place show noisy copies of the same things."""
    things = np.random.default_rng(place).normal(size=(30, DIMENSIONS))
    rng = np.random.default_rng([place, view])
    return (things[rng.integers(0, 30, num)] + 0.2 * rng.normal(size=(num, DIMENSIONS))).astype(np.float32)


@pytest.fixture
def features(tmp_path):
    with FeatureWriter(tmp_path / "features.h5", {}) as writer:
        for place in range(PLACES):
            for view in range(VIEWS):
                write(writer, f"{place}/{view}", place_descriptors(place, view))
        write(writer, "blank", np.empty((0, DIMENSIONS), np.float32))
    with FeatureReader(tmp_path / "features.h5") as reader:
        yield reader


def write(writer, name, descriptors):
    num = len(descriptors)
    writer.write(name, Features(np.zeros((num, 2)), descriptors, np.zeros(num), (64, 64)))


def test_words_of_separate_groups_are_their_means():
    rng = np.random.default_rng(0)
    centers = 10 * np.eye(5)
    points = np.repeat(centers, 50, axis=0) + rng.normal(0, 0.1, (250, 5))
    words = learn_words(points, 5, seed=1)
    means = points.reshape(5, 50, 5).mean(axis=1)
    np.testing.assert_allclose(words[np.argmax(words, axis=1).argsort()], means, atol=1e-5)


def test_fewer_descriptors_than_words():
    assert len(learn_words(np.array([[1.0, 0], [0, 1], [1, 0]]), 64, seed=0)) == 2


def test_no_descriptor_is_an_error():
    with pytest.raises(EmptyResultError, match="no image has local features"):
        learn_words(np.empty((0, 8)), 4, seed=0)


def test_nearest_word_is_the_nearest(monkeypatch):
    monkeypatch.setattr("trigpoint.retrieval.vocabulary.BLOCK_ROWS", 7)
    rng = np.random.default_rng(0)
    points, words = rng.normal(size=(50, 3)).astype(np.float32), rng.normal(size=(6, 3)).astype(np.float32)
    distances = np.linalg.norm(points[:, None] - words[None], axis=2)
    np.testing.assert_array_equal(nearest_word(points, words), distances.argmin(axis=1))


def test_sums_of_words_without_points_are_zero():
    sums = sum_by_word(np.array([[1.0, 2], [3, 4], [5, 6]]), np.array([2, 0, 2]), 4)
    np.testing.assert_array_equal(sums, [[3, 4], [0, 0], [6, 8], [0, 0]])


def test_vector_by_hand():
    vlad = Vlad(np.array([[1, 0], [0, 1]], dtype=np.float32))
    residual = np.array([0.6, 0.8]) - [0, 1]  # (0.6, 0.8) is nearer to the second word
    expected = np.sign(residual) * np.sqrt(np.abs(residual) / np.linalg.norm(residual))
    vector = vlad.describe(np.array([[6.0, 8.0]]))
    np.testing.assert_allclose(vector, [0, 0, *expected / np.linalg.norm(expected)], atol=1e-6)


def test_no_descriptors_give_zeros():
    np.testing.assert_array_equal(Vlad(np.eye(3, dtype=np.float32)).describe(np.empty((0, 3))), np.zeros(9))


def test_views_of_a_place_find_each_other(features):
    names = features.names()
    neighbors = nearest_images(features, names, names, VIEWS - 1, SETTINGS)
    assert list(neighbors) == names
    for name, others in neighbors.items():
        if name != "blank":
            assert {other.split("/")[0] for other in others} == {name.split("/")[0]}
            assert name not in others
            assert len(others) == VIEWS - 1


def test_image_without_features_is_named_and_alone(features, caplog):
    names = features.names()
    with caplog.at_level(logging.WARNING):
        neighbors = nearest_images(features, names, names, 30, SETTINGS)
    assert "no features and get no neighbours: blank" in caplog.text
    assert neighbors["blank"] == []
    assert len(neighbors["0/0"]) == PLACES * VIEWS - 1


def test_order_of_images_does_not_matter(features):
    names = features.names()
    forward = nearest_images(features, names, names, 7, SETTINGS)
    assert nearest_images(features, names[::-1], names[::-1], 7, SETTINGS) == forward


def test_blocks_do_not_matter(features, monkeypatch):
    names = features.names()
    whole = nearest_images(features, names, names, 7, SETTINGS)
    monkeypatch.setattr("trigpoint.retrieval.neighbors.BLOCK_IMAGES", 3)
    monkeypatch.setattr("trigpoint.retrieval.neighbors.BLOCK_REFERENCES", 4)
    assert nearest_images(features, names, names, 7, SETTINGS) == whole


def test_queries_are_compared_with_references_only(features):
    names = [name for name in features.names() if name != "blank"]
    queries, references = [name for name in names if name.endswith("0")], [name for name in names if name[-1] != "0"]
    for query, others in nearest_images(features, queries, references, 4, SETTINGS).items():
        assert sorted(others) == [f"{query[0]}/{view}" for view in range(1, VIEWS)]


def test_few_training_descriptors_are_drawn_alike(features):
    names = features.names()
    few = VladSettings(num_words=8, max_training_descriptors=200)
    words = Vlad.learn(features, names, few).words
    np.testing.assert_array_equal(Vlad.learn(features, names[::-1], few).words, words)
    assert not np.array_equal(Vlad.learn(features, names, VladSettings(num_words=8, seed=1)).words, words)


@pytest.mark.parametrize("k", [1, 3, 100])
def test_top_k_equals_a_full_sort(k, monkeypatch):
    monkeypatch.setattr("trigpoint.retrieval.neighbors.BLOCK_REFERENCES", 4)
    rng = np.random.default_rng(0)
    queries = rng.integers(-3, 4, (10, 3)).astype(np.float32)  # whole numbers: many ties
    references = rng.integers(-3, 4, (30, 3)).astype(np.float32)
    expected = np.argsort(-(queries @ references.T), axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(np.stack(top_k(queries, references, k)), expected)


def test_settings_are_checked():
    with pytest.raises(SettingsError, match="num_words must be at least 1, got 0"):
        VladSettings(num_words=0)
