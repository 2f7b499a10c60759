"""Processes that work on chunks: order, progress, cancelling, errors, death."""

import importlib
import os
import threading
import time

import pytest

from vmg_backend.errors import Cancelled, UserError
from vmg_backend.pose.processes import run
from vmg_backend.progress import SILENT, Progress

TASKS = """
import os, sys, time
from vmg_backend.errors import UserError

def square(job, step):
    os.write(1, b"noise of a native library")
    print("noise", file=sys.stderr, flush=True)
    for _ in range(2):
        step()
    return job * job, os.getpid()

def sleep(job, step):
    step()
    time.sleep(job)

def refuse(job, step):
    raise UserError("The film is broken.", "Choose another.", title="Broken film")

def fail(job, step):
    return 1 / job

def die(job, step):
    os._exit(3)
"""


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """A module that new processes find, too: they get this one's sys.path."""
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "vmg_process_tasks.py").write_text(TASKS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("vmg_process_tasks")


def test_results_come_in_order_from_other_processes_without_their_noise(tasks, capfd):
    seen = []
    jobs = list(range(7))
    results = run(tasks.square, jobs, steps=14, workers=2, progress=Progress(lambda fraction, _: seen.append(fraction)))
    assert [value for value, _ in results] == [0, 1, 4, 9, 16, 25, 36]
    assert 1 <= len({process for _, process in results} - {os.getpid()}) <= 2
    assert os.getpid() not in {process for _, process in results}
    assert seen == pytest.approx([k / 14 for k in range(1, 15)])
    assert capfd.readouterr() == ("", "")


def test_no_work_needs_no_process(tasks):
    assert run(tasks.square, [], steps=0, workers=2, progress=SILENT) == []


@pytest.mark.serial
def test_cancelling_ends_the_processes_within_a_second(tasks):
    cancelled, when = threading.Event(), []

    def report(_fraction, _stage):
        when.append(time.monotonic())
        cancelled.set()

    with pytest.raises(Cancelled):
        run(tasks.sleep, [60, 60], steps=2, workers=1, progress=Progress(report, cancelled))
    assert time.monotonic() - when[0] < 1


def test_what_the_user_did_wrong_is_said_as_it_was(tasks):
    with pytest.raises(UserError, match="broken") as caught:
        run(tasks.refuse, [1], steps=1, workers=1, progress=SILENT)
    assert caught.value.as_dict() == {
        "title": "Broken film",
        "message": "The film is broken.",
        "remedy": "Choose another.",
    }


def test_failure_and_death_are_not_taken_for_results(tasks):
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        run(tasks.fail, [1, 0], steps=2, workers=1, progress=SILENT)
    with pytest.raises(RuntimeError, match="died"):
        run(tasks.die, [1], steps=1, workers=1, progress=SILENT)
