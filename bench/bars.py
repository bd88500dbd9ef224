"""Bars, as a drawing for a document."""

from collections.abc import Mapping
from html import escape
from pathlib import Path

_ROW, _LABEL, _BARS, _VALUE = 26, 170, 460, 70
_STYLE = "text{font:13px sans-serif;fill:#24292f}rect{fill:#2f81f7}.back{fill:#fff}"


def write_bars(path: Path, title: str, values: Mapping[str, float]) -> None:
    """Draw each value as long as it is, beside the longest of them."""
    width, height = _LABEL + _BARS + _VALUE, _ROW * (len(values) + 1) + 14
    scale = _BARS / (max(values.values()) or 1)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
        f'<style>{_STYLE}</style><rect class="back" width="{width}" height="{height}"/>',
        f'<text x="10" y="20">{escape(title)}</text>',
    ]
    for row, (name, value) in enumerate(values.items(), 1):
        y, end = _ROW * row + 8, _LABEL + value * scale
        lines += [
            f'<text x="{_LABEL - 10}" y="{y + 15}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{_LABEL}" y="{y}" width="{value * scale:.1f}" height="{_ROW - 6}"/>',
            f'<text x="{end + 6:.1f}" y="{y + 15}">{value:.1f}</text>',
        ]
    path.write_text("\n".join([*lines, "</svg>", ""]))
