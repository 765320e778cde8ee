"""The adapter to vismatch, against a module of the package's interface that stands in for it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from trigpoint.errors import SettingsError, TrigpointError
from trigpoint.methods import conformance
from trigpoint.methods.base import create_method
from trigpoint.methods.listing import method_rows
from trigpoint.types import Image

STAND_INS = Path(__file__).parents[2] / "stand_ins"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(STAND_INS)
    yield
    sys.modules.pop("vismatch", None)


@pytest.mark.parametrize("matcher", ["patches", "no-scores"])
@pytest.mark.parametrize("check", conformance.PAIR_CHECKS, ids=lambda check: check.__name__)
def test_the_adapter_keeps_its_promises(installed: None, check, matcher: str) -> None:
    check(create_method("vismatch", {"matcher": matcher}))


def test_a_shift_is_found_in_pixels_of_the_originals(installed: None) -> None:
    pixels = conformance.picture((260, 200)).pixels
    image0, image1 = (
        Image("a.png", pixels[:160, :200], (400, 320)),
        Image("b.png", pixels[16:176, 32:232], (200, 160)),
    )
    found = create_method("vismatch", {"matcher": "patches", "max_keypoints": 50}).match_images(image0, image1)
    assert 40 < len(found) < 50  # one is not a number and is left out
    expected = (found.xy[:, :2] + 0.5) / 2 - 0.5 - np.array([32, 16])
    assert np.median(np.abs(found.xy[:, 2:] - expected).max(axis=1)) < 1e-4


def test_large_images_are_shrunk(installed: None) -> None:
    image = conformance.picture((300, 200))
    found = create_method("vismatch", {"matcher": "patches", "resize_px": 64}).match_images(image, image)
    assert 0 < len(found) <= (64 // 4) * (43 // 4)
    assert found.xy[:, 0].max() > 200  # in pixels of the original again


def test_another_matcher_or_version_is_another_checkpoint(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import vismatch

    keys = {create_method("vismatch", {"matcher": name}).weights_sha256 for name in ("patches", "no-scores")}
    monkeypatch.setattr(vismatch, "__version__", "1.5.0")
    keys.add(create_method("vismatch", {"matcher": "patches"}).weights_sha256)
    assert len(keys) == 3


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vismatch", None)  # as if it were not there, wherever this runs
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TrigpointError, match="pip install vismatch") as caught:
        create_method("vismatch", {})
    assert "\n" not in str(caught.value)
    assert {row.name: row.weights for row in method_rows()}["vismatch"] == "not there: pip install vismatch"


def test_matchers_that_are_not_there_are_refused(installed: None) -> None:
    with pytest.raises(SettingsError, match="did you mean 'patches'"):
        create_method("vismatch", {"matcher": "patch"})
    with pytest.raises(TrigpointError, match="'sift-lightglue' cannot be made ready: No module named 'a_package"):
        create_method("vismatch", {"matcher": "sift-lightglue"})
    for values, words in (({"matcher": 3}, "a name"), ({"resize_px": 8}, "resize_px"), ({"max_keypoints": 0}, "max_")):
        with pytest.raises(SettingsError, match=words):
            create_method("vismatch", values)
