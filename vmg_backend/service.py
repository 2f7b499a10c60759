"""What the server's methods do: records of the protocol in, records of the protocol out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path as FilePath

import cv2
import numpy as np
from numpy.typing import NDArray

from . import jobs
from .audio.beats import beats_in, tempo_of
from .audio.mix import mix
from .audio.rhythm import RATE
from .errors import UserError
from .evaluation import graph_report
from .evaluation.linear_feasibility import with_linear
from .files import check_output, writing
from .footage import Footage, FrameReader
from .footage.conforming import conform, needs_conform
from .graph.build import GraphSettings
from .graph.features import MotionFeatures, motion_features
from .graph.motion_graph import MotionGraph
from .interpolation.engines import check_packages, make_engine
from .interpolation.fill import fill
from .interpolation.hardware import hardware
from .interpolation.interpolator import HoldsModel, Interpolator
from .jobs import Source
from .library import FootageLibrary
from .pose.drawing import sides
from .pose.mediapipe_estimator import MediapipeEstimator
from .pose.skeletons import SKELETONS, Skeleton
from .progress import Progress
from .protocol import (
    PREVIEW_SIDE,
    AskKinds,
    BeatAt,
    Conform,
    Conformed,
    Description,
    Descriptions,
    EngineChoice,
    Fill,
    Filled,
    FilledAll,
    Footages,
    FootageUse,
    FoundBeats,
    FoundKinds,
    Hardware,
    Held,
    LabelAt,
    LibrarySize,
    Look,
    Place,
    Poses,
    Preview,
    RunName,
    Runs,
    Sound,
    Stand,
    Suggest,
    Suggested,
    Train,
    Trained,
    Update,
    Updated,
    WayOut,
    WaysOut,
    Wish,
)
from .remembering import RememberingLibrary
from .search.clusters import find_clusters
from .search.labels import name_key
from .search.objective import longest_half
from .search.path import Path, Segment
from .search.update import update_path
from .server import Call
from .wishes import Reader, changed_stretches

SUGGEST_AGAIN = "Suggest again."


class Service:
    """Does what is asked for; a method for each of the protocol's, but for ``hello`` and what is answered aside.

    It remembers between two requests what took time to read: libraries, and the engine of the last fill with its model.
    """

    def __init__(self) -> None:
        self._libraries: dict[str, RememberingLibrary] = {}
        self._engine: tuple[EngineChoice, Interpolator] | None = None
        self._held = ""

    def describe(self, asked: Footages, call: Call) -> Descriptions:
        """Decode what is new, and tell what each file is."""
        library = self._library(asked.library)
        footages = jobs.describe([Source.of(use) for use in asked.footages], library, call.progress)
        return Descriptions(tuple(_described(footage, library) for footage in footages))

    def analyze(self, asked: Footages, call: Call) -> Descriptions:
        """Estimate the poses that are missing."""
        library = self._library(asked.library)
        if not asked.footages:
            return Descriptions(())
        sources = [Source.of(use) for use in asked.footages]
        analyses = jobs.analyze(sources, library, call.progress, together=False)
        return Descriptions(tuple(_described(analysis.footage, library) for analysis in analyses))

    def conform(self, asked: Conform, call: Call) -> Conformed:
        """Write a copy that Blender shows frame by frame."""
        source, target = Source.of(asked.footage), FilePath(asked.target)
        if target.suffix.lower() != ".mp4":
            raise UserError(f"A conformed copy cannot be written as {target.name}.", "End the name in .mp4.")
        check_output(target, [source.path])
        (footage,) = jobs.describe([source], self._library(asked.library), call.progress.part(0.0, 0.3))
        made = conform(footage, target, call.progress.part(0.3, 1.0, f"Copying {footage.name}"))
        return Conformed(str(made.path), made.encoded)

    def beats(self, asked: Sound, call: Call) -> FoundBeats:
        """Find the beats in what is heard."""
        heard = mix(asked.pieces, asked.seconds, RATE, call.progress.part(0.0, 0.4, "Reading the sound"))
        found = beats_in(heard, call.progress.part(0.4, 1.0, "Listening"))
        beats = [beat for beat in found if beat.time < asked.seconds]
        return FoundBeats(tuple(BeatAt(**asdict(beat)) for beat in beats), tempo_of(beats))

    def suggest(self, asked: Suggest, call: Call) -> Suggested:
        """Search takes; what is not analysed yet is analysed first."""
        ready = self._ready(asked.wish, asked.takes, call)
        paths = jobs.search(ready.analyses, ready.graph, ready.features, ready.wish, ready.progress)
        return Suggested(tuple(path.as_dict() for path in paths))

    def update(self, asked: Update, call: Call) -> Updated:
        """Bring a take up to date; an old keyframe whose file is out of reach counts as none."""
        ready = self._ready(asked.wish, 1, call)
        reader = ready.reader
        path, changed = update_path(
            Path.from_dict(asked.path, "The take's path", SUGGEST_AGAIN),
            reader.footages,
            ready.graph,
            ready.features,
            frames=ready.wish.frames,
            beats=ready.wish.beats,
            keyframes=reader.keyframes(asked.wish.keys),
            old_beats=reader.beats(asked.made_for.beats),
            old_keyframes=reader.keyframes(reader.known(asked.made_for.keys)),
            references=ready.wish.references,
            tracks=[analysis.track for analysis in ready.analyses],
            asked=ready.wish.asked,
            changed=changed_stretches(asked.wish, asked.made_for, ready.graph.fps),
            again=[(first, last + 1) for first, last in asked.again],
            seen=[Segment(**asdict(one)) for one in asked.seen],
            loop=asked.wish.loop,
            settings=ready.wish.settings,
            matching=_matching(asked.wish.asks_actions),
            progress=ready.progress,
        )
        return Updated(with_linear(path, ready.graph, ready.features).as_dict(), changed)

    def ways_out(self, asked: Stand, call: Call) -> WaysOut:
        """Where a take could go from a frame, with small pictures."""
        library = self._library(asked.library)
        analyses = self._analyzed(asked.footages, library, call.progress.part(0.0, 0.6))
        graph, _ = jobs.build(analyses, library, _matching(asked.actions), call.progress.part(0.6, 0.8))
        reader = Reader([analysis.footage for analysis in analyses], library)
        stands = reader.footage(asked.path)
        if stands is None or not 0 <= asked.frame < stands.frames:
            raise UserError(
                f"{FilePath(asked.path).name} has no frame {asked.frame}, or is none of the footage.",
                "Move the playhead onto a take, or onto footage.",
            )
        node = int(graph.offsets[graph.footages.index(stands.id)]) + asked.frame
        paths = {footage.id: use.path for footage, use in zip(reader.footages, asked.footages, strict=True)}
        footages = {footage.id: footage for footage in reader.footages}
        room, ways = longest_half(graph), []
        for number, way in enumerate(graph_report.ways_out(graph, node, asked.ways)):
            call.progress.update(0.8 + 0.2 * number / asked.ways)
            picture = FilePath(asked.folder, f"{number}.npy").absolute()
            with FrameReader(footages[way.footage]) as pictures:
                _save_small(picture, pictures.frame(way.frame))
            ways.append(WayOut(way.after, paths[way.footage], way.frame, way.frames, room, way.share, str(picture)))
        return WaysOut(tuple(ways))

    def kinds(self, asked: AskKinds, call: Call) -> FoundKinds:
        """Find kinds of motion."""
        analyses = self._analyzed(asked.footages, self._library(asked.library), call.progress.part(0.0, 0.8))
        features = motion_features([one.footage for one in analyses], [one.track for one in analyses])
        found = find_clusters(features, asked.kinds or None, call.progress.part(0.8, 1.0, "Comparing"))
        stretches = found.stretches(features.offsets)
        return FoundKinds(
            tuple(
                LabelAt(asked.footages[footage].path, first, last, f"motion {kind + 1}")
                for kind, footage, first, last in stretches
            )
        )

    def fill(self, asked: Fill, call: Call) -> FilledAll:
        """Fill transitions, and tell of each as soon as its frames are there."""
        library, engine = self._library(asked.library), self._engine_for(asked.engine, call)
        path = Path.from_dict(asked.path, "The take's path", SUGGEST_AGAIN)
        by_id = {transition.id: transition for transition in path.transitions}
        if unknown := set(asked.transitions) - by_id.keys():
            raise UserError(f"The take has no transition {min(unknown)}.", SUGGEST_AGAIN)
        wanted = [by_id[number] for number in dict.fromkeys(asked.transitions)]
        used = {side.footage for transition in wanted for side in (transition.from_, transition.to)}
        part = replace(path, footages={key: entry for key, entry in path.footages.items() if key in used})
        analyses = jobs.analyses_of(part, library, call.progress.part(0.0, 0.1))
        materials = jobs.materials_of(analyses, library, call.progress.part(0.1, 0.2, "Background"))
        folder = FilePath(asked.folder).absolute()
        new = 0
        filling = call.progress.part(0.2, 1.0)
        try:
            with _showing(call) as show:
                for done, made in fill(wanted, path.seed, materials, engine, folder.joinpath, filling, show):
                    new += made
                    filled = Filled(call.id, done.id, str(done.engine), str(done.hash), str(done.frames_dir))
                    call.notify("filled", filled)
        finally:
            self._tell_held(call)
        return FilledAll(new, len(wanted) - new)

    def release(self, look: Look, call: Call) -> Hardware:
        """Forget the model of the last fill, and look what is free then."""
        self._release(call)
        return hardware(look)

    def train(self, asked: Train, call: Call) -> Trained:
        """Train a model, and tell how it goes; the memory is all its own."""
        check_packages()
        self._release(call)
        from .training.hminterp import requests

        library = self._library(asked.library)
        return requests.train(asked, library, call.progress, call.id, partial(call.notify, "learned"))

    def forget_run(self, run: RunName, call: Call) -> Runs:
        """Delete a training that is not done."""
        call.progress.update(0.0)
        check_packages()
        from .training.hminterp import begun

        begun.forget(run.name)
        return Runs(begun.stopped())

    def _engine_for(self, choice: EngineChoice, call: Call) -> Interpolator:
        """The engine of the last fill where it would make the same pixels; else another one, after it has let go."""
        wanted = make_engine(choice)
        if self._engine is None or self._engine[0] != choice or self._engine[1].version != wanted.version:
            self._release(call)
            self._engine = choice, wanted
        return self._engine[1]

    def _release(self, call: Call) -> None:
        engine, self._engine = self._engine, None
        if engine and isinstance(engine[1], HoldsModel):
            engine[1].release()
        self._tell_held(call)

    def _tell_held(self, call: Call) -> None:
        """Tell whose model is in the memory, where that has changed."""
        engine = self._engine[1] if self._engine else None
        held = engine.name if engine and isinstance(engine, HoldsModel) and engine.held else ""
        if held != self._held:
            self._held = held
            call.notify("held", Held(held))

    def library(self, place: Place, call: Call) -> LibrarySize:
        """How much a library holds."""
        call.progress.update(0.0)
        library = self._library(place.library)
        files = library.files()
        footages = {file.parent for file in files if file.name.startswith("index")}
        return LibrarySize(str(library.root), sum(file.stat().st_size for file in files), len(footages))

    def clear_library(self, place: Place, call: Call) -> LibrarySize:
        """Delete what a library holds."""
        self._library(place.library).clear(call.progress)
        return self.library(place, call)

    def _ready(self, wish: Wish, takes: int, call: Call) -> _Ready:
        """What a search needs: a wish that is read, footage that is analysed, and its graph."""
        library, progress = self._library(wish.library), call.progress
        described = jobs.describe(_sources(wish.footages), library, progress.part(0.0, 0.02))
        reader = Reader(described, library)
        analyzed = all(library.has_poses(footage, MediapipeEstimator()) for footage in described)
        begin, end = (0.1, 0.2) if analyzed else (0.85, 0.9)
        read = reader.search(wish, takes, progress.part(0.02, 0.05))
        analyses = self._analyzed(wish.footages, library, progress.part(0.05, begin))
        graph, features = jobs.build(analyses, library, _matching(wish.asks_actions), progress.part(begin, end))
        read = jobs.with_references(read, reader.footages, library, progress.part(end, end + 0.05))
        return _Ready(reader, read, analyses, graph, features, progress.part(end + 0.05, 1.0))

    def _analyzed(
        self, footages: Sequence[FootageUse], library: FootageLibrary, progress: Progress
    ) -> list[jobs.Analysis]:
        """Footage that is cut together, with its poses."""
        return jobs.analyze(_sources(footages), library, progress)

    def _library(self, folder: str) -> RememberingLibrary:
        if folder not in self._libraries:
            self._libraries[folder] = RememberingLibrary(FilePath(folder)) if folder else RememberingLibrary.default()
        return self._libraries[folder]


@dataclass(frozen=True)
class _Ready:
    """A wish that is read, footage with its graph, and the progress of what is done with them."""

    reader: Reader
    wish: jobs.Wish
    analyses: list[jobs.Analysis]
    graph: MotionGraph
    features: MotionFeatures
    progress: Progress


def _sources(footages: Sequence[FootageUse]) -> list[Source]:
    if not footages:
        raise UserError("No footage is chosen.", "Use at least one movie strip as footage.")
    return [Source.of(use) for use in footages]


def _matching(actions: bool) -> GraphSettings:
    """How graphs are built; whoever chooses footages in Blender cuts them together."""
    return jobs.graph_settings(actions=actions, mix=True)


@contextmanager
def _showing(call: Call) -> Iterator[Callable[[int, NDArray[np.uint8]], None]]:
    """What sends pictures of what transitions are becoming; of its files the last one lies there, until the end."""
    with tempfile.TemporaryDirectory(prefix="vmg-preview-", ignore_cleanup_errors=True) as folder:
        last: FilePath | None = None

        def show(transition: int, picture: NDArray[np.uint8]) -> None:
            nonlocal last
            older, last = last, FilePath(folder, f"{0 if last is None else int(last.stem) + 1:06d}.npy")
            _save_small(last, picture)
            call.notify("preview", Preview(call.id, transition, str(last)))
            if older:
                with suppress(PermissionError):  # on Windows, while it is read; the folder goes with all that is left
                    older.unlink()

        yield show


def _save_small(file: FilePath, picture: NDArray[np.uint8]) -> None:
    """Write a picture [H, W, 3] as a ``.npy``, with sides of at most `PREVIEW_SIDE` px."""
    shrink = min(1.0, PREVIEW_SIDE / max(picture.shape))
    with writing(file) as temporary:
        np.save(temporary, cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA))


def _described(footage: Footage, library: FootageLibrary) -> Description:
    estimator = MediapipeEstimator()
    track = library.poses(footage, estimator) if library.has_poses(footage, estimator) else None
    file = library.poses_file(footage, estimator).relative_to(library.root).as_posix()
    return Description(
        path=str(footage.path),
        footage=footage.id,
        fps=f"{footage.fps.numerator}/{footage.fps.denominator}",
        size=footage.size,
        frames=footage.frames,
        shots=len(footage.shots),
        exact=not needs_conform(footage),
        analyzed=track is not None,
        frames_without_person=None if track is None else int((~track.person).sum()),
        damaged=footage.damage,
        poses=None if track is None else _drawn(file, SKELETONS[track.skeleton]),
        tag=name_key(footage),
    )


def _drawn(file: str, skeleton: Skeleton) -> Poses:
    left, right = sides(skeleton)
    return Poses(file, skeleton.bones, left, right)
