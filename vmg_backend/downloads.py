"""Model files from their hub: asked for, resumed, checked. The one place of the backend that opens the network."""

from __future__ import annotations

import http.client
import json
import os
import queue
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

from .errors import UserError
from .files import check_space, content_hash, said_clearly
from .models import File, Held, Installed, Model, installed
from .progress import SILENT, Progress, shares

_BLOCK = 1 << 18
_TIMEOUT = 30.0
"""Seconds without a byte before a connection counts as broken."""
_TRIES = 3
"""Broken connections in a row that brought nothing new."""
_PLAIN_NAME = re.compile(r"([\w-][\w.-]*/)*[\w-][\w.-]*")
"""A path below a folder, without a way out of it."""


@dataclass(frozen=True)
class Hub:
    """Where models are downloaded from.

    Attributes
    ----------
    base : str
        Its address.
    schemes : tuple of str
        Of the addresses that may be opened, also when the hub sends on to another.
    token : str or None
        Of the person's account there, for models that ask for one; sent to `base` alone.
    pause : float
        Seconds before the next try after a broken connection; twice as many after each that brought nothing new.
    """

    base: str = "https://huggingface.co"
    schemes: tuple[str, ...] = ("https",)
    token: str | None = None
    pause: float = 1.0

    def open(self, address: str, start: int = 0) -> http.client.HTTPResponse:
        """The answer of an address, from byte `start` on where the server can do that."""
        request = urllib.request.Request(address, headers={"User-Agent": "vmg"})  # noqa: S310 - checked by _Schemes
        if start:
            request.add_header("Range", f"bytes={start}-")
        if self.token and address.startswith(f"{self.base}/"):
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        opener = urllib.request.build_opener(_Schemes(self.schemes))
        return cast(http.client.HTTPResponse, opener.open(request, timeout=_TIMEOUT))


@dataclass(frozen=True)
class _Wanted:
    """A file as the hub lists it."""

    path: str
    size: int
    sha256: str | None
    vouched: str


def public_hub() -> Hub:
    """The public hub, with the token of the environment's HF_TOKEN where there is one."""
    return Hub(token=os.environ.get("HF_TOKEN"))


def get(model: Model, accepted: bool, hub: Hub, progress: Progress = SILENT) -> Installed:
    """Download what is missing of a model; asks nobody where all of it is here.

    Parameters
    ----------
    model : Model
        From the registry.
    accepted : bool
        Whether the person accepts the licence.

    Raises
    ------
    UserError
        When the licence is not accepted, the hub or the disk refuses, or a file is not what it should be. What was
        fetched is kept, and the next call goes on from there.
    Cancelled
        Within a second; what was fetched is kept, too.
    """
    if found := installed(model):
        return found
    if not accepted:
        raise UserError(
            f"{model.name} ({model.gigabytes:.2g} GB from {model.page}) comes under the licence {model.licence.name} "
            f"({model.licence.words}): {model.licence.url}",
            f"Read it, and if you agree, run `vmg models get {model.name} --accept-licence`.",
            title="Licence",
        )
    progress.update(0.0)
    commit, wanted = _listing(model, hub, progress.part(0.0, 0.01, "Asking the hub"))
    here = {each.path: _here(model.folder / each.path, each, progress) for each in wanted}
    missing = [each for each in wanted if here[each.path] is None]
    if missing:
        remedy = "Free some space there, or name another folder in the variable VMG_MODELS."
        check_space(model.folder, sum(each.size for each in missing), "The download", remedy)
    for number, (each, (begin, end)) in enumerate(zip(missing, shares(each.size for each in missing), strict=True), 1):
        part = progress.part(0.01 + 0.99 * begin, 0.01 + 0.99 * end, f"{model.name}: file {number} of {len(missing)}")
        address = f"{hub.base}/{model.hub}/resolve/{commit}/{urllib.parse.quote(each.path)}"
        here[each.path] = _fetch(address, model.folder / each.path, each, commit, hub, part)
    progress.update(1.0)
    files = tuple(
        Held(each.path, each.size, sha256, each.vouched) for each in wanted if (sha256 := here[each.path]) is not None
    )
    found = Installed(model.name, model.hub, commit, model.licence.name, files)
    found.save(model.folder)
    return found


