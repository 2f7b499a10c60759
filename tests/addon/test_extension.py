"""The installed extension in a real Blender: it registers, and leaves nothing behind."""

import importlib
import importlib.util
import sys

import pytest

BACKEND_ONLY = ("av", "cv2", "librosa", "mediapipe", "scipy", "soundfile", "vmg_backend")


@pytest.mark.parametrize("name", BACKEND_ONLY)
def test_the_environment_has_nothing_of_the_backend(name):
    assert importlib.util.find_spec(name) is None


def test_the_panel_is_in_the_sequencers_sidebar(bpy, enabled):
    panel = bpy.types.VMG_PT_setup
    assert (panel.bl_space_type, panel.bl_region_type, panel.bl_category) == ("SEQUENCE_EDITOR", "UI", "Motion Graph")


def test_disabling_leaves_nothing_registered(bpy, installed):
    import addon_utils

    def ours():
        names = {name for name in dir(bpy.types) if "vmg" in name.lower() or "motion_graph" in name.lower()}
        for owner in (bpy.types.Scene, bpy.types.WindowManager, bpy.types.TimelineMarker):
            names |= {f"{owner.__name__}.{name}" for name in owner.bl_rna.properties.keys() if "vmg" in name}  # noqa: SIM118
        return names

    assert ours() == set()
    for _ in range(2):  # a second time too: what is left behind shows then at the latest
        assert addon_utils.enable(installed, default_set=True) is not None
        assert "VMG_PT_setup" in ours()
        addon_utils.disable(installed, default_set=True)
        assert ours() == set()


def test_a_failing_module_takes_the_others_back(bpy, enabled):
    registration = importlib.import_module(f"{enabled.__name__}.addon.registration")
    calls = []

    class Module:
        def __init__(self, name, fails=False):
            self.name, self.fails = name, fails

        def register(self):
            if self.fails:
                raise RuntimeError(self.name)
            calls.append(f"+{self.name}")

        def unregister(self):
            calls.append(f"-{self.name}")

    enabled.unregister()
    with pytest.raises(RuntimeError, match="c"):
        registration.register([Module("a"), Module("b"), Module("c", fails=True)])
    assert calls == ["+a", "+b", "-b", "-a"]
    enabled.register()


def test_only_relative_imports(enabled):
    """None of the extension's folders becomes importable for the other add-ons."""
    for name in ("addon", "operators", "ui", "vmg_backend"):
        module = sys.modules.get(name)
        folder = enabled.__file__.rpartition("__init__")[0]
        assert module is None or not (module.__file__ or "").startswith(folder)
        assert importlib.util.find_spec(name) is None


def test_the_environment_code_runs_in_blenders_python(enabled, tmp_path):
    environment = importlib.import_module(f"{enabled.__name__}.addon.environment")
    assert environment.Environment(tmp_path / "none").status().state is environment.State.ABSENT
    assert environment.CONSTRAINTS.is_file()
