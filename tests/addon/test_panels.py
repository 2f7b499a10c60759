"""Every panel, list and menu entry is drawn in every state, by a layout that accepts only what Blender's would."""

import dataclasses
import importlib
import json
from functools import partial
from types import SimpleNamespace

import pytest

PATH = '{"footages": {}, "costs": {}}'


class Layout:
    """Records what is drawn; names of icons, operators and properties must exist."""

    def __init__(self, bpy, words=None):
        self._bpy = bpy
        self.words = [] if words is None else words
        self._icons = bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items
        self.enabled = self.active = self.alert = True
        self.use_property_split = self.use_property_decorate = True
        self.operator_context = "INVOKE_DEFAULT"
        self.scale_x = self.scale_y = self.ui_units_x = 1.0
        self.alignment = "EXPAND"

    def _say(self, text, icon="NONE"):
        assert icon in self._icons, icon
        assert isinstance(text, str)
        if text:
            self.words.append(text)

    def _inner(self, **_):
        return Layout(self._bpy, self.words)

    row = column = box = split = grid_flow = _inner

    def panel(self, idname, default_closed=False):
        self._say("", "NONE")
        return self._inner(), self._inner()

    def separator(self, factor=1.0):
        pass

    def label(self, *, text="", icon="NONE"):
        self._say(text, icon)

    def operator(self, idname, *, text=None, icon="NONE", emboss=True, depress=False):
        group, _, name = idname.partition(".")
        rna = getattr(getattr(self._bpy.ops, group), name).get_rna_type()  # raises for an unknown one
        self._say(rna.name if text is None else text, icon)
        self.words.append(f"[{idname}]")
        return _Properties(rna)

    def prop(self, data, name, *, text=None, icon="NONE", **_):
        assert name in data.bl_rna.properties, f"{data.bl_rna.identifier}.{name}"
        self._say(data.bl_rna.properties[name].name if text is None else text, icon)
        if not self.active:
            self.words.append(f"(grey {name})")

    def prop_search(self, data, name, search_data, search_property, *, text=None, icon="NONE"):
        self.prop(data, name, text=text, icon=icon)
        assert search_property in search_data.bl_rna.properties

    def progress(self, *, text="", factor=0.0, type="BAR"):  # noqa: A002 - Blender's name
        assert 0.0 <= factor <= 1.0
        self._say(text)

    def template_icon(self, icon_value, scale=1.0):
        assert isinstance(icon_value, int)
        assert scale > 0
        self.words.append("[picture]")

    def menu(self, idname, *, text=None, icon="NONE"):
        menu = getattr(self._bpy.types, idname)
        self._say(menu.bl_label if text is None else text, icon)

    def popover(self, panel, *, text="", icon="NONE"):
        assert hasattr(self._bpy.types, panel)
        self._say(text, icon)

    def template_list(self, kind, list_id, data, name, active_data, active_name, **_):
        assert active_name in active_data.bl_rna.properties
        assert name in data.bl_rna.properties
        drawer = getattr(self._bpy.types, kind)
        items = getattr(data, name)
        shown = [True] * len(items)
        if hasattr(drawer, "filter_items"):
            fake = SimpleNamespace(bitflag_filter_item=1, filter_name="", role=getattr(drawer, "role", None))
            flags, order = drawer.filter_items(fake, self._bpy.context, data, name)
            assert len(flags) in (0, len(items))
            assert sorted(order) in ([], list(range(len(items))))
            shown = [bool(flag) for flag in flags] or shown
        for item, visible in zip(items, shown, strict=True):
            if visible:
                fake = SimpleNamespace(layout_type="DEFAULT")
                if row := getattr(drawer, "draw_row", None):
                    fake.draw_row = partial(row, fake)
                drawer.draw_item(fake, self._bpy.context, self._inner(), data, item, 0, active_data, active_name, 0)


class _Properties:
    """What `layout.operator` gives: only the operator's properties can be set."""

    def __init__(self, rna):
        object.__setattr__(self, "_rna", rna)

    def __setattr__(self, name, value):
        assert name in self._rna.properties, f"{self._rna.identifier}.{name}"


