"""Model files: what is said before a download, downloads from a server of the test's own, hashes."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import threading
import time
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vmg_backend import models
from vmg_backend.cli import main
from vmg_backend.downloads import Hub, get
from vmg_backend.errors import Cancelled, UserError
from vmg_backend.models import REGISTRY, File, Licence, Model, installed, verify
from vmg_backend.progress import Progress

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = bytes(range(256)) * 8192  # 2 MB
CONFIG = b'{"a": 1}'
MODEL = Model(
    "sample-model",
    "somebody/sample",
    "main",
    (File("config.json"), File("net/weights.safetensors", len(WEIGHTS), hashlib.sha256(WEIGHTS).hexdigest())),
    Licence("Sample licence", "free on Sundays", "https://example.org/licence"),
    "a test",
    0.002,
)


@dataclass
class Server:
    """What the hub of a test holds, how it misbehaves, and what it was asked."""

    files: dict[str, bytes]
    address: str = ""
    stated: dict[str, str] = field(default_factory=dict)  # SHA-256 that the list states
    ranges: bool = True
    break_after: list[int] = field(default_factory=list)  # bytes before each of the first answers breaks
    slow: threading.Event | None = None  # answers stop in the middle until it is set
    refuse: list[int] = field(default_factory=list)  # status of each of the first answers
    elsewhere: str | None = None  # files are there
    longer: bytes = b""
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    @property
    def hub(self) -> Hub:
        return Hub(self.address, schemes=("http",), pause=0.0)

    @property
    def downloads(self) -> list[tuple[str, str | None]]:
        return [(path.partition(f"/resolve/{COMMIT}/")[2], span) for path, span in self.asked if "/resolve/" in path]

    def listing(self) -> bytes:
        siblings = [
            {
                "rfilename": name,
                "size": len(data),
                **({"lfs": {"sha256": sha}} if (sha := self.stated.get(name)) else {}),
            }
            for name, data in self.files.items()
        ]
        return json.dumps({"sha": COMMIT, "siblings": siblings}).encode()


class Handler(BaseHTTPRequestHandler):
    """Serves `Server`'s files as a hub does: a list, an address that sends on, and the files."""

    def __init__(self, server: Server, *rest: object) -> None:
        self.kept = server
        super().__init__(*rest)  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        kept, span = self.kept, self.headers.get("Range")
        kept.asked.append((self.path, span))
        if kept.refuse:
            return self.send_error(kept.refuse.pop(0))
        if self.path == "/api/models/somebody/sample/revision/main?blobs=true":
            return self._send(kept.listing(), None)
        name = self.path.partition(f"/somebody/sample/resolve/{COMMIT}/")[2]
        if name:
            self.send_response(302)
            self.send_header("Location", f"{kept.elsewhere or kept.address}/store/{name}")
            self.end_headers()
            return None
        data = kept.files.get(self.path.removeprefix("/store/"))
        if data is None:
            return self.send_error(404)
        return self._send(data + kept.longer, span if kept.ranges else None)

    def _send(self, data: bytes, span: str | None) -> None:
        start = int(span.removeprefix("bytes=").removesuffix("-")) if span else 0
        self.send_response(206 if span else 200)
        if span:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        body = data[start:]
        if self.path.startswith("/store/net") and self.kept.break_after:
            body = body[: self.kept.break_after.pop(0)]
        half = len(body) // 2
        self.wfile.write(body[:half])
        if self.kept.slow and half > 1000:
            self.kept.slow.wait()
        self.wfile.write(body[half:])


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("VMG_MODELS", str(tmp_path / "models é"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    kept = Server({"config.json": CONFIG, "net/weights.safetensors": WEIGHTS, "README.md": b"not asked for"})
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, kept)) as running:
        kept.address = f"http://127.0.0.1:{running.server_address[1]}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield kept
        running.shutdown()
        thread.join()


def parts(folder: Path) -> list[Path]:
    return list(folder.rglob("*.part"))


def test_a_download_is_whole_recorded_and_never_asked_for_again(server):
    seen: list[float] = []
    found = get(MODEL, True, server.hub, Progress(lambda fraction, _: seen.append(fraction)))
    assert (MODEL.folder / "config.json").read_bytes() == CONFIG
    assert (MODEL.folder / "net" / "weights.safetensors").read_bytes() == WEIGHTS
    assert not (MODEL.folder / "README.md").exists()
    assert found.commit == COMMIT
    assert {held.path: held.vouched for held in found.files} == {
        "config.json": "first download",
        "net/weights.safetensors": "registry",
    }
    assert found.files[0].sha256 == hashlib.sha256(CONFIG).hexdigest()
    assert seen[-1] == pytest.approx(1.0)
    assert seen == sorted(seen)
    assert not parts(MODEL.folder)

    asked = len(server.asked)
    assert get(MODEL, False, replace(server.hub, base="http://127.0.0.1:1")) == found == installed(MODEL)
    assert len(server.asked) == asked


