"""A page that shows why a path is as it is: costs by condition over time, and what would be at each cut otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from html import escape
from string import Template
from typing import Any

from .page import page

_WIDTH, _HEIGHT, _LEFT, _FOOT = 1200, 260, 60, 30
"""px: the picture, its scale at the left, and the seconds below it."""
_COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bb7733", "#888888")
"""Told apart by people who see few colours (Paul Tol's bright scheme)."""

_STYLE = """
h2 { font-size: 1.15em; margin: 2em 0 .4em; }
td.wide { text-align: left; white-space: normal; }
i { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em; }
"""

_BODY = Template("""
<h1>$title</h1>
<p>Cost $cost; no other path costs less than $bound. Below 0 is what was met, above it what was missed or paid; 1 is one
beat that is danced instead of missed. A line marks each cut.</p>
<p>$legend</p>
$chart
<h2>Cuts</h2>
<p>The runner-up is the best film without this cut that differs only near it, and by how much it is dearer.$before</p>
<table><tr><th>at, s</th><th>from</th><th>to</th>$names<th>runner-up</th></tr>
$cuts
</table>
""")


def path_page(path: Mapping[str, Any], title: str) -> str:
    """The page of a path as HTML that needs no other file.

    Parameters
    ----------
    path : mapping
        PATH.json, with its ``explanation``.
    title : str
    """
    explanation, fps = path["explanation"], float(Fraction(path["fps"]))
    names = list(path["costs"])
    colours = {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(names)}
    by_time = {one["at"] + one["frames"] // 2: one for one in path["transitions"]}
    body = _BODY.substitute(
        before=" Films are compared as they are before segments were warped." if "warp" in names else "",
        title=escape(title),
        cost=f"{path['cost']:.2f}",
        bound=f"{path['bound']:.2f}",
        legend="".join(
            f'<i style="background:{colours[name]}"></i>{escape(name)} {path["costs"][name]:.2f}' for name in names
        ),
        chart=_chart(explanation, path["frames"], fps, colours),
        names="".join(f"<th>{escape(name)}</th>" for name in names),
        cuts="\n".join(_row(one, by_time[one["at"]], path["footages"], names, fps) for one in explanation["cuts"]),
    )
    return page(title, _STYLE, body)


def _chart(explanation: Mapping[str, Any], frames: int, fps: float, colours: Mapping[str, str]) -> str:
    """Bars of each second: conditions' costs on one another, gains below 0; what a cut costs counts in its second."""
    seconds = [dict(one["costs"]) for one in explanation["seconds"]]
    starts = [one["at"] for one in explanation["seconds"]]
    for cut in explanation["cuts"]:
        index = max(k for k, start in enumerate(starts) if start <= cut["at"])
        for name, value in cut["costs"].items():
            seconds[index][name] = seconds[index].get(name, 0.0) + value
    top = max([sum(max(value, 0.0) for value in one.values()) for one in seconds], default=0.0) or 1.0
    bottom = min([sum(min(value, 0.0) for value in one.values()) for one in seconds], default=0.0)
    scale = (_HEIGHT - _FOOT) / (top - bottom)
    across = (_WIDTH - _LEFT) / frames
    zero = top * scale
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Costs by second">']
    for start, end, costs in zip(starts, [*starts[1:], frames], seconds, strict=True):
        up = down = zero
        for name, value in costs.items():
            height = abs(value) * scale
            up, down, y = (up - height, down, up - height) if value > 0 else (up, down + height, down)
            wide = max((end - start) * across - 1.0, 0.5)
            parts.append(
                f'<rect x="{_LEFT + start * across:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{height:.1f}" '
                f'fill="{colours[name]}"><title>{escape(name)} {value:.2f} at {start / fps:.0f} s</title></rect>'
            )
    parts.append(f'<path d="M{_LEFT} {zero:.1f}H{_WIDTH}" stroke="#222"/>')
    for cut in explanation["cuts"]:
        x = _LEFT + cut["at"] * across
        parts.append(f'<path d="M{x:.1f} 0V{_HEIGHT - _FOOT}" stroke="#222" stroke-dasharray="2 4"/>')
    for value, y in ((top, 12.0), (0.0, zero + 4.0), (bottom, _HEIGHT - _FOOT - 2.0)):
        parts.append(f'<text x="{_LEFT - 8}" y="{y:.0f}" text-anchor="end" font-size="13">{value:.1f}</text>')
    step = max(1, round(frames / fps / 12))
    for second in range(0, int(frames / fps) + 1, step):
        x = _LEFT + second * fps * across
        parts.append(f'<text x="{x:.0f}" y="{_HEIGHT - 8}" font-size="13">{second} s</text>')
    return "".join([*parts, "</svg>"])


def _row(
    cut: Mapping[str, Any], transition: Mapping[str, Any], footages: Mapping[str, Any], names: list[str], fps: float
) -> str:
    def said(side: Mapping[str, Any]) -> str:
        return escape(f"{footages[side['footage']]['name']} {side['frame']}")

    i, j = transition["match"]
    sides = said({**transition["from"], "frame": i}), said({**transition["to"], "frame": j})
    other = cut["runner_up"]
    if other is None:
        runner_up = "none"
    else:
        where = ", ".join(
            f"{said(one['from'])} to {said(one['to'])} at {one['at'] / fps:.2f} s" for one in other["cuts"]
        )
        runner_up = f"+{other['dearer']:.2f}: {where or 'no cut'}"
    cells = "".join(f"<td>{cut['costs'].get(name, 0.0):.2f}</td>" for name in names)
    return (
        f"<tr><td>{cut['at'] / fps:.2f}</td><td>{sides[0]}</td><td>{sides[1]}</td>{cells}"
        f'<td class="wide">{runner_up}</td></tr>'
    )
