"""Names: reversible, one HDF5 group level, one word of a line."""

import h5py
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trigpoint.storage.names import escape_name, quote_name, split_words, unescape_name

AWKWARD = [
    "",
    ".",
    "..",
    "/",
    "a/b",
    "a//b",
    "/a",
    "%",
    "%2F",
    "a%2Fb",
    "a-b",
    "ä/ß 1.jpg",
    "日本/写真.jpg",
    "\0",
    "\udcff",
]
ANY_TEXT = st.text(st.characters())  # lone surrogates too


@given(ANY_TEXT)
@example("%2E%2E")
def test_escape_round_trip(name):
    escaped = escape_name(name)
    assert unescape_name(escaped) == name
    assert escaped not in ("", ".", "..")
    assert "/" not in escaped
    escaped.encode("utf-8")


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_names_round_trip(name):
    assert unescape_name(escape_name(name)) == name
    assert split_words(f"{quote_name(name)} next") == [name, "next"]


def test_awkward_names_are_groups_of_their_own(tmp_path):
    with h5py.File(tmp_path / "names.h5", "w") as file:
        for number, name in enumerate(AWKWARD):
            file.create_group(escape_name(name)).create_dataset("keypoints", data=np.full(1, number))
        assert len(file) == len(AWKWARD)
        assert {unescape_name(escaped) for escaped in file} == set(AWKWARD)


def test_plain_names_stay_readable():
    assert escape_name("image-1_a.jpg") == "image-1_a.jpg"
    assert escape_name("db/1.jpg") == "db%2F1.jpg"
    assert quote_name("db/1.jpg") == "db/1.jpg"
    assert quote_name("my photo.jpg") == '"my photo.jpg"'


@given(st.lists(ANY_TEXT, max_size=4))
def test_quote_round_trip(names):
    line = " ".join(quote_name(name) for name in names)
    line.encode("utf-8")
    assert len(line.splitlines()) <= 1
    assert split_words(line) == names
