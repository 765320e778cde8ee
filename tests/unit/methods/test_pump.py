"""PUMP's matchers on pictures whose motion is known, with descriptors that hold what is around a pixel."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from trigpoint.errors import SettingsError, WeightsError
from trigpoint.methods.base import METHODS, create_method
from trigpoint.methods.pump import Pump
from trigpoint.methods.pump_matching import ViewMatcher
from trigpoint.methods.pump_settings import PumpSettings
from trigpoint.methods.pump_views import DescriptorMaps, open_view
from trigpoint.networks.pump_net import PumpNet
from trigpoint.types import Image

CPU = torch.device("cpu")


class PlantedDescriptors:
    """A map at half resolution whose values are random projections of the 8 x 8 pixels around each place."""

    device = CPU

    def __init__(self) -> None:
        self.weight = torch.randn(128, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    def half_maps(self, images: Tensor) -> Tensor:
        height, width = (side // 4 * 4 for side in images.shape[2:])
        values = images[:, :, :height, :width].float() / 255 - 0.5
        return functional.conv2d(functional.pad(values, (3, 3, 3, 3)), self.weight, stride=2)


def texture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8, smooth noise of several sizes."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(1, 3, height, width)
    for cell in (4, 8, 16):
        coarse = torch.randn(1, 3, height // cell + 2, width // cell + 2, generator=generator)
        total += functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
    values = (total[0] - total.min()) / (total.max() - total.min()) * 255
    return values.to(torch.uint8).permute(1, 2, 0).numpy().copy()


def image(pixels: np.ndarray, size: tuple[int, int] | None = None) -> Image:
    return Image("x.png", np.ascontiguousarray(pixels), size or (pixels.shape[1], pixels.shape[0]))


def match(image0: Image, image1: Image, **options: object) -> np.ndarray:
    settings = PumpSettings(**options)  # type: ignore[arg-type]
    longer = (0, 0) if settings.recursive else settings.resize_px
    views = [open_view(i, px, CPU) for i, px in zip((image0, image1), longer, strict=True)]
    return ViewMatcher(DescriptorMaps(PlantedDescriptors(), 1 << 24), settings, "float32").match(*views)  # type: ignore[arg-type]


def check(rows: np.ndarray, expected: Callable[[np.ndarray], np.ndarray], tolerance_px: float, share: float) -> None:
    """So many rows move as expected, and none of those is off to one side."""
    errors = rows[:, 2:4] - expected(rows[:, :2])
    good = np.linalg.norm(errors, axis=1) <= tolerance_px
    assert good.mean() > share, (good.mean(), np.median(errors, axis=0))
    np.testing.assert_allclose(errors[good].mean(axis=0), 0, atol=0.15 * tolerance_px)


OPTIONS = [{}, {"max_scale": 2**0.5}, {"recursive": True, "resize": [64, 80]}, {"swap": -1, "max_rot": 45}]


@pytest.mark.parametrize("options", OPTIONS)
def test_a_shift_is_found(options: dict[str, object]) -> None:
    scene = texture(160, 120)
    rows = match(image(scene[:96, :128]), image(scene[10:106, 7:135]), **options)
    assert rows.shape[1] == 6 and len(rows) > 300
    check(rows, lambda xy: xy - [7, 10], 1.5, 0.9)
    assert (np.unique(rows[:, :4], axis=0, return_counts=True)[1] == 1).all()


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_a_quarter_turn_is_found_and_its_code_told(quarter: int) -> None:
    scene = texture(128, 96)
    turned = np.rot90(scene, quarter)
    rows = match(image(scene), image(turned), max_rot=180, rot_step=90)
    centre0, centre1 = np.array([127, 95]) / 2, (np.array(turned.shape[1::-1]) - 1) / 2
    rotation = np.linalg.matrix_power(np.array([[0, 1], [-1, 0]]), quarter)
    check(rows, lambda xy: (xy - centre0) @ rotation.T + centre1, 1.5, 0.95)
    codes, counts = np.unique(rows[:, 5], return_counts=True)
    assert codes[counts.argmax()] == {1: 6, 2: 4, 3: 2}[quarter]


@pytest.mark.parametrize("options", [{"max_scale": 2}, {"max_scale": 2, "merge": "torch"}])
def test_a_scale_is_found_and_half_a_pixel_is_kept(options: dict[str, object]) -> None:
    scene = texture(224, 160)
    half = functional.avg_pool2d(torch.from_numpy(scene.copy()).permute(2, 0, 1).float(), 2)
    small = half.round().to(torch.uint8).permute(1, 2, 0).numpy()
    rows = match(image(scene), image(small), **options)
    check(rows, lambda xy: (xy + 0.5) / 2 - 0.5, 1.0, 0.9)
    assert np.median(rows[:, 5]) == -16  # image 1 shows the scene at half the size
    back = match(image(small), image(scene), **options)
    check(back, lambda xy: (xy + 0.5) * 2 - 0.5, 2.0, 0.9)
    assert np.median(back[:, 5]) == 16


def test_resized_and_reduced_photographs_give_pixels_of_the_originals() -> None:
    scene = texture(240, 160)
    rows = match(image(scene), image(scene, size=(480, 320)), resize=[160, 150])
    check(rows, lambda xy: (xy + 0.5) * 2 - 0.5, 4.0, 0.9)


def test_the_same_pair_gives_the_same_rows_whatever_is_cached() -> None:
    scene = texture(128, 96)
    image0, image1 = image(scene[:80]), image(scene[8:])
    settings = PumpSettings(max_scale=2, max_rot=90)
    maps = DescriptorMaps(PlantedDescriptors(), 1 << 27)  # type: ignore[arg-type]
    matcher = ViewMatcher(maps, settings, "float32")
    views = [open_view(i, 0, CPU) for i in (image0, image1)]
    first = matcher.match(*views)
    computed = maps.num_computed
    np.testing.assert_array_equal(matcher.match(*views), first)
    assert maps.num_computed == computed  # everything was kept
    none_kept = DescriptorMaps(PlantedDescriptors(), 0)  # type: ignore[arg-type]
    np.testing.assert_array_equal(ViewMatcher(none_kept, settings, "float32").match(*views), first)


def test_kept_maps_stay_below_the_limit_and_the_oldest_go() -> None:
    views = [open_view(image(texture(64, 48, seed)), 0, CPU) for seed in range(4)]
    size = 128 * 24 * 32 * 4
    maps = DescriptorMaps(PlantedDescriptors(), 2 * size)  # type: ignore[arg-type]
    for view in views:
        maps.of([view])
    maps.of([views[3], views[2]])
    assert maps.num_computed == 4
    maps.of([views[0]])
    assert maps.num_computed == 5 and maps._bytes == 2 * size


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (4, 4), (5, 9), (17, 6)])
def test_tiny_images_pass(size: tuple[int, int], options: dict[str, object]) -> None:
    rows = match(image(texture(*size)), image(texture(40, 30)), **options)
    assert rows.shape[1] == 6 and np.isfinite(rows).all()
    if min(size) < 4:
        assert len(rows) == 0


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "random.pt"
    torch.save(PumpNet().state_dict(), path)
    return path


def test_the_table_makes_the_method_and_its_interface_holds(weights: Path) -> None:
    method = create_method("pump", {"desc": str(weights), "resize": 64})
    assert isinstance(method, Pump) and METHODS["pump"].kind == "pair" and len(method.weights_sha256) == 64
    image0, image1 = image(texture(96, 80)), image(texture(96, 80)[8:])
    found = method.match_images(image0, image1)
    rows = method.match_rows(image0, image1)
    assert found.xy.dtype == found.scores.dtype == np.float32 and len(found) == len(rows) > 0
    np.testing.assert_array_equal(found.xy, rows[:, :4])
    assert (found.scores >= 0).all() and rows.dtype == np.float32
    for columns, size in ((slice(0, 2), image0.size), (slice(2, 4), image1.size)):
        assert (rows[:, columns] >= -0.5).all() and (rows[:, columns] <= np.array(size) - 0.5).all()


@pytest.mark.parametrize("side", ["left", "right"])
def test_dense_rows_cover_the_original(weights: Path, side: str) -> None:
    options = {"min_cc_size": 2, "densify": "full", "dense_side": side}
    method = create_method("pump", {"desc": str(weights), "resize": 64, "post_filter": options})
    image0, image1 = image(texture(96, 80)), image(texture(100, 72))
    rows = method.match_rows(image0, image1)
    pixels, size = (rows[:, :2], image0.size) if side == "left" else (rows[:, 2:], image1.size)
    assert rows.shape == (size[0] * size[1], 4)
    np.testing.assert_array_equal(pixels[: size[0] + 1], [*[(x, 0) for x in range(size[0])], (0, 1)])
    assert set(method.match_images(image0, image1).scores) == {1.0}


def test_a_pair_that_does_not_fit_is_refused_before_anything_is_computed(weights: Path) -> None:
    method = create_method("pump", {"desc": str(weights), "resize": 0, "memory_limit_mib": 1})
    with pytest.raises(SettingsError, match=r"'x.png' 'x.png' at resize 0 needs .* 0.00 GB are allowed"):
        method.match_rows(image(texture(96, 80)), image(texture(96, 80)))
    assert method._maps.num_computed == 0


def test_a_network_that_gives_no_numbers_is_told(tmp_path: Path) -> None:
    state = {key: value * 1e30 if value.is_floating_point() else value for key, value in PumpNet().state_dict().items()}
    torch.save(state, tmp_path / "huge.pt")
    with pytest.raises(WeightsError, match="not finite"):
        create_method("pump", {"desc": str(tmp_path / "huge.pt")}).match_rows(
            image(texture(40, 30)), image(texture(40, 30))
        )


def test_missing_weights_say_where_they_come_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIGPOINT_CACHE", str(tmp_path))
    for name, file in (("pump", "PUMP.pt"), ("pump-stytrf", "PUMP-stytrf.pt")):
        with pytest.raises(
            WeightsError, match=rf"{file} of the authors' release.*fetch-weights {name} --file"
        ) as error:
            create_method("pump", {"desc": name})
        assert "\n" not in str(error.value)
