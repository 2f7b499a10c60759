"""Films: frame times, colours, padding, sound of exact length, and what goes wrong."""

from __future__ import annotations

import errno
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from vmg_backend.errors import UserError
from vmg_backend.files import writing
from vmg_backend.footage import Colour, FrameReader, VideoWriter, open_footage

HD = Colour()
SD_UNTAGGED = Colour(2, 0, 2, 2)
PHOTO = Colour(6, 2, 6, 6)  # BT.601, full range


def picture(k: int, width: int = 96, height: int = 64) -> np.ndarray:
    """A smooth, colourful RGB picture that moves with k."""
    y, x = np.mgrid[0:height, 0:width]
    red, green, blue = 128 + 90 * np.sin((x + 2 * k) / 15), 60 + y + k, 200 - x
    return np.clip(np.stack([red, green, blue], -1), 0, 255).astype(np.uint8)


def write(path: Path, pictures, fps=Fraction(30), **options) -> Path:
    pictures = list(pictures)
    first = pictures[0]
    size = (first.width, first.height) if isinstance(first, av.VideoFrame) else first.shape[1::-1]
    with VideoWriter(path, size, fps, **options) as writer:
        for each in pictures:
            writer.write(each)
    return path


@pytest.mark.parametrize("fps", ["30", "30000/1001", "24", "25051/1000", "8"])
def test_frame_k_is_at_k_over_fps(tmp_path, fps):
    rate = Fraction(fps)
    path = write(tmp_path / "a.mp4", map(picture, range(40)), rate)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.frames == 40
        assert stream.average_rate == rate
        times = [frame.pts * stream.time_base for frame in container.decode(stream)]
        kind = (stream.codec_context.name, stream.codec_context.pix_fmt)
    assert times == [k / rate for k in range(40)]
    assert kind == ("h264", "yuv420p")


def test_the_index_comes_first(tmp_path):
    data = write(tmp_path / "a.mp4", map(picture, range(10))).read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(
    ("colour", "red", "blue", "full"),
    [(HD, 0.2126, 0.0722, False), (SD_UNTAGGED, 0.299, 0.114, False), (PHOTO, 0.299, 0.114, True)],
)
def test_rgb_is_coded_by_the_formula_of_its_matrix(tmp_path, colour, red, blue, full):
    rgb = np.array([180, 90, 40])
    path = write(tmp_path / "a.mp4", [np.full((64, 96, 3), rgb, np.uint8)] * 3, colour=colour, crf=1)
    luma = red * rgb[0] + (1 - red - blue) * rgb[1] + blue * rgb[2]
    chroma = np.array([(rgb[2] - luma) / (2 - 2 * blue), (rgb[0] - luma) / (2 - 2 * red)])
    wanted = [luma, *(chroma + 128)] if full else [16 + luma * 219 / 255, *(128 + chroma * 224 / 255)]
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        planes = frame.to_ndarray().reshape(-1)  # 64 x 96, then twice 32 x 48
        found = [planes[:6144].mean(), planes[6144:7680].mean(), planes[7680:].mean()]
        tags = (int(frame.colorspace), int(frame.color_range))
    assert np.abs(np.array(found) - wanted).max() < 1.2
    assert tags == (colour.matrix, colour.range)


@pytest.mark.parametrize("colour", [HD, SD_UNTAGGED, PHOTO])
def test_a_frame_looks_the_same_by_either_way(tmp_path, colour):
    source = open_footage(write(tmp_path / "source.mp4", map(picture, range(12)), colour=colour, crf=1))
    with FrameReader(source) as reader:
        assert reader.colour == colour
        write(tmp_path / "yuv.mp4", reader.video_frames(0, 11), colour=reader.colour, crf=1)
        write(tmp_path / "rgb.mp4", reader.frames(0, 11), colour=reader.colour, crf=1)
        originals = list(reader.frames(0, 11))
    with (
        FrameReader(open_footage(tmp_path / "yuv.mp4")) as yuv,
        FrameReader(open_footage(tmp_path / "rgb.mp4")) as rgb,
    ):
        assert yuv.colour == rgb.colour == colour
        for k in range(12):
            a, b = yuv.frame(k).astype(float), rgb.frame(k).astype(float)
            assert np.abs(a - b).mean() < 1.5
            assert np.abs((a - b).mean((0, 1))).max() < 1.0  # no drift of brightness or hue
            assert np.abs(a - originals[k]).mean() < 1.0


def test_frames_of_another_coding_are_recoded(tmp_path):
    source = open_footage(write(tmp_path / "source.mp4", map(picture, range(4)), colour=PHOTO, crf=1))
    with FrameReader(source) as reader:
        path = write(tmp_path / "hd.mp4", reader.video_frames(0, 3), colour=HD, crf=1)
        original = reader.frame(2).astype(float)
    with FrameReader(open_footage(path)) as film:
        assert film.colour == HD
        assert np.abs(film.frame(2) - original).mean() < 2.0


def test_odd_sides_get_a_copy_of_the_last_row_and_column(tmp_path):
    pictures = [picture(k, 97, 65) for k in range(4)]
    path = write(tmp_path / "a.mp4", pictures, crf=1)
    footage = open_footage(path)
    assert footage.size == (98, 66)
    with FrameReader(footage) as reader:
        for k, original in enumerate(pictures):
            shown = reader.frame(k).astype(int)
            assert np.abs(shown[:65, :97] - original).mean() < 3
            assert np.abs(shown[:, 97] - shown[:, 96]).mean() < 3
            assert np.abs(shown[65] - shown[64]).mean() < 3


