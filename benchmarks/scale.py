"""Seconds and memory of the graph and the search alone, for a library of any length.

    python benchmarks/scale.py FOOTAGE --minutes 10 --out benchmarks/results/scale.json

The poses of FOOTAGE are estimated once and repeated up to that length, each time with other limb lengths, another place
and fresh noise of a centimetre: hours of pose estimation would measure nothing new about these two stages.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from vmg_backend import jobs
from vmg_backend.audio.beats import Beat
from vmg_backend.graph.build import GraphSettings, build_graph
from vmg_backend.graph.features import MotionFeatures
from vmg_backend.library import FootageLibrary
from vmg_backend.search.find import find_paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("footage", type=Path)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--library", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    words = parser.parse_args()
    library = FootageLibrary(words.library) if words.library else FootageLibrary.default()
    analyses = jobs.analyze([jobs.Source(words.footage)], library)
    footage = analyses[0].footage
    _, one = library.graph([footage], [analyses[0].track], GraphSettings())
    features = lengthened(one, round(words.minutes * 60 * float(one.fps)))

    begun = time.process_time(), time.monotonic()
    graph = build_graph(features, (footage.id,))
    built = time.process_time(), time.monotonic()
    beats = [Beat(0.5 + 0.6 * k, "beat", 1.0) for k in range(49)]
    (path,) = find_paths([footage], graph, features, frames=round(30 * float(one.fps)), beats=beats)
    found = time.process_time(), time.monotonic()
    report = {
        "frames": features.nodes,
        "edges": graph.edges,
        "graph": {"cpu_seconds": round(built[0] - begun[0], 1), "seconds": round(built[1] - begun[1], 1)},
        "search_30_s": {"cpu_seconds": round(found[0] - built[0], 1), "seconds": round(found[1] - built[1], 1)},
        "transitions": len(path.transitions),
        "gap": round(path.gap, 3),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
    }
    words.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def lengthened(one: MotionFeatures, nodes: int) -> MotionFeatures:
    """The features repeated up to `nodes`, never twice the same."""
    rng = np.random.default_rng(0)
    times = -(-nodes // one.nodes)
    parts = []
    for _ in range(times):
        size, shift = rng.uniform(0.9, 1.1), rng.normal(0, 0.1, 3)
        noise = rng.normal(0, 0.01, one.local.shape)
        parts.append((one.local * size + noise, one.world * size + shift + noise, one.velocity * size))
    local, world, velocity = (np.concatenate([part[k] for part in parts])[:nodes] for k in range(3))
    runs = np.concatenate([one.runs + turn * one.nodes for turn in range(times)])
    runs = runs[runs[:, 0] < nodes - 1]
    runs[:, 1] = np.minimum(runs[:, 1], nodes - 1)

    def tiled(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values] * times)[:nodes]

    return replace(
        one,
        local=local,
        world=world,
        velocity=velocity,
        confidence=tiled(one.confidence),
        rhythm=tiled(one.rhythm),
        blur=tiled(one.blur),
        runs=runs,
        offsets=np.array([0, nodes]),
    )


if __name__ == "__main__":
    main()
