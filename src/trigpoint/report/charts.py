"""Small SVG charts that follow the page's colours, light or dark, and need no script."""

import base64
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import PIL.Image

# Okabe and Ito's palette without black and yellow: told apart with every kind of colour vision, on white and on black.
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8f7ee7", "#7a8b00")
# Of the splits of queries in the 3D view, on a dark ground: amber, violet, turquoise, pink.
SPLIT_PALETTE = ("#f2b134", "#b99cff", "#4fd0d8", "#ff9ad5")
WIDTH, HEIGHT = 520, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 14, 46
# Dark to bright, as `viridis`: none to many.
_HEAT = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))


@dataclass(frozen=True)
class Series:
    """One line or one set of bars: x and y (N,)."""

    label: str
    color: str
    x: Sequence[float]
    y: Sequence[float]


def run_color(index: int) -> str:
    """The colour of the run at this place, the same in every chart and in the 3D view."""
    return PALETTE[index % len(PALETTE)]


def split_colors(splits: Sequence[str]) -> dict[str, str]:
    """Colours of the splits of queries in the 3D view."""
    return {split: SPLIT_PALETTE[index % len(SPLIT_PALETTE)] for index, split in enumerate(splits)}


def line_chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    *,
    x_range: tuple[float, float],
    log_x: bool = False,
    marks: Sequence[float] = (),
    percent: bool = True,
) -> str:
    """Curves over a percent axis from 0 to 100, or over one from 0 to above the largest value.

    Args:
        series: y in percent; drawn as they are, so a step curve holds both ends of a step.
        x_label: below the axis, with unit.
        y_label: beside the axis.
        x_range: of the axis; values outside are drawn at its ends.
        log_x: logarithmic axis.
        marks: x of dotted lines, for instance the thresholds of a table.
        percent: y is in percent; otherwise in a unit that its label says.
    """
    largest = 100.0 if percent else max((max(line.y, default=0) for line in series), default=0)
    step = 20.0 if percent else _nice_top(largest / 5)
    top = step * max(math.ceil(largest / step - 1e-9), 1)
    to_unit = _log_scale(*x_range) if log_x else _linear_scale(*x_range)
    ticks = _log_ticks(*x_range) if log_x else _linear_ticks(*x_range)
    parts = _frame(x_label, y_label, [(to_unit(tick), f"{tick:g}") for tick in ticks], _percent_ticks(top, step))
    for mark in marks:
        x = _px(to_unit(mark))
        parts.append(f'<line class="mark" x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    for line in series:
        points = " ".join(f"{_px(to_unit(x))},{_py(y / top)}" for x, y in zip(line.x, line.y, strict=True))
        title = f"<title>{escape(line.label)}</title>"
        parts.append(f'<polyline class="curve" stroke="{line.color}" points="{points}">{title}</polyline>')
    return _svg(parts, f"{y_label} over {x_label}")


def bar_chart(series: Sequence[Series], bin_labels: Sequence[str], x_label: str, y_label: str) -> str:
    """Grouped bars: y (N,) of each series in percent, one group for each label; x holds the counts for the tooltips.

    Of a label such as `15–29` the axis shows the start only, the tooltip all of it.
    """
    largest = max((max(bars.y, default=0) for bars in series), default=0)
    step = _nice_top(largest / 5)
    top = step * max(math.ceil(largest / step - 1e-9), 1)
    groups = len(bin_labels)
    every = math.ceil(groups / 14)
    ticks = [((i + 0.5) / groups, label.split("–")[0] if i % every == 0 else "") for i, label in enumerate(bin_labels)]
    parts = _frame(x_label, y_label, ticks, _percent_ticks(top, step))
    width = 0.84 / groups / max(len(series), 1)
    for number, bars in enumerate(series):
        for i, (count, share) in enumerate(zip(bars.x, bars.y, strict=True)):
            left, right = (i + 0.08) / groups + number * width, (i + 0.08) / groups + (number + 1) * width
            box = f'x="{_px(left)}" width="{_px(right) - _px(left):.2f}" y="{_py(share / top)}"'
            title = f"<title>{escape(bars.label)}, {escape(bin_labels[i])}: {count:,.0f} ({share:.1f} %)</title>"
            height = HEIGHT - BOTTOM - _py(share / top)
            parts.append(f'<rect {box} height="{height:.2f}" fill="{bars.color}">{title}</rect>')
    return _svg(parts, f"{y_label} over {x_label}")


def heat_map(values: np.ndarray, largest: float) -> str:
    """A data address of a PNG, one pixel for each cell of (N, N); 0 is dark, `largest` bright, square root between."""
    share = np.sqrt(np.clip(values / max(largest, 1.0), 0, 1))
    stops = np.linspace(0, 1, len(_HEAT))
    rgb = np.stack([np.interp(share, stops, [color[channel] for color in _HEAT]) for channel in range(3)], axis=-1)
    buffer = io.BytesIO()
    PIL.Image.fromarray(rgb.round().astype(np.uint8)).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _frame(x_label: str, y_label: str, x_ticks: list[tuple[float, str]], y_ticks: list[tuple[float, str]]) -> list[str]:
    bottom = HEIGHT - BOTTOM
    parts = []
    for unit, label in y_ticks:
        y = _py(unit)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for unit, label in x_ticks:
        parts.append(f'<text x="{_px(unit)}" y="{bottom + 17}" text-anchor="middle">{escape(label)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="label" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>')
    at = f'transform="translate(13 {(TOP + bottom) / 2}) rotate(-90)"'
    parts.append(f'<text class="label" {at} text-anchor="middle">{escape(y_label)}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}"/>')
    return parts


def _svg(parts: list[str], title: str) -> str:
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    return head + "".join(parts) + "</svg>"


def _px(unit: float) -> float:
    return round(LEFT + unit * (WIDTH - LEFT - RIGHT), 2)


def _py(unit: float) -> float:
    return round(HEIGHT - BOTTOM - unit * (HEIGHT - BOTTOM - TOP), 2)


def _linear_scale(low: float, high: float) -> Callable[[float], float]:
    return lambda x: min(max((x - low) / (high - low), 0.0), 1.0)


def _log_scale(low: float, high: float) -> Callable[[float], float]:
    return lambda x: min(max(math.log(max(x, low) / low) / math.log(high / low), 0.0), 1.0)


def _linear_ticks(low: float, high: float) -> list[float]:
    step = _nice_top((high - low) / 6)
    return [low + step * i for i in range(int((high - low) / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    return [10.0**power for power in range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)]


def _percent_ticks(top: float, step: float) -> list[tuple[float, str]]:
    return [(i * step / top, f"{i * step:g}") for i in range(round(top / step) + 1)]


def _nice_top(value: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is not below a value; 1 for zero."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * (1 - 1e-9))