def _listing(model: Model, hub: Hub, progress: Progress) -> tuple[str, list[_Wanted]]:
    """The commit that the revision means, and the files wanted of it."""
    address = f"{hub.base}/api/models/{model.hub}/revision/{urllib.parse.quote(model.revision, safe='')}?blobs=true"
    text = bytearray()
    for at, block in _persistent(address, hub, progress):
        text[at:] = block  # from 0 again after a break, where the server knows no ranges
    try:
        answer = json.loads(text)
        commit, siblings = str(answer["sha"]), {str(each["rfilename"]): each for each in answer["siblings"]}
        wanted = [
            _as_listed(path, file, siblings.get(path), model) for file in model.files for path in _paths(file, siblings)
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"The hub's answer about {model.hub} cannot be understood.", "Look whether its page can be opened."
        ) from error
    if not _PLAIN_NAME.fullmatch(commit):
        raise UserError(f"The hub names no commit of {model.hub}.", "Try again later.")
    return commit, wanted


def _paths(file: File, siblings: dict[str, Any]) -> list[str]:
    folder, _, name = file.path.rpartition("/")
    if name != "*":
        return [file.path]
    return sorted(
        path for path in siblings if str(PurePosixPath(path).parent) == folder and _PLAIN_NAME.fullmatch(path)
    )


def _as_listed(path: str, file: File, listed: dict[str, Any] | None, model: Model) -> _Wanted:
    """What is known of a file here and there, brought together."""
    if listed is None or not isinstance(listed.get("size"), int):
        raise UserError(f"{model.hub} has no file {path} any more.", "Look for a newer version of this program.")
    stated = (listed.get("lfs") or {}).get("sha256")
    for what, ours, theirs in (("size", file.size, listed["size"]), ("SHA-256", file.sha256, stated)):
        if ours is not None and theirs is not None and ours != theirs:
            raise UserError(
                f"{path} of {model.hub} is another file than the one known here: {what} {theirs}, not {ours}.",
                "Do not use it; look for a newer version of this program.",
                title="Another file",
            )
    vouched = "registry" if file.sha256 else "hub" if stated else "first download"
    return _Wanted(path, listed["size"], file.sha256 or stated, vouched)


def _here(path: Path, wanted: _Wanted, progress: Progress) -> str | None:
    """The hash of a file that an earlier call finished."""
    if wanted.sha256 is None or not path.is_file() or path.stat().st_size != wanted.size:
        return None
    part = progress.part(0.01, 0.01, f"Checking {wanted.path}")
    part.update(0.0)
    return wanted.sha256 if content_hash(path, part) == wanted.sha256 else None


def _fetch(address: str, path: Path, wanted: _Wanted, commit: str, hub: Hub, progress: Progress) -> str:
    """Download a file beside its place, check it, put it there; gives its hash."""
    # The name holds what the bytes belong to: never are two versions of a file joined.
    aside = path.with_name(f".{path.name}.{(wanted.sha256 or commit)[:16]}.part")
    with said_clearly(path):
        aside.parent.mkdir(parents=True, exist_ok=True)
        start = aside.stat().st_size if aside.exists() else 0
    if start > wanted.size:
        start = 0
    loading = progress.part(0.0, 0.95)
    loading.update(start / max(wanted.size, 1))
    with said_clearly(path), aside.open("r+b" if start else "wb") as file:
        for at, block in _persistent(address, hub, loading, start, wanted.size):
            file.seek(at)
            file.write(block)
            loading.update((at + len(block)) / max(wanted.size, 1))
        file.truncate(wanted.size)
    sha256 = content_hash(aside, progress.part(0.95, 1.0))
    if wanted.sha256 not in (None, sha256):
        aside.unlink()
        raise UserError(
            f"{wanted.path} came with the SHA-256 {sha256}, and {wanted.sha256} is the right one.",
            "Run the command again; if that does not help, something on the way changes downloads.",
            title="Damaged download",
        )
    aside.replace(path)
    for older in path.parent.glob(f".{path.name}.*.part"):
        older.unlink()
    return sha256


