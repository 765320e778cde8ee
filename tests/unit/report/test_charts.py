"""Charts: where things are drawn, and that odd input does not break them."""

import numpy as np
import pytest

from trigpoint.report.charts import Series, bar_chart, heat_map, line_chart, run_color


def test_a_curve_ends_where_its_values_say():
    svg = line_chart([Series("a", "#123456", [0, 10], [0, 100])], "x", "y", x_range=(0, 10))
    assert 'points="52.0,254.0 508.0,14.0"' in svg


def test_a_logarithmic_axis_has_ticks_at_powers_of_ten():
    svg = line_chart([], "x", "y", x_range=(0.001, 10), log_x=True, marks=(0.1,))
    for tick in ("0.001", "0.01", "0.1", "1", "10"):
        assert f">{tick}</text>" in svg
    assert 'class="mark" x1="280.0"' in svg  # 0.1 is the middle of the axis


def test_bars_tell_their_counts_and_text_is_escaped():
    svg = bar_chart([Series("<b>", "#000", [1234], [100.0])], ["2"], "x", "y")
    assert "<title>&lt;b&gt;, 2: 1,234 (100.0 %)</title>" in svg


@pytest.mark.parametrize("series", [[], [Series("a", "#000", [], [])], [Series("a", "#000", [0], [0.0])]])
def test_charts_without_counts_are_empty_frames(series):
    assert bar_chart(series, ["2"] * len(series[0].x if series else []) or ["2"], "x", "y").endswith("</svg>")


def test_heat_map_of_zeros_is_a_picture():
    assert heat_map(np.zeros((3, 3)), 0).startswith("data:image/png;base64,")


def test_colors_repeat_after_the_palette():
    assert run_color(0) == run_color(8) != run_color(1)
