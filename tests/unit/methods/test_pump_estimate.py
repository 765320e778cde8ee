"""What a pair will take, and the refusal of one that takes too much."""

import pytest

from trigpoint.errors import SettingsError
from trigpoint.methods import pump_estimate
from trigpoint.methods.pump_estimate import estimate, largest_resize, memory_limit, refuse_what_does_not_fit
from trigpoint.methods.pump_settings import PumpSettings

PHOTO = (1600, 1200)
GB = 10**9


@pytest.fixture(autouse=True)
def rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that multiplies at 100 GFLOP/s."""
    monkeypatch.setattr(pump_estimate, "products_rate", lambda _device: 1e11)


def test_operations_are_those_of_the_products_and_the_network() -> None:
    cost = estimate(PumpSettings(resize=600, positions="stored"), PHOTO, PHOTO)
    products = 2 * 128 * (150 * 112) * (600 * 448)
    assert cost.num_views == 1
    assert abs(cost.flops - products - 241e9) < 0.01 * cost.flops


def test_more_views_take_more_time_but_not_their_sum_of_memory() -> None:
    one, many = (estimate(PumpSettings(resize=300, max_scale=s), PHOTO, PHOTO) for s in (1, 4))
    assert many.num_views == 9
    assert 2.5 * one.flops < many.flops < 4.5 * one.flops and many.seconds > one.seconds
    assert one.bytes < many.bytes < 1.5 * one.bytes


@pytest.mark.parametrize("values", [{}, {"max_scale": 2, "max_rot": 45}, {"recursive": True}])
@pytest.mark.parametrize("aspect", [4 / 3, 1.0, 0.6])
def test_the_largest_resize_fits_and_the_next_patch_does_not(values: dict[str, object], aspect: float) -> None:
    settings = PumpSettings(**values)  # type: ignore[arg-type]
    px = largest_resize(4 * GB, aspect, settings)
    size = (round(4096 * min(aspect, 1)), round(4096 * min(1 / aspect, 1)))
    assert px >= 100

    def needs(resize: int) -> int:
        tried = PumpSettings(**{**values, "resize": resize})  # type: ignore[arg-type]
        return estimate(tried, size, size, memory_bytes=4 * GB).bytes

    assert needs(px) <= 4 * GB < needs(px + 12)


def test_the_largest_resize_is_never_larger_than_the_memory_allows_at_all() -> None:
    assert largest_resize(1 << 16, 1.5, PumpSettings()) == 0


def test_a_pair_that_does_not_fit_is_refused_with_the_cure() -> None:
    settings = PumpSettings(resize=1200, memory_limit_mib=2000)
    limit = memory_limit(settings, "cpu")
    fits = largest_resize(limit, 4 / 3, settings)
    with pytest.raises(
        SettingsError, match=rf"'a' 'b' at resize 1200 needs .* GB.*resize {fits} is the largest"
    ) as error:
        refuse_what_does_not_fit(settings, PHOTO, PHOTO, limit, "cpu", "'a' 'b'")
    assert "\n" not in str(error.value)
    refuse_what_does_not_fit(PumpSettings(resize=fits), PHOTO, PHOTO, limit, "cpu", "'a' 'b'")
    with pytest.raises(SettingsError, match="no resize fits"):
        refuse_what_does_not_fit(settings, PHOTO, PHOTO, 1000, "cpu", "'a' 'b'")


def test_images_below_a_patch_cost_nothing() -> None:
    assert estimate(PumpSettings(), (3, 100), PHOTO).bytes == 0


def test_half_precision_needs_cuda() -> None:
    with pytest.raises(SettingsError, match="float16 needs CUDA"):
        estimate(PumpSettings(dtype="float16"), PHOTO, PHOTO, memory_bytes=GB)
    assert estimate(PumpSettings(dtype="bfloat16", resize=300), PHOTO, PHOTO, memory_bytes=GB).bytes < GB
