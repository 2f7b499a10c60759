"""The four property groups: what the person set, what a strip is to us, what a marker is, what runs.

The first three are saved with the file and undone; the fourth never is: its values live only in memory.
"""

# mypy: disable-error-code="valid-type"

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    IntVectorProperty,
    PointerProperty,
    StringProperty,
)

from . import hardware
from .compat import FILE_OPTIONS, StripType

ROLES = (
    *("NONE", "FOOTAGE", "MUSIC", "KEY", "TAKE", "PIECE", "CROSS", "TRANSITION"),
    *("SPEECH", "ACTION", "LABEL"),  # files keep the place in this list
)
MODES = (
    ("hard", "Exact", "These frames are shown at this time, untouched"),
    ("soft", "Alike", "Frames like these at this time: place, pose and motion"),
    ("pose", "Pose", "The person is posed as here at this time, wherever they are; the strip may show any other video"),
    ("footage", "Footage", "Any frames of this footage, for as long as the strip is"),
    ("avoid", "Avoid", "These frames are shown nowhere in a take that the strip meets in time"),
)
"""What a keyframe asks for, in the protocol's words; new ones at the end, since files keep the place in this list."""
ENGINES = (
    ("flow", "Flow", "A moving morph of the two real continuations"),
    ("fade", "Fade", "A cross fade of the two real continuations"),
    ("hminterp", "HMInterp", "A diffusion model that knows the person draws the frames along a generated motion"),
    ("vace", "VACE", "A public video model, Wan2.1-VACE, draws anybody; for strong graphics cards"),
    ("sparsectrl", "SparseCtrl", "Public picture models, AnimateDiff and others, draw anybody"),
)
QUALITIES = (
    ("final", "Final", "As many steps as the model wants"),
    ("draft", "Draft", "Few steps: quick, and enough to see how the person moves"),
)


class FootageRow(bpy.types.PropertyGroup):
    """What is known about one video file that the scene uses as footage."""

    path: StringProperty(name="File", description="The video, as its strips name it")
    footage: StringProperty(name="Hash", description="Hash of the file's content; empty until it was looked at")
    fps: StringProperty(name="Frame rate", description="The file's own rate as a fraction")
    width: IntProperty(name="Width", description="Width of the picture", subtype="PIXEL")
    height: IntProperty(name="Height", description="Height of the picture", subtype="PIXEL")
    frames: IntProperty(name="Frames", description="Number of frames, by decoding")
    exact: BoolProperty(
        name="Exact", description="Blender shows frame k of the file as frame k; else takes use a copy", default=True
    )
    analyzed: BoolProperty(name="Analyzed", description="The person's motion in this footage is known")
    frames_without_person: IntProperty(
        name="Frames without a person", description="-1 until the footage was analyzed", default=-1
    )
    tag: StringProperty(name="Action", description="The action that the file's name tells")
    poses: StringProperty(
        name="Poses", description="Where they lie and how they are drawn, as JSON; empty until analyzed"
    )
    missing: BoolProperty(name="Missing", description="The file is not where it was")
    damaged: StringProperty(name="Damage", description="What is wrong with the file, if anything")
    use_scene_rate: BoolProperty(
        name="Motion Has the Scene's Rate",
        description="The file's own frame rate is wrong: take each frame as one of the scene's",
    )


class ModelFolder(bpy.types.PropertyGroup):
    """A model of the person's that lies elsewhere than in the folder of models."""

    path: StringProperty(name="Folder", description="Where it lies", subtype="DIR_PATH")


def _model_items(self: bpy.types.PropertyGroup, _context: bpy.types.Context) -> list[hardware.MenuItem]:
    return hardware.items(hardware.model_choices(self.model))


def _model_place(self: bpy.types.PropertyGroup) -> int:
    return hardware.place(hardware.model_choices(self.model), self.model)


def _choose_model(self: bpy.types.PropertyGroup, number: int) -> None:
    self.model = hardware.model_choices(self.model)[number][0]


def _other_model(_self: bpy.types.PropertyGroup, _context: bpy.types.Context) -> None:
    hardware.outdate()


def _weight(name: str, default: float, description: str) -> Any:  # noqa: ANN401 - bpy has no types
    return FloatProperty(name=name, description=description, default=default, min=0.0, soft_max=4.0)


