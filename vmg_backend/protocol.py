"""What Blender and the backend say to each other: newline-delimited JSON-RPC 2.0 over the backend's standard streams.

Both processes use this file, Blender a copy in the extension and the backend the one in its environment; `fingerprint`
tells whether they are the same. Standard library only.

Blender sends requests, one at a time, and the notification ``cancel``; the backend answers each request with a result
or an error, and before that sends notifications with the request's ``id``: ``progress``, ``log`` and what a method
names as its own. The methods of `ASIDE` may be asked for at any time, and are answered beside the running one, without
notifications. Frames travel as files.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

VERSION = 1

USER_ERROR = -32001
"""`data` holds an `Explanation`."""
CANCELLED = -32002
INTERNAL_ERROR = -32603
"""`data` holds an `Explanation` with the path of the log."""

SKELETON_FILE = "skeleton.npz"
"""Beside a transition's frames: `joints`, `confidence`, `bones`, `left`, `right`, as `pose.drawing` writes them."""

_Record = TypeVar("_Record")


def fingerprint() -> str:
    """The hash of this file; equal on both sides where they understand each other."""
    text = Path(__file__).read_text(encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def encode(message: dict[str, Any]) -> bytes:
    """One line of the stream."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"  # ASCII: names that are no Unicode pass, too


def as_json(record: Any) -> Any:  # noqa: ANN401 - any record below
    """A record as JSON."""
    return dataclasses.asdict(record)


def from_json(kind: type[_Record], data: Any) -> _Record:  # noqa: ANN401 - whatever came over the stream
    """The record of type `kind` in `data`.

    Raises
    ------
    ValueError
        When a field is missing, unknown or of another type.
    """
    record: _Record = _read(kind, data, kind.__name__)
    return record


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    """Remembered: they are asked for with every message and every beat of one."""
    return typing.get_type_hints(kind)


def _read(kind: Any, data: Any, where: str) -> Any:  # noqa: ANN401 - walks type hints
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return data
    if origin in (types.UnionType, typing.Union):
        if data is None and type(None) in arguments:
            return None
        return _read(next(option for option in arguments if option is not type(None)), data, where)
    if dataclasses.is_dataclass(kind):
        make = typing.cast("type", kind)
        hints = _hints(make)
        fields, missing = dataclasses.fields(kind), dataclasses.MISSING
        required = {one.name for one in fields if one.default is missing and one.default_factory is missing}
        if not isinstance(data, dict) or not required <= data.keys() <= hints.keys():
            raise ValueError(f"{where} is not complete, or holds more than is known")
        return make(**{name: _read(hints[name], value, f"{where}.{name}") for name, value in data.items()})
    if origin is tuple:
        if not isinstance(data, (list, tuple)):
            raise ValueError(f"{where} is not a list")
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_read(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(data))
        if len(data) != len(arguments):
            raise ValueError(f"{where} does not hold {len(arguments)} values")
        pairs = zip(arguments, data, strict=True)
        return tuple(_read(one, item, f"{where}[{index}]") for index, (one, item) in enumerate(pairs))
    if origin is dict:
        if not isinstance(data, dict):
            raise ValueError(f"{where} is not an object")
        return {key: _read(arguments[1], value, f"{where}.{key}") for key, value in data.items()}
    if kind is float and type(data) is int:
        return float(data)
    if type(data) is not kind:
        raise ValueError(f"{where} is not {kind.__name__}")
    return data


@dataclass(frozen=True)
class Explanation:
    """A failure as the person sees it.

    Attributes
    ----------
    title, message, remedy : str
        A heading, one sentence that says what is wrong, one that says what to do.
    log : str
        The path of the log, where the fault is ours; else empty.
    """

    title: str
    message: str
    remedy: str
    log: str = ""


@dataclass(frozen=True)
class Progressed:
    """The notification ``progress``: the fraction done in [0, 1], the stage, and an estimate of the seconds left."""

    id: int
    fraction: float
    stage: str
    seconds_left: float | None = None


# hello: no parameters -> Hello


@dataclass(frozen=True)
class Engine:
    """An engine that fills transitions; `seconds` is about what one transition of 12 frames at 720p takes here."""

    name: str
    label: str
    description: str
    seconds: float


@dataclass(frozen=True)
class Hello:
    """Who answers."""

    protocol: str
    version: str
    python: str
    device: str
    cores: int
    engines: tuple[Engine, ...]


# describe, analyze: Footages -> Descriptions. The first decodes, the second estimates poses as well.


@dataclass(frozen=True)
class FootageUse:
    """A video file as the timeline uses it.

    Attributes
    ----------
    path : str
    fps : str or None
        The rate of its motion ("30000/1001") where the file's own is wrong.
    ranges : tuple of (int, int) or None
        First and last source frame (inclusive) of what may be used; None for all.
    """

    path: str
    fps: str | None = None
    ranges: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True)
class Footages:
    """What is to be described or analysed, and the folder of the library ("" for the user's own)."""

    footages: tuple[FootageUse, ...]
    library: str = ""


@dataclass(frozen=True)
class Poses:
    """Where the poses of a footage lie, and what is drawn between their joints.

    Attributes
    ----------
    file : str
        An ``.npz`` in the library, named from its folder on: `image` float32 [T, J, 2], px of the footage as shown (NaN
        without a person), and `confidence` float32 [T, J].
    bones : tuple of (int, int)
        Pairs of joints.
    left, right : tuple of int
        The joints of either side, which is the person's own.
    """

    file: str
    bones: tuple[tuple[int, int], ...]
    left: tuple[int, ...]
    right: tuple[int, ...]


@dataclass(frozen=True)
class Description:
    """A footage as the backend sees it.

    Attributes
    ----------
    path, footage, fps, size, frames
        As given; hash of the content; rate as a fraction; [width, height] in px; frames by decoding.
    shots : int
        Number of shots.
    exact : bool
        Whether Blender shows frame k of the file as frame k. If not, takes use a conformed copy (``conform``).
    analyzed : bool
        Whether its poses are in the library.
    frames_without_person : int or None
        None before the analysis.
    damaged : str or None
        A sentence, where the file is damaged or cut short.
    poses : Poses or None
        None before the analysis.
    tag : str
        The action that its name tells ("wave_02.mp4": "wave").
    """

    path: str
    footage: str
    fps: str
    size: tuple[int, int]
    frames: int
    shots: int
    exact: bool
    analyzed: bool
    frames_without_person: int | None = None
    damaged: str | None = None
    poses: Poses | None = None
    tag: str = ""


@dataclass(frozen=True)
class Descriptions:
    """One for each footage, in the order of the request."""

    footages: tuple[Description, ...]


# conform: Conform -> Conformed


@dataclass(frozen=True)
class Conform:
    """Write a copy of `footage` to `target` (.mp4) of which Blender shows frame k as frame k."""

    footage: FootageUse
    target: str
    library: str = ""


@dataclass(frozen=True)
class Conformed:
    """Where the copy is; `encoded` says that the pictures had to be encoded anew (else they were only re-wrapped)."""

    path: str
    encoded: bool


# beats: Sound -> FoundBeats


@dataclass(frozen=True)
class SoundPiece:
    """A stretch of a sound file that is heard.

    Attributes
    ----------
    path : str
    start : float
        Where in the file it begins, s.
    at : float
        When it is heard, s from the start of the take; may be negative.
    seconds : float
    volume : float
        Linear gain.
    speed : float
        Of playback; 1 for as it is.
    """

    path: str
    start: float
    at: float
    seconds: float
    volume: float = 1.0
    speed: float = 1.0


@dataclass(frozen=True)
class Sound:
    """What is heard: the sum of its pieces, from 0 to `seconds`."""

    pieces: tuple[SoundPiece, ...]
    seconds: float


@dataclass(frozen=True)
class BeatAt:
    """A beat of the take: s from its start, kind (beat, bar, onset, mark), strength 0 to 1."""

    time: float
    kind: str
    strength: float = 1.0


@dataclass(frozen=True)
class FoundBeats:
    """The beats of a sound and its tempo in beats per minute (0 without beats)."""

    beats: tuple[BeatAt, ...]
    tempo: float


# suggest: Suggest -> Suggested. The footages must have been analysed; what is missing is done first.


@dataclass(frozen=True)
class KeyAt:
    """A keyframe: `frames` source frames of the file `path`, from `frame` on, at frame `at` of the take.

    Attributes
    ----------
    uid : str
    at : int
    path : str
        One of the footages; of a "pose" it may be another video.
    frame, frames : int
    mode : str
        Of `KEY_MODES`: shown as they are; frames like these; the person posed as in these; any frames of this footage;
        not shown anywhere in the take.
    tolerance : float or None
        Of "soft" and "pose": how far at most, as a share of the graph's threshold; None where the distance costs.
    image : str
        Of "hard": an edited picture of the first frame, to which a transition leads; "" for none.
    image_stamp : str
        Another one whenever that file was saved again; "" for none.
    """

    uid: str
    at: int
    path: str
    frame: int
    frames: int
    mode: str = "hard"
    tolerance: float | None = None
    image: str = ""
    image_stamp: str = ""


KEY_MODES = ("hard", "soft", "pose", "footage", "avoid")


@dataclass(frozen=True)
class TagAt:
    """An action that is wanted from frame `at` of the take on, for `frames`."""

    at: int
    frames: int
    tag: str


@dataclass(frozen=True)
class LabelAt:
    """The action that source frames `first` to `last` (inclusive) of the file `path` show."""

    path: str
    first: int
    last: int
    tag: str


@dataclass(frozen=True)
class Wish:
    """What a take is asked for.

    Attributes
    ----------
    footages : tuple of FootageUse
    frames : int
        Its length, at the footages' rate.
    beats, keys, tags
        Conditions, from the start of the take.
    seed : int
    hold_seconds, cut_price : float
        As `vmg search --hold`, `--cut-price`.
    reuse_seconds : float or None
        No frame again within this time; None for what the footage allows.
    library : str
    labels : tuple of LabelAt
        What footage shows; one without any shows what its name says.
    text : str
        As `vmg search --text`; "" for none.
    text_at, text_frames
        The frame of the take at which the text's time begins, below 0 where the take's front was trimmed; and of how
        many frames it speaks, None for all of the take.
    music, speech : Sound or None
        What is heard, where the take is to follow it by more than its beats.
    weights : dict of str to float
        By condition, of `WEIGHTS`; where not named, as there.
    longest_seconds : float or None
        At most this long between two cuts.
    loop : bool
        The take's first frame follows its last one.
    """

    footages: tuple[FootageUse, ...]
    frames: int
    beats: tuple[BeatAt, ...] = ()
    keys: tuple[KeyAt, ...] = ()
    seed: int = 0
    hold_seconds: float = 0.5
    cut_price: float = 0.1
    reuse_seconds: float | None = None
    library: str = ""
    tags: tuple[TagAt, ...] = ()
    labels: tuple[LabelAt, ...] = ()
    text: str = ""
    music: Sound | None = None
    speech: Sound | None = None
    weights: dict[str, float] = field(default_factory=dict)
    longest_seconds: float | None = None
    loop: bool = False
    text_at: int = 0
    text_frames: int | None = None

    @property
    def asks_actions(self) -> bool:
        """Whether the take shall show actions."""
        return bool(self.tags or self.text)


WEIGHTS = {"beats": 1.0, "accents": 0.0, "music": 0.0, "tags": 1.0, "text": 1.0, "speech": 1.0}
"""The conditions that have a weight, and what it is where nobody sets it."""


@dataclass(frozen=True)
class Suggest:
    """Takes that differ visibly, best first: so many, or as many as there are."""

    wish: Wish
    takes: int = 1


@dataclass(frozen=True)
class Suggested:
    """Paths, as PATH.json holds them."""

    paths: tuple[dict[str, Any], ...]


# update: Update -> Updated


@dataclass(frozen=True)
class ShownAt:
    """Source frames `first` to `last` (inclusive) of a footage (by its hash), shown from frame `at` of a take on."""

    footage: str
    first: int
    last: int
    at: int


@dataclass(frozen=True)
class Update:
    """Bring a take up to date where its conditions changed, and leave the rest as it is.

    Attributes
    ----------
    path : dict
        The take as it is now, hand edits included, as PATH.json.
    wish : Wish
        The conditions as they are now.
    made_for : Wish
        Those that the take was made for.
    again : tuple of (int, int)
        First and last frame (inclusive) of stretches of the take that are to be visibly others.
    seen : tuple of ShownAt
        What other versions of the take showed there, which is not wanted again while there is something else.
    """

    path: dict[str, Any]
    wish: Wish
    made_for: Wish
    again: tuple[tuple[int, int], ...] = ()
    seen: tuple[ShownAt, ...] = ()


@dataclass(frozen=True)
class Updated:
    """The new path, and the ids (in it) of the transitions that are not those of the old one."""

    path: dict[str, Any]
    changed: tuple[int, ...]


# ways_out: Stand -> WaysOut, where the take could go from a frame. kinds: AskKinds -> FoundKinds.


@dataclass(frozen=True)
class Stand:
    """A frame of a footage from which ways out are wanted.

    Attributes
    ----------
    footages : tuple of FootageUse
        Those of the take.
    path : str
        The file of the one.
    frame : int
        The source frame.
    folder : str
        Where pictures go.
    ways : int
        How many at most.
    library : str
    actions : bool
        Whether the take shows actions: then more cuts are allowed.
    """

    footages: tuple[FootageUse, ...]
    path: str
    frame: int
    folder: str
    ways: int = 6
    library: str = ""
    actions: bool = False


@dataclass(frozen=True)
class WayOut:
    """A cut that can be made soon.

    Attributes
    ----------
    after : int
        Frames that are shown from the one that was asked about on, before the cut; at least 1.
    path, frame
        Where it leads: the file, and its first source frame after the cut.
    frames : int
        Of its transition.
    room : int
        Frames after the cut at which a keyframe may begin at the soonest: it is shown untouched.
    share : float
        Its cost as a share of the graph's threshold: how well both sides match, 0 for perfectly.
    picture : str
        A ``.npy``: uint8 [h, w, 3], RGB, of `frame`; sides of at most `PREVIEW_SIDE` px.
    """

    after: int
    path: str
    frame: int
    frames: int
    room: int
    share: float
    picture: str


@dataclass(frozen=True)
class WaysOut:
    """The ways out, soonest first, different moments."""

    ways: tuple[WayOut, ...]


@dataclass(frozen=True)
class AskKinds:
    """Find kinds of motion in footages; `kinds` of them, or 0 for as many as fit."""

    footages: tuple[FootageUse, ...]
    kinds: int = 0
    library: str = ""


@dataclass(frozen=True)
class FoundKinds:
    """Spans of footage of the same kind of motion, each with a tag to be renamed ("motion 1")."""

    labels: tuple[LabelAt, ...]


QUALITIES = ("draft", "final")
DEVICES = ("auto", "cuda", "mps", "cpu")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


@dataclass(frozen=True)
class EngineChoice:
    """What fills transitions, and for engines that have a model which, how well, and where it runs.

    Attributes
    ----------
    name : str
        Of the engine.
    model : str
        Its name or folder; "" for the only one that is there.
    quality : str
        Of `QUALITIES`.
    device : str
        "auto", "cuda" for the first CUDA device, or the name of a `Device`.
    precision : str
        Of `PRECISIONS`.
    """

    name: str
    model: str = ""
    quality: str = "final"
    device: str = "auto"
    precision: str = "auto"


# hardware: Look -> Hardware; loads torch where it is installed, which takes seconds. release: Look -> Hardware, after
# the model that the backend holds was forgotten. model: ModelFolder -> ModelHere, or an error that says why it is none.


@dataclass(frozen=True)
class Look:
    """Look what there is; `models`: folders of models that lie elsewhere than in the folder of models."""

    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelFolder:
    """A folder that should hold a model."""

    path: str


@dataclass(frozen=True)
class Device:
    """Something that models run on.

    Attributes
    ----------
    name, label : str
        As `EngineChoice.device` names it; as people call it.
    free, total : int
        Bytes: what a model can have (with what one already has there, but on the CPU), and what there is.
    """

    name: str
    label: str
    free: int
    total: int


@dataclass(frozen=True)
class ModelHere:
    """A model that engines can use, as `EngineChoice.model` names it: by its folder where that lies elsewhere."""

    name: str
    label: str
    description: str


@dataclass(frozen=True)
class Lacking:
    """An engine that has models of its own, and those of them that were not downloaded."""

    engine: str
    models: tuple[str, ...]


@dataclass(frozen=True)
class Hardware:
    """What there is for engines with a model.

    Attributes
    ----------
    devices : tuple of Device
        Best first; none where packages are missing.
    models : tuple of ModelHere
    folder : str
        Where models are looked for.
    missing : tuple of str
        Packages that are not installed, without which no model runs.
    lacking : tuple of Lacking
        Engines that cannot run before a download.
    runs : tuple of StoppedRun
        Trainings that were begun and are not done; the running one among them.
    """

    devices: tuple[Device, ...]
    models: tuple[ModelHere, ...]
    folder: str
    missing: tuple[str, ...]
    lacking: tuple[Lacking, ...] = ()
    runs: tuple[StoppedRun, ...] = ()


@dataclass(frozen=True)
class Held:
    """The notification ``held``: the model of this engine stays in the memory between requests; "" for none."""

    engine: str


# fill: Fill -> FilledAll; one notification `filled` (a Filled) for each transition, when its frames are there, and for
# engines that can show it, `preview` (a Preview) now and then while they are made


@dataclass(frozen=True)
class Fill:
    """Fill transitions of a path.

    Attributes
    ----------
    path : dict
        As PATH.json.
    transitions : tuple of int
        Ids of those that are to be filled.
    engine : EngineChoice
    folder : str
        Where the frames go: `folder`/<hash>/0000.png and on. Existing frames of the same hash are kept.
    library : str
    """

    path: dict[str, Any]
    transitions: tuple[int, ...]
    engine: EngineChoice
    folder: str
    library: str = ""


@dataclass(frozen=True)
class Filled:
    """The notification ``filled``: a transition's frames lie in `frames_dir`; `request` is the request's id."""

    request: int
    id: int
    engine: str
    hash: str
    frames_dir: str


PREVIEW_SIDE = 192


@dataclass(frozen=True)
class Preview:
    """The notification ``preview``: what the middle frame of transition `id` is becoming.

    Attributes
    ----------
    request, id : int
    file : str
        A ``.npy``: uint8 [h, w, 3], RGB, sides of at most `PREVIEW_SIDE` px. It is gone when the request is answered.
    """

    request: int
    id: int
    file: str


@dataclass(frozen=True)
class FilledAll:
    """How many were made, and how many lay there already."""

    made: int
    kept: int


# plan_training: Train -> TrainingPlan, before it begins; loads torch, and rehearses a step, which takes seconds.
# train: Train -> Trained; the notification `learned` (a Learned) whenever something was measured. A training that was
# cancelled, or whose process died, goes on when the same is asked for again. forget_run: RunName -> Runs


@dataclass(frozen=True)
class Train:
    """Train a model of the person in some footage.

    Attributes
    ----------
    name : str
        Of the model, and of the run.
    footages : tuple of FootageUse
    minutes : float or None
        About so long it may take here; None for as many steps as the recipe has. A run that goes on keeps its steps.
    device, precision : str
        As of `EngineChoice`; the precision "auto" is "fp32".
    thrifty : bool
        Less memory, more time (gradient checkpointing).
    recipe : str
    library : str
    """

    name: str
    footages: tuple[FootageUse, ...]
    minutes: float | None = None
    device: str = "auto"
    precision: str = "auto"
    thrifty: bool = False
    recipe: str = "personal"
    library: str = ""


@dataclass(frozen=True)
class TrainingPlan:
    """What a training would take.

    Attributes
    ----------
    device : str
        As people call it.
    minutes : float
        That are worth their while there.
    frames : int
        That show the person well enough to be learned from; repeated ones among them, which only decoding tells.
    memory, memory_thrifty, free : int
        Bytes of the device: what it would take at most, thriftily or not, and what it has. What it would take thriftily
        is only looked for where it would not fit else.
    disk, free_disk : int
        Bytes: what clips and states would take at most, and what there is.
    folder : str
        Where these lie.
    remark : str
        A sentence on what speaks against it; "" where nothing does.
    """

    device: str
    minutes: float
    frames: int
    memory: int
    memory_thrifty: int
    free: int
    disk: int
    free_disk: int
    folder: str
    remark: str = ""


CURVE_POINTS = 100


@dataclass(frozen=True)
class Learned:
    """The notification ``learned``: how a training goes.

    Attributes
    ----------
    request : int
    stage : str
    step, steps : int
        Of the stage.
    done : float
        Share of all steps.
    losses : tuple of (int, float, float)
        The stage's number, the share of all steps, the loss; at most `CURVE_POINTS`, means of what lies between.
    checks : tuple of (float, float)
        Share of all steps, and how near the model then came to the real person in gaps that it is not taught, dB of
        PSNR; at most `CURVE_POINTS`.
    """

    request: int
    stage: str
    step: int
    steps: int
    done: float
    losses: tuple[tuple[int, float, float], ...]
    checks: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes
    ----------
    model : ModelHere
    better : bool
        Whether it is nearer to the real person than each engine that needs no model, so that it may be chosen.
    over : dict of str to float
        By how many dB of PSNR it is nearer than each of them, on the mean over gaps.
    gaps : int
        Number of those gaps, which it was not taught.
    """

    model: ModelHere
    better: bool
    over: dict[str, float]
    gaps: int


@dataclass(frozen=True)
class StoppedRun:
    """A training that can go on: what was asked for, and the share of its steps that is done and kept."""

    asked: Train
    done: float


@dataclass(frozen=True)
class RunName:
    """A training's name."""

    name: str


@dataclass(frozen=True)
class Runs:
    """The trainings that can go on."""

    runs: tuple[StoppedRun, ...]


# library: Place -> LibrarySize; clear_library: Place -> LibrarySize


@dataclass(frozen=True)
class Place:
    """A library's folder; "" for the user's own."""

    library: str = ""


@dataclass(frozen=True)
class LibrarySize:
    """What a library holds."""

    folder: str
    bytes: int
    footages: int


METHODS: dict[str, tuple[type | None, type]] = {
    "hello": (None, Hello),
    "describe": (Footages, Descriptions),
    "analyze": (Footages, Descriptions),
    "conform": (Conform, Conformed),
    "beats": (Sound, FoundBeats),
    "suggest": (Suggest, Suggested),
    "update": (Update, Updated),
    "ways_out": (Stand, WaysOut),
    "kinds": (AskKinds, FoundKinds),
    "fill": (Fill, FilledAll),
    "hardware": (Look, Hardware),
    "model": (ModelFolder, ModelHere),
    "release": (Look, Hardware),
    "plan_training": (Train, TrainingPlan),
    "train": (Train, Trained),
    "forget_run": (RunName, Runs),
    "library": (Place, LibrarySize),
    "clear_library": (Place, LibrarySize),
}
"""Each method with the record of its parameters and that of its result."""

ASIDE = ("hardware", "model", "plan_training")
"""Methods that are answered beside the others."""

NOT_INSTALLED = "Not installed"
"""Title of the error that an engine's packages are missing: Blender has a remedy of its own."""
NO_MODEL = "No model"
"""Title of the error that there is no model for an engine; likewise."""
