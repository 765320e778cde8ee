"""`trigpoint extract-features --pairs`: only images in pairs are extracted."""

import pytest

from trigpoint.cli import main
from trigpoint.datasets.synthetic import write_synthetic_run
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.pairs import write_pairs

SETTINGS = '{"method": "sift", "settings": {"max_keypoints": 50}}'


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    return write_synthetic_run(folder, 4, 2, num_points=30, with_images=True)


def test_images_in_no_pair_are_left_out(scene, tmp_path):
    maps, queries = ([image.name for image in scene.truth.with_role(role)] for role in ("map", "query"))
    write_pairs(tmp_path / "map.txt", [(maps[0], maps[2])])
    write_pairs(tmp_path / "query.txt", [(queries[1], maps[3])])

    def extracted(*lists: str) -> list[str]:
        output = tmp_path / f"{len(lists)}.h5"
        pairs = ["--pairs", *(str(tmp_path / name) for name in lists)] if lists else []
        words = ["--settings", SETTINGS, "--dataset", str(scene.dataset), *pairs, "--output", str(output)]
        assert main(["extract-features", *words]) == 0
        with FeatureReader(output) as reader:
            return sorted(reader.names())

    assert extracted() == sorted([*maps, *queries])
    assert extracted("map.txt") == sorted([maps[0], maps[2], *queries])  # which queries are needed is not known
    assert extracted("map.txt", "query.txt") == sorted([maps[0], maps[2], maps[3], queries[1]])
