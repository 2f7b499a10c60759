"""The verbs: each reads the timeline, asks the backend, and brings the answer back into the timeline.

A verb is a generator that `workflow` runs. Between two of its steps anything may happen to Blender's data: it holds a
`SceneRef` and uids, and finds everything again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import bpy

from ..vmg_backend import protocol
from ..vmg_backend.errors import UserError
from . import compat, footages, hardware, overview, paths
from .failures import Failure
from .picture import picture
from .session import Job, SceneRef, session
from .timeline import actions, conditions, keys, markers, material, reading, stale, takes
from .timeline.building import TakeLost
from .timeline.plan import same_junction
from .ways import ways
from .workflow import Ask, Verb, Workflow, apply_result, blender_is_busy

_workflow: list[Workflow] = []


def workflow() -> Workflow:
    """The verbs of this registration."""
    return _workflow[0]


# -- what operators call: each raises UserError where its job cannot begin ---------------------------------------------


def describe(scene: bpy.types.Scene) -> Job:
    """Find out what the scene's footages are."""
    return _run(scene, _describe)


def analyze(scene: bpy.types.Scene, *, match_scene: bool = False) -> None:
    """Find out how the person moves in the scene's footages; begins when nothing else runs.

    With `match_scene` the scene gets the footage's rate and size as soon as they are known.
    """
    footages.look_for_files()
    workflow().run_when_free(scene, lambda target: _analyze(target, match_scene))


def use_footage(scene: bpy.types.Scene, *, match_scene: bool = False) -> None:
    """Bring the rows in line with the strips, and analyse what they show."""
    reading.sync_footages(scene)
    if scene.vmg.footages and not any(row.missing for row in scene.vmg.footages):
        analyze(scene, match_scene=match_scene)


def detect_beats(scene: bpy.types.Scene) -> Job:
    """Write the beats of what is heard as markers, in place of those detected before."""
    return _run(scene, _detect_beats)


def suggest(scene: bpy.types.Scene) -> Job:
    """Make new takes, as many as the scene wants."""
    return _run(scene, _suggest)


def suggest_part(scene: bpy.types.Scene) -> Job:
    """Make the active take another one in the preview range, or in the segment under the playhead."""
    return _run(scene, _suggest_part)


def find_actions(scene: bpy.types.Scene) -> Job:
    """Label the footage by kinds of motion, which the person names."""
    return _run(scene, _find_actions)


def ways_out(scene: bpy.types.Scene) -> Job:
    """Find out where a take could go from the frame under the playhead."""
    return _run(scene, _ways_out)


def generate(scene: bpy.types.Scene, transitions: Sequence[int] | None = None) -> Job:
    """Fill transitions of the active take: those with these ids, or all that are not filled."""
    return _run(scene, lambda target: _generate(target, transitions))


def rerender_stale(scene: bpy.types.Scene) -> Job:
    """Bring the active take up to date, fill what that changed, and nothing else."""
    return _run(scene, _rerender_stale)


def insert_waiting(scene: bpy.types.Scene) -> str:
    """Put the oldest waiting result into `scene`; gives what it was."""
    if blender_is_busy():
        raise UserError("Blender is rendering.", "Insert the result when that has ended.")
    waiting = workflow().waiting
    result = waiting.pop(0)
    left = len(waiting)
    try:
        for _ in workflow().arrive(SceneRef.of(scene), result.title, result.insert):
            pass
    except UserError:
        waiting.insert(0, result)
        raise
    if len(waiting) > left:
        raise UserError("The take that the result belongs to is not in this scene.", "Undo what removed it.")
    return result.title


def dismiss_failure() -> None:
    """Forget the last failure."""
    session().failure = None
    session().pump(0.0)


def analyzing(scene: bpy.types.Scene) -> bool:
    """Whether the scene's footage is being analysed, or will be."""
    job = session().job
    runs = job is not None and job.scene == SceneRef.of(scene) and job.request is not None
    return workflow().queued(scene) or bool(runs and job and job.request and job.request[0] in ("describe", "analyze"))