class SceneProperties(bpy.types.PropertyGroup):
    """The settings of the panels."""

    length_mode: EnumProperty(
        name="Length",
        description="How long a new take is",
        items=(
            ("MUSIC", "Music", "From the start of the music to its end"),
            ("RANGE", "Range", "The preview range where one is set, else the scene's frames"),
            ("SECONDS", "Seconds", "From the start of the range, so many seconds"),
        ),
    )
    seconds: FloatProperty(
        name="Seconds",
        description="Length of a new take",
        default=10.0,
        min=0.5,
        soft_max=300.0,
        subtype="TIME_ABSOLUTE",
    )
    engine: EnumProperty(name="Engine", description="What fills the transitions", items=ENGINES)
    quality: EnumProperty(name="Quality", description="How carefully HMInterp works", items=QUALITIES)
    model: StringProperty(
        name="Model name",
        description="Name or folder of HMInterp's model; empty for the only one that is there",
        update=_other_model,
    )
    model_choice: EnumProperty(  # a way to choose: what is chosen is kept by its name
        name="Model",
        description="HMInterp's model",
        items=_model_items,
        get=_model_place,
        set=_choose_model,
    )
    seed: IntProperty(name="Seed", description="Another number gives another take", min=0)
    hold_seconds: FloatProperty(
        name="Shortest Hold",
        description="At least this many seconds between two cuts",
        default=0.5,
        min=0.0,
        soft_max=5.0,
        subtype="TIME_ABSOLUTE",
    )
    cut_price: FloatProperty(
        name="Cut Price", description="Dearer cuts are fewer, and fit better", default=0.1, min=0.0, soft_max=2.0
    )
    reuse_seconds: FloatProperty(
        name="No Repeat",
        description="No source frame is shown again within this many seconds; 0 for what the footage allows",
        min=0.0,
        soft_max=60.0,
        subtype="TIME_ABSOLUTE",
    )
    longest_seconds: FloatProperty(
        name="Longest Hold",
        description="At most this many seconds between two cuts; 0 for no limit",
        min=0.0,
        soft_max=60.0,
        subtype="TIME_ABSOLUTE",
    )
    loop: BoolProperty(name="Loop", description="The first frame of a new take follows its last one")
    takes_wanted: IntProperty(
        name="Takes at Once",
        description="How many takes Suggest makes, which differ visibly; the best one is shown",
        default=1,
        min=1,
        max=8,
    )
    text: StringProperty(
        name="Text",
        description="What the person does, in words, for the whole take: “wave for 2 seconds, then turn”",
    )
    weight_beats: _weight(
        "Beats", 1.0, "What it is worth that a movement ends on a beat and not far from any; the measure of all others"
    )
    weight_accents: _weight(
        "Accents", 0.0, "What it is worth that a sharp stop is on a strong beat and not on a weak one"
    )
    weight_music: _weight(
        "Music",
        0.0,
        "What a second costs in which the person moves as little as the music is loud, or the other way round",
    )
    weight_tags: _weight(
        "Actions", 1.0, "At 1, a second of another action than the wanted one costs as much as 20 missed beats"
    )
    weight_text: _weight(
        "Text", 1.0, "At 1, a second of another action than the text says costs as much as 20 missed beats"
    )
    weight_speech: _weight(
        "Speech",
        1.0,
        "What it is worth that hands strike with a stressed syllable; moving for half a second of a pause "
        "costs as much",
    )
    play_after_suggest: BoolProperty(
        name="Play After Suggest", description="Play a new take as soon as it is there", default=True
    )
    density: EnumProperty(
        name="Density",
        description="Which of the beats that are found become markers",
        items=(
            ("ALL", "All Beats", "Each beat"),
            ("SECOND", "Every Second", "Each second beat, the first of each bar among them"),
            ("BARS", "Bars", "The first beat of each bar"),
            ("ONSETS", "Beats and Onsets", "Each beat, and where notes begin in between"),
        ),
    )
    footages: CollectionProperty(type=FootageRow, name="Footage", description="One row for each file")
    footage_index: IntProperty(name="Active footage", description="The selected row", options={"HIDDEN"})
    key_index: IntProperty(name="Active keyframe", description="The selected row", options={"HIDDEN"})
    action_index: IntProperty(name="Active action", description="The selected row", options={"HIDDEN"})
    label_index: IntProperty(name="Active label", description="The selected row", options={"HIDDEN"})
    take_index: IntProperty(name="Active take", description="The selected row", options={"HIDDEN"})
    active_take: StringProperty(name="Active take", description="The take that the panels work on", options={"HIDDEN"})
    looping: BoolProperty(name="Looping", description="Play Cut has set the preview range", options={"HIDDEN"})
    preview_range: IntVectorProperty(
        name="Preview range",
        description="What it was before Play Cut: whether it was used, first and last frame",
        size=3,
        options={"HIDDEN"},
    )
    takes_made: IntProperty(name="Takes made", description="The number of the newest take", options={"HIDDEN"})


