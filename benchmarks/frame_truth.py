"""Whether Blender shows each frame that a path names, and plays the music in its place; exit code 1 where it does not.

    python benchmarks/frame_truth.py MEDIA --blender BPY_PYTHON --extension ZIP --backend PYTHON --library FOLDER
        --out benchmarks/results/frame_truth.json

For each footage of MEDIA/footage a take is made in Blender as a person makes it, and another one from a path with many
random cuts, among them into the first and out of the last frame of the file (`take_in_blender.py`). Each picture that
Blender renders is compared with the source frame that the path names, and with that frame's neighbours, as PyAV decodes
them (where these differ by more than rounding); pictures of transitions with their files; the film with the pictures;
its sound with the music.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from functools import lru_cache
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate

from vmg_backend.audio.decode import load_audio
from vmg_backend.footage import Footage, FrameReader, open_footage

Picture = NDArray[np.uint8]
Results = dict[str, Any]

FRAMES = 96
MEAN_LEVELS = 2.0
"""The largest mean difference between a picture and its source frame, in levels of 255: rounding of colours."""
ROUNDING, CODING = (3, 0.0), (24, 0.005)
"""Pictures are told apart by the values that differ by more levels than conversion, or H.264, changes them by, where
so large a share of all values does; H.264 skips a few that change back at once."""
FEWEST = 64
"""Values, at least."""
AAC_BLOCK, SOUND_RATE = 1024, 48000
VORBIS_BLOCK = 1024 * 48000 // 44100 + 1
"""Blender, without the add-on too, plays Ogg Vorbis that begins inside the file so much early; other kinds in time."""
TRUE_RATES = {"dance_routine.mp4": 30, "dance_routine_skeleton.mp4": 30, "taichi.mp4": 25}
"""Files whose header is wrong about the motion's rate."""
PLACES = ((1, 1, 0), (101, 1, 0), (101, 61, 70), (1, 31, 0), (101, 131, 20))
"""First frame of the take, frame at which the music begins, how many of its frames are trimmed at its front."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("media", type=Path)
    parser.add_argument("--blender", type=Path, action="append", required=True, help="a Python with bpy; repeatable")
    for name in ("--extension", "--backend", "--library", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--only", action="append", help="footage whose path ends with this; repeatable")
    words = parser.parse_args()
    folder = words.media / "footage"
    cases = [[file] for file in sorted(folder.glob("*.mp4"))]
    cases += [sorted(group.glob("*.mkv")) for group in sorted(folder.iterdir()) if group.is_dir()]
    music = cycle(
        sorted(file for file in (words.media / "music").iterdir() if file.suffix in (".flac", ".wav", ".ogg"))
    )
    results = []
    for files, song, place in zip(cases, music, cycle(PLACES), strict=False):
        if words.only and not str(files[0]).endswith(tuple(words.only)):
            continue
        rate = TRUE_RATES.get(files[0].name)
        footages = [open_footage(file, fps=Fraction(rate) if rate else None) for file in files]
        for blender in words.blender:
            with tempfile.TemporaryDirectory(prefix="vmg-truth-") as work:
                spec = {
                    "folder": work,
                    "footage": [str(file) for file in files],
                    "rate": rate,
                    "frames": FRAMES,
                    "engine": "fade",
                    "music": str(song),
                    "by_hand": path_by_hand(footages, random.Random(len(results))),  # noqa: S311
                }
                spec |= dict(zip(("start", "music_at", "music_trim"), place, strict=True))
                spec |= {name: str(getattr(words, name)) for name in ("extension", "backend", "library")}
                results.append(measure(spec, blender, footages))
            print(json.dumps(results[-1]), flush=True)
    wrong = [result for result in results if result["problems"]]
    report = {"date": datetime.now(UTC).date().isoformat(), "frames_of_a_take": FRAMES, "results": results}
    words.out.write_text(json.dumps(report, indent=1) + "\n")
    for result in wrong:
        print(f"{result['footage']} in Blender {result['blender']}: {'; '.join(result['problems'])}", file=sys.stderr)
    return 1 if wrong else 0


def path_by_hand(footages: list[Footage], dice: random.Random) -> dict[str, Any]:
    """A path of short segments from anywhere, with transitions of 0 (a hard cut) to 8 frames."""
    segments: list[dict[str, Any]] = []
    transitions: list[dict[str, Any]] = []
    at, before, after = 0, 0, 0
    while at < FRAMES:
        footage, frames = dice.choice(footages), min(dice.randint(3, 10), FRAMES - at)
        before, after = after, 2 * dice.randint(0, 4)
        if at + frames + after + 3 > FRAMES:  # the last one
            frames, after = FRAMES - at, 0
        earliest, latest = before, footage.frames - frames - after
        first = earliest if not segments else latest if at + frames == FRAMES else dice.randint(earliest, latest)
        if before:
            old = segments[-1]
            transitions.append(
                {
                    "id": len(transitions),
                    "from": {"footage": old["footage"], "frame": old["last"]},
                    "to": {"footage": footage.id, "frame": first},
                    "match": [old["last"] + before // 2, first - before // 2],
                    "at": at - before,
                    "frames": before,
                    **{"engine": None, "cost": 0.0, "connector": False, "frames_dir": None, "hash": None},
                    "pinned": False,
                }
            )
        segments.append(
            {"footage": footage.id, "first": first, "last": first + frames - 1, "at": at, "speed": 1.0},
        )
        at += frames + after
    entries = {
        one.id: {
            "name": one.name,
            "path": str(one.path),
            "fps": str(one.fps),
            "size": list(one.size),
            "ranges": one.ranges.tolist(),
        }
        for one in footages
    }
    fps = footages[0].fps
    return {
        **{"format": "vmg-path", "version": 1, "fps": f"{fps.numerator}/{fps.denominator}", "frames": FRAMES},
        **{"seconds": float(FRAMES / fps), "footages": entries, "segments": segments, "transitions": transitions},
        **{"audio": None, "beats": [], "cost": 0.0, "bound": 0.0, "gap": 0.0, "costs": {}, "beat_alignment": None},
        **{"reuse_window": 0.0, "seed": 0, "versions": {}},
    }


def measure(spec: dict[str, Any], blender: Path, footages: list[Footage]) -> Results:
    """Make the takes in Blender and compare them."""
    folder = Path(spec["folder"])
    (folder / "spec.json").write_text(json.dumps(spec))
    script = Path(__file__).with_name("take_in_blender.py")
    with (folder / "blender.log").open("wb") as log:
        subprocess.run(
            [blender, script, folder / "spec.json"], check=False, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    if not (folder / "told.json").exists():
        raise SystemExit((folder / "blender.log").read_text(errors="replace")[-4000:])
    told = json.loads((folder / "told.json").read_text())
    names = footages[0].name if len(footages) == 1 else f"{footages[0].path.parent.name} ({len(footages)} files)"
    result = {"footage": names, **{key: told[key] for key in told if key != "takes"}}
    result |= {"music": {"file": Path(spec["music"]).name, "at": spec["music_at"] - spec["start"]}}
    result["music"]["trimmed"] = spec["music_trim"]
    problems: list[str] = []
    with ExitStack() as stack:
        readers = {one.id: stack.enter_context(FrameReader(one)) for one in footages}
        for name, path in told["takes"].items():
            pictures = sorted((folder / name).glob("*.png"))
            parts = {
                "segments": compare_segments(path, pictures, readers),
                "transitions": compare_transitions(path, pictures),
            }
            if (film := folder / f"{name}.mp4").exists():
                parts["film"] = compare_film(path, pictures, film)
                if told["has_sound"]:
                    parts["sound"] = compare_sound(spec, film, Fraction(path["fps"]))
            if len(pictures) != path["frames"]:
                problems.append(f"{name}: {len(pictures)} pictures for {path['frames']} frames")
            problems += [f"{name}, {part}: {problem}" for part in parts for problem in parts[part].pop("problems")]
            result[name] = parts
    if "suggested" not in told["takes"] and "skeleton" not in names:
        problems.append(told["refused"])
    return {**result, "problems": problems}


@dataclass
class Tally:
    """Differences of pictures to those that they should be, and to the neighbours of those.

    `tolerance`: levels by which a value may be off for other reasons, and the share of values that must be off by more.
    """

    tolerance: tuple[int, float] = ROUNDING
    differences: list[float] = field(default_factory=list)
    told_apart: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, picture: Picture, right: Picture, others: list[Picture], where: str) -> None:
        self.differences.append(float(np.mean(cv2.mean(cv2.absdiff(picture, right))[:3])))
        told_apart = False
        for other in others:
            levels, share = self.tolerance
            unlike = cv2.absdiff(right, other) > levels
            if np.count_nonzero(unlike) < max(FEWEST, share * unlike.size):
                continue
            told_apart = True
            mine, theirs = (float(cv2.absdiff(picture, one)[unlike].mean()) for one in (right, other))
            if mine >= theirs:
                self.wrong.append(f"{where}: {mine:.2f} levels from what it should be, {theirs:.2f} from a neighbour")
        self.told_apart += told_apart

    def told(self) -> Results:
        values = np.array(self.differences or [0.0])
        worst = values.max() if self.tolerance == ROUNDING else values.mean()
        if worst > MEAN_LEVELS:
            self.wrong.append(f"{worst:.3f} levels from what it should be")
        return {
            "frames": len(self.differences),
            "with_other_neighbours": self.told_apart,
            "mean_levels": round(float(values.mean()), 3),
            "max_mean_levels": round(float(values.max()), 3),
            "problems": self.wrong[:5] + ([f"{len(self.wrong)} in all"] if len(self.wrong) > 5 else []),
        }


def compare_segments(path: dict[str, Any], pictures: list[Path], readers: dict[str, FrameReader]) -> Results:
    """The pictures of segments with the frames of the sources."""
    tally = Tally()

    @lru_cache(maxsize=4)
    def source(footage: str, k: int) -> Picture:
        return readers[footage].frame(k)

    for at, footage, k in named_frames(path):
        whole = readers[footage].footage
        near = [source(footage, other) for other in (k - 1, k + 1) if 0 <= other < whole.frames]
        tally.add(read(pictures[at]), source(footage, k), near, f"frame {at} ({whole.name} {k})")
    return tally.told()


def named_frames(path: dict[str, Any]) -> Iterator[tuple[int, str, int]]:
    """Frame of the take, footage, and the frame of that, wherever the path names one."""
    for segment in path["segments"]:
        for k in range(segment["first"], segment["last"] + 1):
            yield segment["at"] + k - segment["first"], segment["footage"], k


def compare_transitions(path: dict[str, Any], pictures: list[Path]) -> Results:
    """The pictures of transitions with the files of their frames."""
    tally, empty = Tally(), 0
    for transition in path["transitions"]:
        if transition["frames_dir"] is None:
            empty += 1
            continue
        files = [read(Path(transition["frames_dir"]) / f"{k:04d}.png") for k in range(transition["frames"])]
        for k, file in enumerate(files):
            near = [files[other] for other in (k - 1, k + 1) if 0 <= other < len(files)]
            tally.add(read(pictures[transition["at"] + k]), file, near, f"frame {transition['at'] + k}")
    return {**tally.told(), "not_filled": empty}


def compare_film(path: dict[str, Any], pictures: list[Path], film: Path) -> Results:
    """The frames of the film with the pictures; H.264 loses more in busy frames than in others."""
    footage, tally = open_footage(film), Tally(CODING)
    with FrameReader(footage) as reader:
        for at, file in enumerate(pictures[: footage.frames]):
            near = [read(pictures[other]) for other in (at - 1, at + 1) if 0 <= other < len(pictures)]
            tally.add(reader.frame(at), read(file), near, f"frame {at}")
    told = {**tally.told(), "fps": str(footage.fps)}
    if footage.frames != path["frames"] or abs(footage.fps / Fraction(path["fps"]) - 1) > 1e-4:
        told["problems"].append(f"{footage.frames} frames at {footage.fps} for {path['frames']} at {path['fps']}")
    return told


def compare_sound(spec: dict[str, Any], film: Path, fps: Fraction) -> Results:
    """By how much the film's sound is late, in samples; before the music begins there is silence."""
    offset = float((spec["start"] - spec["music_at"]) / fps)  # of the film's start in the music, s
    begin = max(0.0, float((spec["music_at"] + spec["music_trim"] - spec["start"]) / fps))
    heard, _ = load_audio(film, rate=SOUND_RATE)
    music, _ = load_audio(Path(spec["music"]), rate=SOUND_RATE)
    room = SOUND_RATE // 4
    first, last = round(begin * SOUND_RATE) + room, min(len(heard), round(FRAMES / float(fps) * SOUND_RATE)) - room
    wanted = music[round(offset * SOUND_RATE) + first : round(offset * SOUND_RATE) + last]
    around = heard[first - room : last + room]
    products = correlate(around, wanted, mode="valid", method="fft")
    best = int(np.argmax(products))
    late = best - room
    there = around[best : best + len(wanted)]
    likeness = float(products[best] / np.linalg.norm(there) / np.linalg.norm(wanted))
    before = heard[: max(0, round(begin * SOUND_RATE) - 2 * AAC_BLOCK)]
    limit = AAC_BLOCK + (VORBIS_BLOCK if spec["music"].endswith(".ogg") else 0)
    problems = [f"{late} samples late"] if abs(late) > limit else []
    problems += ["it is not the music"] if likeness < 0.9 else []
    problems += ["it begins early"] if before.size and np.abs(before).max() > 0.01 else []
    return {"samples_late": late, "correlation": round(likeness, 4), "rate": SOUND_RATE, "problems": problems}


@lru_cache(maxsize=12)
def read(file: Path) -> Picture:
    """An RGB picture."""
    return np.asarray(cv2.cvtColor(cv2.imread(str(file), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


if __name__ == "__main__":
    sys.exit(main())