# -- the verbs ---------------------------------------------------------------------------------------------------------


def _describe(target: SceneRef) -> Verb:
    asked = footages.asked_about(_scene(target))
    found = yield Ask("describe", asked, "Read footage")
    _note(target, asked, found)


def _analyze(target: SceneRef, match_scene: bool) -> Verb:
    yield from _describe(target)
    scene = _scene(target)
    if match_scene and (row := footages.leading(scene)):
        material.match_scene(scene, row)
    asked = footages.asked_about(scene)
    found = yield Ask("analyze", asked, "Analyze footage")
    _note(target, asked, found)


def _detect_beats(target: SceneRef) -> Verb:
    scene = _scene(target)
    taken = reading.take_range(scene)
    found = yield Ask("beats", reading.sound(scene, taken), "Detect beats")

    def insert(scene: bpy.types.Scene) -> Iterator[None]:
        markers.write(scene, found.beats, taken)
        yield

    yield from workflow().arrive(target, "Detect Beats", insert)


def _suggest(target: SceneRef) -> Verb:
    yield from _make_showable(target)
    scene = _scene(target)
    start, movies = reading.take_range(scene).start, footages.movies(scene)
    wish = conditions.wish(scene)
    suggested = yield Ask("suggest", protocol.Suggest(wish, scene.vmg.takes_wanted), "Suggest")

    def insert(scene: bpy.types.Scene) -> Iterator[None]:
        uids = []
        for path in suggested.paths:
            uids.append((yield from takes.insert_take(scene, path, movies, start, wish)))
        takes.show_take(scene, uids[0])
        scene.frame_end = max(scene.frame_end, start + wish.frames - 1)  # playback would turn back before

    yield from workflow().arrive(target, "Suggest Take", insert)
    scene = target.find()
    if scene and scene.vmg.play_after_suggest:
        _play(scene, start)


def _generate(target: SceneRef, transitions: Sequence[int] | None) -> Verb:
    scene = _scene(target)
    take = _active(scene)
    path = takes.read_take(take)
    if not path["transitions"]:
        raise UserError(f"{take.name} has no transitions.", "Suggest again, with beats or keyframes to cut for.")
    if transitions is None:
        transitions = [one["id"] for one in path["transitions"] if not one["frames_dir"]]
    if not transitions:
        raise UserError("All transitions of the take are filled.", "Select some in the take to fill them anew.")
    yield from _fill(target, take.vmg.uid, path, transitions, f"Generate {take.name}")


def _rerender_stale(target: SceneRef) -> Verb:
    """Two requests: the path is brought up to date where conditions changed, then what differs is filled."""
    yield from _make_showable(target)
    scene = _scene(target)
    take = _active(scene)
    uid, path, made_for = take.vmg.uid, takes.read_take(take), takes.wish_of(take)
    wish = conditions.wish_now(scene, take, path["frames"], made_for)
    stale_ids: Sequence[int] = stale.stale_transitions(scene, take)
    movies = footages.movies(scene)
    if wish != made_for:
        update = protocol.Update(path, wish, made_for)
        updated = yield Ask("update", update, "Update take")
        old = [one for one in path["transitions"] if one["id"] in stale_ids]
        path = updated.path
        open_ones = [one for one in path["transitions"] if not one["frames_dir"] and one["id"] not in updated.changed]
        stale_ids = [*updated.changed, *(one["id"] for one in open_ones if any(same_junction(one, was) for was in old))]

        def insert(scene: bpy.types.Scene) -> Iterator[None]:
            yield from takes.apply_update(scene, uid, path, movies, wish)

        yield from workflow().arrive(target, "Update Take", insert, step=not stale_ids)
    elif not stale_ids:
        raise UserError("Nothing is stale, there is nothing to render.", "Move a keyframe or a beat, or roll a cut.")
    if stale_ids:
        yield from _fill(target, uid, path, stale_ids, "Re-render Stale", changed=wish != made_for)