def clicks(path: Path, at: list[int], seconds: float, rate: int = 44100, channels: int = 2) -> Path:
    """A sound file with a short burst at each of the given samples."""
    sound = np.zeros((int(seconds * rate), channels), np.float32)
    for start in at:
        sound[start : start + 64] = np.hanning(64)[:, None] * 0.8
    soundfile.write(path, sound, rate)
    return path


def sound_of(path: Path) -> tuple[np.ndarray, int, Fraction]:
    """Samples [n] of the first channel, their rate, and the length that the file states in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.name == "aac"
        stated = stream.duration * stream.time_base
        samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(stream)])
        return samples, stream.rate, stated


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (48000, 1), (22050, 1)])
@pytest.mark.parametrize("seconds", [1.0, 1.2345, 0.7003])
def test_the_sound_starts_and_ends_exactly(tmp_path, rate, channels, seconds):
    music = clicks(tmp_path / "musik ä.wav", [int(rate * 0.5), int(rate * 0.9)], 3.0, rate, channels)
    frames = round(seconds * 30)
    path = write(tmp_path / "a.mp4", map(picture, range(frames)), audio=music, audio_start=0.25, seconds=seconds)
    samples, found_rate, stated = sound_of(path)
    wanted = round(seconds * found_rate)
    assert stated == Fraction(wanted, found_rate)
    assert wanted <= len(samples) < wanted + 1024  # AAC comes in blocks of 1024; the length above cuts the last
    for click in (0.25, 0.65):
        near = samples[round((click - 0.05) * found_rate) : round((click + 0.05) * found_rate)]
        at = round((click - 0.05) * found_rate) + int(np.argmax(np.abs(near)))
        assert abs(at - round(click * found_rate) - 32 * found_rate / rate) <= 4
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == frames


def test_sound_that_is_too_short_is_filled_with_silence(tmp_path):
    music = clicks(tmp_path / "m.wav", [22050], 0.6)
    path = write(tmp_path / "a.mp4", map(picture, range(60)), audio=music)  # seconds: the frames' time
    samples, rate, stated = sound_of(path)
    assert stated == 2
    assert np.abs(samples[int(0.45 * rate) : int(0.55 * rate)]).max() > 0.3
    assert np.abs(samples[int(0.65 * rate) :]).max() < 1e-3


def test_sound_longer_than_the_frames(tmp_path):
    music = clicks(tmp_path / "m.wav", [22050], 3.0)
    path = write(tmp_path / "a.mp4", map(picture, range(30)), audio=music, seconds=1.016)
    assert sound_of(path)[2] == Fraction(round(1.016 * 44100), 44100)


def test_the_sound_of_a_film(tmp_path):
    music = clicks(tmp_path / "m.wav", [11025], 1.0)
    film = write(tmp_path / "film.mp4", map(picture, range(30)), audio=music)
    samples, rate, _ = sound_of(write(tmp_path / "again.mp4", map(picture, range(30)), audio=film))
    assert abs(int(np.argmax(np.abs(samples))) - 0.25 * rate - 32) <= 4


def test_wrong_sounds(tmp_path):
    silent = write(tmp_path / "silent.mp4", map(picture, range(3)))
    (tmp_path / "text.wav").write_text("la la la", encoding="utf-8")
    for audio, said in [
        (silent, "no sound"),
        (tmp_path / "none.wav", "no file"),
        (tmp_path / "text.wav", "cannot be opened"),
    ]:
        with pytest.raises(UserError, match=said):
            write(tmp_path / "a.mp4", map(picture, range(3)), audio=audio)


def test_wrong_pictures_and_names(tmp_path):
    with (
        pytest.raises(ValueError, match="a film of"),
        VideoWriter(tmp_path / "a.mp4", (96, 64), Fraction(30)) as writer,
    ):
        writer.write(picture(0, 64, 96))
    with pytest.raises(UserError, match="cannot be written as"):
        VideoWriter(tmp_path / "a.avi", (96, 64), Fraction(30))


def test_names_with_blanks_and_other_scripts(tmp_path):
    for name in ("mein film.mp4", "été 舞.mov", "a:b %d.m4v"):
        assert open_footage(write(tmp_path / "ordner ä" / name, map(picture, range(3)))).frames == 3


@pytest.fixture(autouse=True)
def _folder(tmp_path):
    (tmp_path / "ordner ä").mkdir()


def test_a_full_disk_surfaces_as_such(tmp_path):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    link = tmp_path / "full.mp4"
    link.symlink_to(full)
    with pytest.raises(OSError, match="space") as caught:
        write(link, map(picture, range(30)))
    assert caught.value.errno == errno.ENOSPC

    def fill() -> None:
        with writing(tmp_path / "film.mp4") as temporary:
            temporary.unlink()
            temporary.symlink_to(full)
            write(temporary, map(picture, range(30)))

    with pytest.raises(UserError, match="disk is full"):
        fill()


def test_a_missing_folder_surfaces_as_an_os_error(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        write(tmp_path / "nowhere" / "a.mp4", map(picture, range(3)))
