"""PUMP's settings: names of the release's options, closed ranges."""

import json

import pytest

from trigpoint.errors import SettingsError
from trigpoint.methods.pump_settings import PostFilterSettings, PumpSettings
from trigpoint.settings import make_settings, settings_json


def made(**values: object) -> PumpSettings:
    settings = make_settings(PumpSettings, values, "pump")
    assert isinstance(settings, PumpSettings)
    return settings


def test_settings_survive_json() -> None:
    settings = made(resize=[512, 256], post_filter={"densify": "full"}, recursive=True)
    again = made(**json.loads(settings_json(settings)))
    assert again == settings and again.resize_px == (512, 256)
    assert again.post_filter == PostFilterSettings(densify="full")
    assert made(resize=300).resize_px == (300, 300) and made().post_filter is None


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ({}, 1),
        ({"max_scale": 4}, 9),
        ({"max_scale": 1.5}, 3),
        ({"max_scale": 2, "min_scale": 1}, 3),
        ({"max_rot": 90}, 5),
        ({"max_rot": 90, "min_rot": 0}, 3),
        ({"max_scale": 4, "max_rot": 180}, 72),
    ],
)
def test_views(values: dict[str, object], count: int) -> None:
    assert len(made(**values).views()) == count


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"resize": [1, 2, 3]}, "one or two numbers"),
        ({"resize": -1}, "resize must be a number, at least 0"),
        ({"resize": 10, "recursive": True}, "at least 16"),
        ({"resize": 300.5}, "whole pixels"),
        ({"levels": -1}, "levels"),
        ({"nlpow": 4}, "nlpow must be a number, at least 1 and at most 3"),
        ({"border": 1.5}, "border"),
        ({"dtype": "float64"}, "float64 of the release is not offered"),
        ({"dtype": "half"}, "dtype must be one of auto, float32"),
        ({"max_scale": 20}, "max_scale"),
        ({"min_scale": 2}, "min_scale must be a number, at least 0.1 and at most 1"),
        ({"min_rot": 90}, "min_rot"),
        ({"max_rot": 200}, "max_rot"),
        ({"max_scale": 1.2, "min_scale": 1.1}, "no scale"),
        ({"swap": 2}, "swap must be 1, 0 or -1, got 2"),
        ({"merge": "numpy"}, "merge must be one of cpu, cuda, torch"),
        ({"rec_overlap": 0}, "rec_overlap"),
        ({"recursive": 1}, "recursive must be true or false"),
        ({"post_filter": {"localty": 3}}, "unknown setting 'localty'.*did you mean 'locality'"),
        ({"post_filter": {"densify": "cc"}}, "densify must be one of no, full, convex"),
        ({"post_filter": True}, "post_filter must be null or an object"),
        ({"positions": "some"}, "positions must be one of auto, stored, recomputed"),
        ({"memory_limit_mib": 0}, "memory_limit_mib"),
        ({"max_scales": 4}, "unknown setting 'max_scales'.*did you mean 'max_scale'"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        made(**values)
