"""Speaks the backend's protocol with the standard library alone, well or badly: fake_backend.py HABIT FOLDER.

FOLDER holds one file for each start, so that a habit may differ the second time.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

PROTOCOL = Path(__file__).resolve().parents[2] / "vmg_backend" / "protocol.py"
BEATS = {"beats": [{"time": 0.5, "kind": "beat", "strength": 1.0}], "tempo": 120.0}


def main(habit, folder):
    starts = len(list(folder.glob("start-*")))
    (folder / f"start-{starts}-{os.getpid()}").touch()
    send = Sender()
    if habit == "dies at start" or (habit == "dies at start once" and starts == 0):
        print("no such library", file=sys.stderr)
        sys.exit(3)
    greeted = False
    requests = iter(sys.stdin.readline, "")
    for line in requests:
        request = json.loads(line)
        number, method = request.get("id"), request["method"]
        if method == "hello" and not greeted:
            greeted = True
            if habit == "never greets":
                time.sleep(1000)
            if habit == "odd greeting":
                send(id=number, result={"protocol": hello()["protocol"]})
                continue
            send(id=number, result=hello("0" * 16 if habit == "other version" else None))
        elif method == "cancel":
            pass
        else:
            answer(habit, starts, number, method, send, requests)
    if habit == "stays":
        time.sleep(1000)


def answer(habit, starts, number, method, send, requests):
    progress = {"id": number, "fraction": 0.25, "stage": "Working", "seconds_left": 3.0}
    if habit == "garbage":
        sys.stdout.write('Loading model... 50%\n{"half": \n\xff\n[1]\n{"jsonrpc":"2.0","id":99,"result":{}}\n\n')
        send(method="progress", params={"id": number, "fraction": "much"})
        send(method="progress", params=[1])
        send(method="unheard", params={})
    elif habit == "dies" or (habit == "dies once" and starts == 0):
        send(method="progress", params=progress)
        os.abort()
    elif habit == "dies with children":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        os._exit(5)
    elif habit == "refuses":
        data = {"title": "Too short", "message": "The footage is too short.", "remedy": "Use more of it.", "log": ""}
        return send(id=number, error={"code": -32001, "message": "x", "data": data})
    elif habit == "fault":
        data = {"title": "Fault", "message": "A fault.", "remedy": "Look.", "log": "/var/log/x"}
        return send(id=number, error={"code": -32603, "message": "x", "data": data})
    elif habit == "nonsense":
        return send(id=number, result={"beats": "many"})
    elif habit in ("deaf", "stays"):
        send(method="progress", params=progress)
        time.sleep(1000)
    elif habit == "cancels" or (habit == "slow to cancel" and number == 2):
        send(method="progress", params=progress)
        for line in requests:  # the next message is the cancel
            assert json.loads(line) == {"jsonrpc": "2.0", "method": "cancel", "params": {"id": number}}
            break
        if habit == "slow to cancel":
            time.sleep(2.0)
        return send(id=number, error={"code": -32002, "message": "Cancelled."})
    elif habit == "events":
        for index in range(3):
            send(method="filled", params={
                "request": number, "id": index, "engine": "fade", "hash": f"h{index}", "frames_dir": f"/f/{index}"
            })  # fmt: skip
    elif habit == "chatty":
        for index in range(20_000):
            send(method="progress", params={"id": number, "fraction": index / 20_000, "stage": f"{index}"})
    if method == "hello":
        return send(id=number, result=hello())
    if method == "hardware":
        return send(id=number, result={"devices": [], "models": [], "folder": "/models", "missing": ["torch"]})
    if habit == "slow":
        threading.Timer(1.0, send, kwargs={"id": number, "result": BEATS}).start()
        return None
    if method == "clear_library":
        return send(id=number, result={"folder": "/library", "bytes": 0, "footages": 0})
    if method == "suggest":
        return send(id=number, result={"paths": [{"segments": [{"at": i, "name": "ü" * 50} for i in range(40_000)]}]})
    return send(id=number, result=BEATS)


def hello(protocol=None):
    return {
        "protocol": protocol or hashlib.sha256(PROTOCOL.read_text(encoding="utf-8").encode()).hexdigest()[:16],
        "version": "0.0.1",
        "python": "3.11.0",
        "device": "CPU",
        "cores": 2,
        "engines": [],
    }


class Sender:
    def __init__(self):
        self._lock = threading.Lock()

    def __call__(self, **message):
        with self._lock:
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
