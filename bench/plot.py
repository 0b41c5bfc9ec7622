"""A plot as SVG, written by hand: points that a few lines join, on logarithmic axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import log10
from typing import NamedTuple
from xml.sax.saxutils import escape

from bench.sealed import PROOF_TARGET_MS, ProofCost

_WIDTH, _HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 190, 40, 50
_FONT = "font-family='sans-serif' font-size='13'"
_LOWEST, _HIGHEST = 0.01, 10.0
_FIRST, _LAST = 5, 7


class _Curve(NamedTuple):
    """What a curve shows, and how it is drawn."""

    name: str
    colour: str
    dashes: str
    of: Callable[[ProofCost], float]


_CURVES = (
    _Curve("tlog-scales, new reader", "#b3541e", "5 4", lambda cost: cost.peer_new),
    _Curve("tlog-scales", "#b3541e", "none", lambda cost: cost.peer_kept),
    _Curve("ours, new reader", "#1f5fa8", "5 4", lambda cost: cost.new),
    _Curve("ours", "#1f5fa8", "none", lambda cost: cost.kept),
    _Curve("ours, checking it", "#3a7d44", "none", lambda cost: cost.checked),
)


def proof_costs(costs: Sequence[ProofCost]) -> str:
    """Return the SVG of what a proof costs by the number of leaves."""
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{_WIDTH}' height='{_HEIGHT}' role='img'>",
        "<title>Milliseconds for an inclusion proof, by the number of leaves</title>",
        f"<rect width='{_WIDTH}' height='{_HEIGHT}' fill='white'/>",
        _text(_LEFT, 22, "Milliseconds for an inclusion proof, by the number of leaves", "start"),
        *_axes(),
        *_target(),
    ]
    for curve in _CURVES:
        parts += _drawn(curve, costs)
    parts += _labels(costs[-1])
    return "\n".join([*parts, "</svg>", ""])


def _x(leaves: float) -> float:
    return _LEFT + (log10(leaves) - _FIRST) / (_LAST - _FIRST) * (_WIDTH - _LEFT - _RIGHT)


def _y(milliseconds: float) -> float:
    share = (log10(milliseconds) - log10(_LOWEST)) / (log10(_HIGHEST) - log10(_LOWEST))
    return _HEIGHT - _BOTTOM - min(1.0, max(0.0, share)) * (_HEIGHT - _TOP - _BOTTOM)


def _axes() -> list[str]:
    parts = []
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for power in range(round(log10(_LOWEST)), round(log10(_HIGHEST)) + 1):
        y = _y(10.0**power)
        parts += [_line(_LEFT, y, right, y, "#dddddd"), _text(_LEFT - 8, y + 4, f"{10.0**power:g}", "end")]
    for power in range(_FIRST, _LAST + 1):
        x = _x(10.0**power)
        parts += [_line(x, _TOP, x, bottom, "#dddddd"), _text(x, bottom + 20, f"{10**power:,}", "middle")]
    return parts


def _target() -> list[str]:
    y = _y(PROOF_TARGET_MS)
    return [
        _line(_LEFT, y, _WIDTH - _RIGHT, y, "#888888", "2 3"),
        _text(_LEFT + 4, y - 4, f"target: {PROOF_TARGET_MS:g} ms", "start"),
    ]


def _drawn(curve: _Curve, costs: Sequence[ProofCost]) -> list[str]:
    points = [(_x(cost.leaves), _y(curve.of(cost))) for cost in costs]
    lines = [_line(*begin, *end, curve.colour, curve.dashes) for begin, end in pairwise(points)]
    return lines + [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3.5' fill='{curve.colour}'/>" for x, y in points]


def _labels(last: ProofCost) -> list[str]:
    """Name the curves at their right ends, pushed apart where they would overlap."""
    parts, lowest = [], 0.0
    for curve in sorted(_CURVES, key=lambda curve: _y(curve.of(last))):
        lowest = max(_y(curve.of(last)) + 4, lowest + 15)
        parts.append(_text(_WIDTH - _RIGHT + 10, lowest, curve.name, "start", curve.colour))
    return parts


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, dashes: str = "none") -> str:
    place = f"x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}'"
    return f"<line {place} stroke='{colour}' stroke-dasharray='{dashes}' stroke-width='1.5'/>"


def _text(x: float, y: float, words: str, anchor: str, colour: str = "#222222") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' {_FONT} text-anchor='{anchor}' fill='{colour}'>{escape(words)}</text>"