@pytest.fixture
def draw(bpy, enabled):
    """Draws all that is ours; gives what is written there."""
    panels = [kind for name in dir(bpy.types) if name.startswith("VMG_PT_") for kind in [getattr(bpy.types, name)]]
    menus = importlib.import_module(f"{enabled.__name__}.ui.menus")
    status = importlib.import_module(f"{enabled.__name__}.ui.status")
    functions = [menus._add, menus._strip, menus._context, status._header, bpy.types.VMG_MT_strip.draw]

    def all_words():
        words = []
        for panel in panels:
            if panel.poll(bpy.context):
                fake = SimpleNamespace(layout=Layout(bpy, words), show=None)
                fake.show = panel.show.__get__(fake)
                for name in vars(panel):
                    if name.startswith("_show"):
                        setattr(fake, name, getattr(panel, name).__get__(fake))
                panel.draw(fake, bpy.context)
        for function in functions:
            function(SimpleNamespace(layout=Layout(bpy, words)), bpy.context)
        return words

    return all_words


@pytest.fixture
def film(bpy, scene, addon, coded_movie):
    """A footage in the scene, with its row."""
    addon("timeline.material").add_footage(scene, coded_movie(24), 1)
    addon("timeline.reading").sync_footages(scene)
    return scene.vmg.footages[0]


def known(row):
    row.footage, row.fps, row.frames, row.width, row.height = "f" * 64, "24/1", 60, 64, 64


@pytest.fixture
def state(addon, monkeypatch):
    """Sets how the backend stands."""
    environment, installation = addon("environment"), addon("installation")

    def put(name):
        monkeypatch.setattr(installation, "status", lambda: environment.Status(environment.State[name]))

    put("READY")
    return put


def test_the_recorder_refuses_what_blender_would(bpy, enabled):
    layout = Layout(bpy)
    with pytest.raises(AssertionError):
        layout.label(text="x", icon="NO_SUCH_ICON")
    with pytest.raises((AttributeError, KeyError)):
        layout.operator("vmg.no_such_operator")
    with pytest.raises(AssertionError):
        layout.operator("vmg.key_jump").no_such_property = 1
    with pytest.raises(AssertionError):
        layout.prop(bpy.context.scene, "no_such_property")


def test_an_empty_scene_says_what_comes_first(draw, scene, state):
    words = draw()
    assert "No music, nor speech: choose another length" in words
    for hint in ("Add footage of one person", "Choose music in Setup first", "Suggest makes the first take"):
        assert any(hint in word for word in words), hint
    assert "[vmg.sample_load]" in words


@pytest.mark.parametrize(
    ("name", "button"),
    [
        ("ABSENT", "[vmg.environment_set_up]"),
        ("INCOMPLETE", "[vmg.environment_set_up]"),
        ("OUTDATED", "[vmg.environment_set_up]"),
        ("BROKEN", "[vmg.environment_repair]"),
        ("FOREIGN", "[vmg.preferences_show]"),
    ],
)
def test_a_backend_that_is_not_ready_has_its_button(draw, scene, state, name, button):
    assert button not in draw()
    state(name)
    assert button in draw()


def test_what_stands_against_a_take_has_its_button(draw, scene, state, film):
    known(film)
    scene.render.fps = 30
    words = draw()
    assert "[vmg.scene_match]" in words
    assert "[vmg.analyze]" in words
    assert "Not analyzed" in words
    scene.render.fps = 24
    film.analyzed, film.frames_without_person, film.exact, film.damaged = True, 3, False, "It ends early."
    words = draw()
    assert "[vmg.scene_match]" not in words
    assert "[vmg.analyze]" not in words
    for said in ("Analyzed", "3 frames show nobody", "It ends early."):
        assert said in words
    film.missing = True
    words = draw()
    assert "Missing" in words
    assert "[vmg.footage_locate]" in words


def test_a_running_job_shows_how_far_it_is(bpy, draw, scene, state):
    shown = bpy.context.window_manager.vmg
    shown.running, shown.title, shown.stage, shown.fraction, shown.seconds_left = True, "Suggest", "Search", 0.4, 200.0
    words = draw()
    assert "Search, 3 min left" in words
    assert "[vmg.job_cancel]" in words
    shown.running = False
    assert "[vmg.job_cancel]" not in draw()


