"""Opening, reading and conforming video files, checked on pictures that carry their own number."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from vmg_backend.errors import Cancelled, UserError
from vmg_backend.footage import FrameReader, check_same_format, conform, needs_conform, open_footage
from vmg_backend.progress import Progress

BITS = 10


def numbered(k: int, width: int = 96, height: int = 64) -> np.ndarray:
    """An RGB picture that says k in binary: light and dark blocks of 8 px from the left, in the upper half."""
    picture = np.full((height, width, 3), 90, np.uint8)
    for bit in range(BITS):
        picture[: height // 2, bit * 8 : bit * 8 + 8] = 220 if k >> bit & 1 else 30
    picture[height // 2 :, :, 0] = 40 + k * 7 % 150  # something that changes smoothly, in colour
    return picture


def number_of(picture: np.ndarray) -> int:
    return sum(int(picture[8:24, bit * 8 + 2 : bit * 8 + 6].mean() > 125) << bit for bit in range(BITS))


def write_video(
    path: Path,
    stamps: list[int] | int,
    *,
    time_base: Fraction = Fraction(1, 30),
    size: tuple[int, int] = (96, 64),
    codec: str = "libx264",
    rate: Fraction = Fraction(30),
    options: dict[str, str] | None = None,
    pix_fmt: str = "yuv420p",
    rotation: int = 0,
    noise: int = 0,
    index_first: bool = False,
) -> Path:
    """A video of numbered pictures at the given time stamps, by PyAV alone."""
    stamps = list(range(stamps)) if isinstance(stamps, int) else stamps
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options={"movflags": "+faststart"} if index_first else {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = time_base
        if rotation:
            stream.set_display_rotation(rotation)
        for k, stamp in enumerate(stamps):
            picture = numbered(k, *size)
            if noise:
                picture = picture + np.random.default_rng(k).integers(0, noise, picture.shape, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = stamp, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path, seconds: float = 1.0) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        for at in range(0, int(44100 * seconds), 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.rate, frame.pts = 44100, at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


B_FRAMES = {"bf": "3", "g": "12"}
OPEN_GOP = {"bf": "3", "x264-params": "open-gop=1:keyint=10:min-keyint=10:scenecut=0:b-adapt=0"}
KINDS = {
    "B-frames.mp4": {"options": B_FRAMES},
    "open-gop.mp4": {"options": OPEN_GOP},
    "open-gop.mkv": {"options": OPEN_GOP},
    "open-gop.ts": {"options": OPEN_GOP},
    "one-key-frame.mp4": {"options": {"g": "999", "bf": "2"}},
    "intra.mov": {"options": {"g": "1"}},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}},
    "mpeg2.mpg": {"codec": "mpeg2video", "rate": Fraction(25), "time_base": Fraction(1, 25), "options": {"bf": "2"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "20", "deadline": "realtime", "cpu-used": "8"}},
    "mjpeg.mkv": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "odd.mp4": {"size": (97, 65), "codec": "mpeg4"},
    "ntsc.mp4": {"rate": Fraction(30000, 1001), "time_base": Fraction(1001, 30000)},
}


QUICK = ("B-frames.mp4", "open-gop.mkv", "mpeg4.avi", "ntsc.mp4")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.long) for name in KINDS]
)
def test_every_frame_in_any_order_is_the_one_that_its_number_says(tmp_path, name):
    path = write_video(tmp_path / name, 70, **KINDS[name])
    footage = open_footage(path)
    assert footage.frames == 70
    assert footage.size == KINDS[name].get("size", (96, 64))
    assert footage.fps == KINDS[name].get("rate", 30)
    assert not footage.variable_rate
    order = list(range(70))
    random.Random(3).shuffle(order)
    with FrameReader(footage) as reader:
        straight = dict(enumerate(reader.frames(0, 69)))
        assert [number_of(straight[k]) for k in range(70)] == list(range(70))
        for k in [*order, *range(69, 40, -1), 0, 69]:
            assert np.array_equal(reader.frame(k), straight[k]), f"frame {k} differs after a seek"


@pytest.mark.parametrize("name", ["B-frames.mp4", "mpeg4.avi", "ntsc.mp4"])
def test_content_agrees_with_another_decoder(tmp_path, name):
    path = write_video(tmp_path / name, 40, **KINDS[name])
    capture = cv2.VideoCapture(str(path))
    footage = open_footage(path)
    with FrameReader(footage) as reader:
        for picture in reader.frames(0, 39):
            good, other = capture.read()
            assert good
            assert np.abs(picture.astype(int) - other[:, :, ::-1]).mean() < 2.5
        assert not capture.read()[0]


def test_video_frames_are_the_bytes_of_the_file(tmp_path):
    path = write_video(tmp_path / "a.mp4", 20, options=B_FRAMES)
    with av.open(str(path)) as container:
        stored = [frame.to_ndarray() for frame in container.decode(video=0)]
    with FrameReader(open_footage(path)) as reader:
        frames = [frame.to_ndarray() for frame in reader.video_frames(0, 19)]
        assert all(np.array_equal(a, b) for a, b in zip(stored, frames, strict=True))
        # They belong to the caller: changing one does not change what is read next.
        reader.video_frame(3).pts = 77
        np.frombuffer(reader.video_frame(3).planes[0], np.uint8)[:] = 0
        assert np.array_equal(reader.video_frame(3).to_ndarray(), stored[3])


def test_frame_numbers_outside_the_footage(tmp_path):
    with FrameReader(open_footage(write_video(tmp_path / "a.mp4", 5))) as reader:
        for k in (-1, 5):
            with pytest.raises(IndexError, match="no frame"):
                reader.frame(k)


@pytest.mark.parametrize(("counter_clockwise", "clockwise"), [(-90, 90), (180, 180), (90, 270)])
def test_rotated_pictures_are_shown_upright(tmp_path, counter_clockwise, clockwise):
    path = write_video(tmp_path / "r.mp4", 6, rotation=counter_clockwise)
    footage = open_footage(path)
    assert footage.rotation == clockwise
    assert footage.size == ((64, 96) if clockwise % 180 else (96, 64))
    capture = cv2.VideoCapture(str(path))
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    with FrameReader(footage) as reader:
        for k in range(6):
            other = capture.read()[1][:, :, ::-1]
            assert reader.frame(k).shape == other.shape == (footage.size[1], footage.size[0], 3)
            assert np.abs(reader.frame(k).astype(int) - other).mean() < 2.5
            frame = reader.video_frame(k)
            assert (frame.width, frame.height) == footage.size
            assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - other).mean() < 6  # chroma is turned as it is


def test_header_count_and_late_start_do_not_matter(tmp_path):
    path = write_video(tmp_path / "late.mp4", [k + 45 for k in range(30)], options=B_FRAMES)
    data = path.read_bytes()
    footage = open_footage(path)
    assert (footage.frames, footage.fps) == (30, 30)
    with FrameReader(footage) as reader:
        assert [number_of(reader.frame(k)) for k in (29, 0, 15)] == [29, 0, 15]
    assert footage.id == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "fps",
    ["25", "30000/1001", *(pytest.param(fps, marks=pytest.mark.long) for fps in ("24000/1001", "24", "30", "60"))],
)
def test_rounded_stamps_are_of_constant_rate_and_conform_without_loss(tmp_path, fps):
    rate = Fraction(fps)
    stamps = [round(k * 1000 / rate) for k in range(80)]
    path = write_video(tmp_path / "a.mkv", stamps, time_base=Fraction(1, 1000), rate=rate, options=B_FRAMES)
    footage = open_footage(path)
    assert (footage.fps, footage.variable_rate, footage.frames) == (rate, False, 80)
    assert needs_conform(footage) == (1000 % rate != 0)
    _check_conformed(footage, conform(footage, tmp_path / "out" / "a.mp4").path, lossless=True)


def test_variable_rate_is_told_and_conforms(tmp_path):
    steps = [1, 1, 3, 2, 5, 1, 2, 2, 4, 1] * 5
    stamps = np.cumsum(steps).tolist()
    path = write_video(tmp_path / "v.mp4", stamps, time_base=Fraction(1, 60), rate=Fraction(60), options=B_FRAMES)
    footage = open_footage(path)
    assert footage.variable_rate
    assert footage.frames == 50
    assert 60 / 3 < footage.fps < 60 / 2  # the mean step is 2.2
    assert needs_conform(footage)
    _check_conformed(footage, conform(footage, tmp_path / "c.mp4").path, lossless=True)


def test_dropped_frames_are_no_variable_rate_but_need_conforming(tmp_path):
    stamps = [k for k in range(62) if k not in (20, 45)]
    footage = open_footage(write_video(tmp_path / "d.mp4", stamps))
    assert (footage.fps, footage.variable_rate, footage.frames) == (30, False, 60)
    assert needs_conform(footage)
    _check_conformed(footage, conform(footage, tmp_path / "c.mp4").path, lossless=True)


def test_what_mp4_has_no_place_for_is_encoded_anew_and_said(tmp_path):
    path = write_video(tmp_path / "f.mkv", [k * 33 for k in range(30)], time_base=Fraction(1, 1000), codec="libvpx")
    footage = open_footage(path)
    with pytest.warns(UserWarning, match="encoded anew"):
        made = conform(footage, tmp_path / "c.mp4").path
    _check_conformed(footage, made, lossless=False)


def test_conforming_keeps_the_rotation(tmp_path):
    stamps = [round(k * 1000 / 30) for k in range(20)]
    path = write_video(tmp_path / "r.mov", stamps, time_base=Fraction(1, 1000), rotation=-90)
    footage = open_footage(path)
    _check_conformed(footage, conform(footage, tmp_path / "c.mp4").path, lossless=True)


def test_conforming_at_the_rate_that_the_person_states(tmp_path):
    footage = open_footage(write_video(tmp_path / "slow.mp4", 20), fps=Fraction(60))
    made = open_footage(conform(footage, tmp_path / "c.mp4").path)
    assert (made.fps, made.frames) == (60, 20)


def _check_conformed(footage, made, *, lossless):
    again = open_footage(made)
    assert (again.fps, again.frames, again.size) == (footage.fps, footage.frames, footage.size)
    assert not needs_conform(again)
    with FrameReader(footage) as source, FrameReader(again) as copy:
        for k in range(footage.frames):
            a, b = source.frame(k), copy.frame(k)
            assert np.array_equal(a, b) if lossless else np.abs(a.astype(int) - b).mean() < 1.5, k
    assert [path.name for path in made.parent.iterdir() if path.name.startswith(".vmg-")] == []


def test_the_stated_rate_wins(tmp_path):
    path = write_video(tmp_path / "a.mp4", 20, rate=Fraction(8), time_base=Fraction(1, 8))
    assert open_footage(path).fps == 8
    assert open_footage(path, fps=Fraction(30)).fps == 30


def test_ranges(tmp_path):
    path = write_video(tmp_path / "a.mp4", 50)
    assert open_footage(path).ranges.tolist() == [[0, 49]]
    joined = open_footage(path, ranges=[(30, 40), (0, 9), (35, 49), (10, 12)]).ranges
    assert joined.tolist() == [[0, 12], [30, 49]]
    assert joined.dtype == np.int32
    for wrong in [(0, 50)], [(-1, 4)], [(7, 5)]:
        with pytest.raises(UserError, match="has no frames"):
            open_footage(path, ranges=wrong)
    with pytest.raises(UserError, match="Nothing of"):
        open_footage(path, ranges=[])


def test_strange_names(tmp_path):
    for name in ("a b.mp4", "tänzerin №5 舞.mp4", "take:1 %03d [x].mp4", "-y.mp4"):
        footage = open_footage(write_video(tmp_path / "ordner mit ä" / name, 8))
        with FrameReader(footage) as reader:
            assert number_of(reader.frame(5)) == 5
        assert footage.name == name


def test_a_relative_path_with_a_colon_is_no_protocol(tmp_path, monkeypatch):
    write_video(tmp_path / "b.mp4", 8).rename(tmp_path / "http:b.mp4")
    monkeypatch.chdir(tmp_path)
    assert open_footage(Path("http:b.mp4")).frames == 8


def test_read_only_folder(tmp_path):
    path = write_video(tmp_path / "a.mp4", 8)
    tmp_path.chmod(0o555)
    try:
        assert open_footage(path).frames == 8
    finally:
        tmp_path.chmod(0o755)


def _bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    good = write_video(folder / "good.mp4", 40, options=B_FRAMES).read_bytes()
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "no-index.mp4").write_bytes(good[: len(good) // 2])  # the index is at the end
    (folder / "text.mp4").write_text("not a film\n" * 400, encoding="utf-8")
    (folder / "noise.mp4").write_bytes(random.Random(0).randbytes(20_000))
    (folder / "playlist.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    cv2.imwrite(str(folder / "picture.png"), numbered(3))
    cv2.imwrite(str(folder / "picture.jpg"), numbered(3))
    return {
        "missing": (folder / "nothing.mp4", "no file"),
        "folder": (folder, "not a file"),
        "empty": (folder / "empty.mp4", "empty"),
        "cut before its index": (folder / "no-index.mp4", "cannot be opened"),
        "text": (folder / "text.mp4", "cannot be opened"),
        "noise": (folder / "noise.mp4", "cannot be opened|no picture"),
        "playlist": (folder / "playlist.m3u8", "cannot be opened"),
        "sound": (write_sound(folder / "sound.m4a"), "no moving pictures"),
        "picture": (folder / "picture.png", "only one picture"),
        "photograph": (folder / "picture.jpg", "only one picture"),
        "one frame": (write_video(folder / "one.mp4", 1), "only one picture"),
    }


def test_bad_files_are_told_in_one_sentence(tmp_path):
    for what, (path, said) in _bad_files(tmp_path).items():
        with pytest.raises(UserError, match=said) as caught:
            open_footage(path)
        assert caught.value.message.count(". ") == 0, what
        assert caught.value.remedy.endswith("."), what


def test_an_unreadable_file(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = write_video(tmp_path / "a.mp4", 4)
    path.chmod(0)
    with pytest.raises(UserError, match="may not be read"):
        open_footage(path)


def _noisy(path: Path) -> Path:
    return write_video(path, 60, options=B_FRAMES, noise=30, index_first=path.suffix == ".mp4")


def test_a_film_cut_short_gives_its_good_frames_and_a_warning(tmp_path):
    whole = _noisy(tmp_path / "whole.mp4")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    with pytest.warns(UserWarning, match="cut short"):
        footage = open_footage(cut)
    assert 15 < footage.frames < 45
    _same_pictures(footage, open_footage(whole))


def test_a_matroska_file_cut_short_gives_its_whole_frames(tmp_path):
    whole = _noisy(tmp_path / "whole.mkv")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    footage = open_footage(cut)
    assert 15 < footage.frames < 45
    _same_pictures(footage, open_footage(whole))


def test_a_damaged_middle_ends_the_footage(tmp_path):
    whole = _noisy(tmp_path / "whole.mp4")
    data = bytearray(whole.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 9000] = random.Random(1).randbytes(9000)
    (tmp_path / "bad.mp4").write_bytes(data)
    with pytest.warns(UserWarning, match="damaged"):
        footage = open_footage(tmp_path / "bad.mp4")
    assert 10 < footage.frames < 45
    _same_pictures(footage, open_footage(whole))


def _same_pictures(part, whole):
    with FrameReader(part) as a, FrameReader(whole) as b:
        for k in [part.frames - 1, 0, *range(part.frames)]:
            assert np.array_equal(a.frame(k), b.frame(k)), k


def test_a_file_that_changed_is_told(tmp_path):
    footage = open_footage(write_video(tmp_path / "a.mp4", 40))
    write_video(tmp_path / "a.mp4", 10)
    with FrameReader(footage) as reader, pytest.raises(UserError, match="has changed"):
        reader.frame(35)
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(UserError, match="no file"), FrameReader(footage):
        pass


def test_one_size_and_one_rate(tmp_path):
    a = open_footage(write_video(tmp_path / "a.mp4", 4))
    b = open_footage(write_video(tmp_path / "b.mp4", 4, size=(112, 64)))
    c = open_footage(write_video(tmp_path / "c.mp4", 4, rate=Fraction(25), time_base=Fraction(1, 25)))
    check_same_format([])
    check_same_format([a, a])
    with pytest.raises(UserError, match=r"b\.mp4 is 112x64"):
        check_same_format([a, a, b])
    with pytest.raises(UserError, match=r"c\.mp4 has 25 frames"):
        check_same_format([a, c])


def test_opening_can_be_cancelled_and_reports(tmp_path):
    import threading

    path = write_video(tmp_path / "a.mp4", 60)
    seen: list[float] = []
    open_footage(path, progress=Progress(lambda fraction, _: seen.append(fraction)))
    assert len(seen) >= 30
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        open_footage(path, progress=Progress(cancelled=stop))


def test_the_description_can_be_imported_without_pyav():
    code = "import sys, vmg_backend.footage.footage; sys.exit('av' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