def _suggest_part(target: SceneRef) -> Verb:
    yield from _make_showable(target)
    scene = _scene(target)
    take = _active(scene)
    uid, path, movies = take.vmg.uid, takes.read_take(take), footages.movies(scene)
    made_for = takes.wish_of(take)
    wish = conditions.wish_now(scene, take, path["frames"], made_for)
    part, seen = _part(scene, take, path), takes.seen(take)
    update = protocol.Update(path, wish, made_for, (part,), seen)
    updated = yield Ask("update", update, "Suggest Part Again")

    def insert(scene: bpy.types.Scene) -> Iterator[None]:
        yield from takes.apply_update(scene, uid, updated.path, movies, wish)
        takes.note_seen(scene, uid, path, part)

    yield from workflow().arrive(target, "Suggest Part Again", insert)


def _part(scene: bpy.types.Scene, take: bpy.types.MetaStrip, path: dict[str, Any]) -> tuple[int, int]:
    """First and last frame of the take in the preview range, or of its segment under the playhead."""
    first, last = overview.stretch(scene)
    if not overview.on_take(take, first, last):
        raise UserError(f"{take.name} is not shown there.", "Move the playhead, or the preview range, onto the take.")
    start = compat.start(take)
    first, last = max(first - start, 0), min(last - start, path["frames"] - 1)
    if scene.use_preview_range:
        return first, last
    segment = max((one for one in path["segments"] if one["at"] <= first), key=lambda one: one["at"])
    return segment["at"], segment["at"] + segment["last"] - segment["first"]


def _find_actions(target: SceneRef) -> Verb:
    scene = _scene(target)
    actions.check_apart(scene)  # before the work, not after it
    asked = footages.asked_about(scene)
    found = yield Ask("kinds", protocol.AskKinds(asked.footages, library=asked.library), "Find Actions")

    def insert(scene: bpy.types.Scene) -> Iterator[None]:
        yield from actions.write_labels(scene, found.labels)
        strips = compat.strips(scene.sequence_editor)
        labels = (number for number, strip in enumerate(strips) if strip.vmg.role == "LABEL")
        scene.vmg.label_index = next(labels, 0)  # so that Rename All has one

    yield from workflow().arrive(target, "Find Actions", insert)


def _ways_out(target: SceneRef) -> Verb:
    scene = _scene(target)
    at = scene.frame_current
    path, frame = keys.seen(scene, at)
    asked = footages.asked_about(scene)
    with tempfile.TemporaryDirectory(prefix="vmg-ways-", ignore_cleanup_errors=True) as folder:
        take = overview.active_take(scene)
        shows_actions = take is not None and takes.wish_of(take).asks_actions
        stand = protocol.Stand(asked.footages, path, frame, folder, library=asked.library, actions=shows_actions)
        found = yield Ask("ways_out", stand, "Other Cuts")
        ways().show(target, at, found.ways)


def _fill(
    target: SceneRef, uid: str, path: dict[str, Any], ids: Sequence[int], title: str, *, changed: bool = False
) -> Verb:
    """Fill transitions, each shown when it is there; the job's end, however it ends, makes one undo step.

    With `changed` the step holds what was done to the take right before, too.
    """
    scene = _scene(target)
    take = takes.find(scene, uid)
    if take is None:
        raise UserError("The take is not there any more.", "Undo what removed it, or press Suggest.")
    by_id = {one["id"]: one for one in path["transitions"]}
    wanted = tuple(number for number in ids if not by_id[number]["pinned"])
    folder = paths.take_folder(scene, take.vmg.number)
    if not wanted and not changed:
        raise UserError("These transitions are pinned.", "Take the pins off to generate them anew.")
    lost: list[dict[str, Any]] = []

    def show(event: protocol.Filled | protocol.Preview) -> None:
        nonlocal changed
        if isinstance(event, protocol.Preview):
            picture().show(event.id, Path(event.file))
            return
        picture().clear()
        made = {"engine": event.engine, "hash": event.hash, "frames_dir": event.frames_dir}
        transition = {**by_id[event.id], **made}
        scene = target.find()
        try:
            if scene is None:
                lost.append(transition)
            elif takes.fill_transition(scene, uid, transition):
                changed = True
        except (TakeLost, UserError):  # gone, or in the middle of an edit: the others go on
            lost.append(transition)

    def insert(scene: bpy.types.Scene) -> Iterator[None]:
        for transition in lost:
            takes.fill_transition(scene, uid, transition)
            yield

    request = protocol.Fill(path, wanted, hardware.engine_choice(scene), str(folder), paths.library_folder())
    try:
        yield Ask("fill", request, title, show)
    finally:
        picture().clear()
        scene = target.find()
        if changed and scene and takes.find(scene, uid):  # a step after undo would take redo away
            apply_result(title)
    if lost:
        yield from workflow().arrive(target, f"{len(lost)} transitions", insert)


