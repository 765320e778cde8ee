"""Two-view evaluation on a scene with exact matches."""

import pytest

from trigpoint.datasets.synthetic import write_synthetic_run
from trigpoint.errors import SettingsError
from trigpoint.evaluation.distributions import histogram
from trigpoint.evaluation.relative_pose import RelativePoseSettings, choose_pairs, relative_pose_metrics
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.matches import MatchReader
from trigpoint.storage.pairs import read_pairs


@pytest.mark.parametrize("given_camera", [True, False])
def test_exact_matches_give_exact_poses_where_cameras_are_given(tmp_path, given_camera):
    run = write_synthetic_run(tmp_path, num_images=4, num_queries=0, num_points=60, given_camera=given_camera)
    with FeatureReader(run.features) as features, MatchReader(run.matches) as matches:
        metrics = relative_pose_metrics(
            run.truth, read_pairs(run.map_pairs), features, matches, RelativePoseSettings(max_pairs=5)
        )
    if not given_camera:
        assert metrics == {}
        return
    assert (metrics["pairs"], metrics["eligible_pairs"], metrics["failed_pairs"]) == (5, 6, 0)
    assert metrics["estimator"].startswith("PoseLib")
    # half a pixel of shift would be a tenth of a degree: the error stays at float32's resolution of pixels
    assert metrics["auc_percent"]["1"] > 99.9


def test_choice_of_pairs_depends_on_the_seed_alone():
    pairs = [(str(i), str(i + 1)) for i in range(50)]
    settings = RelativePoseSettings(max_pairs=10)
    assert choose_pairs(pairs, settings) == choose_pairs(pairs[::-1], settings)
    assert choose_pairs(pairs, settings) != choose_pairs(pairs, RelativePoseSettings(max_pairs=10, seed=1))
    assert choose_pairs(pairs, RelativePoseSettings(max_pairs=0)) == []


@pytest.mark.parametrize("wrong", [{"threshold_px": 0}, {"max_pairs": -1}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SettingsError):
        RelativePoseSettings(**wrong)


def test_last_bin_of_a_histogram_is_open():
    assert histogram([1, 2, 2, 3, 99], (2, 3, 5)) == {"lower_edges": [2, 3, 5], "counts": [2, 1, 1]}
    assert histogram([], (2, 3))["counts"] == [0, 0]
