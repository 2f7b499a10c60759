"""How quick the add-on is in Blender, with the real backend.

    BPY_PYTHON benchmarks/blender_timings.py MEDIA --extension ZIP --backend PYTHON --out FILE

Measures the ticks of running jobs (what a person feels while analysis, Suggest and Generate run), the making of a take
of 100 pieces, and Re-render Stale after a keyframe of a 720p take was moved by a few frames: which transitions were
made anew, and how long each phase took. The library is new, so that the footage is really analysed.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import in_blender
import numpy as np

Module = Callable[[str], Any]
Results = dict[str, Any]

SECONDS, MOVED = 12, 3
PIECES = 100
FULL_HD, HD = "talk_gestures.mp4", "kungfu_moving_camera.mp4"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("media", type=Path)
    for name in ("--extension", "--backend", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--library", type=Path, help="one that exists; default: a new one")
    parser.add_argument("--footage", default=HD, help="of Re-render Stale")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vmg-timings-") as folder:
        library = words.library or Path(folder) / "library"
        module = in_blender.start(words.extension, words.backend, library, Path(folder))
        import bpy

        pieces = a_hundred_pieces(module, words.media / "footage" / FULL_HD)
        bpy.ops.wm.read_homefile(use_empty=True)
        bpy.ops.wm.save_as_mainfile(filepath=str(Path(folder) / "take.blend"))
        ticks = Ticks(module("session").session())
        stale = rerender_stale(module, words.media / "footage" / words.footage)
        report = {
            "date": datetime.now(UTC).date().isoformat(),
            "blender": bpy.app.version_string,
            "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}" if os.name == "posix" else "",
            "ticks_ms": ticks.told(),
            "hundred_pieces_of_1080p": pieces,
            "rerender_stale": stale,
            "phases_s": ticks.phases(),
        }
    words.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


class Ticks:
    """Listens to a session: how long each tick of a job takes, and how long a job is in which stage."""

    def __init__(self, session: Any) -> None:  # noqa: ANN401 - of the installed add-on
        self._session, self._pump = session, session.pump
        self._durations: dict[str, list[tuple[float, float]]] = {}
        self._stages: list[tuple[float, str]] = []
        session.pump = self.pump

    def pump(self, *budget: float) -> None:
        """One tick, on the clock."""
        job = self._session.job
        begun, worked = time.perf_counter(), time.thread_time()
        self._pump(*budget)
        ended, work = time.perf_counter(), time.thread_time() - worked
        if job:
            self._durations.setdefault(job.title, []).append(((ended - begun) * 1000, work * 1000))
            stage = f"{job.title}: {job.stage}"
            if not self._stages or self._stages[-1][1] != stage:
                self._stages.append((ended, stage))
        self._last = ended

    def told(self) -> Results:
        """For each job: 99th percentile and longest tick, on the clock and in CPU time; ticks without work left out."""
        told = {}
        for title, pairs in self._durations.items():
            busy = [pair for pair in pairs if pair[1] > 0.1]
            told[title] = {"ticks": len(pairs), "with_work": len(busy)}
            for name, values in zip(("clock", "cpu"), zip(*busy, strict=True), strict=False):
                told[title][name] = {
                    "p99": round(float(np.percentile(values, 99)), 2),
                    "longest": round(max(values), 2),
                }
        return told

    def phases(self) -> list[list[Any]]:
        """Job and stage, and how long it went on, in their order."""
        ends = [at for at, _ in self._stages[1:]] + [self._last]
        return [[stage, round(end - at, 2)] for (at, stage), end in zip(self._stages, ends, strict=True)]


def a_hundred_pieces(module: Module, file: Path) -> Results:
    """Insert a path of 100 segments with transitions of 6 frames, step by step."""
    import bpy

    takes, reading = module("timeline.takes"), module("timeline.reading")
    scene = bpy.context.scene
    strip = module("timeline.material").add_footage(scene, file, 1)
    reading.sync_footages(scene)
    strip.vmg.footage = scene.vmg.footages[0].footage = "f" * 64
    segments: list[dict[str, Any]] = []
    transitions: list[dict[str, Any]] = []
    for number in range(PIECES):
        first = 20 + 37 * number % 500
        if segments:
            old = segments[-1]["last"]
            transitions.append(
                {
                    **{"id": number - 1, "at": segments[-1]["at"] + 20, "frames": 6, "match": [old + 3, first - 3]},
                    "from": {"footage": "f" * 64, "frame": old},
                    "to": {"footage": "f" * 64, "frame": first},
                    **{"engine": None, "cost": 0.0, "connector": False, "frames_dir": None, "hash": None},
                    "pinned": False,
                }
            )
        segments.append({"footage": "f" * 64, "first": first, "last": first + 19, "at": 26 * number, "speed": 1.0})
    rate = module("compat").scene_rate(scene)
    path = {
        **{"fps": f"{rate.numerator}/{rate.denominator}", "frames": 26 * PIECES - 6, "segments": segments},
        **{"transitions": transitions, "footages": {"f" * 64: {"path": str(file)}}},
    }
    wish = takes.protocol.Wish(footages=(), frames=path["frames"])
    steps, times = takes.insert_take(scene, path, {"f" * 64: str(file)}, 1, wish), []
    while True:
        begun = time.perf_counter()
        end = next(steps, None) is None and steps.gi_frame is None
        times.append((time.perf_counter() - begun) * 1000)
        if end:
            break
    times.sort()
    return {"total_ms": round(sum(times)), "steps": len(times), "longest_ms": [round(value, 1) for value in times[-3:]]}


def rerender_stale(module: Module, file: Path) -> Results:
    """A take with a keyframe, filled by flow; the keyframe moved; what Re-render Stale then makes."""
    import bpy

    scene, compat = bpy.context.scene, module("compat")
    takes, reading = module("timeline.takes"), module("timeline.reading")
    in_blender.add_footage(module, [file], None)
    fps = float(compat.scene_rate(scene))
    scene.frame_end = round(SECONDS * fps)
    scene.vmg.length_mode, scene.vmg.engine, scene.vmg.play_after_suggest = "RANGE", "flow", False
    for second in range(1, SECONDS):
        scene.timeline_markers.new("", frame=1 + round(second * fps))
    scene.vmg.cut_price = 0.0  # many cuts
    bpy.ops.vmg.suggest()
    cuts = takes.read_take(module("overview").active_take(scene))["segments"][1:-1]
    longest = max(cuts, key=lambda segment: segment["last"] - segment["first"])
    scene.frame_set(scene.frame_start + longest["at"] + 2)
    bpy.ops.vmg.key_add()
    bpy.ops.vmg.suggest()
    bpy.ops.vmg.generate()
    (key,) = reading.key_strips(scene)
    compat.move(key, MOVED)
    take = module("overview").active_take(scene)
    before = folders(takes.read_take(take))
    kept = {name: Path(name).stat().st_mtime_ns for name in before}
    begun, worked = time.perf_counter(), backend_seconds(module)
    bpy.ops.vmg.rerender_stale()
    wall, work = time.perf_counter() - begun, backend_seconds(module) - worked
    path = takes.read_take(takes.find(scene, take.vmg.uid))
    after = folders(path)
    touched = [name for name in before & after if Path(name).stat().st_mtime_ns != kept[name]]
    return {
        "footage": file.name,
        "size": [scene.render.resolution_x, scene.render.resolution_y],
        "transitions": len(path["transitions"]),
        "filled": sum(one["frames_dir"] is not None for one in path["transitions"]),
        "frames_each": sorted({one["frames"] for one in path["transitions"]}),
        "made_anew": [
            [one["frames"], one["at"]] for one in path["transitions"] if str(one["frames_dir"]) not in before
        ],
        "key": [key.at for key in takes.wish_of(take).keys],
        "others_touched": len(touched),
        "wall_s": round(wall, 2),
        "backend_cpu_s": round(work, 2),
    }


def backend_seconds(module: Module) -> float:
    """CPU time of the backend's process so far, which other work does not slow; 0 where the system has no /proc."""
    link = module("session").session()._link
    stat = Path(f"/proc/{link.process.pid}/stat")
    if not stat.exists():
        return 0.0
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def folders(path: dict[str, Any]) -> set[str]:
    """Where the frames of the filled transitions lie."""
    return {str(one["frames_dir"]) for one in path["transitions"] if one["frames_dir"]}


if __name__ == "__main__":
    main()
    in_blender.leave()
