"""The verbs of the product, as the command line and the server call them."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path as FilePath
from typing import Self

from .audio.beats import Beat, detect_beats, load_beats, offset
from .audio.decode import audio_seconds
from .errors import UserError
from .evaluation.linear_feasibility import with_linear
from .files import check_output
from .footage import Footage, check_same_format, parse_fps
from .footage.writer import SUFFIXES
from .graph.build import GraphSettings
from .graph.features import MotionFeatures, motion_features
from .graph.motion_graph import MotionGraph
from .interpolation.custom_poses import SUFFIXES as SUFFIXES_OF_POSES
from .interpolation.custom_poses import Posed, WantedPoses, check_led, poses_of_file, poses_of_track
from .interpolation.edited import edited_picture
from .interpolation.engines import make_engine
from .interpolation.fill import Material, fill_transitions
from .interpolation.interpolator import Interpolator
from .library import FootageLibrary
from .pose.mediapipe_estimator import MediapipeEstimator
from .pose.track import PoseTrack
from .progress import SILENT, Progress, shares
from .protocol import WEIGHTS, EngineChoice, FootageUse
from .render import render
from .search.conditions import Asked
from .search.find import find_paths
from .search.keyframes import Keyframe, load_keyframes, strangers
from .search.labels import load_labels
from .search.music import Music
from .search.objective import SearchSettings
from .search.path import Path, Sound, frames_of
from .search.shape import Shape
from .search.speech import Speech
from .search.tags import TagSpans, load_tags
from .search.text import Text, load_synonyms

_ACTIONS_SCALE = 5.0
"""Threshold scale where actions are asked for: clips of one action each have few ways between them. Of 20 random films
of ten signed words, 13 show no wrong frame at 2.5, 19 at 3.5, 20 at 5."""


@dataclass(frozen=True)
class Source:
    """A video file as the person names it.

    Attributes
    ----------
    path : Path
    fps : Fraction or None
        The rate of the motion, where the container's is wrong.
    ranges : tuple of (int, int) or None
        First and last frame (inclusive) of what may be used.
    """

    path: FilePath
    fps: Fraction | None = None
    ranges: tuple[tuple[int, int], ...] | None = None

    @classmethod
    def of(cls, use: FootageUse) -> Self:
        """The footage that the protocol names."""
        return cls(FilePath(use.path), parse_fps(use.fps) if use.fps else None, use.ranges)


@dataclass(frozen=True)
class Analysis:
    """A footage and its poses."""

    footage: Footage
    track: PoseTrack


@dataclass(frozen=True)
class Wish:
    """What a search is asked for.

    Attributes
    ----------
    frames : int
        Length of the film.
    beats : sequence of Beat
        Seconds of the film.
    keyframes : sequence of Keyframe
    sound : Sound or None
        What lies under the film.
    seed : int
    settings : SearchSettings
    asked : sequence of Asked
        What else the film should follow.
    shape : Shape
    takes : int
        How many that differ visibly.
    references : mapping of str to MotionFeatures
        Of footage that keyframes take poses from.
    """

    frames: int
    beats: Sequence[Beat] = ()
    keyframes: Sequence[Keyframe] = ()
    sound: Sound | None = None
    seed: int = 0
    settings: SearchSettings = field(default_factory=SearchSettings)
    asked: Sequence[Asked] = ()
    shape: Shape = field(default_factory=Shape)
    takes: int = 1
    references: Mapping[str, MotionFeatures] = field(default_factory=dict)


@dataclass(frozen=True)
class WishInFiles:
    """A wish as the command line words it.

    Attributes
    ----------
    music : Path or None
    music_start : float
        Where in the music the film begins, s.
    beats : Path or None
        A beats file; wins over detection. Its times are those of the music file.
    keyframes : Path or None
    seconds : float or None
        Length of the film; None for the rest of the music, or of the speech.
    seed : int
    settings : SearchSettings
    tags, labels : Path or None
        Actions of the film; actions of the footage.
    text : str or None
    synonyms : Path or None
        A person's own, for the text.
    speech : Path or None
        It is what is heard, where there is no music.
    shape : Shape
    weights : mapping of str to float
        By condition; where not named, as in `protocol.WEIGHTS`.
    takes : int
        How many that differ visibly.
    """

    music: FilePath | None = None
    music_start: float = 0.0
    beats: FilePath | None = None
    keyframes: FilePath | None = None
    seconds: float | None = None
    seed: int = 0
    settings: SearchSettings = field(default_factory=SearchSettings)
    tags: FilePath | None = None
    labels: FilePath | None = None
    text: str | None = None
    synonyms: FilePath | None = None
    speech: FilePath | None = None
    shape: Shape = field(default_factory=Shape)
    weights: Mapping[str, float] = field(default_factory=dict)
    takes: int = 1

    @property
    def files(self) -> list[FilePath]:
        """All files that it names."""
        named = (self.music, self.beats, self.keyframes, self.tags, self.labels, self.synonyms, self.speech)
        return [file for file in named if file]

    def weight(self, condition: str) -> float:
        """How much a condition counts."""
        return self.weights.get(condition, WEIGHTS[condition])


def workers() -> int:
    """How many processes estimate poses at once."""
    return max(1, min(os.cpu_count() or 1, 8))


def analyze(
    sources: Sequence[Source],
    library: FootageLibrary,
    progress: Progress = SILENT,
    *,
    remember: bool = True,
    together: bool = True,
) -> list[Analysis]:
    """Describe footages and estimate their poses; without sources, load all footages of the library.

    Parameters
    ----------
    sources : sequence of Source
    library : FootageLibrary
    progress : Progress
    remember : bool
        Whether the footages belong to the library from now on.
    together : bool
        Whether they are to be cut together, and must share size and rate.

    Raises
    ------
    UserError
        For a file that is no video, or an empty library.
    """
    sources = chosen(sources, library)
    footages = describe(sources, library, progress.part(0.0, 0.1))
    for index, footage in enumerate(footages):
        if any(footage.id == other.id for other in footages[:index]):
            raise UserError(f"{footage.name} is given twice.", "Give each footage once.")
    if together:
        check_same_format(footages)
    analyses = _with_poses(footages, library, progress.part(0.1, 1.0))
    if remember:
        for source, footage in zip(sources, footages, strict=True):
            library.remember(footage, source.fps, source.ranges)
    return analyses


def chosen(sources: Sequence[Source], library: FootageLibrary) -> Sequence[Source]:
    """The sources; where there are none, all footage of the library.

    Raises
    ------
    UserError
        When the library is empty, or a file that it remembers is gone.
    """
    if sources:
        return sources
    remembered = [Source(*entry) for entry in library.entries()]
    for source in remembered:
        if not source.path.exists():
            raise UserError(
                f"The library remembers footage at {source.path}, which is not there any more.",
                f'Put it back, or run `vmg analyze --forget "{source.path}"`.',
            )
    return remembered


def describe(sources: Sequence[Source], library: FootageLibrary, progress: Progress = SILENT) -> list[Footage]:
    """Describe footages, decoding what is seen for the first time.

    Raises
    ------
    UserError
        For a file that is no video.
    """
    parts = shares(source.path.stat().st_size if source.path.is_file() else 0 for source in sources)
    return [
        library.footage(
            source.path,
            fps=source.fps,
            ranges=source.ranges,
            progress=progress.part(*part, f"Reading {source.path.name}"),
        )
        for source, part in zip(sources, parts, strict=True)
    ]


def _with_poses(footages: Sequence[Footage], library: FootageLibrary, progress: Progress) -> list[Analysis]:
    estimator = MediapipeEstimator()
    parts = shares(0 if library.has_poses(one, estimator) else one.frames for one in footages)
    analyses: list[Analysis] = []
    for footage, part in zip(footages, parts, strict=True):
        inner = progress.part(*part, f"Poses of {footage.name}")
        inner.update(0.0)
        analyses.append(Analysis(footage, library.poses(footage, estimator, workers=workers(), progress=inner)))
    return analyses


def graph_settings(*, actions: bool, scale: float | None = None, mix: bool = False) -> GraphSettings:
    """How a graph is built for a film that shall show `actions`, or need not; a threshold `scale` wins over that."""
    usual = _ACTIONS_SCALE if actions else GraphSettings.threshold_scale
    return GraphSettings(threshold_scale=scale or usual, mix=mix)


def build(
    analyses: Sequence[Analysis], library: FootageLibrary, settings: GraphSettings, progress: Progress = SILENT
) -> tuple[MotionGraph, MotionFeatures]:
    """The motion graph of analysed footages."""
    return library.graph(
        [analysis.footage for analysis in analyses], [analysis.track for analysis in analyses], settings, progress
    )


def search(
    analyses: Sequence[Analysis], graph: MotionGraph, features: MotionFeatures, wish: Wish, progress: Progress = SILENT
) -> list[Path]:
    """The best paths for a wish: as many takes as it asks for, or as there are.

    Raises
    ------
    UserError
        When the wish cannot be met.
    """
    if wish.frames < 1:
        raise UserError("The film that is asked for has no frames.", "Ask for a longer film.")
    check_takes(wish.takes, wish.shape)
    paths = find_paths(
        [analysis.footage for analysis in analyses],
        graph,
        features,
        frames=wish.frames,
        beats=wish.beats,
        sound=wish.sound,
        keyframes=wish.keyframes,
        tracks=[analysis.track for analysis in analyses],
        asked=wish.asked,
        shape=wish.shape,
        settings=wish.settings,
        seed=wish.seed,
        takes=wish.takes,
        references=wish.references,
        progress=progress,
    )
    return [with_linear(path, graph, features) for path in paths]


def read_wish(wish: WishInFiles, fps: Fraction, progress: Progress = SILENT) -> Wish:
    """A wish with its files read, for footage of a rate.

    Raises
    ------
    UserError
        When neither music nor length is given, or a file cannot be read.
    """
    seconds = length_of(wish)
    heard = wish.music or wish.speech
    beats = beats_of(wish, seconds, progress.part(0.0, 0.5))
    return Wish(
        frames=frames_of(seconds, fps),
        beats=beats,
        keyframes=load_keyframes(wish.keyframes) if wish.keyframes else (),
        sound=Sound(str(heard.resolve()), wish.music_start if wish.music else 0.0, seconds) if heard else None,
        seed=wish.seed,
        settings=replace(
            wish.settings,
            beat_weight=wish.weight("beats"),
            accent_weight=wish.weight("accents"),
        ),
        asked=_asked(wish, seconds, beats, progress.part(0.5, 1.0)),
        shape=wish.shape,
        takes=wish.takes,
    )


def with_references(
    wish: Wish, footages: Sequence[Footage], library: FootageLibrary, progress: Progress = SILENT
) -> Wish:
    """A wish with the features of other footage that its keyframes take poses from, which is analysed for that.

    Raises
    ------
    UserError
        When such a file is no video, or an edited picture of a keyframe has another size than the footage.
    """
    for key in wish.keyframes:
        if key.image:
            edited_picture(str(key.image), footages[0].size)
    others = strangers(wish.keyframes, {footage.id: footage.name for footage in footages})
    sources = {key.source: Source(FilePath(key.source)) for key in others}
    references = {}
    for number, (name, source) in enumerate(sources.items()):
        part = progress.part(number / len(sources), (number + 1) / len(sources))
        (one,) = analyze([source], library, part, remember=False)
        references[name] = motion_features([one.footage], [one.track])
    return replace(wish, references=references)


def _asked(wish: WishInFiles, seconds: float, beats: Sequence[Beat], progress: Progress) -> tuple[Asked, ...]:
    """The conditions that files and words ask for; what is heard is listened to for so many seconds."""
    asked = list(_told(wish))
    if wish.music and (weight := wish.weight("music")):
        start = wish.music_start
        asked.append(
            Music.read(wish.music, start=start, seconds=seconds, weight=weight, beats=beats, progress=progress)
        )
    if wish.speech:
        asked.append(Speech.read(wish.speech, seconds=seconds, weight=wish.weight("speech"), progress=progress))
    return tuple(asked)


def _told(wish: WishInFiles) -> Iterator[Asked]:
    """Those that are read at once."""
    labels = load_labels(wish.labels) if wish.labels else ()
    if wish.tags:
        yield TagSpans(load_tags(wish.tags), labels, wish.weight("tags"), hold=wish.settings.hold_seconds)
    if wish.text is not None:
        yield Text(wish.text, labels, load_synonyms(wish.synonyms), wish.weight("text"))


def length_of(wish: WishInFiles) -> float:
    """Seconds of film that a wish asks for.

    Raises
    ------
    UserError
        When neither sound nor length is given, or the music ends before it begins.
    """
    if wish.music is None:
        if wish.seconds is not None:
            return wish.seconds
        if wish.speech is None:
            raise UserError("Neither music nor a length is given.", "Give --music FILE, or --seconds S, or both.")
        return audio_seconds(wish.speech)
    length = audio_seconds(wish.music)
    if wish.music_start >= length:
        raise UserError(
            f"{wish.music.name} is {length:.2f} s long and cannot start at {wish.music_start:.2f} s.",
            "Start it earlier.",
        )
    return length - wish.music_start if wish.seconds is None else wish.seconds


def beats_of(wish: WishInFiles, seconds: float, progress: Progress = SILENT) -> list[Beat]:
    """The beats that a wish names, in seconds of the film."""
    if wish.beats is not None:
        beats = [beat for beat in load_beats(wish.beats) if beat.time >= wish.music_start]
        beats = offset(beats, -wish.music_start)
    elif wish.music is not None:
        beats = detect_beats(wish.music, start=wish.music_start, seconds=seconds, progress=progress)
    else:
        return []
    return [beat for beat in beats if beat.time < seconds]


def engine_for(choice: EngineChoice, poses: str | None = None) -> Interpolator:
    """The engine that is chosen; to be asked for before minutes of work on the footage.

    Raises
    ------
    UserError
        When there is none, it cannot run here, or poses are given and it follows none.
    """
    engine = make_engine(choice)
    if poses:
        check_led(engine)
    return engine


def generate(
    path: Path,
    analyses: Sequence[Analysis],
    engine: Interpolator,
    library: FootageLibrary,
    progress: Progress = SILENT,
    poses: str | None = None,
    only: Collection[int] | None = None,
) -> Path:
    """Fill the transitions of a path.

    Parameters
    ----------
    path : Path
    analyses : sequence of Analysis
        Of its footages.
    engine : Interpolator
        As `engine_for` gives it.
    library : FootageLibrary
    progress : Progress
    poses : str, optional
        What an engine that follows poses shall follow in place of its own guide's: a file of them, or
        ``VIDEO[:FIRST-LAST]``.
    only : collection of int, optional
        Ids of the transitions that are to be filled; the others stay as they are.

    Raises
    ------
    UserError
        When there is no such transition or pose.
    """
    if unknown := set(only or ()) - {transition.id for transition in path.transitions}:
        raise UserError(
            f"The path has no transition {min(unknown)}.", f"It has those from 0 to {len(path.transitions) - 1}."
        )
    if poses:
        engine = Posed(engine, _wanted(poses, library, progress.part(0.0, 0.1, "Poses")))
    materials = materials_of(analyses, library, progress.part(0.1, 0.2, "Background"))
    return fill_transitions(path, materials, engine, library, progress.part(0.2, 1.0), only)


def _wanted(text: str, library: FootageLibrary, progress: Progress) -> WantedPoses:
    if FilePath(text).suffix.lower() in SUFFIXES_OF_POSES:
        return poses_of_file(FilePath(text))
    spoken = re.fullmatch(r"(.+):(\d+)-(\d+)", text)
    file = FilePath(spoken[1] if spoken else text)
    (analysis,) = analyze([Source(file)], library, progress, remember=False)
    first, last = (int(spoken[2]), int(spoken[3])) if spoken else (0, analysis.footage.frames - 1)
    return poses_of_track(analysis.track, analysis.footage.size, first, last, file.name)


def materials_of(
    analyses: Sequence[Analysis], library: FootageLibrary, progress: Progress = SILENT
) -> dict[str, Material]:
    """What engines need to know of footages, by content hash."""
    materials: dict[str, Material] = {}
    for index, analysis in enumerate(analyses):
        part = progress.part(index / len(analyses), (index + 1) / len(analyses))
        plate = library.plate(analysis.footage, part)
        materials[analysis.footage.id] = Material(analysis.footage, analysis.track, plate)
    return materials


def cut(
    sources: Sequence[Source],
    wish: WishInFiles,
    engine: EngineChoice,
    out: FilePath,
    library: FootageLibrary,
    settings: GraphSettings,
    progress: Progress = SILENT,
) -> Path:
    """From footage to the final cut; PATH.json is written beside it."""
    check_cut(sources, wish, out)
    filling = engine_for(engine)
    analyses = analyze(sources, library, progress.part(0.0, 0.5))
    graph, features = build(analyses, library, settings, progress.part(0.5, 0.6))
    asked = read_wish(wish, graph.fps, progress.part(0.6, 0.63, "Listening"))
    asked = with_references(asked, [one.footage for one in analyses], library, progress.part(0.63, 0.65))
    (path,) = search(analyses, graph, features, asked, progress.part(0.65, 0.75))
    with library.transitions.working():
        path = generate(path, analyses, filling, library, progress.part(0.75, 0.9))
        path.save(path_file(out))
        render(path, {a.footage.id: a.footage for a in analyses}, out, progress.part(0.9, 1.0, "Encoding"))
    return path


def check_wish(sources: Sequence[Source], wish: WishInFiles, *outs: FilePath) -> None:
    """Say what is wrong with a wish, and with the files that its result is written to, before minutes of work.

    Raises
    ------
    UserError
    """
    keys = load_keyframes(wish.keyframes) if wish.keyframes else []
    given = [*(source.path for source in sources), *wish.files]
    given += [file for key in keys for file in (key.file, key.image) if file]
    for number, out in enumerate(outs):
        check_output(out, [*given, *outs[:number]])
    length_of(wish)
    if wish.speech is not None:
        audio_seconds(wish.speech)
    list(_told(wish))
    idle = {
        "--labels": wish.labels and not (wish.tags or wish.text is not None),
        "--synonyms": wish.synonyms and wish.text is None,
        "--weight speech": "speech" in wish.weights and not wish.speech,
        "--weight music": wish.weights.get("music") and not wish.music,
        "--weight tags": "tags" in wish.weights and not wish.tags,
        "--weight text": "text" in wish.weights and wish.text is None,
    }
    for word in (word for word, without in idle.items() if without):
        raise UserError(f"{word} says something about what is not asked for.", "Leave it out, or ask for that, too.")
    check_takes(wish.takes, wish.shape)
    if wish.beats is not None and not load_beats(wish.beats):
        raise UserError(f"{wish.beats.name} holds no beats.", "Leave --beats out to have them detected.")


def check_takes(takes: int, shape: Shape) -> None:
    """Say where as many takes cannot be found.

    Raises
    ------
    UserError
    """
    if takes > 1 and shape.loop:
        raise UserError("Other takes of a loop cannot be found yet.", "Ask for one take, or for none that loops.")


def check_cut(sources: Sequence[Source], wish: WishInFiles, out: FilePath) -> None:
    """The same for a whole cut."""
    if out.suffix.lower() not in SUFFIXES:
        raise UserError(f"A film cannot be written as {out.name}.", f"End the name in {', '.join(SUFFIXES)}.")
    check_wish(sources, wish, out, path_file(out))


def path_file(out: FilePath) -> FilePath:
    """Where `cut` leaves the PATH.json of a film."""
    return out.with_name(out.stem + ".path.json")


def footages_of(path: Path, library: FootageLibrary, progress: Progress = SILENT) -> dict[str, Footage]:
    """Open the footages that a path names, by content hash.

    Raises
    ------
    UserError
        When a file is gone, or another one lies in its place.
    """
    footages: dict[str, Footage] = {}
    for key, entry in path.footages.items():
        file = FilePath(entry.path)
        if not file.exists():
            raise UserError(
                f"The footage {entry.name} is not at {entry.path} any more.", "Put it back, or search again."
            )
        if library.identity(file, progress) != key:
            raise UserError(f"{entry.path} is not the footage that the path was made from.", "Search again.")
        footages[key] = library.footage(
            file, fps=Fraction(entry.fps), ranges=entry.ranges, identity=key, progress=progress
        )
        last = max((segment.last for segment in path.segments if segment.footage == key), default=0)
        if last >= footages[key].frames:
            raise UserError(f"The path shows frames that {entry.name} does not have.", "Search again.")
    return footages


def analyses_of(path: Path, library: FootageLibrary, progress: Progress = SILENT) -> list[Analysis]:
    """The footages that a path names, with their poses."""
    footages = footages_of(path, library, progress.part(0.0, 0.1, "Reading"))
    return _with_poses(list(footages.values()), library, progress.part(0.1, 1.0))
