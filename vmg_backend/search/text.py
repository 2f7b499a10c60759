"""A text as a condition: "she waves, then turns and walks off"."""

from __future__ import annotations

import importlib.util
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..files import read_json
from ..models import find_model, installed
from ..progress import Progress
from .conditions import Condition, SearchContext
from .labels import Label, find_actions
from .tags import SOFT, Wanted, label_remedy, tag_condition

Encoder = Callable[[Sequence[str]], NDArray[np.float32]]
"""Gives a vector of length 1 for each sentence [S, D]."""

Synonyms = tuple[tuple[str, ...], ...]
"""Groups of words, or of several words each, that mean the same."""

ENCODER = "sentence-encoder"
"""The registry's name for the model of sentences."""

ALIKE = 0.4
"""Least cosine between the vectors of a phrase and a label that are taken to mean the same."""

ENOUGH = 0.5
"""Least share of a label's words that a phrase must have."""

NEARLY = 0.75
"""What a word counts that is matched by a synonym."""

PARTICLE = 0.5
"""What a word counts that tells where to."""

SHORTEST = 0.25
"""s, least time for a phrase."""

_NUMBERS = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
}
_FIGURES = r"\d+(?:\.\d+)?|\.\d+"
_UNIT = r"(?:seconds?|secs?|s)\b"
_TIMES = re.compile(
    rf"[\[(]\s*({_FIGURES})\s*(?:{_UNIT})?\s*(?:-|–|to)\s*({_FIGURES})\s*(?:{_UNIT})?\s*[\])]", re.IGNORECASE
)
_COUNT = rf"({_FIGURES}|{'|'.join(_NUMBERS)})\s*{_UNIT}"
_LENGTH = re.compile(rf"\bfor\s+{_COUNT}|[\[(]\s*{_COUNT}\s*[\])]", re.IGNORECASE)
_LEFT_OVER = re.compile(r"[\[\]]|\(\s*[.\d]|\d\s*\)")
"""What of a time in brackets is left where it cannot be read."""
_PARTING = re.compile(r"[.!?;,:\n]+(?!\d)|\b(?:then|and|after that|afterwards|followed by)\b", re.IGNORECASE)
_SET_PHRASES = re.compile(
    r"\b(up|back|left|in|round|over|again) and (down|forth|right|out|round|over|again)\b", re.IGNORECASE
)
# fmt: off
_PARTICLES = frozenset({
    "in", "on", "out", "off", "up", "down", "away", "back", "around", "round", "over", "forward", "backward",
})
_EMPTY = frozenset({
    "a", "an", "the", "she", "he", "it", "they", "i", "we", "you", "her", "his", "its", "their", "him", "them",
    "who", "this", "that", "these", "those", "is", "are", "was", "were", "be", "been", "being", "has", "have",
    "had", "do", "does", "did", "of", "at", "to", "with", "from", "by", "for", "into", "onto", "person", "man",
    "woman", "girl", "boy", "someone",
})
# fmt: on


@dataclass(frozen=True)
class Phrase:
    """A part of a text that speaks of one action; its time and length, s of the output, where they are given."""

    words: str
    time: tuple[float, float] | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Match:
    """Actions, by `tag_key`, that a phrase speaks of, and what told so: words, synonyms, or a sentence embedding."""

    tags: tuple[str, ...]
    by: str


def sentence_encoder() -> Encoder | None:
    """What turns sentences into vectors, where its package and its model are here; nothing is downloaded."""
    model = find_model(ENCODER)
    if importlib.util.find_spec("sentence_transformers") is None or installed(model) is None:
        return None
    from sentence_transformers import SentenceTransformer  # seconds, so only where it is asked for

    loaded = SentenceTransformer(str(model.folder), device="cpu", local_files_only=True)
    return lambda sentences: np.asarray(loaded.encode(list(sentences), normalize_embeddings=True), np.float32)


