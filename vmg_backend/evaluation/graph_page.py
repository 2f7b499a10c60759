"""A page to look into a motion graph: which frames are alike, where a film can go, and what its cuts look like."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from string import Template
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..footage import Footage, FrameReader
from ..graph.features import MotionFeatures
from ..graph.motion_graph import MotionGraph
from ..progress import SILENT, Progress
from .graph_report import ALONE, END, HEART, START, DistanceMatrix, distance_matrix, graph_report
from .page import page

Pictures = Mapping[tuple[int, int], str]
"""Data URIs by footage and frame."""

THUMBNAIL = 90
"""px, height of a picture."""
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 75]

_SIDE, _LEFT, _TOP, _FOOT = 960, 260, 24, 60
"""px: the matrix, and what is written beside, above and below it."""
_DOTS = 1440
"""px, side of the picture of the edges."""
_FEW = (40_000, 8000, 3000, 1000)
"""Edges up to which their dots are larger by 1 px each."""
_RAMP = ((16, 30, 62), (58, 96, 150), (150, 180, 208), (247, 248, 246))
"""RGB from like to unlike."""
_NO_MATCH, _EDGE, _CONNECTOR = (233, 217, 192), (255, 150, 20), (214, 0, 122)
_RANGE = (2.0, 90.0)
"""The brightest cost: so many thresholds, or so high a percentile of the costs where that is more."""

_BAR_WIDTH, _BAR_LEFT, _ROW, _BAND, _BINS = 940, 250, 82, 12, 235
"""px: a footage's bar, its name, its row, its coloured band; and how many bins its ways are counted in."""
_ROWS, _LINES = 40, 40
"""Footages that get a bar, and lines of the table of stretches."""
_WHERE = {
    HEART: ("#7fb58f", "heart: can be reached and left for ever"),
    START: ("#d9b92f", "a film can start here, but never comes back"),
    END: ("#e0566a", "a film that comes here has to end"),
    ALONE: ("#8e4a94", "no way from here to the heart, nor from it"),
}
_KINDS = {
    "cheapest": "Cheapest",
    "median": "In the middle",
    "dearest": "Dearest within the threshold",
    "connector": "Dearest connectors",
}

_STYLE = Template("""
h2 { font-size: 1.2em; margin: 2.2em 0 .4em; } h3 { font-size: 1em; margin: 1.4em 0 .4em; }
th:first-child, td:first-child, td.wide { text-align: left; }
i { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em; }
figure { display: inline-block; margin: 0 1em 1em 0; vertical-align: top; }
figure img { height: ${height}px; margin-right: 2px; } figure b { padding: 0 .4em; vertical-align: 40px; }
figcaption { font-size: 13px; color: #555; }
#edges:not(:checked) ~ svg .edges { display: none; }
""")

_BODY = Template("""
<h1>$title</h1>
<p>$summary</p>
<h2>Which frames are alike</h2>
<p>Each place of the picture is a pair of frames: the one that is cut from at the left, the one that is cut to below.
The darker, the better they match. $sampling Thin lines part footages, dashed ones shots.</p>
<p>$legend</p>
<input type="checkbox" id="edges" checked><label for="edges"> show the edges</label>
$matrix
<h2>Where a film can go</h2>
<p>$exits</p>
<p>$places</p>
$bars
<table><tr><th>footage</th><th>frames</th><th>usable</th><th>in the heart</th><th>ways out</th><th>of them to other
footages</th><th>ways in</th></tr>
$footages
</table>
<h3>Outside of the heart</h3>
$stretches
<h2>Hubs</h2>
<h3>Frames with the most ways out</h3>
<p>Only the cheapest edges of a frame are kept, so that many frames may share the largest number.</p>
$hubs_out
<h3>Frames with the most ways in</h3>
$hubs_in
<h3>Longest stretches without a way out</h3>
<p>First, middle and last frame. While they play, no cut is possible.</p>
$waits
<h2>Sample transitions</h2>
<p>The last frames before a cut and the first ones after it, as they are in the footage: the generated frames will stand
in place of those nearest to the cut. The cost is given as a share of the threshold.</p>
$samples
""")