def test_a_failure_shows_its_remedy_as_a_button(bpy, draw, scene, state):
    shown = bpy.context.window_manager.vmg
    shown.failure_title, shown.failure_message = "Disk full", "The disk is full while writing 0003.png."
    shown.failure_remedy, shown.failure_action, shown.failure_log = "Free some.", "vmg.environment_repair", "/x.log"
    words = draw()
    assert {"Disk full", "Free some.", "[vmg.environment_repair]", "[vmg.show_log]"} <= set(words)
    shown.failure_title = shown.failure_message = shown.failure_remedy = shown.failure_action = shown.failure_log = ""
    assert "[vmg.show_log]" not in draw()


def test_a_waiting_result_can_be_inserted(draw, scene, state, addon):
    workflow = addon("workflow")
    addon("jobs").workflow().waiting.append(workflow.Waiting("Suggest Take", lambda _: iter(())))
    words = draw()
    assert "Result ready: Suggest Take" in words
    assert "[vmg.insert_waiting]" in words
    addon("jobs").workflow().waiting.clear()


def test_keyframes_are_listed_with_time_and_source(draw, scene, state, film, addon):
    addon("timeline.keys").add_key(scene, 25)
    words = draw()
    assert "0:01.00" in words
    assert "frame 24, 12 frames" in words


def test_what_a_keyframe_means_is_chosen_with_what_belongs_to_it(draw, scene, state, film, addon):
    key = addon("timeline.keys").add_key(scene, 25)
    assert "Mode" not in draw()
    scene.vmg.key_index = list(addon("compat").strips(scene.sequence_editor)).index(key)
    details = {}
    for mode in ("hard", "soft", "pose", "footage", "avoid"):
        key.vmg.mode = mode
        words = draw()
        assert "Mode" in words
        details[mode] = {"Tolerance", "Edited Picture"} & set(words)
    assert details == {
        "hard": {"Edited Picture"}, "soft": {"Tolerance"}, "pose": {"Tolerance"}, "footage": set(), "avoid": set()
    }  # fmt: skip
    assert "Avoid: frame 24, 12 frames" in words


def test_a_keyframe_of_a_video_that_is_no_footage_says_what_it_can_be(draw, scene, state, film, addon):
    key = addon("timeline.keys").add_key(scene, 25)
    scene.vmg.key_index = list(addon("compat").strips(scene.sequence_editor)).index(key)
    scene.vmg.footages.clear()
    key.vmg.footage, told = "", "Of a video that is no footage only Pose can be asked"
    assert told in draw()
    key.vmg.mode = "pose"
    words = draw()
    assert told not in words
    assert "Pose: frame 24, 12 frames" in words
    key.vmg.source_frames = 0
    assert "Pose: 12 frames" in draw()


def test_actions_and_labels_are_listed_apart_with_time_and_length(draw, scene, state, film, addon):
    words = draw()
    assert {"Optional: what the person should do, and when", "Say which action your footage shows"} <= set(words)
    film.tag = "wave"
    assert "By the files' names: wave" in draw()
    actions = addon("timeline.actions")
    actions.add_action(scene, 25, "turn")
    words = draw()
    assert ("0:01.00" in words, "2.0 s" in words, words.count("[vmg.strip_show]")) == (True, True, 1)
    assert "[vmg.strip_remove]" not in words
    strips = addon("compat").strips(scene.sequence_editor)
    scene.vmg.action_index = next(number for number, strip in enumerate(strips) if strip.vmg.role == "ACTION")
    assert draw().count("[vmg.strip_remove]") == 1
    scene.vmg.action_index = -1
    actions.label_footage(scene, addon("timeline.reading").footage(scene), "wave")
    words = draw()
    assert ("2.5 s" in words, words.count("[vmg.strip_show]")) == (True, 2)
    assert "Optional: what the person should do, and when" not in words


