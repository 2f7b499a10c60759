"""The command ``vmg``: reads the words, calls one job, prints the result."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from . import __version__
from .errors import Cancelled, UserError
from .faults import logged
from .progress import Progress
from .protocol import DEVICES, PRECISIONS, QUALITIES, WEIGHTS

OK, OURS, USER, CANCELLED = 0, 1, 2, 130

_DAY = 86_400

LONGEST_GAP = 64
"""Frames; the network was made for no longer ones."""

MOST_WARP = 0.1
"""Beyond that, a person moves visibly faster or slower than people do."""

CUT_PRICE = 0.1
"""What any cut costs; a clear motion beat exactly on a beat of the music earns 0.45."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code."""
    asked_json = "--json" in (sys.argv[1:] if argv is None else argv)
    try:
        words = _parser().parse_args(argv)
    except UserError as error:
        return _refuse(error, asked_json)
    # The models' libraries announce themselves on stderr, over our progress bar.
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    cancelled = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: cancelled.set())
    signal.signal(signal.SIGTERM, lambda *_: cancelled.set())
    bar = _Bar()
    try:
        # The verbs import what they need, which takes seconds: not before the words are understood.
        verb = getattr(import_module(words.module, __package__), words.verb)
        with warnings.catch_warnings():
            warnings.filterwarnings("default", category=UserWarning, module=r"vmg_backend\.")
            warnings.showwarning = bar.warned
            result: dict[str, Any] = verb(words, Progress(bar.show, cancelled))
    except UserError as error:
        bar.clear()
        return _refuse(error, words.json)
    except (Cancelled, KeyboardInterrupt):
        bar.clear()
        print("Cancelled; what was finished is kept.", file=sys.stderr)
        return CANCELLED
    except Exception as error:  # noqa: BLE001 - the one place where a fault of ours becomes an exit code
        bar.clear()
        fault = logged(error, f"vmg {' '.join(sys.argv[1:])}")
        if words.json:
            _tell(json.dumps({"error": fault}, ensure_ascii=False))
        print(f"vmg failed: {fault['message']} ({fault['remedy']})", file=sys.stderr)
        return OURS
    bar.clear()
    summary = result.pop("summary", "")
    _tell(json.dumps(result, ensure_ascii=False) if words.json else summary)
    if problems := result.get("problems"):
        print(" ".join(problems), file=sys.stderr)
        return USER
    return OK


