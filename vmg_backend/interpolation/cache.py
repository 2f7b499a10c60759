"""The generated transitions on disk, kept within a size."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..files import said_clearly, write_json
from ..locking import locked
from ..progress import SILENT, Progress

LIMIT = 10e9
"""Bytes that the transitions of a library may take when a job ends: about 5000 frames of 1920 x 1080."""
ABOUT = "about.json"
"""In a transition's folder: what made it."""

_JOBS = ".jobs"
_NAME = re.compile(r"[0-9a-f]{16}")
_CLOCK = 2.0
"""Seconds by which time stamps of files that were written together may differ."""
_BEGINNING = 60.0
"""Seconds within which a job's file may be there without its lock."""


@dataclass(frozen=True)
class Entry:
    """A transition on disk.

    Attributes
    ----------
    folder : Path
    bytes : int
    used : float
        When it was last used, s since 1970.
    engine : str or None
        What made it, where that was noted.
    retouched : bool
        Whether somebody changed its frames since.
    """

    folder: Path
    bytes: int
    used: float
    engine: str | None
    retouched: bool


@dataclass(frozen=True)
class TransitionCache:
    """A folder of transitions, each in a folder that is named by the hash of what decides its pixels.

    A use is the time stamp of the entry's folder. Jobs say how long they are at work (`working`): whatever was used
    since the first of those that run began is theirs, and `clean` leaves it.

    Attributes
    ----------
    root : Path
    """

    root: Path

    def take(self, key: str) -> Path:
        """Where the frames of the transition with that hash are, or belong; counts as a use."""
        folder = self.root / key
        self._touch(folder)
        return folder

    def note(self, key: str, engine: str) -> None:
        """Write down which engine made an entry."""
        write_json(self.root / key / ABOUT, {"engine": engine})

    @contextmanager
    def working(self, used: Iterable[Path] = ()) -> Iterator[None]:
        """Keep what is used while the block runs from `clean`, by this process and by others.

        Parameters
        ----------
        used : iterable of Path
            Folders of transitions that are used from the beginning on; those that are no entries are passed over.
        """
        jobs = self.root / _JOBS
        with said_clearly(jobs):
            jobs.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=jobs)
            os.close(handle)
        job = Path(name)
        try:
            with locked(job, lambda: None):
                for folder in used:
                    if folder.parent.resolve() == self.root.resolve():
                        self._touch(folder)
                yield
        finally:
            job.unlink(missing_ok=True)

    def entries(self) -> list[Entry]:
        """All transitions, the one that was not used for the longest first."""
        folders = [folder for folder in self.root.glob("*/") if _NAME.fullmatch(folder.name)]
        found = [_entry(folder) for folder in folders]
        return sorted((entry for entry in found if entry), key=lambda entry: (entry.used, entry.folder.name))

    def clean(self, limit: float = LIMIT, progress: Progress = SILENT) -> list[Entry]:
        """Delete entries until the rest takes no more than `limit` bytes.

        Those that were not used for the longest go first; those that a running job uses, and those whose frames
        somebody retouched, never do.

        Returns
        -------
        list of Entry
            What was deleted.
        """
        entries = self.entries()
        left = sum(entry.bytes for entry in entries)
        deleted: list[Entry] = []
        for number, entry in enumerate(entries):
            progress.update(number / len(entries))
            if left <= limit or entry.used >= self._oldest_job():
                break
            if not entry.retouched and self._delete(entry):
                deleted.append(entry)
                left -= entry.bytes
        return deleted

    def _touch(self, folder: Path) -> None:
        with suppress(FileNotFoundError):
            os.utime(folder)

    def _oldest_job(self) -> float:
        """When the first of the running jobs began; files of jobs that were killed are cleared away."""
        begun = [float("inf")]
        for job in (self.root / _JOBS).glob("*"):
            with suppress(FileNotFoundError):
                since = job.stat().st_mtime
                if _is_held(job) or time.time() - since < _BEGINNING:
                    begun.append(since)
                else:
                    job.unlink()
        return min(begun)

    def _delete(self, entry: Entry) -> bool:
        """Delete an entry, unless somebody used it since, or deletes it too."""
        doomed = Path(tempfile.mkdtemp(prefix=".vmg-", dir=self.root))
        try:
            if entry.folder.stat().st_mtime > entry.used:
                return False
            entry.folder.rename(doomed / entry.folder.name)  # at once, so that nobody finds half of it
        except (FileNotFoundError, PermissionError):  # gone already, or (on Windows) a file of it is open
            return False
        finally:
            shutil.rmtree(doomed, ignore_errors=True)
        return True


def _entry(folder: Path) -> Entry | None:
    """What is known of a folder; None where it has just been deleted."""
    about = folder / ABOUT
    try:
        files = {file.name: file.stat() for file in folder.iterdir()}
        noted = files[ABOUT].st_mtime + _CLOCK if ABOUT in files else float("inf")
        return Entry(
            folder=folder,
            bytes=sum(file.st_size for file in files.values()),
            used=folder.stat().st_mtime,
            engine=_engine(about) if ABOUT in files else None,
            retouched=any(file.st_mtime > noted for name, file in files.items() if name.endswith(".png")),
        )
    except FileNotFoundError:
        return None


def _engine(about: Path) -> str | None:
    try:
        engine = json.loads(about.read_text("utf-8")).get("engine")
    except (UnicodeDecodeError, json.JSONDecodeError, AttributeError):  # damaged
        return None
    return engine if isinstance(engine, str) else None


class _Held(Exception):  # noqa: N818 - no error: the answer to a question
    """Somebody else holds the lock."""


def _is_held(file: Path) -> bool:
    def give_up() -> None:
        raise _Held

    try:
        with locked(file, give_up):
            return False
    except _Held:
        return True