def _make_showable(target: SceneRef) -> Verb:
    """Find out what footage is not known yet, and copy that of which Blender does not show frame k as frame k."""
    if any(not row.frames for row in _scene(target).vmg.footages):
        yield from _describe(target)
    for request in footages.to_conform(_scene(target)):
        yield Ask("conform", request, f"Copy {bpy.path.basename(request.footage.path)}")


def _note(target: SceneRef, asked: protocol.Footages, found: protocol.Descriptions) -> None:
    """Write down what footages are; where the scene is gone there is nobody to tell, and the library has it."""
    if scene := target.find():
        footages.note(scene, asked, found)


def _run(scene: bpy.types.Scene, verb: Callable[[SceneRef], Verb]) -> Job:
    footages.look_for_files()
    takes.renew(scene)
    return workflow().run(scene, verb)


def _scene(target: SceneRef) -> bpy.types.Scene:
    scene = target.find()
    if scene is None:
        raise UserError(f"The scene {target.name} is gone.", "Start again in the scene that you work in.")
    return scene


def _active(scene: bpy.types.Scene) -> bpy.types.MetaStrip:
    take = overview.active_take(scene)
    if take is None:
        raise UserError("There is no active take.", "Press Suggest, or choose a take in the list.")
    return take


def _play(scene: bpy.types.Scene, start: int) -> None:
    """Play from `start` on, with the sound, where there is a window."""
    scene.frame_set(start)
    if bpy.app.background:
        return
    with compat.editor_override(bpy.context, scene):
        if not bpy.context.screen.is_animation_playing:
            bpy.ops.screen.animation_play()


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def _after_load(*_: object) -> None:
    footages.look_for_files()


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def _after_save(*_: object) -> None:
    """After the first save frames are kept beside the file; it is saved once more, to name them there."""
    moved = [takes.adopt_files(scene) for scene in bpy.data.scenes]
    if problem := next((problem for _, problem in moved if problem), None):
        session().failure = Failure.of(problem)
    if any(adopted for adopted, _ in moved):
        bpy.ops.wm.save_mainfile()


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def _before_save(target: str, *_: object) -> None:
    footages.move_with_file(_folder(bpy.data.filepath), _folder(target))


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def _after_other_save(target: str, *_: object) -> None:
    """After a copy was saved, or nothing: this file is still where it was."""
    footages.move_with_file(_folder(target), _folder(bpy.data.filepath))


def _folder(file: str) -> str:
    return str(Path(file).parent) if file else ""


_SAVING = (
    (bpy.app.handlers.save_pre, _before_save),
    (bpy.app.handlers.save_post, _after_other_save),
    (bpy.app.handlers.save_post, _after_save),
    (bpy.app.handlers.save_post_fail, _after_other_save),
)


def register() -> None:
    """Begin."""
    _workflow.append(Workflow())
    bpy.app.handlers.load_post.append(_after_load)
    for handlers, handler in _SAVING:
        handlers.append(handler)


def unregister() -> None:
    """Forget what waits."""
    for handlers, handler in _SAVING:
        handlers.remove(handler)
    bpy.app.handlers.load_post.remove(_after_load)
    _workflow.pop().close()
