"""A page to judge in-betweens by eye: numbered gaps with fast motion, and the table of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..motion.gap import InBetweener, TrueGap
from ..pose.skeletons import MOTION
from .motion import SPEEDS, TRUTH, Filled, fill_gaps, true_speed
from .motion_metrics import mpjpe
from .page import page

LENGTH, CONTEXT, COUNT = 24, 3, 10
"""Which gaps are shown, and how many."""
POSES = 6
"""Poses of a filmstrip, the first and the last of the gap among them."""

_CELL, _PATHS, _LABEL, _GUTTER = 130, 260, 92, 10
"""px: side of a pose's cell, width of the paths' cell, width of a row's name, space between."""
_SIDES = {"left": "#1f6fb4", "right": "#d1592a", "": "#444"}
_TRACED = ("left_wrist", "right_wrist", "left_ankle", "right_ankle")
_GHOST = "#c9c9c4"
_HEAD = MOTION.joints.index("head")
_HIPS, _SHOULDERS = (list(MOTION.index(f"left_{part}", f"right_{part}")) for part in ("hip", "shoulder"))
_METRICS = {
    "mpjpe": "Joint error (MPJPE), torso lengths",
    "l2p": "Distance of normalised poses (L2P)",
    "npss": "Rhythm (NPSS)",
    "bone_drift": "Bones too long or short, torso lengths",
    "seam_jump": "Jump at the seams, torso lengths per frame\N{SUPERSCRIPT TWO}",
    "foot_slide": "Sliding of feet that stand, torso lengths per second",
}

_STYLE = """
h2 { font-size: 1.15em; margin: 2.2em 0 .4em; }
table { margin: .6em 0 1.6em; }
th:first-child, td:first-child { text-align: left; }
td small { color: #777; } .best { font-weight: 600; background: #eef5ea; }
.left { color: #1f6fb4; } .right { color: #d1592a; }
"""

_BODY = Template("""
<h1>$title</h1>
<p>Each row shows $poses of the $length frames that were left out, from the first to the last, and at its end the paths
of wrists and ankles through the gap, with a dot where they end. <span class="left">Left</span> and
<span class="right">right</span> limbs are the person's own; the truth lies behind in grey. Every method was given
$context frames on either side. The number is the mean distance of the joints from the truth in torso lengths (MPJPE);
lower is better.</p>
$gaps
<h2>All gaps</h2>
<p>$about</p>
$tables
""")


