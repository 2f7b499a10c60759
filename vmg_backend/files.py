"""Files that are either whole or not there: write aside, then rename."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import UserError
from .progress import SILENT, Progress

_NOT_A_PLACE = (
    *(errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EISDIR),
    *(errno.ENOENT, errno.EEXIST, errno.EINVAL, errno.ENAMETOOLONG),
)

CACHE_VARIABLE = "VMG_CACHE"

SPARE = 1 << 28
"""Bytes of a disk that stay free."""


def cache_root() -> Path:
    """The user's cache folder for everything that can be computed again."""
    if override := os.environ.get(CACHE_VARIABLE):
        return Path(override)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "video-motion-graphs"


def content_hash(path: Path, progress: Progress = SILENT) -> str:
    """SHA-256 of the file's bytes, as hex: the identity of a footage or a piece of music."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            progress.check()
            digest.update(block)
    return digest.hexdigest()


def read_json(file: Path, option: str, remedy: str) -> Any:  # noqa: ANN401 - whatever the JSON holds
    """What a person's JSON file holds; `option` names it on the command line.

    Raises
    ------
    UserError
        When it cannot be read; with `remedy` when it is not JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))  # editors on Windows begin files with a mark
    except OSError as error:
        raise UserError(f"There is no file {file} that can be read.", f"Check the path given to {option}.") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, numbers or brackets without end
        raise UserError(f"{file.name} is not JSON ({error}).", remedy) from error


def settings_hash(settings: dict[str, object]) -> str:
    """A short hash of JSON-able settings, equal for equal settings."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well.

    Raises
    ------
    UserError
        When the folder cannot be written or the disk is full; `path` is then as it was.
    """
    with said_clearly(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".vmg-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    temporary = Path(name)
    try:
        with said_clearly(path):
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)  # mkstemp's 0600 would hide a film from its viewers
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """Like `writing`, for a folder; an older folder at `path` is replaced."""
    with said_clearly(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".vmg-", dir=path.parent))
    try:
        with said_clearly(path):
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o777 & ~umask)
            if path.exists():
                shutil.rmtree(path)
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False))


def write_text(path: Path, text: str) -> None:
    """Write a text, whole or not at all."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_output(out: Path, inputs: Iterable[Path]) -> None:
    """Make sure, before any work, that `out` can be written and is none of what is read or written, too.

    Raises
    ------
    UserError
        When `out` is a folder, or one of `inputs`.
    """
    if out.is_dir():
        raise UserError(f"{out} is a folder.", "Give the name of a file to write.")
    for file in inputs:
        if out.resolve() == file.resolve() or (out.exists() and file.exists() and out.samefile(file)):
            raise UserError(f"{out} would be written over: it has another use here.", "Choose another name.")


def check_space(folder: Path, size: float, what: str, remedy: str) -> None:
    """Make sure, before any work, that `size` bytes have room where `folder` is or will be.

    Parameters
    ----------
    folder : Path
    size : float
    what : str
        What needs it: "The download".
    remedy : str

    Raises
    ------
    UserError
    """
    if (free := free_space(folder)) < size + SPARE:
        raise UserError(
            f"{what} needs {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free in {_existing(folder)}.",
            remedy,
            title="Disk full",
        )


def free_space(folder: Path) -> int:
    """Bytes that are free where a folder is or will be."""
    return shutil.disk_usage(_existing(folder)).free


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())


@contextmanager
def said_clearly(path: Path) -> Iterator[None]:
    """What the system says when `path` cannot be written, as a `UserError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"The disk is full while writing {path.name} in {path.parent}.",
                "Free some space there, or choose another folder, and start again.",
                title="Disk full",
            ) from error
        if error.errno in _NOT_A_PLACE:
            raise UserError(
                f"{path.name} cannot be written in {path.parent}: {error.strerror}.",
                "Choose a folder that you may write to.",
                title="Cannot write",
            ) from error
        raise