def inspect_graph(
    graph: MotionGraph,
    features: MotionFeatures,
    footages: Sequence[Footage],
    title: str,
    progress: Progress = SILENT,
) -> tuple[dict[str, Any], str]:
    """The report of a graph as JSON, and its page.

    Parameters
    ----------
    graph : MotionGraph
    features : MotionFeatures
        That it was built from.
    footages : sequence of Footage
        In the order of the graph.
    title : str
    progress : Progress
    """
    report = graph_report(graph, footages)
    matrix = distance_matrix(features, progress.part(0.0, 0.2, "Comparing frames"))
    pictures = page_pictures(report, footages, progress.part(0.2, 1.0, "Taking pictures"))
    return report, graph_page(report, graph, matrix, pictures, title)


def page_pictures(
    report: Mapping[str, Any], footages: Sequence[Footage], progress: Progress = SILENT
) -> dict[tuple[int, int], str]:
    """Small pictures of the frames that a report names, by footage and frame."""
    wanted = sorted({frame for frames in _named(report) for frame in frames})
    result: dict[tuple[int, int], str] = {}
    for footage in sorted({footage for footage, _ in wanted}):
        with FrameReader(footages[footage]) as reader:
            for frame in [frame for other, frame in wanted if other == footage]:
                progress.update(len(result) / len(wanted))
                result[footage, frame] = _data_uri(thumbnail(reader.frame(frame)), ".jpg")
    progress.update(1.0)
    return result


