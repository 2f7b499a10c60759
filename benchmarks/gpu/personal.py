"""A model of one person, trained on a GPU: how near it comes to gaps that it has not seen, beside `fade` and `flow`.

    python benchmarks/gpu/personal.py prepare CLIP [--fps 30] [--range 0-1799] --folder FOLDER   anywhere, minutes
    python benchmarks/gpu/personal.py train --folder FOLDER --seconds 450 --out OUT              on the GPU, repeatedly
    python benchmarks/gpu/personal.py judge --folder FOLDER --made OUT/made.npz --out FILE.json  anywhere, minutes

`prepare` does all that needs poses and footage, and packs the clips small enough to be carried (FOLDER/packed and
FOLDER/footage.json). `train` needs a CUDA GPU, torch, diffusers, accelerate, numpy, safetensors and cv2; it stops by
itself after so many seconds, goes on when it is called again, and in the end writes the frames that it made and says
"finished". `judge` puts them into the footage, compares them with the real ones, and writes a JSON and a contact sheet
of each gap (which shows footage: not to be published with it).
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from vmg_backend.errors import Cancelled
from vmg_backend.interpolation.hminterp import engine as engines
from vmg_backend.interpolation.hminterp.config import Config
from vmg_backend.interpolation.hminterp.generating import Way, generate
from vmg_backend.interpolation.hminterp.model import HMInterp
from vmg_backend.pose.maps import STYLES, draw_run
from vmg_backend.pose.skeletons import SKELETONS
from vmg_backend.progress import Progress
from vmg_backend.training.hminterp.clips import Clips, read
from vmg_backend.training.hminterp.recipes import RECIPES, Recipe
from vmg_backend.training.hminterp.runs import Run, read_curves
from vmg_backend.training.hminterp.trainer import Means, Trainer

if TYPE_CHECKING:
    from vmg_backend.interpolation.fill import Material
    from vmg_backend.interpolation.guide import PoseGuide
    from vmg_backend.interpolation.interpolator import Frames, Gap
    from vmg_backend.jobs import Analysis
    from vmg_backend.training.hminterp.validation import TrueGap


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(required=True)
    one = steps.add_parser("prepare")
    one.set_defaults(run=prepare_clip)
    one.add_argument("footage", type=Path)
    one.add_argument("--fps", type=Fraction)
    one.add_argument("--range", default="")
    one.add_argument("--library", type=Path)
    one.add_argument("--recipe", default="personal")
    one = steps.add_parser("train")
    one.set_defaults(run=train)
    one.add_argument("--seconds", type=float, default=450.0)
    one.add_argument("--minutes", type=float, default=17.0, help="of training in all")
    one.add_argument("--precision", default="bf16", choices=("no", "bf16", "fp16"))
    one.add_argument("--cpu", action="store_true", help="to try the script")
    one = steps.add_parser("judge")
    one.set_defaults(run=judge)
    one.add_argument("--made", type=Path, required=True)
    for each in steps.choices.values():
        each.add_argument("--folder", type=Path, required=True)
        each.add_argument("--out", type=Path)
    words = parser.parse_args()
    words.run(words)


def prepare_clip(words: argparse.Namespace) -> None:
    """Clips, and what the network will be given in every gap that is kept out of the training."""
    from vmg_backend.interpolation.guide import shipped_guide
    from vmg_backend.training.hminterp.preparing import prepare

    analysis, material = _footage(words.footage, words.fps, words.range, words.library)
    recipe = RECIPES[words.recipe]
    clips = prepare([analysis], recipe.config, words.folder / "clips")
    config = replace(recipe.config, aspect=clips.aspect)
    packed = words.folder / "packed"
    packed.mkdir(exist_ok=True)
    pictures = np.load(words.folder / "clips" / "pictures.npy", mmap_mode="r")
    coded = [cv2.imencode(".webp", row[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 95])[1] for row in pictures]
    np.savez(packed / "pictures.npz", coded=np.concatenate(coded), ends=np.cumsum([len(one) for one in coded]))
    for name in ("joints", "confidence", "speed", "numbers"):
        (packed / f"{name}.npy").write_bytes((words.folder / "clips" / f"{name}.npy").read_bytes())
    (packed / "clips.json").write_text(json.dumps(clips.told))
    (packed / "recipe.json").write_text(json.dumps(replace(recipe, config=config).as_dict()))
    seen = []
    for one in _gaps(clips, material):
        with _instead(lambda *inputs, **_: (_ for _ in ()).throw(_Seen(inputs))):
            try:
                _filled(one, config, shipped_guide())
            except _Seen as inputs:
                seen.append(inputs.inputs)
    np.savez_compressed(
        packed / "gaps.npz",
        **{f"given{number}": given for number, (_, given, *_) in enumerate(seen)},
        **{f"maps{number}": maps for number, (_, _, _, maps, *_) in enumerate(seen)},
    )
    told = {
        "footage": str(words.footage),
        "fps": str(words.fps or ""),
        "range": words.range,
        "library": str(words.library),
    }
    (words.folder / "footage.json").write_text(json.dumps(told))
    print(f"{packed}: {sum(file.stat().st_size for file in packed.iterdir()) / 2**20:.1f} MiB; {len(seen)} gaps")


def train(words: argparse.Namespace) -> None:
    """Train for so many seconds; when all is learned, make the frames of the gaps."""
    begun, out = time.monotonic(), words.out
    clips, packed = _unpacked(words.folder), words.folder / "packed"
    means = Means(precision="no" if words.cpu else words.precision, cpu=words.cpu)
    run = words.folder / "run"
    recipe = Recipe.from_dict(json.loads((packed / "recipe.json").read_text()))
    if Run.begun(run):
        recipe = Run.recipe_of(run)
    else:
        whole = Trainer(recipe, clips, Run(words.folder / "costs", recipe), means).seconds_left
        recipe = recipe.scaled(60.0 * words.minutes / whole)
    cancelled = threading.Event()
    timer = threading.Timer(max(words.seconds - (time.monotonic() - begun), 1.0), cancelled.set)
    timer.start()
    try:
        model = Trainer(recipe, clips, Run(run, recipe), means).run(Progress(None, cancelled))
    except Cancelled:
        print(f"stopped at {Run(run, recipe).moment}; call again")
        return
    finally:
        timer.cancel()
    device = torch.device("cpu" if words.cpu else "cuda")
    model = model.to(device)
    gaps = np.load(packed / "gaps.npz")
    made, seconds = {}, []
    for number in range(len(gaps.files) // 2):
        start = time.monotonic()
        given = gaps[f"given{number}"]
        maps = gaps[f"maps{number}"]
        made[f"made{number}"] = generate(model, given, len(maps) - len(given), maps, way=Way())
        seconds.append(time.monotonic() - start)
    out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / "made.npz", **made)
    curves = read_curves(run)
    told = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": "CPU" if words.cpu else torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "precision": means.precision,
        "steps": {stage.name: stage.steps for stage in recipe.stages},
        "seconds_a_step": {line["stage"]: line["seconds"] for line in curves if "seconds" in line},
        "losses": {line["stage"]: line["loss"] for line in curves if "loss" in line},
        "seconds_a_gap": seconds,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "peak_gb": 0.0 if words.cpu else torch.cuda.max_memory_allocated() / 1e9,
        "config": model.config.as_dict(),
    }
    (out / "training.json").write_text(json.dumps(told, indent=1))
    print("finished")


def judge(words: argparse.Namespace) -> None:
    """Put the frames into the footage, and compare."""
    from vmg_backend.interpolation.engines import make_engine
    from vmg_backend.interpolation.guide import shipped_guide
    from vmg_backend.protocol import EngineChoice
    from vmg_backend.training.hminterp.validation import strip, validate

    told = json.loads((words.folder / "footage.json").read_text())
    library = Path(told["library"]) if told["library"] != "None" else None
    _, material = _footage(
        Path(told["footage"]), Fraction(told["fps"]) if told["fps"] else None, told["range"], library
    )
    clips = Clips.open(words.folder / "clips")
    training = json.loads(words.made.with_name("training.json").read_text())
    config = Config.from_dict(training["config"])
    made = np.load(words.made)
    gaps = _gaps(clips, material)

    class Made:
        """The engine, with the frames that were made on the GPU."""

        name, version, guide = "hminterp", "", shipped_guide()

        def __init__(self) -> None:
            self.number = -1

        def given(self, length: int) -> int:
            return max(config.context, (config.frames - length + 1) // 2)

        def fill(self, gap: Gap, progress: Progress) -> Frames:
            self.number += 1
            with _instead(lambda *_, **__: made[f"made{self.number}"]):
                filled = _engine(config, self.guide).fill(gap, progress)
            sheet = strip(filled, gaps[self.number].frames)
            cv2.imwrite(str(words.made.with_name(f"gap{self.number}.png")), sheet[..., ::-1])
            return filled

    others = {name: make_engine(EngineChoice(name)) for name in ("fade", "flow")}
    result = {**training, "footage": Path(told["footage"]).name, **validate(gaps, {"hminterp": Made(), **others})}
    words.out.write_text(json.dumps(result, indent=1))
    print(json.dumps({"means": result["means"], "over": result["over"]}, indent=1))


class _Seen(Exception):  # noqa: N818 - no error
    """What the network would have been given."""

    def __init__(self, inputs: tuple[Any, ...]) -> None:
        super().__init__()
        self.inputs = inputs


@contextmanager
def _instead(work: Callable[..., Frames]) -> Iterator[None]:
    """Something else in place of the network."""
    engines.generate = work  # type: ignore[assignment] # and put back below
    try:
        yield
    finally:
        engines.generate = generate


def _engine(config: Config, guide: PoseGuide) -> engines.HMInterpEngine:
    from vmg_backend.interpolation.hminterp.devices import choose

    def nothing(*_: object) -> HMInterp:
        return HMInterp.build(config, "meta").to_empty(device="cpu")

    return engines.HMInterpEngine(config, "benchmark", nothing, choose("cpu"), guide, Way())


def _filled(one: TrueGap, config: Config, guide: PoseGuide) -> Frames:
    from vmg_backend.training.hminterp.validation import filled

    return filled(one, _engine(config, guide), led=False)


def _gaps(clips: Clips, material: Material) -> list[TrueGap]:
    from vmg_backend.training.hminterp.validation import true_gap

    return [true_gap(material, one) for one in clips.held_out]


def _footage(path: Path, fps: Fraction | None, span: str, folder: Path | None) -> tuple[Analysis, Material]:
    from vmg_backend.interpolation.fill import Material
    from vmg_backend.jobs import Source, analyze
    from vmg_backend.library import FootageLibrary

    library = FootageLibrary(folder) if folder else FootageLibrary.default()
    ranges = ((int(span.split("-")[0]), int(span.split("-")[1])),) if span else None
    (analysis,) = analyze([Source(path, fps, ranges)], library)
    return analysis, Material(analysis.footage, analysis.track, library.plate(analysis.footage))


def _unpacked(folder: Path) -> Clips:
    """The clips as `prepare` made them, from what was carried."""
    clips, packed = folder / "clips", folder / "packed"
    if not (clips / "clips.json").exists():
        clips.mkdir(parents=True, exist_ok=True)
        told = read(packed)
        size = (told["size"][0], told["size"][1])
        joints, confidence = (np.load(packed / f"{name}.npy") for name in ("joints", "confidence"))
        carried = np.load(packed / "pictures.npz")
        coded = np.split(carried["coded"], carried["ends"][:-1])
        pictures = np.stack([cv2.imdecode(one, cv2.IMREAD_COLOR)[..., ::-1] for one in coded])
        skeleton, style = SKELETONS[told["skeleton"]], STYLES[told["style"]]
        rows = [slice(row, row + 1) for row in range(len(joints))]
        maps = np.concatenate([draw_run(joints[row], confidence[row], skeleton, size, style) for row in rows])
        for name, array in (("pictures", pictures), ("maps", maps), ("joints", joints), ("confidence", confidence)):
            np.save(clips / f"{name}.npy", array)
        for name in ("speed", "numbers"):
            np.save(clips / f"{name}.npy", np.load(packed / f"{name}.npy"))
        (clips / "clips.json").write_text((packed / "clips.json").read_text())
    return Clips.open(clips)


if __name__ == "__main__":
    main()