def test_weights_that_weigh_nothing_now_are_grey(draw, scene, state, film, addon):
    def grey():
        return {word[len("(grey weight_") : -1] for word in draw() if word.startswith("(grey weight_")}

    assert grey() == {"beats", "accents", "music", "tags", "text", "speech"}
    scene.timeline_markers.new("mine", frame=33)
    assert grey() == {"music", "tags", "text", "speech"}
    scene.vmg.text = " "
    addon("timeline.actions").add_action(scene, 25, "turn")
    assert grey() == {"music", "text", "speech"}
    scene.vmg.text = "turn"
    assert grey() == {"music", "speech"}
    assert "Grey: nothing here asks for it" in draw()


@pytest.fixture
def explained(scene, state, addon):
    """A take of 60 frames from frame 1 on, which says why it is as it is."""
    compat = addon("compat")
    take = compat.new_meta(scene.sequence_editor, "VMG Take 001", 5, 1)
    compat.set_visible(take, 1, 61)
    take.vmg.role, take.vmg.uid, take.vmg.complete = "TAKE", "aa", True
    scene.vmg.active_take = "aa"
    ends = {"from": {"footage": "f", "frame": 1}, "to": {"footage": "f", "frame": 312}}
    other = {"dearer": 0.18, "costs": {"cuts": -0.12, "beats": 0.3, "tags": 0.001}, "cuts": [{"at": 36, **ends}]}
    others = {**other, "costs": {}, "cuts": [{"at": at, **ends} for at in (48, 50, 52, 54)]}
    cuts = [{"at": 30, "costs": {"cuts": 0.25}, "runner_up": other}, {"at": 48, "costs": {}, "runner_up": None}]
    cuts.append({"at": 54, "costs": {}, "runner_up": others})
    seconds = [{"at": at, "costs": {"beats": 0.5}} for at in (0, 24, 48)]
    path = {"footages": {"f": {"name": "a.mp4"}}, "costs": {"cuts": 0.25, "beats": 1.5}}
    take.vmg.path = json.dumps({**path, "explanation": {"seconds": seconds, "cuts": cuts}})
    return path


def test_a_take_says_why_it_is_as_it_is(draw, scene, explained):
    def words(frame):
        scene.frame_set(frame)
        return draw()

    assert {"Costs", "Cuts", "0.25", "Beats", "1.50", "0.50"} <= set(words(1))
    said = " ".join(words(26))
    assert "Next cut at 0:01.25. The best other cut, to a.mp4 frame 312 at 0:01.50, costs 0.18 more" in said
    assert "(beats +0.30, cuts -0.12)." in said
    assert "Next cut at 0:02.00. The search found no take without it." in " ".join(words(32))
    said = " ".join(words(50))
    assert (
        "best other cuts, to a.mp4 frame 312 at 0:02.00, to a.mp4 frame 312 at 0:02.08, and 2 more, cost 0.18 more."
        in said
    )
    assert "Next cut" not in " ".join(words(56))
    outside = words(61)
    assert "1.50" in outside
    assert "0.50" not in outside


def test_a_take_without_an_explanation_still_tells_its_costs(draw, scene, explained, addon):
    addon("overview").active_take(scene).vmg.path = json.dumps(explained)
    words = draw()
    assert {"1.50", "Suggest says more of a new take"} <= set(words)


def test_ways_out_are_pictures_with_a_button_each(draw, scene, explained, addon, tmp_path):
    import numpy as np

    ways, session = addon("ways"), addon("session")
    protocol = importlib.import_module(f"{ways.__package__.rpartition('.')[0]}.vmg_backend.protocol")
    words = draw()
    assert "[vmg.ways_out]" in words
    assert "[picture]" not in words
    files = [tmp_path / f"{number}.npy" for number in range(2)]
    for number, file in enumerate(files):
        np.save(file, np.full((8, 6, 3), number, np.uint8))
    found = [
        protocol.WayOut(after, "/a.mp4", 7, 12, 6, share, str(file))
        for after, share, file in zip((19, 48), (0.6, 1.2), files, strict=True)
    ]
    ways.ways().show(session.SceneRef.of(scene), 25, found)
    words = draw()
    assert {"From 0:01.00", "in 0.8 s, fits 40 %", "in 2.0 s, fits 0 %"} <= set(words)
    assert (words.count("[picture]"), words.count("[vmg.way_take]")) == (2, 2)
    ways.ways().show(session.SceneRef.of(scene), 25, [])
    words = draw()
    assert "From 0:01.00 the footage only plays on" in words
    assert "[picture]" not in words


