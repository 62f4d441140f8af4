"""The plot of the camera case as SVG: of the frames damaged in each way, the share that each method drops."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

_LEFT, _TOP, _BAR, _GAP, _SCALE = 96, 58, 12, 14, 440
_COLOURS = (("#0b7a63", "#3fc7a4"), ("#c2410c", "#fb8c4e"), ("#8a949e", "#77828d"), ("#2563eb", "#7aa5ff"))


def recall_plot(recalls: Mapping[str, Mapping[str, float]], title: str) -> str:
    """Return grouped bars, light or dark as the reader's system is; ``recalls`` is method → kind → share in 0 to 1."""
    methods = list(recalls)
    kinds = list(dict.fromkeys(kind for by_kind in recalls.values() for kind in by_kind))
    group = _BAR * len(methods) + _GAP
    height = _TOP + group * len(kinds) + 24
    width = _LEFT + _SCALE + 60
    heading = f"Damaged frames that are dropped, {title}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(heading)}"><style>{_style(len(methods))}</style>',
        f'<text class="title" x="14" y="20">{escape(heading)}</text>',
    ]
    for index, method in enumerate(methods):
        x = 14 + index * 120
        parts.append(f'<rect class="m{index}" x="{x}" y="32" width="10" height="10"/>')
        parts.append(f'<text x="{x + 15}" y="41">{escape(method)}</text>')
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        tick_x = _LEFT + tick * _SCALE
        parts.append(f'<path class="grid" d="M{tick_x:.0f} {_TOP}V{height - 22}"/>')
        parts.append(f'<text class="middle" x="{tick_x:.0f}" y="{height - 8}">{tick:.0%}</text>')
    for row, kind in enumerate(kinds):
        top = _TOP + row * group
        parts.append(f'<text class="end" x="{_LEFT - 8}" y="{top + (group - _GAP) / 2 + 5:.0f}">{escape(kind)}</text>')
        for index, method in enumerate(methods):
            share = recalls[method].get(kind, 0.0)
            y = top + index * _BAR
            parts.append(
                f'<rect class="m{index}" x="{_LEFT}" y="{y}" width="{share * _SCALE:.1f}" height="{_BAR - 2}"/>'
            )
            parts.append(f'<text class="value" x="{_LEFT + share * _SCALE + 4:.1f}" y="{y + 9}">{share:.0%}</text>')
    return "\n".join(parts) + "\n</svg>\n"


def _style(methods: int) -> str:
    light = "".join(f".m{index}{{fill:{_COLOURS[index % 4][0]}}}" for index in range(methods))
    dark = "".join(f".m{index}{{fill:{_COLOURS[index % 4][1]}}}" for index in range(methods))
    return (
        "svg{background:#fff;font:12px system-ui,sans-serif}text{fill:#5c6874}.title{fill:#1d2733;font-weight:600;"
        f"font-size:14px}}.value{{font-size:10px}}.grid{{stroke:#e3e7eb}}.end{{text-anchor:end}}"
        f".middle{{text-anchor:middle}}{light}@media(prefers-color-scheme:dark){{svg{{background:#12181e}}"
        f"text{{fill:#98a4b0}}.title{{fill:#e6ebf0}}.grid{{stroke:#2b343d}}{dark}}}"
    )
