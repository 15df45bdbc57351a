"""Ctrl-C is heard between rollouts, and a training says how it goes where there is no terminal."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from training.learning.display import Display, stopped_by_interrupt


def test_an_interrupt_asks_first_and_ends_then() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stopped_by_interrupt() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_what_matters_is_written_where_there_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Display(tmp_path, 1000, 0) as display:
        display.tell(500, {"steps": 500.0, "capture_rate": 0.25, "kl": 0.1}, "pursuer")
        display.tell(600, {"steps": 600.0, "capture_rate": 0.5})
    said = capsys.readouterr().err
    assert "500: pursuer: capture_rate 0.25" in said and "kl" not in said and "600:" not in said


def test_a_point_written_before_a_kill_is_not_there_twice(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with Display(tmp_path, 1000, 0) as display:
        for steps in (100.0, 200.0, 300.0):
            display.tell(int(steps), {"steps": steps, "return": steps})
    # The checkpoint that it goes on from is of 200 steps.
    with Display(tmp_path, 1000, 200, resumed_at=200) as display:
        for steps in (300.0, 400.0):
            display.tell(int(steps), {"steps": steps, "return": -steps})
    events = accumulator.EventAccumulator(str(tmp_path)).Reload()
    found = [(point.step, point.value) for point in events.Scalars("return")]
    assert found == [(100, 100.0), (200, 200.0), (300, -300.0), (400, -400.0)]
