"""Where the focal length of an estimated camera starts."""

import pytest

from trigpoint.mapping.cameras import assign_cameras
from trigpoint.mapping.settings import ImportSettings
from trigpoint.types import Camera, DatasetImage

GIVEN = Camera("PINHOLE", 100, 80, (70.0, 70.0, 50.0, 40.0), has_prior_focal_length=True)


@pytest.mark.parametrize(
    ("camera", "exif_focal_px", "expected", "has_prior"),
    [(None, None, 120.0, False), (None, 85.0, 85.0, True), (GIVEN, 85.0, 85.0, True), (GIVEN, None, 120.0, False)],
)
def test_exif_comes_before_a_guess_and_the_calibration_is_left_alone(camera, exif_focal_px, expected, has_prior):
    image = DatasetImage("a.jpg", "map", (100, 80), camera=camera, exif_focal_px=exif_focal_px)
    (start,), _ = assign_cameras((image,), ImportSettings(intrinsics="estimate"))
    assert start.params[0] == expected
    assert start.has_prior_focal_length == has_prior
