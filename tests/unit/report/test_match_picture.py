"""Pictures of correspondences: places, colours, what is drawn and what is hidden."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from trigpoint.errors import SettingsError
from trigpoint.report.drawing import Figure, check_picture_name, hue_colors, panel_of, save_picture, spread
from trigpoint.report.match_picture import PANEL_HEIGHT_PX, build_view, draw_corres, draw_matches, draw_warp
from trigpoint.types import Image

GREY = 90


def grey(name: str, width: int, height: int) -> Image:
    return Image(name=name, pixels=np.full((height, width, 3), GREY, np.uint8), size=(width, height))


def rows_of(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32).reshape(-1, 6)


def painted(picture: PIL.Image.Image, box: tuple[int, int, int, int]) -> int:
    """Pixels of a box that are neither the photographs' grey nor the white ground."""
    pixels = np.asarray(picture.crop(box)).astype(int)
    return int(((np.abs(pixels - GREY) > 12).any(axis=2) & (pixels.min(axis=2) < 240)).sum())


def test_colours_are_hues_around_the_centroid() -> None:
    xy = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], float)
    expected = [[255, 0, 0], [128, 255, 0], [0, 255, 255], [128, 0, 255]]
    np.testing.assert_allclose(hue_colors(xy), expected, atol=6)  # 128 steps
    assert hue_colors(np.zeros((0, 2))).shape == (0, 3)


def test_spread_keeps_the_best_of_each_cell() -> None:
    rng = np.random.default_rng(0)
    xy, scores = rng.uniform(0, 1000, (5000, 2)), rng.random(5000)
    chosen = spread(xy, scores, 100)
    assert 50 < len(chosen) <= 100
    assert (np.diff(chosen) > 0).all()
    assert scores[chosen].mean() > 0.9
    assert np.argmax(scores) in chosen
    np.testing.assert_array_equal(spread(xy[:7], scores[:7], 7), np.arange(7))
    assert len(spread(np.zeros((9, 2)), np.arange(9.0), 3)) == 1


def test_a_pixel_centre_is_half_a_pixel_inside_its_panel() -> None:
    panel = panel_of(grey("a", 40, 20), height=200)
    Figure([[panel]], [[""]])
    first, last = panel.place(np.array([[0, 0], [39, 19]]))
    np.testing.assert_allclose(last - first, [390, 190])
    np.testing.assert_allclose(first, [panel.left + 5, panel.top + 5])


def test_a_match_is_drawn_at_both_ends_and_between() -> None:
    images = grey("left", 100, 100), grey("right", 100, 100)
    rows = rows_of([50, 50, 50, 50, 1, 0], [20, 80, 20, 80, 0.5, 0])
    picture = draw_matches(*images, rows, "test")
    side = PANEL_HEIGHT_PX
    x, y = 18 + side // 2, 18 + 33 + side // 2
    assert picture.size == (2 * side + 2 * 18 + 14, 18 + 33 + side + 33 - 14 + 18)
    for shift in (0, side + 14):
        assert painted(picture, (x + shift - 8, y - 8, x + shift + 8, y + 8)) > 20
    between = (x + 40, y - 3, x + 140, y + 3)
    assert painted(picture, between) > 80
    assert painted(draw_matches(*images, rows, "test", max_lines=1), between) > 80
    assert painted(draw_matches(*images, rows[:0], "test"), between) == 0


def test_correspondences_without_a_positive_score_are_hidden() -> None:
    images = grey("left", 100, 100), grey("right", 80, 100)
    shown = draw_corres(*images, rows_of([50, 50, 40, 50, 1, 0]), "test")
    hidden = draw_corres(*images, rows_of([50, 50, 40, 50, 0, 0]), "test")
    below = (18, 18 + 33 + PANEL_HEIGHT_PX + 33, 18 + PANEL_HEIGHT_PX, shown.height - 18)
    colours = [np.unique(np.asarray(picture.crop(below)).reshape(-1, 3), axis=0) for picture in (shown, hidden)]
    assert len(colours[0]) > 5
    assert len(colours[1]) == 1


def test_nothing_is_drawn_beside_an_image() -> None:
    images = grey("left", 100, 100), grey("right", 100, 100)
    beside = rows_of([50, 50, 103, 50, 1, 0], [50, 50, 50, -20, 1, 0])
    empty = rows_of()
    title = 18 + 33
    pictures = [draw_matches(*images, rows, "test").crop((0, title, 1330, 700)) for rows in (beside, empty)]
    assert pictures[0].tobytes() == pictures[1].tobytes()
    pictures = [draw_corres(*images, rows, "test").crop((680, title, 1330, 1382)) for rows in (beside, empty)]
    assert pictures[0].tobytes() == pictures[1].tobytes()  # of the right images; the left one has its crosses


def test_dense_rows_and_warps_are_drawn(tmp_path: Path) -> None:
    images = grey("left", 30, 20), grey("right", 30, 20)
    x, y = np.meshgrid(np.arange(30.0), np.arange(20.0))
    dense = np.column_stack([x.ravel(), y.ravel(), x.ravel(), y.ravel()])
    assert draw_matches(*images, dense, "test").width > 100
    warp = draw_warp(*images, np.zeros((20, 30, 3), np.uint8), "test")
    assert warp.width == 3 * 960 + 2 * 18 + 2 * 14
    save_picture(warp, tmp_path / "warp.jpg")
    with PIL.Image.open(tmp_path / "warp.jpg") as saved:
        assert saved.size == warp.size
        assert saved.info["dpi"] == (300, 300)


def test_a_panorama_gets_a_lower_panel() -> None:
    assert draw_matches(grey("wide", 2000, 50), grey("b", 2000, 50), rows_of(), "test").width < 4100


@pytest.mark.parametrize("name", ["matches", "matches.bmpx", "matches.html"])
def test_another_format_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="pictures are written as"):
        check_picture_name(Path(name))


def test_a_view_takes_the_nearest_pixels_and_is_white_outside() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    image = Image(name="b", pixels=pixels, size=(4, 2))
    targets = np.array([[[0.5, 0], [1.5, 1.4], [3.4, 0]], [[3.6, 0], [-1, 1], [np.nan, 0]]])
    view, share = build_view(image, targets)
    np.testing.assert_array_equal(view[0], [pixels[0, 0], pixels[1, 2], pixels[0, 3]])  # halves go to even
    assert (view[1] == 255).all()
    assert share == 0.5
    clamped, _ = build_view(image, targets, clamp=True)
    np.testing.assert_array_equal(clamped[1], [pixels[0, 3], pixels[1, 0], [255] * 3])


def test_a_view_of_an_image_decoded_at_reduced_size() -> None:
    image = Image(name="b", pixels=np.arange(12, dtype=np.uint8).reshape(2, 2, 3), size=(4, 4))
    targets = np.array([[[0.0, 0.0], [3.0, 0.0], [1.0, 3.0], [4.0, 0.0]]])
    view, _ = build_view(image, targets)
    np.testing.assert_array_equal(view[0], [[0, 1, 2], [3, 4, 5], [6, 7, 8], [255] * 3])


def test_warping_equals_the_original_with_clamping(shared: Path) -> None:
    golden = np.load(shared / "golden/pump/warp.npz")
    pixels = golden["img"]
    image = Image(name="b", pixels=pixels, size=(pixels.shape[1], pixels.shape[0]))
    view, _ = build_view(image, golden["absolute_flow"], clamp=True)
    np.testing.assert_array_equal(view, golden["warped"])