class StripProperties(bpy.types.PropertyGroup):
    """What a strip is to us."""

    role: EnumProperty(
        name="Role",
        description="What the strip is to Video Motion Graphs",
        items=[(role, role.title(), "") for role in ROLES],
    )
    mode: EnumProperty(name="Mode", description="What is wanted of the keyframe's frames", items=MODES)
    tolerance: FloatProperty(
        name="Tolerance",
        description="How far from these frames at most, as a share of what a cut may jump; "
        "0: there is no limit, but the farther the dearer",
        min=0.0,
        soft_max=2.0,
    )
    image: StringProperty(
        name="Edited Picture",
        description="An edited copy of the keyframe's first frame, to which the transition before it leads; "
        "Flow and Fade leave room for it but do not show it, the other engines draw towards it",
        subtype="FILE_PATH",
        options=FILE_OPTIONS,
    )
    found: StringProperty(name="Found as", description="What Find Actions called it; another text is the person's")
    uid: StringProperty(name="Id", description="Names the strip; no two have the same")
    take: StringProperty(name="Take", description="Id of the take that the strip belongs to")
    footage: StringProperty(name="Footage", description="Hash of the content of the strip's file")
    source_frames: IntProperty(name="Frames of the file", description="As Blender counts them; 0 until measured")
    source_rate: FloatProperty(name="Rate of the file", description="As Blender reads it; 0 until measured")
    transition: IntProperty(name="Transition", description="Its number in the take", default=-1)
    engine: StringProperty(name="Engine", description="What made the transition's frames")
    hash: StringProperty(name="Hash", description="Hash of all that decides the transition's pixels")
    made_for: StringProperty(name="Made for", description="The transition that the frames were made for, as JSON")
    pinned: BoolProperty(name="Pin", description="Keep these frames, even where the take changes around them")
    stale: BoolProperty(name="Stale", description="What the frames were made for has changed since")
    number: IntProperty(name="Number", description="The take's number")
    path: StringProperty(name="Path", description="The take's path, as JSON")
    wish: StringProperty(name="Wish", description="What the take was made for, as JSON")
    seen: StringProperty(name="Seen", description="What other versions of the take's parts showed, as JSON")
    complete: BoolProperty(name="Complete", description="All of the take's strips have been made")


class MarkerProperties(bpy.types.PropertyGroup):
    """What a timeline marker is."""

    detected: BoolProperty(name="Detected", description="The marker was found in the music, not made by hand")
    kind: EnumProperty(
        name="Kind",
        description="What is heard there",
        items=(
            ("MARK", "Mark", "Something that the person marked"),
            ("BEAT", "Beat", "A beat"),
            ("BAR", "Bar", "The first beat of a bar"),
            ("ONSET", "Onset", "The beginning of a note between beats"),
        ),
    )
    strength: FloatProperty(name="Strength", description="How clearly it is heard", default=1.0, min=0.0, max=1.0)


def _volatile(default: Any) -> dict[str, Any]:  # noqa: ANN401
    """Accessors of a value that is neither saved nor undone."""
    values: list[Any] = [default]

    def read(_self: bpy.types.PropertyGroup) -> Any:  # noqa: ANN401
        return values[0]

    def write(_self: bpy.types.PropertyGroup, value: Any) -> None:  # noqa: ANN401
        values[0] = value

    return {"get": read, "set": write, "options": {"SKIP_SAVE"}}


class WindowManagerProperties(bpy.types.PropertyGroup):
    """The running job and the last failure, as the panels show them."""

    running: BoolProperty(name="Running", description="A job runs", **_volatile(False))
    title: StringProperty(name="Job", description="What runs", **_volatile(""))
    stage: StringProperty(name="Stage", description="What it is doing", **_volatile(""))
    fraction: FloatProperty(name="Done", description="How far it is", min=0.0, max=1.0, **_volatile(0.0))
    seconds_left: FloatProperty(name="Time left", description="In seconds; -1 if unknown", **_volatile(-1.0))
    failure_title: StringProperty(name="Failure", description="What went wrong", **_volatile(""))
    failure_message: StringProperty(name="Message", description="Why", **_volatile(""))
    failure_remedy: StringProperty(name="Remedy", description="What to do about it", **_volatile(""))
    failure_action: StringProperty(name="Action", description="Operator that does it, if one can", **_volatile(""))
    failure_log: StringProperty(name="Log", description="Path of the log", **_volatile(""))
    backend: StringProperty(name="Backend", description="Its state, in a sentence", **_volatile(""))
    held: StringProperty(name="Held", description="The engine whose model is in the memory", **_volatile(""))
    asking: BoolProperty(name="Asking", description="Devices and models are being looked for", **_volatile(False))
    waiting: StringProperty(name="Waiting", description="A result that is ready to be inserted", **_volatile(""))


_GROUPS = (FootageRow, ModelFolder, SceneProperties, StripProperties, MarkerProperties, WindowManagerProperties)
_POINTERS = (
    (bpy.types.Scene, SceneProperties),
    (StripType, StripProperties),
    (bpy.types.TimelineMarker, MarkerProperties),
    (bpy.types.WindowManager, WindowManagerProperties),
)


def register() -> None:
    """Add the groups to Blender's types."""
    for group in _GROUPS:
        bpy.utils.register_class(group)
    for owner, group in _POINTERS:
        owner.vmg = PointerProperty(type=group)


def unregister() -> None:
    """Take them away; what a file holds of them stays in the file."""
    for owner, _group in reversed(_POINTERS):
        del owner.vmg
    for group in reversed(_GROUPS):
        bpy.utils.unregister_class(group)