@dataclass(frozen=True)
class Text:
    """A text as a person asked for it; see `Asked`.

    Attributes
    ----------
    text : str
    labels : tuple of Label
        Of the footage.
    synonyms : tuple of tuple of str
        See `load_synonyms`.
    weight, soft : float
        See `TagSpans`.
    encoder : callable
        Gives what turns sentences into vectors, or None where that is not here. It is called only when a phrase has
        no word in common with any label.
    start : float
        s of the film at which the text's time begins; below 0 where the film's beginning was cut off.
    seconds : float or None
        What the text was meant for; what of it lies outside of the film is left out. None for this film.

    Raises
    ------
    UserError
        When the text says nothing, or a time in it is none.
    """

    text: str
    labels: tuple[Label, ...]
    synonyms: Synonyms
    weight: float = 1.0
    soft: float = SOFT
    encoder: Callable[[], Encoder | None] = sentence_encoder
    start: float = 0.0
    seconds: float | None = None

    def __post_init__(self) -> None:
        read_phrases(self.text)

    def condition(self, context: SearchContext, progress: Progress) -> Condition:
        """See `Asked.condition`.

        Raises
        ------
        UserError
            When the times do not fit into the film, or a phrase is like no label.
        """
        progress.check()
        actions = find_actions(self.labels, context.footages, context.graph.offsets)
        phrases = read_phrases(self.text)
        length = context.frames / context.fps
        times = share_out(phrases, length if self.seconds is None else self.seconds)
        if self.seconds is not None:
            cut = [(max(begin + self.start, 0.0), min(end + self.start, length)) for begin, end in times]
            phrases = [phrase for phrase, (begin, end) in zip(phrases, cut, strict=True) if begin < end]
            times = [time for time in cut if time[0] < time[1]]
        matches, unmatched = match([one.words for one in phrases], list(actions.stretches), self.synonyms, self.encoder)
        if unmatched:
            like = " or ".join(f'"{words}"' for words in unmatched)
            raise UserError(f"No footage is labelled with anything like {like}.", label_remedy(actions))
        wanted = [Wanted(found.tags, *time) for found, time in zip(matches, times, strict=True)]
        told = [
            {"words": one.words, "tags": list(found.tags), "by": found.by, "start": start, "end": end}
            for one, found, (start, end) in zip(phrases, matches, times, strict=True)
        ]
        about = {"text": self.text, "phrases": told}
        return tag_condition("text", wanted, actions, context, self.weight, self.soft, about)


def read_phrases(text: str) -> list[Phrase]:
    """Part a text into phrases, in order.

    Punctuation, "then", "and" and their like part them. A time stands in brackets: ``she waves [1.5-3]``; without
    punctuation each belongs to the words before it, or to those after it where it comes first. ``for 3 seconds`` or
    ``(3 s)`` give a length.

    Raises
    ------
    UserError
        When there are no words, none beside a time, or a time in brackets that cannot be read.
    """
    phrases = []
    for part in _PARTING.split(_SET_PHRASES.sub(r"\1 & \2", text)):
        pieces = _TIMES.split(part)  # words, start, end, words, start, end, ..., words
        words, times = pieces[::3], [(float(a), float(b)) for a, b in zip(pieces[1::3], pieces[2::3], strict=True)]
        if len(times) <= 1:
            words = [" ".join(words)]
        elif not words[0].strip():
            words = words[1:]
        for index, some in enumerate(words):
            if some.strip():
                phrases.append(_phrase(some, times[index] if index < len(times) else None))
            elif index < len(times):
                raise UserError(
                    f"No words stand beside the time {times[index][0]:g} to {times[index][1]:g} s in the text.",
                    "Write what is to be seen then beside each time, like: she waves [0-2], she turns [2-4].",
                )
    if not phrases:
        raise UserError("The text says nothing.", "Write what is to be seen, like: she waves, then turns.")
    return phrases


def _phrase(words: str, time: tuple[float, float] | None) -> Phrase:
    if time and time[0] >= time[1]:
        raise UserError(
            f"The time {time[0]:g} to {time[1]:g} s in the text does not last.", "Write the earlier time first."
        )
    length = _LENGTH.search(words)
    seconds = None
    if length:
        count = (length[1] or length[2]).lower()
        seconds = float(_NUMBERS.get(count) or count)
        words = words.replace(length[0], " ")
        if not seconds:
            raise UserError(f'"{length[0].strip()}" in the text is no time.', "Give a length above 0.")
    if left := _LEFT_OVER.search(words):
        raise UserError(
            f'"{words[left.start() :].strip()}" in the text cannot be read as a time.',
            "Close each bracket, and write times in seconds, like: she waves [1.5-3], or: she waves [3 s].",
        )
    return Phrase(" ".join(words.split()), time, seconds)


def share_out(phrases: Sequence[Phrase], length: float) -> list[tuple[float, float]]:
    """Give each phrase its time in a film of `length` s: what is left beside those with a time or length, shared.

    Raises
    ------
    UserError
        When the times do not rise, or leave no room for a phrase.
    """
    times: list[tuple[float, float]] = []
    at = 0.0
    for index, phrase in enumerate(phrases):
        if phrase.time:
            start, end = phrase.time
            if start < at - 1e-9:
                raise UserError(
                    f'"{phrase.words}" is wanted at {start:g} s, but what the text has before it ends at {at:g} s.',
                    "Let the times in the text rise.",
                )
        else:
            run = list(itertools.takewhile(lambda one: one.time is None, phrases[index:]))
            following = phrases[index + len(run)].time if index + len(run) < len(phrases) else None
            until = min(following[0], length) if following else length
            free = until - at - sum(one.seconds or 0.0 for one in run)
            open_ones = sum(one.seconds is None for one in run)
            if free < SHORTEST * open_ones - 1e-9:
                raise UserError(
                    f'"{phrase.words}" and what follows it do not fit between {at:g} and {until:g} s.',
                    "Make the film longer, or the times in the text shorter.",
                )
            start, end = at, at + (free / open_ones if phrase.seconds is None else phrase.seconds)
        times.append((start, end))
        at = end
    return times


