"""Shards: every item in exactly one, whatever else is in the list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trigpoint.errors import SettingsError
from trigpoint.storage.shards import Shard, shard_count

NAMES = [f"db/{number}.jpg" for number in range(200)]


def all_shards(count):
    return [Shard(index, count) for index in range(1, count + 1)]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_each_name_is_in_one_shard(count):
    parts = [shard.select(NAMES) for shard in all_shards(count)]
    assert sorted(name for part in parts for name in part) == sorted(NAMES)
    assert min(len(part) for part in parts) > 100 / count


@given(st.sets(st.sampled_from(NAMES)), st.sampled_from(NAMES))
def test_added_images_move_no_other(names, added):
    for shard in all_shards(5):
        before, after = shard.select(sorted(names)), shard.select(sorted(names | {added}))
        assert set(after) - {added} == set(before) - {added}


def test_hash_is_the_same_in_every_process():
    assert Shard(2, 3).select(NAMES[:8]) == ["db/0.jpg", "db/2.jpg", "db/3.jpg", "db/5.jpg"]


def test_pairs_in_either_order_fall_together():
    pairs = [(name0, name1) for name0 in NAMES[:20] for name1 in NAMES[20:30]]
    for shard in all_shards(4):
        swapped = shard.select_pairs([(name1, name0) for name0, name1 in pairs])
        assert [(name0, name1) for name1, name0 in swapped] == shard.select_pairs(pairs)


def test_parse():
    assert Shard.parse("3-of-8") == Shard(3, 8)
    assert str(Shard(3, 8)) == "3-of-8"


@pytest.mark.parametrize("text", ["", "0-of-3", "4-of-3", "1", "1-of-", "a-of-b", "1-of-3 ", "-1-of-3"])
def test_parse_refuses(text):
    with pytest.raises(SettingsError, match="expected <index>-of-<count>"):
        Shard.parse(text)


@pytest.mark.parametrize(("items", "expected"), [(0, 1), (1, 1), (100, 1), (101, 2), (750, 8), (10**6, 8)])
def test_count(items, expected):
    assert shard_count(items, maximum=8, minimum_per_shard=100) == expected
