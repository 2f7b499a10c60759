"""Seconds and memory of the motion graph, for libraries of 1,000 to 100,000 frames of real motion.

    python benchmarks/graph.py MOCAP... --out benchmarks/results/graph.json

MOCAP are BVH files, archives of CMU's actions (.npz) and folders of both: takes of motion capture, brought to 30 frames
in a second and to the joints that graphs compare. A head has no ears there: they are put 7 cm beside it. Limbs are
hidden in a tenth of the frames, as estimators see them. Where there are not takes enough, they are repeated as another
camera sees them, turned, with a tremble of 1 cm. A footage holds at least 3,000 frames. Each size is built in a process
of its own, whose CPU time and largest memory (making the library included) are told; with the window over eight frames,
and without.

In the same run, what the public predecessor (TANGO) does, written from its description: for each two frames a loop in
Python that compares position and velocity of each joint with thresholds of the first frame. It is run in full for 1,000
frames, and on a sample of pairs for 3,000. Nothing here judges the time.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from vmg_backend.graph import matching
from vmg_backend.graph.build import build_graph
from vmg_backend.graph.features import (
    CONFIDENCE_FLOOR,
    DEPTH,
    JOINTS,
    RHYTHM_JOINTS,
    ROOT_DEPTH,
    MotionFeatures,
)
from vmg_backend.pose.skeletons import MOTION
from vmg_backend.training.mocap import RATE, read_motions

SIZES = (1_000, 3_000, 20_000, 100_000)
TURNS = (0.0, 0.7, -1.2, 2.1, 1.4)
"""Radians by which the cameras look from elsewhere."""
FOOTAGE = 3000
SAMPLE = 200_000
"""Pairs of the pairwise method where it is not run in full."""
OFFSETS = (-4, -3, -2, -1, 1, 2, 3, 4)
LIKE = 45 / 55
"""Share of the joints that must be alike."""

Array = NDArray[Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mocap", type=Path, nargs="+")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--out", type=Path, required=True)
    words = parser.parse_args()
    takes = [motion.joints for motion in read_motions(words.mocap)]
    frames = sum(map(len, takes))
    rows = []
    for size in words.sizes:
        row: dict[str, Any] = {"frames": size, "of_them_repeated": max(0, size - frames)}
        for name, window in (("window", matching.WINDOW), ("no_window", (0, 0))):
            row[name] = _apart(_measure, takes, size, window)
        print(json.dumps(row), flush=True)
        rows.append(row)
    report: dict[str, Any] = {"mocap_frames": frames, "graphs": rows}
    for name in ("window", "no_window"):
        last = [(row["frames"], row[name]["cpu_seconds"]) for row in rows][-2:]
        if len(last) == 2:
            (a, s), (b, t) = last
            report[f"growth_exponent_{name}"] = round(float(np.log(t / s) / np.log(b / a)), 2)
    report["pairwise"] = [_apart(_pairwise, takes, size, size <= 1000) for size in (1_000, 3_000)]
    ours = {row["frames"]: row["no_window"]["cpu_seconds"] for row in rows}
    for row in report["pairwise"]:
        if row["frames"] in ours:
            row["times_slower"] = round(row["cpu_seconds"] / ours[row["frames"]])
    words.out.parent.mkdir(parents=True, exist_ok=True)
    words.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report["pairwise"]))


def _apart(function: Callable[..., dict[str, Any]], *given: object) -> dict[str, Any]:
    """What a function gives in a process of its own, whose memory nothing else has used."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result: dict[str, Any] = pool.apply(function, given)
    return result


