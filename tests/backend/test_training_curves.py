"""What TensorBoard shows of a run: read back with its own reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

from vmg_backend.training.hminterp.recipes import TINY  # noqa: E402
from vmg_backend.training.hminterp.runs import Curves, Moment, Run, read_curves  # noqa: E402


def events(run: Run) -> dict[str, list[tuple[int, float]]]:
    """Steps and values by tag."""
    board = reading.EventAccumulator(str(run.folder / "events"))
    board.Reload()
    return {tag: [(one.step, one.value) for one in board.Scalars(tag)] for tag in board.Tags()["scalars"]}


def curves(run: Run) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for line in read_curves(run.folder):
        for name in line.keys() - {"number", "stage", "step"}:
            found.setdefault(f"{line['stage']}/{name}", []).append((line["step"], float(np.float32(line[name]))))
    return found


def test_events_are_the_curves_also_of_a_run_that_went_back_to_its_last_state(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", TINY)
    with Curves(run, None) as told:
        for number, stage in enumerate(("decoder", "seed")):
            for step in (10, 20, 30):
                told.tell(Moment(number, step), stage, loss=1.0 / (step + number), seconds=0.1)
        told.tell(Moment(1, 30), "seed", person_psnr=21.25)
        assert events(run) == curves(run)  # while it runs
    assert events(run) == curves(run)
    assert [step for step, _ in events(run)["seed/loss"]] == [10, 20, 30]
    with Curves(run, Moment(1, 20)) as told:
        told.tell(Moment(1, 30), "seed", loss=0.5, seconds=0.1)
    assert events(run) == curves(run)
    assert events(run)["seed/loss"][-1] == (30, 0.5)
    assert "seed/person_psnr" not in events(run)