@dataclass(frozen=True)
class _Shown:
    """A gap on the page: the rows' names, joints [n, 17, 2] and errors."""

    heading: str
    truth: NDArray[np.float64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    rows: tuple[tuple[str, NDArray[np.float64], float | None], ...]


def motion_page(
    gaps: Sequence[TrueGap], methods: Mapping[str, InBetweener], result: Mapping[str, Any], title: str
) -> str:
    """The page as HTML that needs no other file.

    Parameters
    ----------
    gaps : sequence of TrueGap
        Those that were measured; the fastest of 24 frames are shown, of different takes as far as there are.
    methods : mapping of str to InBetweener
        A row each.
    result : mapping
        What `evaluate_motion` gave.
    title : str
    """
    long = [gap for gap in gaps if gap.gap.length == LENGTH]
    shown = _shown(fill_gaps(_fastest(long), methods, CONTEXT)) if long else []
    body = _BODY.substitute(
        title=escape(title),
        length=LENGTH,
        context=CONTEXT,
        poses=POSES,
        gaps="\n".join(_figure(number, one) for number, one in enumerate(shown, 1)),
        about=_about(result),
        tables="\n".join(_table(metric, result) for metric in _METRICS),
    )
    return page(f"In-betweens of {LENGTH} frames", _STYLE, body)


def _fastest(gaps: Sequence[TrueGap]) -> list[TrueGap]:
    """The fastest gaps, each the fastest of its take as long as there are takes."""
    speed = true_speed(fill_gaps(gaps, {}, CONTEXT))
    order = [gaps[index] for index in np.argsort(-speed)]
    seen: dict[str, int] = {}
    ranks = [seen[gap.take] for gap in order if seen.update({gap.take: seen.get(gap.take, -1) + 1}) is None]
    return [order[index] for index in np.argsort(ranks, kind="stable")[:COUNT]]


def _shown(filled: Filled) -> list[_Shown]:
    errors = {name: mpjpe(joints, filled.truth, filled.trust, filled.torso) for name, joints in filled.methods.items()}
    speed = true_speed(filled)
    return [
        _Shown(
            heading=f"{take}, {speed[k]:.1f} torso lengths per second",
            truth=filled.truth[k],
            before=filled.before[k],
            after=filled.after[k],
            rows=(
                (TRUTH, filled.truth[k], None),
                *(
                    (name, joints[k], float(errors[name].total[k] / errors[name].weight[k]))
                    for name, joints in filled.methods.items()
                ),
            ),
        )
        for k, take in enumerate(filled.takes)
    ]


def _figure(number: int, shown: _Shown) -> str:
    """One gap: a filmstrip and the paths for each method."""
    frames = np.linspace(0, len(shown.truth) - 1, POSES).round().astype(int)
    middles = shown.truth[frames][:, _HIPS].mean(axis=1)
    reach = np.nanmax(np.abs(shown.truth[frames] - middles[:, None]))
    everything = np.concatenate([shown.before[-1:], shown.truth, shown.after[:1]])
    low, high = np.nanmin(everything, axis=(0, 1)), np.nanmax(everything, axis=(0, 1))
    zoom = 0.44 * _CELL / reach
    wide = 0.88 * float(min(_PATHS / (high[0] - low[0] + 1e-9), _CELL / (high[1] - low[1] + 1e-9)))
    parts = []
    for row, (name, joints, error) in enumerate(shown.rows):
        top = row * (_CELL + _GUTTER)
        parts.append(f'<text x="0" y="{top + _CELL / 2:.0f}" font-size="15" font-weight="600">{escape(name)}</text>')
        if error is not None:
            parts.append(f'<text x="0" y="{top + _CELL / 2 + 20:.0f}" font-size="14" fill="#555">{error:.3f}</text>')
        for column, frame in enumerate(frames):
            centre = np.array([_LABEL + (column + 0.5) * (_CELL + _GUTTER), top + _CELL / 2])
            parts.append(_frame(centre, _CELL))
            ghost = (shown.truth[frame] - middles[column]) * zoom + centre
            pose = (joints[frame] - middles[column]) * zoom + centre
            parts += [_skeleton(ghost, ghost=True), _skeleton(pose)]
        centre = np.array([_LABEL + POSES * (_CELL + _GUTTER) + _PATHS / 2, top + _CELL / 2])
        parts.append(_frame(centre, _PATHS))
        real, own = (
            (np.concatenate([shown.before[-1:], motion, shown.after[:1]]) - (low + high) / 2) * wide + centre
            for motion in (shown.truth, joints)
        )
        parts += [_paths(real, ghost=True), _paths(own)]
    width = _LABEL + POSES * (_CELL + _GUTTER) + _PATHS
    height = len(shown.rows) * (_CELL + _GUTTER)
    label = escape(f"Gap {number}: {shown.heading}")
    return (
        f'<h2>{number}. {escape(shown.heading)}</h2>\n<svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{label}" font-family="system-ui, sans-serif">\n{chr(10).join(parts)}\n</svg>'
    )


def _frame(centre: NDArray[np.float64], width: float) -> str:
    x, y = centre[0] - width / 2, centre[1] - _CELL / 2
    return f'<rect x="{x:.0f}" y="{y:.0f}" width="{width}" height="{_CELL}" rx="6" fill="#f6f6f4"/>'


def _skeleton(pose: NDArray[np.float64], *, ghost: bool = False) -> str:
    """A pose [17, 2] in px of the figure: a line for each bone, from neck to head too, and a dot for the head."""
    neck, head = pose[_SHOULDERS].mean(axis=0), pose[_HEAD]
    lines = {"": [np.stack([neck, head])], "left": [], "right": []}
    for a, b in MOTION.bones:
        if _HEAD not in (a, b):
            sides = {MOTION.joints[joint].partition("_")[0] for joint in (a, b)}
            lines[sides.pop() if len(sides) == 1 else ""].append(pose[[a, b]])
    drawn = [_curves(parts, _GHOST if ghost else _SIDES[side], 2.4) for side, parts in lines.items()]
    return "".join(drawn) + (_dot(head, 4.5, _GHOST if ghost else _SIDES[""]) if np.isfinite(head).all() else "")


def _paths(motion: NDArray[np.float64], *, ghost: bool = False) -> str:
    """Curves [n + 2, 17, 2] of wrists and ankles, with a dot where they end."""
    drawn = []
    for joint in _TRACED:
        points = motion[:, MOTION.joints.index(joint)]
        points = points[np.isfinite(points).all(axis=1)]
        if len(points):
            colour = _GHOST if ghost else _SIDES[joint.partition("_")[0]]
            drawn += [_curves([points], colour, 3.0 if ghost else 1.8), _dot(points[-1], 3.0, colour)]
    return "".join(drawn)


def _curves(curves: Sequence[NDArray[np.float64]], colour: str, width: float) -> str:
    """Lines through points [..., 2]; those that are not known whole are left out."""
    path = "".join(
        "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) for points in curves if np.isfinite(points).all()
    )
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linecap="round" '
        'stroke-linejoin="round"/>'
    )


def _dot(at: NDArray[np.float64], radius: float, colour: str) -> str:
    return f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius}" fill="{colour}"/>'


def _about(result: Mapping[str, Any]) -> str:
    counts = ", ".join(
        f"{numbers['all']} of {length} frames ({result['n']['takes'][length]['all']} takes)"
        for length, numbers in result["n"]["gaps"].items()
    )
    return (
        f"{counts}. Slow, middle and fast are thirds by the speed of the truth. In small, 95 % intervals: takes "
        "resampled. The best of each row is marked."
    )


def _table(metric: str, result: Mapping[str, Any]) -> str:
    """One metric: a row for each length, context and speed, a column for each method."""
    cells = [
        (length, context, speed, values)
        for length, contexts in result[metric].items()
        for context, speeds in contexts.items()
        for speed in SPEEDS
        if (values := speeds.get(speed))
    ]
    names = list(dict.fromkeys(name for *_, values in cells for name in values))
    rows = [
        f"<tr><td>{length} frames, {context} known, {speed}</td>"
        + "".join(_value(name, values, result["interval_95"][metric][length][context][speed]) for name in names)
        + "</tr>"
        for length, context, speed, values in cells
    ]
    heads = "".join(f"<th>{escape(name)}</th>" for name in names)
    return f"<h3>{escape(_METRICS[metric])}</h3>\n<table><tr><th></th>{heads}</tr>\n{chr(10).join(rows)}\n</table>"


def _value(name: str, values: Mapping[str, float | None], intervals: Mapping[str, Sequence[float]]) -> str:
    value = values[name]
    if value is None:
        return "<td>–</td>"
    methods = [other for key, other in values.items() if key != TRUTH and other is not None]
    best = ' class="best"' if name != TRUTH and value <= min(methods) else ""
    interval = intervals[name]
    about = f" <small>{interval[0]:.3f}–{interval[1]:.3f}</small>" if interval else ""
    return f"<td{best}>{value:.3f}{about}</td>"
