"""The keyframes of an update: what they want, and what of it the take shows already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from ..film import Film, Span
from ..keyframes import Keyframe
from .given import Given


@dataclass(frozen=True)
class Wanted:
    """Keyframes by their names.

    Attributes
    ----------
    hard : mapping of str to Keyframe
        Those that the film is to show. One that did not change but is not shown was edited away: the person's hand
        counts more.
    spans : mapping of str to Span
        What they want.
    loose : mapping of str to Keyframe
        All others.
    same : frozenset of str
        Those that are as they were.
    was : mapping of str to Span
        Where the film showed those without a picture.
    repainted : frozenset of int
        Output frames at which those begin whose picture is another one.
    """

    hard: Mapping[str, Keyframe]
    spans: Mapping[str, Span]
    loose: Mapping[str, Keyframe]
    same: frozenset[str]
    was: Mapping[str, Span]
    repainted: frozenset[int]

    @classmethod
    def of(cls, keyframes: Mapping[str, Keyframe], before: Mapping[str, Keyframe], given: Given) -> Self:
        """Keyframes of a film that was made for those `before`."""
        film = given.film
        hard = {uid: key for uid, key in keyframes.items() if key.mode == "hard"}
        spans = {uid: given.span(key) for uid, key in hard.items()}
        old = {uid: given.span(key) for uid, key in before.items() if key.mode == "hard"}
        repainted = {uid for uid in hard.keys() & old.keys() if _picture(hard[uid]) != _picture(before[uid])}
        shown = {uid for uid, key in hard.items() if _shown(key, spans[uid], film)}
        same = {uid for uid in hard if spans[uid] == old.get(uid)}
        same -= {uid for uid in repainted - shown if hard[uid].image}
        hard = {uid: key for uid, key in hard.items() if uid in shown or uid not in same}
        loose = {uid: key for uid, key in keyframes.items() if key.mode != "hard"}
        return cls(
            hard=hard,
            spans={uid: spans[uid] for uid in hard},
            loose=loose,
            same=frozenset(same & hard.keys()) | {uid for uid, key in loose.items() if key == before.get(uid)},
            was={uid: old[uid] for uid, key in hard.items() if uid in old and old[uid].met(film) and not key.image},
            repainted=frozenset(spans[uid].at for uid in repainted),
        )

    def met(self, uid: str, film: Film) -> bool:
        """Whether a film shows a hard one."""
        return _shown(self.hard[uid], self.spans[uid], film)


def _picture(key: Keyframe) -> tuple[object, str]:
    """What tells whether an edited picture is another one."""
    return key.image, key.image_stamp


def _shown(key: Keyframe, span: Span, film: Film) -> bool:
    """Whether a film shows a hard keyframe; one with an edited picture needs a transition that leads right to it."""
    led = key.image is None or any(cut.transition and cut.end == span.at for cut in film.cuts)
    return led and span.met(film)
