"""A backend with the standard library alone that does what it is asked, in a way that can be foreseen.

Takes have a cut every `LENGTH` frames; the piece number j shows the sample from a frame on that depends on j alone, or
on the keyframe that lies in it. So what must change when a keyframe is slipped is known.
`scripted_backend.py [SECONDS]` waits so long for each transition, and for whatever else takes time.
"""

import hashlib
import itertools
import json
import shutil
import struct
import sys
import tempfile
import threading
import zlib
from pathlib import Path

PROTOCOL = Path(__file__).resolve().parents[2] / "vmg_backend" / "protocol.py"
LENGTH, OVERLAP, FRAMES, FOOTAGE = 48, 12, 672, "f" * 64
_lock = threading.Lock()


def main(pause):
    cancelled = threading.Event()
    wanted = []
    more = threading.Condition()

    def read():
        for line in sys.stdin:
            message = json.loads(line)
            if message["method"] == "cancel":
                cancelled.set()
            else:
                with more:
                    wanted.append(message)
                    more.notify()
        import os

        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        with more:
            more.wait_for(lambda: wanted)
            request = wanted.pop(0)
        cancelled.clear()
        answer = globals()[request["method"]](request.get("params"), request["id"], lambda: cancelled.wait(pause))
        send(id=request["id"], **answer)


def send(**message):
    with _lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def hello(params, number, stop):
    protocol = hashlib.sha256(PROTOCOL.read_text(encoding="utf-8").encode()).hexdigest()[:16]
    return {"result": {"protocol": protocol, "version": "0", "python": "3", "device": "CPU", "cores": 1, "engines": []}}


def describe(params, number, stop, analyzed=False):
    found = [
        {
            "path": use["path"], "footage": FOOTAGE, "fps": use["fps"] or "24/1", "size": [512, 768], "frames": FRAMES,
            "shots": 1, "exact": "inexact" not in use["path"], "analyzed": analyzed,
            "frames_without_person": 0 if analyzed else None, "damaged": None, "tag": "",
        }
        for use in params["footages"]
    ]  # fmt: skip
    return {"result": {"footages": found}}


def analyze(params, number, stop):
    send(method="progress", params={"id": number, "fraction": 0.5, "stage": "Poses", "seconds_left": 1.0})
    if stop():
        return {"error": {"code": -32002, "message": "Cancelled."}}
    return describe(params, number, stop, analyzed=True)


def conform(params, number, stop):
    Path(params["target"]).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(params["footage"]["path"], params["target"])
    return {"result": {"path": params["target"], "encoded": False}}


def beats(params, number, stop):
    times = [0.5 * index for index in range(int(params["seconds"] * 2))]
    found = [{"time": t, "kind": "beat" if i % 4 else "bar", "strength": 1.0} for i, t in enumerate(times)]
    return {"result": {"beats": found, "tempo": 120.0}}


def suggest(params, number, stop):
    if stop():
        return {"error": {"code": -32002, "message": "Cancelled."}}
    return {"result": {"paths": [path_for(params["wish"], number) for number in range(params["takes"])]}}


def update(params, number, stop):
    if stop():
        return {"error": {"code": -32002, "message": "Cancelled."}}
    path = path_for(params["wish"], again=params["again"])
    old = {junction(one): one for one in params["path"]["transitions"]}
    for one in path["transitions"]:
        if known := old.get(junction(one)):
            one.update({name: known[name] for name in ("engine", "hash", "frames_dir", "pinned")})
    changed = [one["id"] for one in path["transitions"] if junction(one) not in old]
    return {"result": {"path": path, "changed": changed}}


def junction(one):
    return one["at"], one["from"]["frame"], one["to"]["frame"]


def ways_out(params, number, stop):
    """One way after each second, to frames that depend on the way alone; their pictures as `show` makes them."""
    found = []
    for way in range(min(params["ways"], 3)):
        file = Path(params["folder"], f"{way}.npy")
        file.write_bytes(PREVIEW)
        found.append({
            "after": 24 * (way + 1), "path": params["path"], "frame": params["frame"] + 100 * (way + 1),
            "frames": OVERLAP, "room": OVERLAP // 2, "share": 0.3 * (way + 1), "picture": str(file),
        })  # fmt: skip
    return {"result": {"ways": found}}