def test_without_consent_nothing_is_asked(server):
    with pytest.raises(
        UserError, match=r"Sample licence \(free on Sundays\).*models get sample-model --accept-licence"
    ):
        get(MODEL, False, server.hub)
    assert not server.asked


def test_a_broken_connection_is_resumed_where_it_broke(server):
    server.break_after = [700_000, 300_000]
    get(MODEL, True, server.hub)
    assert (MODEL.folder / "net" / "weights.safetensors").read_bytes() == WEIGHTS
    assert [span for name, span in server.downloads if name.startswith("net")] == [
        None,
        "bytes=700000-",
        "bytes=1000000-",
    ]


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(server):
    server.break_after = [700_000, 0, 0, 0]
    with pytest.raises(UserError, match=r"too early.*kept"):
        get(MODEL, True, server.hub)
    assert installed(MODEL) is None
    (part,) = parts(MODEL.folder)
    assert part.stat().st_size == 700_000
    server.asked.clear()
    get(MODEL, True, server.hub)
    assert server.downloads[-1] == ("net/weights.safetensors", "bytes=700000-")
    assert (MODEL.folder / "net" / "weights.safetensors").read_bytes() == WEIGHTS


def test_a_server_without_ranges_begins_again(server):
    server.break_after, server.ranges = [700_000], False
    get(MODEL, True, server.hub)
    assert (MODEL.folder / "net" / "weights.safetensors").read_bytes() == WEIGHTS


def test_a_busy_server_is_asked_again(server):
    server.refuse = [503, 429]
    get(MODEL, True, server.hub)
    assert installed(MODEL)


@pytest.mark.parametrize(("status", "said"), [(401, "HF_TOKEN"), (403, "HF_TOKEN"), (404, "newer version")])
def test_a_refusal_is_said_at_once(server, status, said):
    server.refuse = [status]
    with pytest.raises(UserError, match=said):
        get(MODEL, True, server.hub)
    assert len(server.asked) == 1


def test_a_file_with_the_wrong_hash_is_not_kept(server):
    server.files["net/weights.safetensors"] = WEIGHTS[:-1] + b"x"
    with pytest.raises(UserError, match="SHA-256"):
        get(MODEL, True, server.hub)
    assert not (MODEL.folder / "net" / "weights.safetensors").exists()
    assert not parts(MODEL.folder)
    assert installed(MODEL) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda server: server.stated.update({"net/weights.safetensors": "0" * 64}), "another file"),
        (lambda server: server.files.update({"net/weights.safetensors": WEIGHTS[1:]}), "another file"),
        (lambda server: server.files.pop("net/weights.safetensors"), "no file net/weights.safetensors"),
    ],
)
def test_a_list_that_is_not_what_is_known_here_ends_before_a_download(server, change, said):
    change(server)
    with pytest.raises(UserError, match=said):
        get(MODEL, True, server.hub)
    assert not server.downloads


def test_the_hash_that_the_hub_states_is_checked(server):
    model = replace(MODEL, files=(File("net/*"),))
    server.stated = {"net/weights.safetensors": hashlib.sha256(b"something else").hexdigest()}
    with pytest.raises(UserError, match="right one"):
        get(model, True, server.hub)
    server.stated = {"net/weights.safetensors": hashlib.sha256(WEIGHTS).hexdigest()}
    found = get(model, True, server.hub)
    assert [(held.path, held.vouched) for held in found.files] == [("net/weights.safetensors", "hub")]


def test_paths_that_lead_out_of_the_folder_are_not_fetched(server):
    server.files |= {"net/../evil": b"x", "net/.hidden": b"x", "net/deep/er": b"x", "net/good.json": b"{}"}
    found = get(replace(MODEL, files=(File("net/*"),)), True, server.hub)
    assert [held.path for held in found.files] == ["net/good.json", "net/weights.safetensors"]


def test_a_longer_file_is_refused(server):
    server.longer = b"more"
    with pytest.raises(UserError, match="longer"):
        get(MODEL, True, server.hub)


def test_no_other_kind_of_address_is_opened(server):
    with pytest.raises(UserError, match="not https"):
        get(MODEL, True, Hub(server.address))
    assert not server.asked
    server.elsewhere = "https://127.0.0.1:1"
    with pytest.raises(UserError, match="not http"):
        get(MODEL, True, server.hub)


