"""The final cut: what it finds, what it sets, and the film that Blender renders."""

import importlib

import pytest


@pytest.fixture
def final_cut(enabled):
    return importlib.import_module(f"{enabled.__name__}.addon.final_cut")


@pytest.fixture
def take(scripted):
    """A take of five seconds, not generated."""
    scripted.prepare(5.0)
    assert scripted.ops.suggest() == {"FINISHED"}
    return scripted


def said(final_cut, parts, **words):
    return [(finding.blocks, finding.message) for finding in final_cut.findings(parts.scene, **words)]


def test_without_a_take_there_is_no_film(scripted, final_cut):
    scripted.prepare(5.0)
    assert said(final_cut, scripted) == [(True, "There is no active take.")]
    assert not scripted.ops.final_cut.poll()


def test_what_is_found(take, final_cut):
    count = take.counts()[0]
    take.scene.render.resolution_percentage = 50
    messages = [message for blocks, message in said(final_cut, take) if not blocks]
    assert f"{count} of {count} transitions are cross fades." in messages
    assert "Nothing is heard under the take." in messages
    assert any("50 %" in message for message in messages)
    assert take.ops.generate() == {"FINISHED"}
    take.scene.render.resolution_percentage = 100
    assert [message for _, message in said(final_cut, take)] == ["Nothing is heard under the take."]


def test_a_range_beyond_the_take_renders_black(take, final_cut):
    take.scene.frame_end = take.compat.end(take.take) + 10
    assert not any("into black" in message for _, message in said(final_cut, take))
    assert any("into black" in message for _, message in said(final_cut, take, whole_take=False))


def test_what_hides_the_take(take, final_cut):
    other = take.compat.strips(take.scene.sequence_editor)[0]
    other.channel = take.take.channel + 3
    assert any("lies over" in message for _, message in said(final_cut, take))
    take.take.mute = True
    assert (True, f"{take.take.name} is muted.") in said(final_cut, take)


def test_a_missing_file_stops_it(take, final_cut, tmp_path):
    assert take.ops.generate() == {"FINISHED"}
    strip = take.inside("TRANSITION")[0]
    gone = take.compat.files_of(strip)[2]
    gone.unlink()
    blocking = [message for blocks, message in said(final_cut, take) if blocks]
    assert len(blocking) == 1 and gone.name in blocking[0]
    film = tmp_path / "film.mp4"
    with pytest.raises(RuntimeError, match="Generate it anew"):
        take.ops.final_cut(filepath=str(film))
    assert not film.exists()


def test_the_film(take, tmp_path, bpy):
    """Range, colours, keyframes out of sight; and the film has as many frames as the take, which are not black."""
    take.ops.key_add()
    channel = take.key_strips()[0].channel
    take.scene.sequence_editor.channels[channel].mute = False
    take.scene.view_settings.view_transform = "Filmic"
    take.scene.render.resolution_percentage = 100
    film = tmp_path / "film without suffix"
    assert take.ops.final_cut(filepath=str(film)) == {"FINISHED"}
    written = film.with_suffix(".mp4")
    assert written.is_file()
    assert take.scene.sequence_editor.channels[channel].mute
    assert take.scene.view_settings.view_transform == "Standard"
    span = (take.scene.frame_start, take.scene.frame_end + 1)
    assert span == (take.compat.start(take.take), take.compat.end(take.take))
    clip = bpy.data.movieclips.load(str(written))
    assert clip.frame_duration == take.compat.duration(take.take)
    assert tuple(clip.size) == (take.scene.render.resolution_x, take.scene.render.resolution_y)


def test_a_place_that_is_none(take, tmp_path):
    with pytest.raises(RuntimeError, match="folder that exists"):
        take.ops.final_cut(filepath=str(tmp_path / "none" / "film.mp4"))