def thumbnail(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A frame [H, W, 3], `THUMBNAIL` px high."""
    height, width = frame.shape[:2]
    size = max(1, round(width * THUMBNAIL / height)), THUMBNAIL
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def graph_page(
    report: Mapping[str, Any], graph: MotionGraph, matrix: DistanceMatrix, pictures: Pictures, title: str
) -> str:
    """The page as HTML that needs no other file.

    Parameters
    ----------
    report : mapping
        Of `graph_report`.
    graph : MotionGraph
    matrix : DistanceMatrix
    pictures : mapping of (footage, frame) to str
        Data URIs of the frames that the report names.
    title : str
    """
    top = _brightest(matrix, graph.threshold)
    body = _BODY.substitute(
        title=escape(title),
        summary=_summary(report),
        sampling=_sampling(matrix),
        legend=_legend(top, graph.threshold, report["connectors"]),
        matrix=_matrix(report, graph, matrix, top),
        exits=_exits(report),
        places=_places(report),
        bars=_bars(report, graph),
        footages="\n".join(_footage(one) for one in report["footages"]),
        stretches=_stretches(report),
        hubs_out="\n".join(_hub(one, "out", report, pictures) for one in report["hubs"]["out"]) or "<p>None.</p>",
        hubs_in="\n".join(_hub(one, "in", report, pictures) for one in report["hubs"]["in"]) or "<p>None.</p>",
        waits="\n".join(_wait(one, report, pictures) for one in report["waits"]) or "<p>None.</p>",
        samples=_samples(report, pictures),
    )
    return page(title, _STYLE.substitute(height=THUMBNAIL), body)


def _named(report: Mapping[str, Any]) -> Iterator[list[tuple[int, int]]]:
    """The frames of each figure."""
    for hub in (*report["hubs"]["out"], *report["hubs"]["in"]):
        yield [(hub["footage"], hub["frame"])]
    for wait in report["waits"]:
        yield _ends(wait)
    for sample in report["samples"]:
        yield _all(sample["from"]) + _all(sample["to"])


def _ends(stretch: Mapping[str, Any]) -> list[tuple[int, int]]:
    first, last = stretch["first"], stretch["last"]
    return [(stretch["footage"], frame) for frame in sorted({first, (first + last) // 2, last})]


def _all(stretch: Mapping[str, Any]) -> list[tuple[int, int]]:
    return [(stretch["footage"], frame) for frame in range(stretch["first"], stretch["last"] + 1)]


def _data_uri(picture: NDArray[np.uint8], suffix: str) -> str:
    """A picture [H, W, 3] RGB or [H, W, 4] RGBA as it stands in a page."""
    turned = cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(suffix, turned, _JPEG if suffix == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 9])
    kind = {".jpg": "jpeg", ".png": "png"}[suffix]
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


def _hex(colour: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{value:02x}" for value in colour)


def _summary(report: Mapping[str, Any]) -> str:
    shares = report["reach"]["shares"]
    parts = report["parts"]
    apart = f" It falls into {parts} parts that no edge joins, each with a heart of its own." if parts > 1 else ""
    return (
        f"{report['frames']} frames, {report['usable']} of them usable; {report['edges']} edges, "
        f"{report['edges_per_second']:.1f} for each usable second, {report['connectors']} of them connectors: edges "
        "that the rules would leave out, added so that no part is out of reach. "
        f"{shares[HEART]:.1%} of the usable frames can be reached and left for ever.{apart} "
        f"The threshold is {report['threshold']:.3f} m."
    )


def _sampling(matrix: DistanceMatrix) -> str:
    if matrix.block == 1:
        return "Each pixel is one pair."
    how = f"Each pixel stands for {matrix.block} × {matrix.block} frames and shows the best pair"
    if matrix.compared == matrix.block:
        return f"{how} of them."
    return (
        f"{how} of the {matrix.compared} × {matrix.compared} in their middle: the library is too large to compare all "
        "frames for a picture, so that an edge may lie where the picture is bright."
    )


def _brightest(matrix: DistanceMatrix, threshold: float) -> float:
    """The cost that is shown brightest, m."""
    finite = matrix.cells[np.isfinite(matrix.cells)]
    return max(_RANGE[0] * threshold, float(np.percentile(finite, _RANGE[1])) if len(finite) else 0.0, 1e-9)


def _legend(top: float, threshold: float, connectors: int) -> str:
    stops = ", ".join(f"rgb{colour}" for colour in _RAMP)
    ramp = f'<i style="width:12em;background:linear-gradient(to right, {stops})"></i>'
    scale = f"{top / threshold:.1f} times the threshold" if threshold > 0 else f"{top:.2f} m"
    marks = [(_EDGE, "edge")] + [(_CONNECTOR, "connector")] * bool(connectors) + [(_NO_MATCH, "no match possible")]
    dots = "".join(f'<i style="background:{_hex(colour)}"></i>{text}' for colour, text in marks)
    return f"equal {ramp} {scale} or more {dots}"


def _matrix(report: Mapping[str, Any], graph: MotionGraph, matrix: DistanceMatrix, top: float) -> str:
    """The matrix, the edges on it, lines between footages and shots, names and frame numbers."""
    covered = matrix.block * len(matrix.cells)
    scale = _SIDE / covered
    height = _TOP + _SIDE + _FOOT
    whole = f'x="{_LEFT}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}"'
    parts = [
        f'<svg viewBox="0 0 {_LEFT + _SIDE + 10} {height}" role="img" aria-label="Match costs and edges" '
        'font-family="system-ui, sans-serif">',
        f'<image {whole} style="image-rendering:pixelated" href="{_data_uri(_coloured(matrix, top), ".png")}"/>',
        f'<image class="edges" {whole} href="{_data_uri(_edges(graph, covered), ".png")}"/>',
    ]
    end = graph.nodes * scale
    several = len(report["footages"]) > 1
    for number, (footage, offset) in enumerate(zip(report["footages"], graph.offsets.tolist(), strict=False), 1):
        at, length = offset * scale, footage["frames"] * scale
        for first, _ in footage["shots"][1:] if length > 60 else ():
            parts.append(_cross(at + first * scale, end, 'stroke="#fff" stroke-dasharray="3 4" stroke-width="1"'))
        if offset:
            parts.append(_cross(at, end, 'stroke="#fff" stroke-width="2"'))
            parts.append(_cross(at, end, 'stroke="#222" stroke-width=".7"'))
        if length > 12:
            name = f"{number}. {footage['name']}" if several else footage["name"]
            middle = at + length / 2
            parts.append(_text(_LEFT - 56, _TOP + middle + 5, _short(name), "end", footage["name"]))
            if several:
                parts.append(_text(_LEFT + middle, _TOP - 8, str(number), "middle", footage["name"], 11))
        for frame in _ticks(footage["frames"], scale):
            place = at + frame * scale
            parts.append(f'<path d="M{_LEFT - 5} {_TOP + place:.1f}h5" stroke="#222"/>')
            parts.append(_text(_LEFT - 8, _TOP + place + 4, str(frame), "end", size=12))
            parts.append(f'<path d="M{_LEFT + place:.1f} {_TOP + _SIDE}v5" stroke="#222"/>')
            parts.append(_text(_LEFT + place, _TOP + _SIDE + 19, str(frame), "middle", size=12))
    parts.append(_text(_LEFT + _SIDE / 2, height - 12, "frame that is cut to", "middle"))
    across = _text(0, 0, "frame that is cut from", "middle")
    parts.append(f'<g transform="translate(14 {_TOP + _SIDE / 2:.0f}) rotate(-90)">{across}</g>')
    return "\n".join([*parts, "</svg>"])


def _cross(place: float, end: float, style: str) -> str:
    """A line across the matrix each way."""
    return f'<path d="M{_LEFT + place:.1f} {_TOP}v{end:.1f}M{_LEFT} {_TOP + place:.1f}h{end:.1f}" fill="none" {style}/>'


def _text(x: float, y: float, text: str, anchor: str, title: str = "", size: int = 14) -> str:
    hint = f"<title>{escape(title)}</title>" if title else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}{hint}</text>'


def _short(name: str, most: int = 24) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _ticks(frames: int, scale: float) -> list[int]:
    """Round frame numbers, at least 48 px from each other and from the end."""
    step = next(n * 10**power for power in range(9) for n in (1, 2, 5) if n * 10**power * scale >= 48 or power == 8)
    return [frame for frame in range(0, frames, step) if (frames - frame) * scale >= 24]


def _coloured(matrix: DistanceMatrix, top: float) -> NDArray[np.uint8]:
    """The matrix [M, M, 3] as a picture."""
    known = np.isfinite(matrix.cells)
    share = np.clip(np.where(known, matrix.cells, top) / top, 0.0, 1.0)
    # A few dozen shades are all that can be told apart, and pack well.
    share = np.rint(share * 48) / 48
    stops = np.linspace(0.0, 1.0, len(_RAMP))
    picture = np.stack([np.interp(share, stops, [colour[k] for colour in _RAMP]) for k in range(3)], axis=2)
    picture[~known] = _NO_MATCH
    return np.rint(picture).astype(np.uint8)


def _edges(graph: MotionGraph, covered: int) -> NDArray[np.uint8]:
    """The edges as dots [H, W, 4] on nothing; the fewer they are, the larger. Connectors lie above the others."""
    picture = np.zeros((_DOTS, _DOTS, 4), np.uint8)
    radius = sum(graph.edges <= few for few in _FEW)
    for connectors, colour, size in ((False, _EDGE, radius), (True, _CONNECTOR, radius + 2)):
        chosen = graph.connector == connectors
        # The dot lies at the frames that match: the one before the target.
        x, y = (
            np.minimum(((nodes[chosen] + 0.5) * _DOTS / covered).astype(np.int64), _DOTS - 1)
            for nodes in (graph.target - 1, graph.source)
        )
        for a, b in np.unique(np.stack([x, y], axis=1), axis=0).tolist():
            cv2.circle(picture, (a, b), size, (*colour, 255), cv2.FILLED)
    return picture


def _name(report: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    return escape(str(report["footages"][one["footage"]]["name"]))


def _exits(report: Mapping[str, Any]) -> str:
    exits = report["exits"]
    if exits["longest"] is None:
        return "There is no edge: the footage can only be played on."
    longest = exits["longest"]
    return (
        f"How long a frame plays on until a cut is possible: at most {exits['median']:.2f} s in half of all cases, "
        f"{exits['p95']:.2f} s in 95 of 100; the longest is {longest['seconds']:.2f} s, from frame {longest['frame']} "
        f"of {_name(report, longest)}. From {exits['never']} frames, at the ends of what can be played, no cut is "
        "possible any more."
    )


def _places(report: Mapping[str, Any]) -> str:
    shares = report["reach"]["shares"]
    told = "".join(
        f'<i style="background:{colour}"></i>{text} ({shares[kind]:.1%})'
        for kind, (colour, text) in _WHERE.items()
        if shares[kind] > 0
    )
    return (
        f'{told}<i style="background:#d5d5d5"></i>not usable.<br>Bars above: ways out of the frames; below: ways into '
        "them."
    )


def _bars(report: Mapping[str, Any], graph: MotionGraph) -> str:
    """A row for each footage: where its frames lie, and how many ways lead out of and into them."""
    shown = report["footages"][:_ROWS]
    counts = []
    for k, footage in enumerate(shown):
        bins = min(_BINS, footage["frames"])
        edges = np.linspace(0, footage["frames"], bins + 1)
        frames = np.histogram(np.arange(footage["frames"]), edges)[0]
        counts.append(
            [
                np.histogram(nodes - graph.offsets[k], edges)[0] / np.maximum(frames, 1)
                for nodes in (graph.source, graph.target)
            ]
        )
    most = max((float(values.max(initial=0.0)) for sides in counts for values in sides), default=0.0) or 1.0
    parts = [
        f'<svg viewBox="0 0 {_BAR_LEFT + _BAR_WIDTH + 30} {len(shown) * _ROW}" role="img" '
        'aria-label="Ways out and in by frame" font-family="system-ui, sans-serif">'
    ]
    tall = (_ROW - _BAND - 22) / 2
    for k, (footage, sides) in enumerate(zip(shown, counts, strict=True)):
        scale, offset, top = _BAR_WIDTH / footage["frames"], int(graph.offsets[k]), k * _ROW + 2 + tall
        parts.append(_text(_BAR_LEFT - 10, top + _BAND, _short(footage["name"], 32), "end", footage["name"]))
        parts.append(_box(0, footage["frames"], scale, top, "#d5d5d5"))
        runs = graph.runs[(graph.runs[:, 0] >= offset) & (graph.runs[:, 0] < graph.offsets[k + 1])] - offset
        parts += [_box(first, last + 1, scale, top, _WHERE[HEART][0]) for first, last in runs.tolist()]
        parts += [
            _box(one["first"], one["last"] + 1, scale, top, _WHERE[one["where"]][0])
            for one in report["reach"]["stretches"]
            if one["footage"] == k
        ]
        width = _BAR_WIDTH / len(sides[0])
        for values, base, way, colour in (
            (sides[0], top - 1, -1, "#3a6096"),
            (sides[1], top + _BAND + 1, 1, "#8a6a2f"),
        ):
            path = "".join(
                f"M{_BAR_LEFT + b * width:.1f} {base:.1f}h{width:.1f}v{way * value * tall / most:.1f}h{-width:.1f}z"
                for b, value in enumerate(values.tolist())
                if value
            )
            parts.append(f'<path d="{path}" fill="{colour}"/>')
        for frame in _ticks(footage["frames"], scale / 2):
            parts.append(
                _text(
                    _BAR_LEFT + frame * scale,
                    (k + 1) * _ROW - 5,
                    str(frame),
                    "start" if not frame else "middle",
                    size=11,
                )
            )
    more = len(report["footages"]) - len(shown)
    note = f"<p>{more} more footages are in the table.</p>" if more else ""
    return "\n".join([*parts, f"</svg>{note}"])


def _box(first: int, end: int, scale: float, top: float, colour: str) -> str:
    x, width = _BAR_LEFT + first * scale, max((end - first) * scale, 0.5)
    return f'<rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{_BAND}" fill="{colour}"/>'


def _footage(one: Mapping[str, Any]) -> str:
    heart = f"{one['heart'] / one['usable']:.0%}" if one["usable"] else "–"
    return (
        f"<tr><td>{escape(one['name'])}</td><td>{one['frames']}</td><td>{one['usable']}</td><td>{heart}</td>"
        f"<td>{one['ways_out']}</td><td>{one['to_others']}</td><td>{one['ways_in']}</td></tr>"
    )


def _stretches(report: Mapping[str, Any]) -> str:
    stretches = sorted(report["reach"]["stretches"], key=lambda one: one["first"] - one["last"])
    if not stretches:
        return "<p>Nothing: all usable frames are in the heart.</p>"
    rows = "\n".join(
        f"<tr><td>{_name(report, one)}</td><td>{one['first']}–{one['last']}</td>"
        f"<td>{one['last'] - one['first'] + 1}</td>"
        f'<td class="wide"><i style="background:{_WHERE[one["where"]][0]}"></i>{_WHERE[one["where"]][1]}</td></tr>'
        for one in stretches[:_LINES]
    )
    more = len(stretches) - _LINES
    note = f"<p>{more} more are no longer than the last of these.</p>" if more > 0 else ""
    return (
        f"<table><tr><th>footage</th><th>frames</th><th>number</th><th></th></tr>\n{rows}\n</table>{note}"
        "<p>No cut leads away from the last frame of what can be played in one go, so that one frame at each such end "
        "is always listed here.</p>"
    )


def _picture(report: Mapping[str, Any], pictures: Pictures, key: tuple[int, int]) -> str:
    name = escape(str(report["footages"][key[0]]["name"]))
    return f'<img src="{pictures[key]}" alt="{name}, frame {key[1]}" title="{name}, frame {key[1]}">'


def _hub(one: Mapping[str, Any], side: str, report: Mapping[str, Any], pictures: Pictures) -> str:
    return (
        f"<figure>{_picture(report, pictures, (one['footage'], one['frame']))}<figcaption>{_name(report, one)} "
        f"{one['frame']}<br>{one['ways']} {'way' if one['ways'] == 1 else 'ways'} {side}</figcaption></figure>"
    )


def _wait(one: Mapping[str, Any], report: Mapping[str, Any], pictures: Pictures) -> str:
    shown = "".join(_picture(report, pictures, key) for key in _ends(one))
    after = "" if one["goes_on"] else ", and then the film ends"
    return (
        f"<figure>{shown}<figcaption>{_name(report, one)} {one['first']}–{one['last']}: "
        f"{one['last'] - one['first'] + 1} frames{after}</figcaption></figure>"
    )


def _samples(report: Mapping[str, Any], pictures: Pictures) -> str:
    """Strips by kind."""
    parts = []
    for kind, heading in _KINDS.items():
        strips = [one for one in report["samples"] if one["kind"] == kind]
        if strips:
            parts.append(f"<h3>{heading}</h3>")
            parts += [_strip(one, report, pictures) for one in strips]
    return "\n".join(parts) or "<p>There is no edge.</p>"


def _strip(one: Mapping[str, Any], report: Mapping[str, Any], pictures: Pictures) -> str:
    before, after = ("".join(_picture(report, pictures, key) for key in _all(one[side])) for side in ("from", "to"))
    return (
        f"<figure>{before}<b>→</b>{after}<figcaption>{_name(report, one['from'])} {one['from']['last']} → "
        f"{_name(report, one['to'])} {one['to']['first']}: {one['share']:.0%} of the threshold, {one['frames']} frames "
        "are generated</figcaption></figure>"
    )