def _persistent(
    address: str, hub: Hub, progress: Progress, start: int = 0, size: int | None = None
) -> Iterator[tuple[int, bytes]]:
    """The bytes of an address from `start` on, with their places; goes on where a connection broke.

    With `size`, the end of an answer before that many bytes counts as broken, too, and more bytes are refused.
    """
    at, fruitless = start, 0
    while size is None or at < size:
        before = at
        try:
            for place, block in _Answer(hub, address, at).blocks(progress):
                at = place + len(block)
                if size is not None and at > size:
                    raise UserError(
                        f"{address} is longer than the {size} bytes that it should have.", "Do not use it; try later."
                    )
                yield place, block
            if size is None:
                return
        except urllib.error.HTTPError as error:
            _explain(error, hub)
            reason: object = f"{error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error or type(error).__name__
        else:
            reason = "the connection ended too early"
        fruitless = 0 if at > before else fruitless + 1
        if fruitless == _TRIES:
            raise UserError(
                f"{urllib.parse.urlsplit(address).netloc} cannot be read: {reason}.",
                "Look at the connection and run the command again: what was fetched is kept.",
                title="No connection",
            )
        _wait(hub.pause * 2**fruitless, progress)


class _Answer:
    """One answer of a server, read in a thread of its own: a cancel need not wait for the network."""

    def __init__(self, hub: Hub, address: str, start: int) -> None:
        self._hub, self._address, self._start = hub, address, start
        self._blocks: queue.Queue[tuple[int, bytes] | Exception | None] = queue.Queue(maxsize=16)
        self._left = threading.Event()

    def blocks(self, progress: Progress) -> Iterator[tuple[int, bytes]]:
        threading.Thread(target=self._read, daemon=True).start()
        try:
            while True:
                progress.check()
                try:
                    item = self._blocks.get(timeout=0.2)
                except queue.Empty:
                    continue
                if item is None:
                    return
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self._left.set()

    def _read(self) -> None:
        try:
            with self._hub.open(self._address, self._start) as response:
                at = _first_byte(response)
                while not self._left.is_set() and (block := response.read1(_BLOCK)):
                    self._put((at, block))
                    at += len(block)
            self._put(None)
        except (OSError, http.client.HTTPException, UserError) as error:
            self._put(error)

    def _put(self, item: tuple[int, bytes] | Exception | None) -> None:
        """Hand on, as long as somebody reads."""
        while not self._left.is_set():
            try:
                return self._blocks.put(item, timeout=0.2)
            except queue.Full:
                continue


def _first_byte(response: http.client.HTTPResponse) -> int:
    """Where in the file an answer begins: a server that knows no ranges sends all of it."""
    if response.status != http.client.PARTIAL_CONTENT:
        return 0
    stated = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if stated is None:
        raise http.client.HTTPException("a part of a file without its place")
    return int(stated[1])


def _explain(error: urllib.error.HTTPError, hub: Hub) -> None:
    """Raise what the person can put right; what another try may mend passes."""
    if error.code in (401, 403):
        raise UserError(
            "The hub gives this model only to accounts that agreed to its terms on its page.",
            "Agree there, make a token for reading, set it as HF_TOKEN, and run the command again."
            if hub.token is None
            else "Look whether the account of HF_TOKEN did, and whether the token may read.",
            title="Account needed",
        ) from error
    if error.code in (404, 410):
        raise UserError(
            f"The hub has nothing at {error.url}.", "Look for a newer version of this program.", title="Gone"
        ) from error


class _Schemes(urllib.request.HTTPRedirectHandler):
    """Refuses addresses of other schemes, also those that a server sends on to."""

    handler_order = 100  # before those that open anything

    def __init__(self, schemes: tuple[str, ...]) -> None:
        self._schemes = schemes

    def default_open(self, request: urllib.request.Request) -> None:
        """Look at each address before it is opened."""
        if request.type not in self._schemes:
            raise UserError(
                f"The hub sends on to an address that is not {' or '.join(self._schemes)}: {request.full_url}.",
                "Look at the settings of your proxy, if you have one.",
            )


def _wait(seconds: float, progress: Progress) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        progress.check()
        time.sleep(min(left, 0.2))
