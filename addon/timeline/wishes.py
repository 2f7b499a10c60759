"""What a take was made for, after its files were moved or its ends trimmed; without bpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TypeVar

from ...vmg_backend.protocol import FootageUse, KeyAt, LabelAt, Sound, TagAt, Wish

_WithPath = TypeVar("_WithPath", FootageUse, KeyAt, LabelAt)


def relocated(wish: Wish, now: Callable[[str], str]) -> Wish:
    """The wish with its footage where it is now: `now` gives that for each path."""

    def each(those: Sequence[_WithPath]) -> tuple[_WithPath, ...]:
        return tuple(replace(one, path=now(one.path)) for one in those)

    return replace(wish, footages=each(wish.footages), keys=each(wish.keys), labels=each(wish.labels))


def trimmed(wish: Wish, first: int, frames: int, rate: Fraction) -> Wish:
    """What is left of the wish in `frames` frames of the take from its frame `first` on, at `rate` frames a second."""
    keys: list[KeyAt] = []
    tags: list[TagAt] = []
    for key in wish.keys:
        begin, end = _inside(key, first, frames)
        cut = begin - (key.at - first)
        if key.mode == "avoid":  # has no time
            keys.append(key)
        elif begin < end:
            source = key.frame if key.mode == "footage" else key.frame + cut
            left = replace(key, at=begin, frame=source, frames=end - begin)
            keys.append(replace(left, image="", image_stamp="") if cut else left)
    for tag in wish.tags:
        begin, end = _inside(tag, first, frames)
        if begin < end:
            tags.append(replace(tag, at=begin, frames=end - begin))
    beats = [(round(beat.time * rate) - first, beat) for beat in wish.beats]  # whole frames: they were markers
    if wish.text:
        text_frames = wish.frames if wish.text_frames is None else wish.text_frames
        wish = replace(wish, text_at=wish.text_at - first, text_frames=text_frames)
    return replace(
        wish,
        frames=frames,
        beats=tuple(replace(beat, time=float(frame / rate)) for frame, beat in beats if 0 <= frame < frames),
        keys=tuple(keys),
        tags=tuple(tags),
        music=_heard(wish.music, first, frames, rate),
        speech=_heard(wish.speech, first, frames, rate),
        loop=False,  # its ends do not meet any more
    )


def _inside(one: KeyAt | TagAt, first: int, frames: int) -> tuple[int, int]:
    return max(one.at - first, 0), min(one.at - first + one.frames, frames)


def _heard(sound: Sound | None, first: int, frames: int, rate: Fraction) -> Sound | None:
    if sound is None:
        return None
    seconds = float(frames / rate)
    # exact for what begins on a frame, so that it equals what is read of the timeline
    moved = (replace(one, at=float(Fraction(one.at).limit_denominator(10**6) - first / rate)) for one in sound.pieces)
    return Sound(tuple(piece for piece in moved if piece.at < seconds and piece.at + piece.seconds > 0), seconds)
