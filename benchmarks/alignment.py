"""How well beats are met on real footage: the exact search beside greedy and beam search for the same cost.

    python benchmarks/alignment.py dance.mp4 room.mp4=30 --music a.flac b.wav c.ogg --out alignment.json

FOOTAGE=RATE names the rate of the motion where the file's own is wrong. For each footage and piece a film of some
seconds is searched: without a window of no re-use by all three (`cost`, and by how much it is above the least one),
and with it, as the product does (`vmg`). Told of each: motion beats on beats (Beat Alignment Score), beats that are met
(hit rate), motion beats a second; and beside them the straight footage from its best start, by poses of the footage.
Beside a piece its annotated beats may lie (.beats); else they are detected.
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import search

from vmg_backend.audio.beats import Beat, detect_beats, load_beats
from vmg_backend.graph.build import GraphSettings
from vmg_backend.jobs import Source, analyze, build
from vmg_backend.library import FootageLibrary
from vmg_backend.search.conditions import SearchContext
from vmg_backend.search.exact import Table
from vmg_backend.search.find import find_paths
from vmg_backend.search.objective import Objective, SearchSettings, longest_half
from vmg_backend.search.problem import Route

BEAMS = {"greedy": 1, "beam_20": 20, "beam_1000": 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("footage", nargs="+")
    parser.add_argument("--music", type=Path, nargs="+", required=True)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--library", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    words = parser.parse_args()
    library = FootageLibrary(words.library) if words.library else FootageLibrary()
    films = []
    for named in words.footage:
        path, _, rate = named.partition("=")
        source = Source(Path(path), Fraction(rate) if rate else None)
        for music in words.music:
            films.append(compared(source, music, words.seconds, library))
            print(json.dumps(films[-1], indent=1), flush=True)
    words.out.write_text(json.dumps({"seconds": words.seconds, "films": films}, indent=1) + "\n", encoding="utf-8")


def compared(source: Source, music: Path, seconds: float, library: FootageLibrary) -> dict[str, Any]:
    """All searches for one footage and one piece."""
    analyses = analyze([source], library, remember=False)
    graph, features = build(analyses, library, GraphSettings())
    footages, settings = [one.footage for one in analyses], SearchSettings()
    beats = beats_of(music, seconds)
    frames = round(seconds * graph.fps)
    context = SearchContext(footages, [one.track for one in analyses], graph, features, frames)
    objective = Objective.of(context, beats=beats, settings=settings, seed=0, longest=longest_half(graph))
    problem = objective.problem(frames, settings.hold(graph), settings.longest(graph))
    best = Table(problem).solve()
    if best is None:
        raise SystemExit(f"{source.path.name} has no film of {seconds:g} s.")
    routes = {"exact": best, **{name: search.beam_search(problem, width) for name, width in BEAMS.items()}}
    (path,) = find_paths(footages, graph, features, frames=frames, beats=beats, settings=settings)
    told = {name: said(objective, route, best) for name, route in routes.items()}
    told["vmg"] = figures(path.beat_alignment or {}, seconds) | {
        "cost": round(path.cost, 3),
        "gap": round(path.gap, 3),
        "window": round(path.reuse_window, 2),
    }
    straight = objective.alignment(best) or {}
    return {
        "footage": footages[0].name,
        "music": music.name,
        "beats": len(straight["music_beats"]),
        "straight": {"score": round(straight["straight_score"], 3)},
        **told,
    }


def beats_of(music: Path, seconds: float) -> list[Beat]:
    """The beats of the piece's first seconds."""
    annotated = music.with_suffix(".beats")
    beats = load_beats(annotated) if annotated.is_file() else detect_beats(music, seconds=seconds)
    return [beat for beat in beats if beat.time < seconds]


def said(objective: Objective, route: Route | None, best: Route) -> dict[str, Any] | None:
    """Figures of a route; None where the search ran into a dead end."""
    if route is None:
        return None
    seconds = len(route.nodes) / float(objective.graph.fps)
    return figures(objective.alignment(route) or {}, seconds) | {
        "cost": round(route.cost, 3),
        "above": round(route.cost - best.cost, 3),
        "cuts": len(route.cuts),
    }


def figures(alignment: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Of `Path.beat_alignment`."""
    return {
        "score": round(alignment["score"], 3),
        "hit_rate": round(alignment["hit_rate"], 3),
        "motion_beats_per_second": round(len(alignment["motion_beats"]) / seconds, 2),
    }


if __name__ == "__main__":
    main()
