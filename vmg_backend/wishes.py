"""What Blender asks of a take, in the search's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import cast, get_args

import numpy as np
from numpy.typing import NDArray

from . import jobs
from .audio import prosody, rhythm
from .audio.beats import Beat, Kind
from .audio.mix import mix
from .errors import UserError
from .footage import Footage
from .library import FootageLibrary
from .progress import SILENT, Progress
from .protocol import WEIGHTS, BeatAt, KeyAt, Sound, SoundPiece, Wish
from .search.conditions import Asked
from .search.keyframes import Keyframe, Mode
from .search.labels import Label, tag_key
from .search.music import Music
from .search.objective import SearchSettings
from .search.shape import Shape
from .search.speech import Speech
from .search.tags import TagSpan, TagSpans
from .search.text import Text, load_synonyms


@dataclass(frozen=True)
class Reader:
    """Reads wishes for footages that are described.

    Attributes
    ----------
    footages : sequence of Footage
        In the wish's order.
    library : FootageLibrary
        Knows files by their content.
    """

    footages: Sequence[Footage]
    library: FootageLibrary

    @property
    def fps(self) -> Fraction:
        """Frames in a second."""
        return self.footages[0].fps

    def search(self, wish: Wish, takes: int = 1, progress: Progress = SILENT) -> jobs.Wish:
        """A wish as a search; `jobs.with_references` adds what its poses need.

        Raises
        ------
        UserError
            When something in it cannot be, or no speech or music is heard.
        """
        weights, shape = _weights(wish), Shape(loop=wish.loop)
        if wish.frames < 1 or wish.seed < 0 or takes < 1:
            raise UserError(f"A take of {wish.frames} frames, seed {wish.seed}, cannot be.", "Choose larger numbers.")
        jobs.check_takes(takes, shape)
        keys, beats = self.keyframes(wish.keys), self.beats(wish.beats)
        told = list(self._told(wish, weights))
        return jobs.Wish(
            frames=wish.frames,
            beats=beats,
            keyframes=sorted(keys.values(), key=lambda key: key.at),
            seed=wish.seed,
            settings=SearchSettings(
                hold_seconds=wish.hold_seconds,
                longest_seconds=wish.longest_seconds,
                cut_price=wish.cut_price,
                beat_weight=weights["beats"],
                accent_weight=weights["accents"],
                reuse_seconds=wish.reuse_seconds,
            ),
            asked=(*told, *_heard(wish, weights, beats, progress)),
            shape=shape,
            takes=takes,
        )

    def keyframes(self, keys: Sequence[KeyAt]) -> dict[str, Keyframe]:
        """Keyframes by their uid.

        Raises
        ------
        UserError
            For one of another file than the footages' (but for a pose's), or one that cannot be.
        """
        return {key.uid: self._keyframe(key) for key in keys}

    def known(self, keys: Sequence[KeyAt]) -> list[KeyAt]:
        """Those of them whose files are there."""
        return [key for key in keys if self.footage(key.path) or (key.mode == "pose" and Path(key.path).is_file())]

    def beats(self, beats: Sequence[BeatAt]) -> list[Beat]:
        """Beats by time.

        Raises
        ------
        UserError
            For a kind that there is not.
        """
        kinds = get_args(Kind)
        if unknown := next((beat.kind for beat in beats if beat.kind not in kinds), None):
            raise UserError(f"A beat has the unknown kind {unknown!r}.", f"Use one of {', '.join(kinds)}.")
        return sorted((Beat(**asdict(beat)) for beat in beats), key=lambda beat: beat.time)

    def footage(self, path: str) -> Footage | None:
        """The footage that a file is; None where it is none of them, or is not there."""
        if not Path(path).is_file():
            return None
        identity = self.library.identity(Path(path), SILENT)
        return next((footage for footage in self.footages if footage.id == identity), None)

    def _keyframe(self, key: KeyAt) -> Keyframe:
        file, footage, mode = Path(key.path), self.footage(key.path), _mode(key)
        at = 0.0 if mode == "avoid" else float(key.at / self.fps)
        tolerance = key.tolerance if mode in ("soft", "pose") else None
        keyframe = Keyframe(at, "", key.frame, key.frames, file.name, mode, tolerance or None)
        if at < 0 or key.frame < 0 or key.frames < 1 or (tolerance or 0.0) < 0:
            raise UserError(f"Nothing can be shown for {keyframe}.", "Move it into the take, or remove it.")
        if not file.is_file():
            raise UserError(
                f"The file of {keyframe} is not at {file} any more.", "Put it back, or remove the keyframe."
            )
        if footage:
            image = Path(key.image) if key.image and mode == "hard" else None
            return replace(keyframe, footage=footage.id, image=image, image_stamp=key.image_stamp if image else "")
        if mode == "pose":
            return replace(keyframe, file=file.resolve())
        raise UserError(
            f"{file.name} in {keyframe} is none of the footage.", "Use it as footage, or remove the keyframe."
        )

    def _told(self, wish: Wish, weights: Mapping[str, float]) -> Iterator[Asked]:
        """What words ask for."""
        labels = tuple(self._labels(wish)) if wish.tags or wish.text else ()
        for tag in wish.tags:
            if tag.at < 0 or tag.frames < 1 or not tag_key(tag.tag):
                raise UserError(f'"{tag.tag}" is no action that the take could show.', "Write one, inside the take.")
        if wish.tags:
            spans = (TagSpan(one.tag, *self._seconds(one.at, one.at + one.frames)) for one in wish.tags)
            yield TagSpans(tuple(spans), labels, weights["tags"], hold=wish.hold_seconds)
        if wish.text:
            start, seconds = float(wish.text_at / self.fps), wish.text_frames and float(wish.text_frames / self.fps)
            yield Text(wish.text, labels, load_synonyms(), weights["text"], start=start, seconds=seconds)

    def _labels(self, wish: Wish) -> Iterator[Label]:
        for label in wish.labels:
            if not tag_key(label.tag) or not 0 <= label.first <= label.last:
                raise UserError(f'"{label.tag}" is no label of footage.', "Write an action, over the footage.")
            footage = self.footage(label.path)
            name = footage.id if footage else Path(label.path).name
            yield Label(label.tag, *self._seconds(label.first, label.last + 1), name)

    def _seconds(self, start: int, end: int) -> tuple[float, float]:
        return float(start / self.fps), float(end / self.fps)


def changed_stretches(wish: Wish, made_for: Wish, fps: Fraction) -> list[tuple[int, int]]:
    """Frames [start, end) of a take that actions, text, speech, music or weights ask for otherwise than before."""
    seconds = float(min(wish.frames, made_for.frames) / fps)  # sound that only ends later is no other one

    def asked(one: Wish) -> object:
        weights = _weights(one)
        labels = {*one.labels} if one.asks_actions else set()
        music = _until(one.music, seconds) if weights["music"] else ()
        return labels, one.text, _until(one.speech, seconds), music, weights

    if asked(wish) != asked(made_for):
        return [(0, wish.frames)]
    return sorted((tag.at, tag.at + tag.frames) for tag in {*wish.tags} ^ {*made_for.tags} if tag.at < wish.frames)


def _until(sound: Sound | None, seconds: float) -> tuple[SoundPiece, ...]:
    """What is heard of a sound in its first seconds."""
    pieces = sound.pieces if sound else ()
    return tuple(
        replace(one, seconds=round(min(one.seconds, seconds - one.at), 6)) for one in pieces if one.at < seconds
    )


def _mode(key: KeyAt) -> Mode:
    if key.mode not in get_args(Mode):
        raise UserError(f"A keyframe has the unknown mode {key.mode!r}.", f"Use one of {', '.join(get_args(Mode))}.")
    return cast("Mode", key.mode)


def _weights(wish: Wish) -> dict[str, float]:
    for name, weight in wish.weights.items():
        if name not in WEIGHTS or weight < 0:
            raise UserError(
                f"There is no weight {weight:g} of {name!r}.", f"Give one of 0 or more to one of {', '.join(WEIGHTS)}."
            )
    return {**WEIGHTS, **wish.weights}


def _heard(wish: Wish, weights: Mapping[str, float], beats: Sequence[Beat], progress: Progress) -> Iterator[Asked]:
    """What sound asks for; the beats are the music's where there are any."""
    if wish.music and weights["music"]:
        part = progress.part(0.0, 0.5, "Listening to the music")
        samples = _samples(wish.music, rhythm.RATE, part)
        yield Music.of(_name(wish.music), samples, weights["music"], beats or None, part)
    if wish.speech and weights["speech"]:
        part = progress.part(0.5, 1.0, "Listening to the speech")
        samples = _samples(wish.speech, prosody.RATE, part)
        yield Speech.of(_name(wish.speech), samples, weights["speech"], part)


def _samples(sound: Sound, rate: int, progress: Progress) -> NDArray[np.float32]:
    """What is heard, up to the end of the last piece: what comes after it is no pause."""
    end = max((piece.at + piece.seconds for piece in sound.pieces), default=0.0)
    return mix(sound.pieces, min(sound.seconds, max(end, 0.0)), rate, progress)


def _name(sound: Sound) -> str:
    return ", ".join(dict.fromkeys(Path(piece.path).name for piece in sound.pieces)) or "what is heard"