def test_takes_are_listed_with_their_transitions(bpy, draw, scene, state, film, addon):
    compat = addon("compat")
    editor = scene.sequence_editor
    take = compat.new_meta(editor, "VMG Take 001", 5, 1)
    compat.set_visible(take, 1, 60)
    take.vmg.role, take.vmg.uid, take.vmg.complete, take.vmg.path = "TAKE", "aa", True, PATH
    scene.vmg.active_take = "aa"
    movies = [compat.new_movie(take, "p", film.path, channel, 1) for channel in (1, 2)]
    for index in range(2):
        cross = compat.new_cross(take, "Cross", 3 + index, 10, 20, *movies)
        cross.vmg.role = "CROSS"
    words = draw()
    assert "0/2" in words
    assert "Generate (2)" in words
    take.vmg.wish = json.dumps({"frames": 59, "loop": True})
    assert "0/2, loop" in draw()
    take.vmg.wish = json.dumps({"frames": 70, "loop": True})  # it was trimmed since
    assert "0/2, loop" not in draw()
    cross.vmg.role, cross.vmg.stale, cross.vmg.transition = "TRANSITION", True, 1
    words = draw()
    assert "1/1, 1 stale" in words
    assert "Re-render Stale (1)" in words


@pytest.fixture
def generating(scene, state, addon, monkeypatch):
    """The panels with a take and the engine HMInterp; gives a function that says what was found."""
    compat, hardware, installation = addon("compat"), addon("hardware"), addon("installation")
    protocol = importlib.import_module(f"{hardware.__package__.rpartition('.')[0]}.vmg_backend.protocol")
    take = compat.new_meta(scene.sequence_editor, "VMG Take 001", 5, 1)
    take.vmg.role, take.vmg.uid, take.vmg.complete, take.vmg.path = "TAKE", "aa", True, PATH
    scene.vmg.active_take, scene.vmg.engine = "aa", "hminterp"
    monkeypatch.setattr(installation, "has_hminterp", lambda: True)

    def found(*names, missing=()):
        models = tuple(protocol.ModelHere(name, name, f"{name} is 256 px") for name in names)
        device = protocol.Device("cpu", "CPU", 6_100_000_000, 8_000_000_000)
        hardware._surveys[-1].found = protocol.Hardware(() if missing else (device,), models, "/models", missing)

    yield found
    hardware.forget()


def test_an_engine_with_a_model_shows_what_it_runs_with(draw, scene, generating):
    words = draw()
    assert "Devices and models are not known yet" in words
    assert {"Quality", "[vmg.hardware_look]"} <= set(words)
    generating("ann", "bob")
    words = draw()
    assert {"Model", "Device", "Precision", "CPU: 6.1 of 8.0 GB free", "[vmg.memory_release]"} <= set(words)
    assert "ann is 256 px" not in words
    scene.vmg.model_choice = "ann"
    assert "ann is 256 px" in draw()
    scene.vmg.engine = "flow"
    assert "Quality" not in draw()


def test_models_that_are_not_downloaded_are_named(draw, scene, addon, generating):
    generating("ann")
    scene.vmg.engine = "vace"
    words = draw()
    assert "Quality" in words
    assert not {"Model", "The engine's models are not downloaded"} & set(words)
    hardware = addon("hardware")
    lacking = importlib.import_module(type(hardware.known()).__module__).Lacking("vace", ("wan-vace",))
    hardware._note(dataclasses.replace(hardware.known(), lacking=(lacking,)))
    words = draw()
    assert "The engine's models are not downloaded" in words
    assert "wan-vace" in " ".join(words)


