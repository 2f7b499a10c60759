"""Seconds and peak memory of each stage, for a library of a given length.

    python benchmarks/stages.py FOOTAGE MUSIC --seconds 30 --seconds 600 --out benchmarks/results/stages.json

The library is FOOTAGE repeated up to that length, each time with another crop and every second time mirrored, so that
no two frames are alike. Each stage is a process of its own; memory is the largest resident size of it or any worker.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vmg_backend.footage import FrameReader, VideoWriter, open_footage


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("footage", type=Path)
    parser.add_argument("music", type=Path)
    parser.add_argument("--seconds", type=float, action="append", required=True, help="length of the library")
    parser.add_argument("--out", type=Path, required=True)
    words = parser.parse_args()
    results = []
    for seconds in words.seconds:
        with tempfile.TemporaryDirectory() as folder:
            results.append(measure(words.footage, words.music, seconds, Path(folder)))
        print(json.dumps(results[-1], indent=1), flush=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
    report = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit.strip(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "footage": words.footage.name,
        "libraries": results,
    }
    words.out.write_text(json.dumps(report, indent=1) + "\n")


def measure(source: Path, music: Path, seconds: float, folder: Path) -> dict[str, object]:
    footage = folder / "library.mp4"
    frames = lengthened(source, footage, seconds)
    path, film, library = folder / "path.json", folder / "film.mp4", ["--library", str(folder / "library")]
    stages = {
        "analyze": ["analyze", str(footage), *library],
        "graph": ["graph", *library],
        "search": ["search", "--out", str(path), "--music", str(music), "--seconds", "30", *library],
        "generate": ["generate", str(path), "--engine", "flow", *library],
        "render": ["render", str(path), "--out", str(film), *library],
    }
    measured: dict[str, object] = {"library_seconds": seconds, "frames": frames}
    for name, verb in stages.items():
        begun = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "vmg_backend", *verb, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        told = json.loads(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{name} failed: {told}")
        measured[name] = {
            "seconds": round(time.monotonic() - begun, 1),
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
            "peak_memory_mb": round(usage.ru_maxrss / 1e3),
        }
        if name == "graph":
            measured["edges"] = told["edges"]
        if name == "search":
            measured["transitions"], measured["gap"] = len(told["transitions"]), round(told["gap"], 3)
    return measured


def lengthened(source: Path, out: Path, seconds: float) -> int:
    footage = open_footage(source)
    wanted = round(Fraction(seconds) * footage.fps)
    width, height = footage.size
    with FrameReader(footage) as reader, VideoWriter(out, footage.size, footage.fps) as writer:
        for number in range(wanted):
            turn, k = divmod(number, footage.frames)
            border = int(0.02 * turn * min(width, height) / 2)
            picture: NDArray[np.uint8] = reader.frame(k)[border : height - border, border : width - border]
            if turn % 2:
                picture = picture[:, ::-1]
            writer.write(cv2.resize(np.ascontiguousarray(picture), (width, height)))
    return wanted


if __name__ == "__main__":
    main()