def load_synonyms(file: Path | None = None) -> Synonyms:
    """Read the groups of words that mean the same: our own, and those of a person's file beside them.

    A file is a list of lists: ``[["wave", "greet", "hello"], ["lie down", "lay down"]]``.

    Raises
    ------
    UserError
        For a file that is not that.
    """
    own = _groups(Path(__file__).with_name("synonyms.json"))
    return own + _groups(file) if file else own


def _groups(file: Path) -> Synonyms:
    remedy = 'Write a list of lists of words, like [["wave", "greet", "hello"]].'
    groups = read_json(file, "--synonyms", remedy)
    good = isinstance(groups, list) and all(
        isinstance(group, list) and all(isinstance(entry, str) and stems(entry) for entry in group) for group in groups
    )
    if not good:
        raise UserError(f"{file.name} is not a list of lists of words.", remedy)
    return tuple(tuple(group) for group in groups)


def match(
    phrases: Sequence[str],
    tags: Sequence[str],
    synonyms: Synonyms,
    encoder: Callable[[], Encoder | None],
) -> tuple[list[Match], list[str]]:
    """Find the tags that each phrase speaks of, and the phrases that are like none.

    First by words and synonyms: the tag most of whose words a phrase has, of equal ones that with the most words, of
    equal ones all. What no word connects goes by the vectors of whole phrases, where there is an encoder.
    """
    entries = [[stems(entry) for entry in group] for group in synonyms]
    known = [(tag, _Words.of(tag, entries)) for tag in tags]
    found: dict[str, Match] = {}
    for phrase in dict.fromkeys(phrases):
        said = _Words.of(phrase, entries)
        likeness = {tag: said.likeness(words) for tag, words in known}
        share, count, _ = max(likeness.values(), default=(0.0, 0.0, False))
        if share >= ENOUGH:
            best = [tag for tag, one in likeness.items() if one[:2] == (share, count)]
            exact = all(likeness[tag][2] for tag in best)
            found[phrase] = Match(tuple(best), "words" if exact else "synonyms")
    rest = [phrase for phrase in dict.fromkeys(phrases) if phrase not in found]
    encode = encoder() if rest and tags else None
    if encode:
        cosine = encode(rest) @ encode(list(tags)).T
        for phrase, row in zip(rest, cosine, strict=True):
            if row.max() >= ALIKE:
                found[phrase] = Match((tags[int(row.argmax())],), "sentence embedding")
    return [found[one] for one in phrases if one in found], [one for one in rest if one not in found]


@dataclass(frozen=True)
class _Words:
    """What the words of a phrase or tag are, and for which of them each group of synonyms has an entry."""

    stems: frozenset[str]
    groups: dict[int, frozenset[str]]

    @classmethod
    def of(cls, text: str, synonyms: Sequence[Sequence[frozenset[str]]]) -> _Words:
        own = stems(text)
        groups = {}
        for number, entries in enumerate(synonyms):
            covered = frozenset[str]().union(*(entry for entry in entries if entry <= own))
            if covered:
                groups[number] = covered
        return cls(own, groups)

    def likeness(self, tag: _Words) -> tuple[float, float, bool]:
        """Share of a tag's words that this phrase has, how many that are, and whether without any synonym."""
        near = frozenset[str]().union(*(words for number, words in tag.groups.items() if number in self.groups))
        count = 0.0
        for word in tag.stems:
            count += _worth(word) * (1.0 if word in self.stems else NEARLY if word in near else 0.0)
        return count / sum(_worth(word) for word in tag.stems), count, not near - self.stems


def _worth(stem: str) -> float:
    return PARTICLE if stem in _PARTICLES else 1.0


def stems(text: str) -> frozenset[str]:
    """The words of a text that say something, without their endings; all words where none says anything."""
    words = re.findall(r"[^\W_]+", text.casefold())
    return frozenset(stem(word) for word in [word for word in words if word not in _EMPTY] or words)


def stem(word: str) -> str:
    """A word without its ending: "waves", "waving" and "wave" have the same."""
    if word in _PARTICLES:
        return word
    if len(word) > 4 and word.endswith(("ies", "ied")):
        word = word[:-3] + "y"
    elif not word.endswith(("ss", "us", "is")) and not (word.endswith("eed") and len(word) < 6):
        for ending in ("ing", "ed", "es", "s"):
            rest = word.removesuffix(ending)
            if rest != word and len(rest) > 2 and re.search("[aeiouy]", rest):
                word = rest
                break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    if len(word) > 3:
        word = word.rstrip("e")
    return re.sub("y$", "i", word)
