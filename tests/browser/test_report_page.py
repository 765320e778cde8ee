"""The report in headless Chromium: no errors, a drawn 3D view, and what the reader clicks works."""

import re
from pathlib import Path

import PIL.Image
import pytest

from chromium import CHROMIUM, body_data, browse, script_errors, with_script
from trigpoint.cli import main

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(finished_work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    folder = tmp_path_factory.mktemp("browser")
    words = ["--dataset", str(finished_work / "dataset.json"), "--work", str(finished_work)]
    words += ["--benchmarks", str(folder / "none"), "--runs", "exact", "noisy", "--output", str(folder / "report")]
    assert main(["report", *words]) == 0
    return folder / "report" / "report.html"


def test_points_and_cameras_are_drawn_without_an_error(page, tmp_path):
    dom, log = browse(page, tmp_path)
    data = body_data(dom)
    assert script_errors(log) == []
    assert data["webgl"] == "drawn"
    assert data["points-drawn"] == "300"
    assert data["cameras-drawn"] == "11"
    assert int(data["pixels-drawn"]) > 500


def test_run_selectors_and_layers_work(page, tmp_path):
    clicks = """
      document.querySelector('#pair-runs [data-run="noisy"]').click();
      document.querySelector('[data-layer="query"]').click();
      document.querySelector('[data-layer="points"]').click();
      const select = document.getElementById('view-run');
      select.value = 'noisy'; select.dispatchEvent(new Event('change'));
      const run = document.getElementById('query-run');
      run.value = 'noisy'; run.dispatchEvent(new Event('change'));
      document.querySelectorAll('#query-table th')[7].click();"""
    dom, log = browse(with_script(page, clicks), tmp_path)
    data = body_data(dom)
    assert script_errors(log) == []
    assert (data["points-drawn"], data["cameras-drawn"]) == ("0", "8")
    assert re.search(r'id="counts">noisy: ', dom)
    assert re.search(r'<svg[^>]*data-run="noisy" class="shown"', dom)
    assert not re.search(r'<svg[^>]*data-run="exact" class="shown"', dom)
    assert '<tbody data-run="exact" hidden=""' in dom
    shown = dom[dom.index('<tbody data-run="noisy"') :]
    errors = [float(text) for text in re.findall(r'queries/\d+/error_m">([\d.]+)<', shown)]
    assert errors == sorted(errors)
    assert len(errors) == 3


def test_a_click_on_a_query_finds_its_camera(page, tmp_path):
    clicks = "document.querySelector('#query-table tbody tr').click();"
    dom, log = browse(with_script(page, clicks), tmp_path)
    assert script_errors(log) == []
    card = dom[dom.index('id="card"') :][:600]
    assert "query/view 000.png" in card
    assert "localized query" in card
    assert 'src="data:image/jpeg;base64,' in card


def test_the_page_is_not_wider_than_a_telephone(page, tmp_path):
    measure = "document.body.dataset.wide = document.documentElement.scrollWidth - window.innerWidth;"
    dom, _ = browse(with_script(page, measure), tmp_path, width=500, height=900)
    assert int(body_data(dom)["wide"]) <= 0


def test_without_webgl_the_page_says_so(page, tmp_path):
    hide = "HTMLCanvasElement.prototype.getContext = () => null;"
    copy = page.with_name("no-webgl.html")
    copy.write_text(page.read_text().replace("<head>", f"<head><script>{hide}</script>", 1))
    dom, log = browse(copy, tmp_path)
    assert script_errors(log) == []
    assert body_data(dom)["webgl"] == "absent"
    assert re.search(r'id="viewer" class="no-webgl"', dom)


def test_a_screenshot_shows_the_page(page, tmp_path):
    picture = tmp_path / "page.png"
    browse(page, tmp_path / "profile", f"--screenshot={picture}")
    with PIL.Image.open(picture) as image:
        assert image.size == (1280, 1600)
        assert len(image.convert("RGB").resize((128, 160)).getcolors(128 * 160) or []) > 50