def _measure(takes: list[Array], size: int, window: tuple[int, int]) -> dict[str, Any]:
    matching.WINDOW = window
    features = library(takes, size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    graph = build_graph(features, tuple(f"{number}" for number in range(len(features.offsets) - 1)))
    return {
        "cpu_seconds": round(time.process_time() - begun, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
        "peak_before_mb": round(before / 1e3),
        "edges": graph.edges,
        "threshold": round(graph.threshold, 4),
        "kept": round(graph.kept, 3),
    }


def library(takes: list[Array], size: int) -> MotionFeatures:
    """So many frames of features, made of takes [T, 17, 3] of `MOTION`."""
    arrays = {
        "local": np.zeros((size, len(JOINTS), 3)),
        "world": np.zeros((size, len(JOINTS), 3)),
        "velocity": np.zeros((size, len(JOINTS), 3)),
        "confidence": np.zeros((size, len(JOINTS))),
    }
    runs: list[tuple[int, int]] = []
    offsets = [0]
    at = 0
    for part in _parts(takes):
        count = min(len(part[0]), size - at)
        if count > 1:
            runs.append((at, at + count - 1))
        for values, new in zip(arrays.values(), part, strict=True):
            values[at : at + count] = new[:count]
        at += count
        if at - offsets[-1] >= FOOTAGE or at == size:
            offsets.append(at)
        if at == size:
            break
    rhythm = len(RHYTHM_JOINTS)
    return MotionFeatures(
        **arrays,
        rhythm=np.zeros((size, rhythm, 2)),
        blur=np.ones((size, rhythm)),
        runs=np.array(runs, dtype=np.int32),
        offsets=np.array(offsets),
        fps=Fraction(RATE),
    )


def _parts(takes: list[Array]) -> Iterator[tuple[Array, Array, Array, Array]]:
    rng = np.random.default_rng(0)
    for turn, angle in enumerate(TURNS):
        c, s = np.cos(angle), np.sin(angle)
        view = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        for number in rng.permutation(len(takes)):
            joints = takes[number].astype(float) @ view.T
            if turn:
                tremble = gaussian_filter1d(rng.normal(size=joints.shape), 1.5, axis=0)
                joints += 0.01 * tremble / tremble.std()
            yield _features(joints, rng)


def _features(joints: Array, rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
    def of(name: str) -> Array:
        return joints[:, MOTION.joints.index(name)]

    across = of("left_shoulder") - of("right_shoulder")
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    others = {"nose": of("head"), "left_ear": of("head") + 0.07 * across, "right_ear": of("head") - 0.07 * across}
    for side in ("left", "right"):
        others |= {f"{side}_index": of(f"{side}_hand"), f"{side}_foot_index": of(f"{side}_toe")}
    placed = np.stack([others[name] if name in others else of(name) for name in JOINTS], axis=1)
    root = (of("left_hip") + of("right_hip")) / 2
    local = (placed - root[:, None]) * (1, 1, DEPTH)
    world = local + (root * (1, 1, ROOT_DEPTH))[:, None]
    # A limb is hidden for about half a second at a time.
    stays = np.exp(-2 / RATE)
    noise = rng.normal(size=(len(joints) + RATE, 4))
    hidden = lfilter([np.sqrt(1 - stays**2)], [1, -stays], noise, axis=0)[RATE:]
    seen = 1 - 0.92 / (1 + np.exp(-4 * (hidden - 1.3)))
    confidence = np.full(placed.shape[:2], 0.98)
    for limb, names in enumerate((side, kind) for side in ("left", "right") for kind in ("arm", "leg")):
        parts = ("elbow", "wrist", "index") if names[1] == "arm" else ("knee", "ankle", "foot_index")
        for part in parts:
            confidence[:, JOINTS.index(f"{names[0]}_{part}")] = seen[:, limb]
    velocity = np.gradient(world, 1 / RATE, axis=0)
    return local, world, velocity, CONFIDENCE_FLOOR + (1 - CONFIDENCE_FLOOR) * confidence


def _pairwise(takes: list[Array], size: int, in_full: bool) -> dict[str, Any]:
    features = library(takes, size)
    position, velocity = features.local, features.velocity
    root = (features.world - features.local).mean(axis=1)
    # Thresholds of each frame: how far its joints are on average from those of the frames around.
    around = np.clip(np.arange(size)[:, None] + OFFSETS, 0, size - 1)
    position_limit, velocity_limit = (
        np.linalg.norm(x[:, None] - x[around], axis=-1).mean(axis=1) for x in (position, velocity)
    )
    root_limit = np.linalg.norm(root[:, None] - root[around], axis=-1).mean(axis=1)
    alike = LIKE * position.shape[1]

    def like(i: int, j: int) -> bool:
        near = np.linalg.norm(position[i] - position[j], axis=1) < position_limit[i]
        if np.count_nonzero(near) < alike:
            return False
        near = np.linalg.norm(velocity[i] - velocity[j], axis=1) < velocity_limit[i]
        return np.count_nonzero(near) >= alike and bool(np.linalg.norm(root[i] - root[j]) < root_limit[i])

    pairs = size * (size - 1)
    if in_full:
        begun = time.process_time()
        edges = sum(like(i, j) for i in range(size) for j in range(size) if i != j)
        seconds = time.process_time() - begun
        return {
            "frames": size,
            "pairs": pairs,
            "microseconds_a_pair": round(seconds / pairs * 1e6, 1),
            "cpu_seconds": round(seconds, 1),
            "edges": edges,
        }
    sample = np.random.default_rng(0).integers(size, size=(SAMPLE, 2)).tolist()
    begun = time.process_time()
    for i, j in sample:
        like(i, j)
    each = (time.process_time() - begun) / SAMPLE
    return {
        "frames": size,
        "pairs": pairs,
        "pairs_sampled": SAMPLE,
        "microseconds_a_pair": round(each * 1e6, 1),
        "cpu_seconds": round(each * pairs, 1),
    }


if __name__ == "__main__":
    main()
