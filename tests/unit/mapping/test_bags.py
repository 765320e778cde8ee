"""Maps of bags from one database: only a bag's own images, and bags without a map are recorded."""

from pathlib import Path

import pytest

from trigpoint.datasets.synthetic import write_synthetic_run
from trigpoint.errors import SettingsError
from trigpoint.mapping.bags import map_bags
from trigpoint.mapping.database import import_database
from trigpoint.mapping.settings import ImportSettings, MappingSettings, VerificationSettings
from trigpoint.mapping.verification import verify_database
from trigpoint.storage.pairs import read_pairs

NUM_IMAGES = 7


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A database in which the last two images are in no pair, and the names of all images."""
    folder = tmp_path_factory.mktemp("bags")
    run = write_synthetic_run(folder, NUM_IMAGES, 0)
    names = [image.name for image in run.truth.images]
    pairs = [pair for pair in read_pairs(run.map_pairs) if not set(pair) & set(names[-2:])]
    import_database(run.truth, run.features, run.matches, pairs, folder / "imported.db", ImportSettings())
    verify_database(folder / "imported.db", folder / "database.db", VerificationSettings())
    return folder / "database.db", names


def test_a_bag_is_mapped_from_its_own_images(verified):
    database, names = verified
    before = database.read_bytes()
    bags = [("a/4bag_000", tuple(names[:4])), ("a/4bag_001", tuple(names[3:])), ("a/2bag_000", tuple(names[-2:]))]
    found = map_bags(database, bags, MappingSettings(deterministic=True))
    assert [bag["bag"] for bag in found] == [name for name, _ in bags]
    assert sorted(found[0]["poses"]) == names[:4]
    assert found[0]["points3D"] > 50 and found[0]["mean_track_length"] > 2
    assert set(found[1]["poses"]) <= set(names[3:5])
    assert found[2] == {"bag": "a/2bag_000", "images": names[-2:], "poses": {}}
    assert database.read_bytes() == before


def test_another_mapper_is_refused(verified):
    with pytest.raises(SettingsError, match="incremental, got 'global'"):
        map_bags(verified[0], [], MappingSettings(mapper="global"))
