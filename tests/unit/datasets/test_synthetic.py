"""The synthetic scene is what it says: keypoints are projections of its points, matches join equal points."""

from pathlib import Path

import numpy as np

from trigpoint.datasets.synthetic import write_synthetic_run
from trigpoint.storage.dataset import read_dataset
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.matches import MatchReader
from trigpoint.storage.pairs import read_pairs


def test_keypoints_are_projections_less_half_a_pixel(tmp_path: Path) -> None:
    run = write_synthetic_run(tmp_path, num_images=3, num_queries=1, num_points=20)
    dataset = read_dataset(run.dataset)
    with FeatureReader(run.features) as features:
        for image in dataset.images:
            f, cx, cy, k = image.camera.params
            pose = dataset.poses[image.name]
            point_ids = run.point_of_keypoint[image.name]
            seen = point_ids >= 0
            world = np.array([run.points[point_id] for point_id in point_ids[seen].tolist()])
            cam = world @ pose.rotation.T + pose.translation
            uv = cam[:, :2] / cam[:, 2:]
            uv = uv * (1 + k * (uv**2).sum(axis=1, keepdims=True))
            expected = f * uv + [cx, cy] - 0.5
            np.testing.assert_allclose(features.keypoints(image.name)[seen], expected, atol=1e-3)


def test_matches_join_keypoints_of_the_same_point(tmp_path: Path) -> None:
    run = write_synthetic_run(tmp_path, num_images=3, num_queries=1, num_points=20)
    with MatchReader(run.matches) as matches:
        assert len(matches.pairs()) == 6
        for name0, name1 in [*read_pairs(run.map_pairs), *read_pairs(run.query_pairs)]:
            indices = matches.read(name0, name1).indices
            points0 = run.point_of_keypoint[name0][indices[:, 0]]
            assert len(indices) == 20
            assert (points0 == run.point_of_keypoint[name1][indices[:, 1]]).all()


def test_the_same_seed_gives_the_same_scene(tmp_path: Path) -> None:
    runs = [
        write_synthetic_run(tmp_path / str(seed) / str(turn), 3, 1, seed) for seed, turn in [(0, 0), (0, 1), (1, 0)]
    ]
    first = [run.truth.poses["map/view 000.png"].rotation for run in runs]
    assert (first[0] == first[1]).all()
    assert not np.allclose(first[0], first[2])