def test_the_token_goes_to_the_hub_alone(server):
    tokens: list[tuple[str, str | None]] = []
    ask = Handler.do_GET

    def noting(handler: Handler) -> None:
        tokens.append((handler.path, handler.headers.get("Authorization")))
        ask(handler)

    Handler.do_GET = noting  # type: ignore[method-assign]
    try:
        get(MODEL, True, replace(server.hub, token="secret"))  # noqa: S106
    finally:
        Handler.do_GET = ask  # type: ignore[method-assign]
    assert {token for path, token in tokens if path.startswith("/store")} == {None}
    assert {token for path, token in tokens if not path.startswith("/store")} == {"Bearer secret"}


@pytest.mark.serial
def test_a_cancel_is_heard_within_a_second_while_the_server_is_silent(server):
    server.slow, cancelled = threading.Event(), threading.Event()
    timer = threading.Timer(0.5, cancelled.set)
    timer.start()
    begun = time.monotonic()
    try:
        with pytest.raises(Cancelled):
            get(MODEL, True, server.hub, Progress(cancelled=cancelled))
        assert time.monotonic() - begun < 1.5
    finally:
        server.slow.set()
    (part,) = parts(MODEL.folder)
    assert 0 < part.stat().st_size < len(WEIGHTS)
    server.slow = None
    get(MODEL, True, server.hub)
    assert (MODEL.folder / "net" / "weights.safetensors").read_bytes() == WEIGHTS


def test_a_disk_that_is_too_small_is_said_before(server, monkeypatch):
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(UserError, match="VMG_MODELS"):
        get(MODEL, True, server.hub)
    assert not server.downloads


def test_verify_finds_a_changed_byte(server):
    found = get(MODEL, True, server.hub)
    assert verify(found, MODEL.folder) == []
    weights = MODEL.folder / "net" / "weights.safetensors"
    with weights.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"?")
    (problem,) = verify(found, MODEL.folder)
    assert "weights.safetensors" in problem
    weights.unlink()
    assert installed(MODEL) is None
    server.asked.clear()
    get(MODEL, True, server.hub)
    assert verify(found, MODEL.folder) == []


def test_no_server_at_all(server):
    with pytest.raises(UserError, match=r"127\.0\.0\.1:1 cannot be read"):
        get(MODEL, True, replace(server.hub, base="http://127.0.0.1:1"))


@pytest.mark.parametrize("model", REGISTRY, ids=lambda model: model.name)
def test_the_registry_says_all_that_a_person_must_know(model):
    assert model.licence.name and model.licence.words and model.licence.url.startswith("https://")
    assert model.revision == "main" or len(model.revision) == 40
    known = sum(file.size or 0 for file in model.files) / 1e9
    if all(file.size for file in model.files):
        assert known == pytest.approx(model.gigabytes, rel=0.05)
    assert known < 1.05 * model.gigabytes
    for file in model.files:
        assert file.sha256 is None or (len(file.sha256) == 64 and int(file.sha256, 16))
    assert set(model.needs) <= {other.name for other in REGISTRY}


def test_the_authors_checkpoint_is_known_by_its_hash():
    assert models.find_model("video-motion-graphs").hub == "H-Liu1997/Video-Motion-Graphs"
    assert models.CHECKPOINT.sha256 == "9cc0f0354c5ec4b33085196ba5786f845e0901fd1dc7159e57be14d972c371af"


def told(capsys, *words: str) -> tuple[int, dict]:
    code = main(["models", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_verbs(server, capsys, monkeypatch):
    monkeypatch.setattr("vmg_backend.models.REGISTRY", (MODEL,))
    monkeypatch.setattr("vmg_backend.model_verbs.REGISTRY", (MODEL,))
    monkeypatch.setattr("vmg_backend.model_verbs.public_hub", lambda: server.hub)
    code, listed = told(capsys, "list")
    assert code == 0
    assert [(each["name"], each["installed"]) for each in listed["models"]] == [("sample-model", False)]
    code, refused = told(capsys, "get", "sample-model")
    assert code == 2
    assert "https://example.org/licence" in refused["error"]["message"]
    assert "--accept-licence" in refused["error"]["remedy"]
    code, refused = told(capsys, "verify", "sample-model")
    assert code == 2
    code, refused = told(capsys, "get", "no-model")
    assert code == 2
    assert "sample-model" in refused["error"]["remedy"]

    assert main(["models", "get", "sample-model", "--accept-licence"]) == 0
    said = capsys.readouterr().out
    assert "nobody states the SHA-256 of config.json" in said
    code, got = told(capsys, "get", "sample-model")
    assert code == 0
    assert got["commit"] == COMMIT
    code, listed = told(capsys, "list")
    assert listed["models"][0]["installed"]
    assert listed["models"][0]["bytes"] == len(CONFIG) + len(WEIGHTS)
    code, verified = told(capsys, "verify")
    assert (code, verified["problems"]) == (0, [])
    (MODEL.folder / "config.json").write_bytes(b'{"a": 2}')
    code, verified = told(capsys, "verify")
    assert code == 2
    assert "config.json" in verified["problems"][0]