def _tell(text: str) -> None:
    """Print a result, to whoever still listens: ``| head`` leaves early."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at exit


def _refuse(error: UserError, as_json: bool) -> int:
    if as_json:
        _tell(json.dumps({"error": error.as_dict()}, ensure_ascii=False))
    print(f"{error.title}: {error}", file=sys.stderr)
    return USER


class _Bar:
    """Progress on stderr: a bar that moves on a terminal, a line for each stage elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._stage = ""
        self._shown = 0.0
        self._begun = time.monotonic()

    def show(self, fraction: float, stage: str) -> None:
        now = time.monotonic()
        if self._terminal:
            if now - self._shown < 0.1 and stage == self._stage:
                return
            filled = round(30 * fraction)
            left = f"{(now - self._begun) * (1 / fraction - 1):4.0f} s left" if fraction > 0.02 else ""
            print(
                f"\r\033[K{'█' * filled}{'░' * (30 - filled)} {fraction:4.0%} {stage} {left}", end="", file=sys.stderr
            )
        elif stage != self._stage or now - self._shown > 10:
            print(f"{fraction:4.0%} {stage}", file=sys.stderr, flush=True)
        else:
            return
        self._stage, self._shown = stage, now

    def warned(self, message: Warning | str, *_: object, **__: object) -> None:
        """Show a warning as one line, in place of `warnings.showwarning`."""
        self.clear()
        print(f"Warning: {message}", file=sys.stderr)

    def clear(self) -> None:
        if self._terminal and self._stage:
            print("\r\033[K", end="", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    common = _Parser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    library = _Parser(add_help=False)
    library.add_argument(
        "--library", type=Path, metavar="DIR", help="folder of the library (default: the user's cache)"
    )

    footage = _Parser(add_help=False)
    footage.add_argument("--fps", help="rate of the motion, where the file's is wrong: 30, 29.97, 30000/1001")
    footage.add_argument(
        "--range", action="append", metavar="[NAME:]FIRST-LAST", help="usable frames (inclusive); may be repeated"
    )
    graph = _Parser(add_help=False)
    graph.add_argument(
        "--threshold-scale", type=_positive, metavar="X", help="more edges or fewer; default 2.5, with actions 5"
    )
    graph.add_argument("--mix", action="store_true", help="cut between footage of other clothes or cameras, too")
    wish = _Parser(add_help=False)
    wish.add_argument("--music", type=Path, metavar="FILE", help="the music under the film")
    wish.add_argument("--music-start", type=_seconds, default=0.0, metavar="S", help="where in the music it begins")
    wish.add_argument("--beats", type=Path, metavar="FILE", help="beats of the music; wins over detection")
    wish.add_argument("--keyframes", type=Path, metavar="FILE", help="frames that must be shown at given times")
    wish.add_argument("--speech", type=Path, metavar="FILE", help="what the gestures should follow")
    wish.add_argument("--tags", type=Path, metavar="FILE", help="actions of the film, from when to when")
    wish.add_argument("--text", metavar="TEXT", help='the same in words: "she waves, then turns and walks off"')
    wish.add_argument(
        "--labels", type=Path, metavar="FILE", help="actions of the footage (default: what its files are called)"
    )
    wish.add_argument("--synonyms", type=Path, metavar="FILE", help="your own words for actions, for --text")
    wish.add_argument("--start", metavar="NAME:FRAME", help="the frame that the film begins with")
    wish.add_argument("--end", metavar="NAME:FRAME", help="the frame that it ends with")
    wish.add_argument(
        "--stay", action="append", default=[], metavar="NAME[:S-S]", help="only this footage, from when to when"
    )
    wish.add_argument("--loop", action="store_true", help="its first frame follows its last one")
    wish.add_argument(
        "--weight",
        action="append",
        type=_weight,
        default=[],
        metavar="CONDITION=X",
        help=f"how much a condition counts: {', '.join(WEIGHTS)}; default 1, but 0 for accents and music",
    )
    wish.add_argument("--seconds", type=_positive, metavar="S", help="length; default: that of the music or speech")
    wish.add_argument("--seed", type=_seed, default=0, metavar="N", help="another number gives another take")
    wish.add_argument("--hold", type=_seconds, default=0.5, metavar="S", help="least time between cuts; default 0.5")
    wish.add_argument("--longest", type=_positive, metavar="S", help="most time between cuts; default: any")
    wish.add_argument("--cut-price", type=_seconds, default=CUT_PRICE, metavar="X", help="dearer cuts are fewer")
    wish.add_argument(
        "--reuse", type=_seconds, metavar="S", help="no frame twice within S (default: as the footage allows)"
    )
    wish.add_argument(
        "--warp", type=_warp, default=0.0, metavar="X", help="parts faster or slower by up to X, at most 0.1; default 0"
    )
    engine = _Parser(add_help=False)
    engine.add_argument(
        "--engine",
        default="flow",
        metavar="E",
        help="what fills the transitions: fade, flow, hminterp, vace, sparsectrl",
    )
    engine.add_argument("--model", default="", metavar="M", help="name or folder of HMInterp's model")
    engine.add_argument("--quality", choices=QUALITIES, default="final", help="draft: fewer denoising steps")
    engine.add_argument("--device", choices=DEVICES, default="auto", help="where HMInterp runs")
    engine.add_argument("--precision", choices=PRECISIONS, default="auto", help="what HMInterp counts in")

    parser = _Parser(
        prog="vmg", description="Re-edits footage of one person along a motion graph, on the beat of the music."
    )
    parser.add_argument("--version", action="version", version=f"vmg {__version__}")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def verb(
        name: str,
        text: str,
        *parents: argparse.ArgumentParser,
        group: Any = verbs,  # noqa: ANN401 - private to argparse
    ) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = group.add_parser(name, help=text, description=text, parents=[common, *parents])
        added.set_defaults(module=".verbs", verb=name.replace("-", "_"))
        return added

    one = verb("analyze", "Estimate poses into the library.", library, footage)
    one.add_argument("footage", nargs="*", type=Path, metavar="FOOTAGE")
    one.add_argument(
        "--forget",
        action="append",
        default=[],
        metavar="FILE|HASH",
        help="footage that graph and search shall not take any more; may be repeated",
    )

    one = verb("beats", "Find the beats, bars and onsets of a piece of music.")
    one.add_argument("music", type=Path, metavar="MUSIC")
    one.add_argument("--out", type=Path, metavar="FILE", help="write them as JSON, to be edited and given to --beats")
    one.add_argument("--half", action="store_true", help="every second beat")
    one.add_argument("--double", action="store_true", help="twice as many")
    one.add_argument("--flip", action="store_true", help="half a beat later: for beats found off the beat")
    one.add_argument("--offset", type=_shift, default=0.0, metavar="S", help="all of them later by S seconds")

    one = verb("graph", "Build the motion graph of footage, or of the whole library.", library, footage, graph)
    one.add_argument("footage", nargs="*", type=Path, metavar="FOOTAGE")
    one.add_argument("--report", type=Path, metavar="FILE.html", help="write a page that shows the graph")

    one = verb("search", "Find the path that fits the music.", library, footage, graph, wish)
    one.add_argument("footage", nargs="*", type=Path, metavar="FOOTAGE")
    one.add_argument("--out", type=Path, required=True, metavar="PATH.json")
    one.add_argument("--report", type=Path, metavar="FILE.html", help="write a page that says why the path is as it is")
    one.add_argument(
        "--takes", type=_count, default=1, metavar="K", help="as many that differ visibly: PATH.json, PATH.2.json, ..."
    )

    one = verb("generate", "Fill the transitions of a path.", library, engine)
    one.add_argument("path", type=Path, metavar="PATH.json")
    one.add_argument(
        "--poses", metavar="FILE|VIDEO[:FIRST-LAST]", help="poses to follow: an .npz or .json, or frames of a video"
    )
    one.add_argument(
        "--transition", action="append", type=_seed, metavar="ID", help="fill this one alone; may be repeated"
    )

    one = verb("render", "Encode the film of a path whose transitions are filled.", library)
    one.add_argument("path", type=Path, metavar="PATH.json")
    one.add_argument("--out", type=Path, required=True, metavar="FILE")

    one = verb("cut", "From footage and music to the film, in one go.", library, footage, graph, wish, engine)
    one.add_argument("footage", nargs="+", type=Path, metavar="FOOTAGE")
    one.add_argument("--out", type=Path, required=True, metavar="FILE")

    one = verb("demo", "Make a film from the project's own sample.", library, engine)
    one.add_argument("--out", type=Path, metavar="FILE", help="default: vmg_demo.mp4 in the user's cache")

    cache = verbs.add_parser("cache", help="Show or delete the generated transitions that a library keeps.")
    actions = cache.add_subparsers(title="actions", metavar="ACTION", required=True)
    one = verb("show", "How many there are, their size, and what made them.", library, group=actions)
    one.set_defaults(verb="cache_show")
    one = verb("clean", "Delete those that were not used for the longest.", library, group=actions)
    one.set_defaults(verb="cache_clean")
    one.add_argument("--limit", type=_seconds, metavar="GB", help="what may stay; default 10")
    one.add_argument("--all", action="store_true", help="nothing may stay but what a running job uses")

    one = verb("doctor", "Say what works on this machine, and what to do about the rest.", library)

    one = verb("serve", "Answer Blender's requests on standard input, until it ends.")
    one.set_defaults(module=".server")

    train = verbs.add_parser("train", help="Train a model on motion or footage.")
    models = train.add_subparsers(title="models", metavar="MODEL", required=True)
    one = verb("mdm", "Train the Motion Diffusion Model on motion capture.", group=models)
    one.set_defaults(module=".training.verbs", verb="train_mdm")
    one.add_argument(
        "--motion", nargs="+", type=Path, required=True, metavar="PATH", help="BVH files, folders of them, or an .npz"
    )
    one.add_argument("--out", type=Path, required=True, metavar="FILE", help="the weights, a .safetensors")
    one.add_argument("--recipe", default="shipped", metavar="NAME", help="shipped or tiny; default: shipped")
    one.add_argument("--steps", type=_count, metavar="N", help="instead of the recipe's")

    def training_verb(name: str, text: str) -> argparse.ArgumentParser:
        added = verb(name, text, library, footage, group=models)
        added.set_defaults(module=".training.verbs", verb="train_on_footage", kind=name)
        added.add_argument("footage", nargs="+", type=Path, metavar="FOOTAGE", help="video files, or folders of them")
        added.add_argument("--name", required=True, help="what the model is called")
        added.add_argument("--device", choices=("auto", "cpu"), default="auto", help="default: the best there is")
        added.add_argument("--precision", choices=("no", "fp16", "bf16"), default="no", help="mixed; default: no")
        added.add_argument("--thrifty", action="store_true", help="less memory, more time (gradient checkpointing)")
        return added

    one = training_verb("personal", "Train a model of one person, from their own footage.")
    one.add_argument("--minutes", type=_positive, metavar="N", help="as many steps as fit; default: the recipe's")
    one.add_argument("--recipe", default="personal", metavar="NAME", help="personal or tiny; default: personal")
    one = training_verb("hminterp", "Train HMInterp by a recipe, on any footage.")
    one.add_argument(
        "--recipe", default="paper", metavar="NAME|FILE", help="paper, personal, tiny, or a JSON file; default: paper"
    )
    one.add_argument("--begin", metavar="MODEL", help="the model that the training begins with")
    one = training_verb("one-shot", "Tune a model to one footage, as small weights on top of it.")
    one.add_argument("--model", required=True, metavar="M", help="name or folder of the model that is tuned")
    one.add_argument(
        "--recipe", choices=("two stages", "paper", "joint"), default="two stages", help="default: two stages"
    )
    one.add_argument("--rate", type=_positive, metavar="X", help="learning rate; default 3e-5, for large models")

    files = verbs.add_parser("models", help="Get, check and import the files of diffusion models.")
    actions = files.add_subparsers(title="actions", metavar="ACTION", required=True)

    def model_verb(name: str, text: str) -> argparse.ArgumentParser:
        added = verb(name, text, group=actions)
        added.set_defaults(module=".model_verbs", verb=f"models_{name}")
        return added

    model_verb("list", "What there is, with sizes and licences, and what is here.")
    one = model_verb("get", "Download a model, or go on with a download.")
    one.add_argument("name", metavar="NAME")
    one.add_argument("--accept-licence", action="store_true", help="I have read the licence and agree to it")
    one = model_verb("verify", "Hash the files of models again.")
    one.add_argument("names", nargs="*", metavar="NAME", help="default: all that are here")
    one = model_verb("import", "Bring a published checkpoint of HMInterp into this program's form.")
    one.add_argument("source", metavar="NAME|FILE", help="a model of the list, or a .safetensors or .bin")
    one.add_argument("--out", type=Path, metavar="DIR", help="default: a folder beside the models")
    one.add_argument("--sha256", metavar="HEX", help="what a FILE that is a pickle must have, from where you got it")
    one.add_argument("--heads", type=_count, default=8, metavar="N", help="attention heads; default 8")
    one.add_argument(
        "--seed-stride", type=int, choices=(1, 8), default=1, help="of the seed guider: 1 for latents, 8 for pixels"
    )
    one.add_argument("--betas", choices=("linear", "scaled_linear"), default="linear", help="default: linear")
    one.add_argument(
        "--precision", choices=("own", "fp16"), default="own", help="of the numbers: the files' own, or half the size"
    )

    evaluate = verbs.add_parser("evaluate", help="Measure a finished film, or in-betweens of poses.")
    metrics = evaluate.add_subparsers(title="metrics", metavar="METRIC", required=True)
    one = verb("beats", "How well the motion of a film meets the beats.", library, group=metrics)
    one.set_defaults(verb="evaluate_beats")
    _film(one)
    one.add_argument("--beats", type=Path, required=True, metavar="FILE", help="the beats of the music, best by ear")
    one = verb("transitions", "Whether transitions stall, jump or lose the pose.", library, group=metrics)
    one.set_defaults(verb="evaluate_transitions")
    _film(one)
    one.add_argument("--sheet", type=Path, metavar="FILE.png", help="write a contact sheet of all transitions")
    one = verb("motion", "How near in-betweens of poses are to real motion.", library, footage, group=metrics)
    one.set_defaults(verb="evaluate_motion")
    one.add_argument("footage", nargs="*", type=Path, metavar="FOOTAGE")
    one.add_argument("--motion", nargs="+", type=Path, metavar="PATH", help="motion capture: BVH files, .npz, folders")
    one.add_argument("--part", choices=("test", "validation", "training"), default="test", help="subjects of --motion")
    one.add_argument(
        "--lengths", type=_lengths, default=(8, 12, 24, 48), metavar="N,N", help="frames of gaps; default 8,12,24,48"
    )
    one.add_argument("--weights", type=Path, metavar="FILE", help="another network than the one that comes along")
    one.add_argument("--page", type=Path, metavar="FILE.html", help="write a page with pictures of ten fast gaps")
    return parser


def _film(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("film", type=Path, metavar="CUT")
    parser.add_argument("--path", type=Path, metavar="PATH.json", help="default: the one that `vmg cut` left beside it")


def _weight(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    if name not in WEIGHTS or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=X with one of the names {', '.join(WEIGHTS)}")
    return name, _seconds(value)


def _positive(text: str) -> float:
    value = _number(text)
    if not 0 < value <= _DAY:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most {_DAY}")
    return value


def _seconds(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= _DAY:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {_DAY}")
    return value


def _warp(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= MOST_WARP:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {MOST_WARP}")
    return value


def _shift(text: str) -> float:
    value = _number(text)
    if not -_DAY <= value <= _DAY:
        raise argparse.ArgumentTypeError(f"{text} is not between -{_DAY} and {_DAY}")
    return value


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 on")
    return int(text)


def _lengths(text: str) -> tuple[int, ...]:
    lengths = sorted({int(part) if part.isdecimal() else 0 for part in text.split(",")})
    if not 1 <= lengths[0] <= lengths[-1] <= LONGEST_GAP:
        raise argparse.ArgumentTypeError(f"{text} are not whole numbers from 1 to {LONGEST_GAP} with commas between")
    return tuple(lengths)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not a number") from error


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the words like any other mistake of the user: as JSON where that was asked for."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message[0].upper()}{message[1:]}.", f"See `{self.prog} --help`.", title="Wrong words")
