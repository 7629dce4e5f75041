"""The quality-cost curves as SVG, one panel for each part."""

from collections.abc import Mapping
from xml.sax.saxutils import escape

from bench.routing.figures import GRID
from processors.route.quality.columns import Array

_COLOURS = {"oracle": "#888888", "ours": "#c0392b", "knn": "#2471a3", "random": "#333333"}
_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 300, 240, 60, 46, 70


def svg(parts: Mapping[str, Mapping[str, Array]]) -> str:
    """`parts`: name -> router -> quality at each point of the grid."""
    width = len(parts) * (_WIDTH + _GAP) + _LEFT
    panels = "".join(_panel(name, curves, _LEFT + i * (_WIDTH + _GAP)) for i, (name, curves) in enumerate(parts.items()))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{_HEIGHT + 120}" '
        f'font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/>{panels}</svg>\n'
    )


def _panel(name: str, curves: Mapping[str, Array], left: int) -> str:
    low = min(float(curve.min()) for curve in curves.values())
    high = max(float(curve.max()) for curve in curves.values())
    span = (high - low) or 1.0

    def x(share: float) -> float:
        return round(left + share * _WIDTH, 1)

    def y(quality: float) -> float:
        return round(_TOP + _HEIGHT * (1 - (quality - low) / span), 1)

    out = [f'<text x="{left}" y="{_TOP - 14}" font-size="13">{escape(name)}</text>']
    out.append(f'<rect x="{left}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#bbbbbb"/>')
    for tick in range(5):
        quality = low + span * tick / 4
        out.append(f'<text x="{left - 6}" y="{y(quality) + 4}" text-anchor="end">{quality:.2f}</text>')
        out.append(f'<text x="{x(tick / 4)}" y="{_TOP + _HEIGHT + 16}" text-anchor="middle">{tick * 25}%</text>')
    strong = float(curves["random"][-1])
    wanted = y(0.95 * strong)
    out.append(f'<line x1="{left}" x2="{left + _WIDTH}" y1="{wanted}" y2="{wanted}" stroke="#bbbbbb" stroke-dasharray="4 3"/>')
    for router, curve in curves.items():
        points = " ".join(f"{x(share)},{y(quality)}" for share, quality in zip(GRID, curve, strict=True))
        out.append(f'<polyline points="{points}" fill="none" stroke="{_COLOURS[router]}" stroke-width="1.6"/>')
    for i, router in enumerate(curves):
        out.append(f'<text x="{left + i * 70}" y="{_TOP + _HEIGHT + 52}" fill="{_COLOURS[router]}">{router}</text>')
    single = ((0.0, float(curves["random"][0])), (1.0, strong))
    out.extend(f'<circle cx="{x(share)}" cy="{y(quality)}" r="4" fill="#333333"/>' for share, quality in single)
    out.append(
        f'<text x="{left + _WIDTH / 2}" y="{_TOP + _HEIGHT + 34}" text-anchor="middle">share sent to the strong model</text>'
    )
    return "".join(out)