def test_what_an_engine_with_a_model_lacks_is_said_with_a_remedy(bpy, draw, scene, addon, generating, monkeypatch):
    generating()
    words = draw()
    assert "HMInterp has no model yet" in words
    assert "/models" in " ".join(words)
    generating("ann", missing=("torch", "diffusers"))
    words = draw()
    assert "HMInterp is not set up" in words
    assert "[vmg.hminterp_set_up]" in words
    assert "2.8 GB" in " ".join(words)
    assert "Device" not in words
    monkeypatch.setattr(addon("paths"), "existing_python", lambda: "/somewhere/python")
    words = draw()
    assert "[vmg.hminterp_set_up]" not in words
    assert "torch, diffusers" in " ".join(words)


def test_what_is_becoming_is_drawn(draw, addon, generating, tmp_path):
    import numpy as np

    np.save(tmp_path / "a.npy", np.zeros((8, 8, 3), np.uint8))
    assert "[picture]" not in draw()
    picture = addon("picture").picture()
    picture.show(2, tmp_path / "a.npy")
    words = draw()
    assert {"[picture]", "Transition 3, its middle frame"} <= set(words)
    picture.clear()
    assert "[picture]" not in draw()


@pytest.fixture
def training(addon, generating):
    """The training, with HMInterp and a model."""
    generating("ann")
    ours = addon("training").training()
    yield ours
    ours.running = None
    ours.clear()


def test_a_training_shows_how_it_goes_and_can_be_paused(bpy, draw, addon, training, monkeypatch):
    hardware = addon("hardware")
    protocol = importlib.import_module(type(hardware.known()).__module__)
    with monkeypatch.context() as patched:
        patched.setattr(addon("training"), "waiting", lambda: "Looking for devices")
        assert "Looking for devices..." in draw()
    words = draw()
    assert "[vmg.train_plan]" in words
    assert not {"Looking for devices...", "[picture]"} & set(words)
    asked = protocol.Train("Mia", ())
    training.running, training.name = asked, "Mia"
    training.hear(protocol.Learned(1, "seed", 30, 40, 0.5, ((0, 0.1, 0.4), (1, 0.5, 0.2)), ((0.5, 21.0),)))
    hardware.note_runs((protocol.StoppedRun(asked, 0.2), protocol.StoppedRun(protocol.Train("Bob", ()), 0.34)))
    shown = bpy.context.window_manager.vmg
    shown.running, shown.title, shown.stage, shown.fraction, shown.seconds_left = True, "Train Mia", "Seed", 0.4, 200.0
    words = draw()
    shown.running = False
    assert {"Train Mia", "Seed, 3 min left", "[vmg.train_pause]", "[vmg.train_drop]", "[picture]"} <= set(words)
    assert {"seed: step 30 of 40", "Loss (blue): 0.2", "Near the person (orange): 21.0 dB"} <= set(words)
    assert {"Bob: 34%", "[vmg.train_resume]"} <= set(words)
    assert not {"Mia: 20%", "[vmg.job_cancel]", "[vmg.train_plan]"} & set(words)

    training.running, training.said = None, "Mia wins."
    words = draw()
    assert {"Mia: 20%", "Mia wins.", "[vmg.train_dismiss]", "[vmg.train_plan]"} <= set(words)
    assert "[vmg.train_pause]" not in words


def test_drawing_changes_nothing(bpy, draw, scene, state, film, addon, monkeypatch):
    known(film)
    addon("timeline.keys").add_key(scene, 25)

    def everything():
        found = [
            strip.vmg.uid + strip.vmg.role + strip.name for strip in addon("compat").all_strips(scene.sequence_editor)
        ]
        return found, [row.path for row in scene.vmg.footages], scene.frame_current

    before = everything()
    monkeypatch.setattr("builtins.open", None)
    draw()
    assert everything() == before


def test_long_sentences_are_broken(enabled):
    wrapped = importlib.import_module(f"{enabled.__name__}.ui.status").wrapped
    lines = wrapped("one two three four five six seven eight nine ten eleven", width=20)
    assert " ".join(lines) == "one two three four five six seven eight nine ten eleven"
    assert max(map(len, lines)) <= 20
