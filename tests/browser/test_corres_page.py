"""The page of `trigpoint view-corres` in headless Chromium: what the mouse over one image marks in the other."""

import re
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from chromium import CHROMIUM, body_data, browse, script_errors, with_script
from trigpoint.cli import main
from trigpoint.export.pump_npz import write_corres

pytestmark = pytest.mark.browser
# Row 2 has a negative score and is hidden; codes: scale 1 and 0 degrees, scale 2, hidden, scale 1/2 and 45 degrees.
ROWS = [[20, 30, 60, 40, 4, 0], [100, 30, 140, 40, 3, 16], [50, 60, 55, 65, -1, 0], [150, 90, 190, 100, 2, -9]]
SHIFT = "0 0 -10\n0 0 40\n10 -40 0\n"  # F of a shift by (40, 10): x1 lies on the line through x0 along it


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    folder = tmp_path_factory.mktemp("corres")
    rng = np.random.default_rng(0)
    for name, size in (("a", (200, 120)), ("b", (260, 150))):
        PIL.Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(folder / f"{name}.png")
    write_corres(folder / "c.npz", np.array(ROWS, np.float32))
    (folder / "F.txt").write_text(SHIFT)
    words = [folder / "a.png", folder / "b.png", "--corres", folder / "c.npz", "--fundamental", folder / "F.txt"]
    assert main(["view-corres", *map(str, words), "--output", str(folder / "page.html")]) == 0
    return folder / "page.html"


def move(side: int, x: float, y: float, kind: str = "pointermove") -> str:
    """Script that moves the mouse to a place of an image, in its original pixels."""
    return f"""setTimeout(() => {{
      const box = document.querySelectorAll('.view')[{side}], area = box.getBoundingClientRect();
      const [w, h] = JSON.parse(document.getElementById('data').textContent).sizes[{side}];
      box.dispatchEvent(new PointerEvent('{kind}', {{bubbles: true,
        clientX: area.left + ({x} + 0.5) / w * area.width, clientY: area.top + ({y} + 0.5) / h * area.height}}));
    }}, 300);"""


def facts(dom: str) -> dict[str, str]:
    return dict(re.findall(r'data-fact="(\w+)">([^<]*)<', dom))


@pytest.mark.parametrize(
    ("side", "x", "y", "row", "scale", "angle"),
    [(0, 98, 33, 1, "× 2.000", "0°"), (1, 62, 41, 0, "× 1.000", "0°"), (0, 160, 100, 3, "× 0.5000", "45°")],
)
def test_the_nearest_match_is_marked_in_both_images(page, tmp_path, side, x, y, row, scale, angle) -> None:
    dom, log = browse(with_script(page, move(side, x, y)), tmp_path)
    assert script_errors(log) == []
    data, said = body_data(dom), facts(dom)
    assert (data["row"], data["from"], data["matches"]) == (str(row), str(side), "3")
    assert said["row"] == str(row)
    assert said["xy0"] == f"{ROWS[row][0]:.1f}, {ROWS[row][1]:.1f}"
    assert said["xy1"] == f"{ROWS[row][2]:.1f}, {ROWS[row][3]:.1f}"
    assert float(said["score"]) == ROWS[row][4]
    assert (said["scale"], said["angle"]) == (scale, angle)
    assert said["distance0"] == said["distance1"] == "0.00 px"
    assert 'style="visibility: visible;"' in dom


def test_a_hidden_row_is_never_the_nearest(page, tmp_path) -> None:
    dom, _ = browse(with_script(page, move(0, 50, 60)), tmp_path)
    assert body_data(dom)["row"] == "0"


def test_a_click_holds_and_arrow_keys_go_on(page, tmp_path) -> None:
    keys = "document.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}));"
    script = move(0, 20, 30, "pointerdown") + move(0, 150, 90) + f"setTimeout(() => {{ {keys} }}, 600);"
    dom, log = browse(with_script(page, script), tmp_path)
    assert script_errors(log) == []
    assert (body_data(dom)["row"], body_data(dom)["held"]) == ("1", "true")


def test_a_screenshot_shows_both_images(page, tmp_path) -> None:
    picture = tmp_path / "page.png"
    browse(with_script(page, move(0, 100, 30)), tmp_path / "profile", f"--screenshot={picture}", height=900)
    with PIL.Image.open(picture) as image:
        assert len(image.convert("RGB").resize((128, 90)).getcolors(128 * 90) or []) > 1000


def test_the_page_is_not_wider_than_a_telephone(page, tmp_path) -> None:
    measure = "document.body.dataset.wide = document.documentElement.scrollWidth - window.innerWidth;"
    dom, _ = browse(with_script(page, measure), tmp_path, width=500, height=900)
    assert int(body_data(dom)["wide"]) <= 0


def test_a_file_without_matches_is_a_page_too(page, tmp_path) -> None:
    write_corres(tmp_path / "none.npz", np.zeros((0, 6), np.float32))
    words = [page.parent / "a.png", page.parent / "b.png", "--corres", tmp_path / "none.npz"]
    assert main(["view-corres", *map(str, words), "--output", str(tmp_path / "none.html")]) == 0
    dom, log = browse(with_script(tmp_path / "none.html", move(0, 100, 30)), tmp_path / "profile")
    assert script_errors(log) == []
    assert body_data(dom)["matches"] == "0"
    assert facts(dom)["row"] == "–"