def kinds(params, number, stop):
    spans = [(0, 99, "motion 1"), (100, 199, "motion 2")]
    labels = [
        {"path": use["path"], "first": first, "last": last, "tag": tag}
        for use in params["footages"]
        for first, last, tag in spans
    ]
    return {"result": {"labels": labels}}


def path_for(wish, number=0, again=()):
    """Pieces of LENGTH frames, each shortened by half a transition at its cuts.

    Those of another number show other frames, as do those that lie in a stretch of `again`.
    """
    count, half = -(-wish["frames"] // LENGTH), OVERLAP // 2
    segments, transitions = [], []
    for index in range(count):
        begin, end = index * LENGTH, min(wish["frames"], (index + 1) * LENGTH)
        source = 60 + index * 97 % 500 + 7 * number
        if any(first < end and last >= begin for first, last in again):
            source += 29
        for key in wish["keys"]:
            if key["mode"] == "hard" and begin <= key["at"] < end:
                source = key["frame"] - (key["at"] - begin)
        first, last = begin + half * (index > 0), end - half * (index < count - 1)
        segments.append({
            "footage": FOOTAGE, "first": source + first - begin, "last": source + last - 1 - begin, "at": first,
            "speed": 1.0,
        })  # fmt: skip
    for index, (out, into) in enumerate(itertools.pairwise(segments)):
        transitions.append({
            "id": index, "from": {"footage": FOOTAGE, "frame": out["last"]},
            "to": {"footage": FOOTAGE, "frame": into["first"]}, "match": [out["last"] + half, into["first"] - half],
            "at": (index + 1) * LENGTH - half, "frames": OVERLAP, "engine": None, "cost": 0.1, "connector": False,
            "frames_dir": None, "hash": None, "pinned": False,
        })  # fmt: skip
    cuts = [
        {
            "at": index * LENGTH, "costs": {"cuts": 0.1}, "runner_up": {
                "dearer": 0.25, "costs": {"beats": 0.25, "cuts": 0.0},
                "cuts": [{"at": index * LENGTH + 1, "from": {"footage": FOOTAGE, "frame": 1},
                          "to": {"footage": FOOTAGE, "frame": 2}}],
            },
        }
        for index in range(1, count)
    ]  # fmt: skip
    seconds = [{"at": at, "costs": {"beats": 0.5}} for at in range(0, wish["frames"], 24)]
    costs = {"cuts": 0.1 * len(cuts), "beats": 0.5 * len(seconds)}
    use = wish["footages"][0]
    entry = {"name": Path(use["path"]).name, "path": use["path"], "fps": "24/1", "size": [512, 768]}
    return {
        "format": "vmg-path", "version": 1, "fps": "24/1", "frames": wish["frames"], "seconds": wish["frames"] / 24,
        "footages": {FOOTAGE: {**entry, "ranges": [[0, FRAMES - 1]]}}, "segments": segments,
        "transitions": transitions, "audio": None, "beats": wish["beats"], "cost": sum(costs.values()), "bound": 1.0,
        "gap": 0.0, "costs": costs, "beat_alignment": None, "reuse_window": 0.0, "seed": wish["seed"], "versions": {},
        "conditions": {}, "explanation": {"seconds": seconds, "cuts": cuts},
    }  # fmt: skip


def hardware(params, number, stop):
    devices = [
        {"name": "cuda:0", "label": "Card", "free": 6_100_000_000, "total": 8_000_000_000},
        {"name": "cpu", "label": "CPU", "free": 10_000_000_000, "total": 16_000_000_000},
    ]
    models = [{"name": name, "label": name, "description": f"{name}: 256 px"} for name in ("ann", "bob")]
    models += [{"name": name, "label": Path(name).name, "description": "of your own"} for name in params["models"]]
    runs = list(RUNS.values())
    return {"result": {"devices": devices, "models": models, "folder": "/models", "missing": [], "runs": runs}}


def model(params, number, stop):
    folder = Path(params["path"])
    if folder.joinpath("config.json").is_file():
        return {"result": {"name": str(folder), "label": folder.name, "description": "of your own"}}
    said = {"title": "No model there", "message": f"{folder} holds no model.", "remedy": "Choose another.", "log": ""}
    return {"error": {"code": -32001, "message": said["message"], "data": said}}


def release(params, number, stop):
    send(method="held", params={"engine": ""})
    return hardware(params, number, stop)


RUNS = {}


def plan_training(params, number, stop):
    took = {"device": "Card", "minutes": 30.0, "frames": 600, "memory": 7_000_000_000, "memory_thrifty": 5_000_000_000}
    rest = {"free": 6_100_000_000, "disk": 900_000_000, "free_disk": 80_000_000_000, "folder": "/models/runs/x"}
    return {"result": {**took, **rest, "remark": ""}}


def train(params, number, stop):
    """Four steps, of which those that were done before are not done again; one called "worse" does not win."""
    run = RUNS.setdefault(params["name"], {"asked": params, "done": 0.0})
    while run["done"] < 1.0:
        send(method="progress", params={"id": number, "fraction": run["done"], "stage": "Training: seed"})
        if stop():
            return {"error": {"code": -32002, "message": "Cancelled."}}
        run["done"] += 0.25
        losses = [[step // 2, step / 4, 1.0 / (step + 1)] for step in range(round(4 * run["done"]) + 1)]
        how = {"stage": "seed", "step": round(4 * run["done"]), "steps": 4, "done": run["done"]}
        send(method="learned", params={"request": number, **how, "losses": losses, "checks": [[0.5, 21.0]]})
    del RUNS[params["name"]]
    better = params["name"] != "worse"
    made = {"name": params["name"], "label": params["name"], "description": "256 px"}
    over = {"fade": 4.2, "flow": 1.3 if better else -0.8}
    return {"result": {"model": made, "better": better, "over": over, "gaps": 6}}


def forget_run(params, number, stop):
    del RUNS[params["name"]]
    return {"result": {"runs": list(RUNS.values())}}


def fill(params, number, stop):
    with tempfile.TemporaryDirectory() as folder:
        return fill_with(params, number, stop, Path(folder))


def _preview():
    """A picture of 24 x 16 px as numpy keeps it: reddish above, bluish below."""
    head = b"{'descr': '|u1', 'fortran_order': False, 'shape': (24, 16, 3), }"
    head += b" " * (117 - len(head)) + b"\n"
    rows = b"\xff\x80\x00" * 16 * 12 + b"\x00\x80\xff" * 16 * 12
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + rows


PREVIEW = _preview()


def show(number, transition, file):
    file.write_bytes(PREVIEW)
    send(method="preview", params={"request": number, "id": transition, "file": str(file)})


def fill_with(params, number, stop, folder_of_previews):
    made = 0
    for one in params["path"]["transitions"]:
        if one["id"] not in params["transitions"]:
            continue
        if params["engine"]["name"] == "hminterp":
            send(method="held", params={"engine": "hminterp"})
            show(number, one["id"], folder_of_previews / f"{one['id']}.npy")
        if stop():
            return {"error": {"code": -32002, "message": "Cancelled."}}
        name = hashlib.sha256(json.dumps([junction(one), params["engine"]]).encode()).hexdigest()[:16]
        folder = Path(params["folder"], name)
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(one["frames"]):
            (folder / f"{index:04d}.png").write_bytes(PICTURE)
        made += 1
        filled = {"request": number, "id": one["id"], "engine": params["engine"]["name"], "hash": name}
        send(method="filled", params={**filled, "frames_dir": str(folder)})
    return {"result": {"made": made, "kept": 0}}


def _png(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\x80\x20\x20" * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PICTURE = _png(16, 24)

if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0)
