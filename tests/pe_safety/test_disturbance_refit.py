"""Refits beside control steps: nothing waits, nothing is half done, nothing of an old episode comes back."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from pe_core.robot import RobotModel
from pe_safety.disturbance.model import LearnedDisturbance
from pe_safety.disturbance.parameters import DisturbanceParameters
from pe_safety.disturbance.posterior import Posterior
from pe_safety.disturbance.refit import Fit, InThread, Publish

ROBOT = RobotModel()
DT = 0.05
PARAMETERS = DisturbanceParameters()
QUERY = ((0.1, 0.2, 0.3, 0.4, 0.5), (0.6, 0.7))


class Held:
    """A refitter of which the test decides when it computes."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Fit, Publish]] = []

    def submit(self, fit: Fit, publish: Publish) -> None:
        self.waiting.append((fit, publish))

    def finish(self) -> None:
        while self.waiting:
            fit, publish = self.waiting.pop(0)
            publish(fit())

    def wait(self, timeout: float) -> bool:
        return not self.waiting

    def close(self) -> None:
        self.waiting.clear()


def observe(model: LearnedDisturbance, steps: int, speed: float, start: int = 0) -> None:
    """A robot that drives at ``speed`` [m/s] where 0.5 is commanded."""
    for k in range(start, start + steps):
        model.observe((speed * DT * k, 0.0, 0.0, 0.5, 0.0), k * DT)
        model.command((0.5, 0.0))


@pytest.fixture
def background() -> Iterator[LearnedDisturbance]:
    parameters = dataclasses.replace(PARAMETERS, background=True)
    with LearnedDisturbance(ROBOT, parameters, DT, 10.0) as model:
        yield model


def test_refits_come_every_ten_steps() -> None:
    held = Held()
    model = LearnedDisturbance(ROBOT, PARAMETERS, DT, 10.0, held)
    observe(model, 9, 0.4)
    assert not held.waiting
    observe(model, 22, 0.4, start=9)
    assert len(held.waiting) == 3


def test_an_unfinished_refit_changes_nothing() -> None:
    held = Held()
    model = LearnedDisturbance(ROBOT, PARAMETERS, DT, 10.0, held)
    before = model.predict(*QUERY)
    observe(model, 40, 0.4)
    during = model.predict(*QUERY)
    np.testing.assert_array_equal(before.mean, during.mean)
    np.testing.assert_array_equal(before.sigma, during.sigma)
    held.finish()
    after = model.predict((1.0, 0.0, 0.0, 0.5, 0.0), (0.5, 0.0))
    assert after.mean[0] == pytest.approx(-0.1, abs=0.01)
    assert model.counts.refits == 4


def test_a_refit_sees_the_window_of_when_it_was_asked_for() -> None:
    held, prompt = Held(), LearnedDisturbance(ROBOT, PARAMETERS, DT, 10.0)
    late = LearnedDisturbance(ROBOT, PARAMETERS, DT, 10.0, held)
    observe(prompt, 10, 0.4)
    observe(late, 19, 0.4)
    held.finish()
    np.testing.assert_array_equal(prompt.posterior.alpha, late.posterior.alpha)
    assert late.posterior.samples == 9


def test_a_refit_of_before_the_reset_is_void() -> None:
    held = Held()
    model = LearnedDisturbance(ROBOT, PARAMETERS, DT, 10.0, held)
    before = model.predict(*QUERY)
    observe(model, 40, 0.4)
    model.reset()
    held.finish()
    np.testing.assert_array_equal(model.predict(*QUERY).mean, before.mean)
    assert model.counts.refits == 0


def test_a_failed_refit_leaves_the_last_posterior(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Posterior | None:
        raise ArithmeticError("as the test wants")

    model = LearnedDisturbance(ROBOT, PARAMETERS, DT, 10.0)
    observe(model, 20, 0.4)
    posterior = model.posterior
    refitter, seen = InThread(), []
    refitter.submit(broken, seen.append)
    assert refitter.wait(10.0)
    assert seen == [None] and "refit of the disturbance failed" in caplog.text
    model._publish(seen[0])
    assert model.posterior is posterior and model.counts.failed_refits == 1
    refitter.close()


def test_thread_and_caller_find_the_same(background: LearnedDisturbance) -> None:
    prompt = LearnedDisturbance(ROBOT, PARAMETERS, DT, 10.0)
    for start in range(0, 30, 10):
        observe(prompt, 10, 0.4, start)
        observe(background, 10, 0.4, start)
        assert background.wait(30.0)
    np.testing.assert_array_equal(prompt.posterior.alpha, background.posterior.alpha)
    np.testing.assert_array_equal(prompt.posterior.factor, background.posterior.factor)


def test_a_posterior_cannot_be_changed() -> None:
    posterior = LearnedDisturbance(ROBOT, PARAMETERS, DT, 10.0).posterior
    with pytest.raises(dataclasses.FrozenInstanceError):
        posterior.samples = 3  # type: ignore[misc]
    for name in ("inputs", "alpha", "factor", "weight", "signal", "noise", "prior_sigma"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(posterior, name)[...] = 0.0


def test_a_reader_never_sees_a_mixture() -> None:
    """While two posteriors are swapped as fast as it goes, each prediction is one's or the other's, whole."""
    models = [LearnedDisturbance(ROBOT, PARAMETERS, DT, 10.0) for _ in range(2)]
    for model, speed in zip(models, (0.3, 0.7), strict=True):
        observe(model, 40, speed)
    allowed = {tuple(np.concatenate(list(model.predict(*QUERY)))) for model in models}
    assert len(allowed) == 2
    posteriors = [model.posterior for model in models]
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for posterior in posteriors:
                models[0]._publish(posterior)
                time.sleep(0.0)

    writer = threading.Thread(target=swap)
    writer.start()
    try:
        seen = {tuple(np.concatenate(list(models[0].predict(*QUERY)))) for _ in range(5000)}
    finally:
        stop.set()
        writer.join()
    assert seen == allowed


def share_of_a_refit_that_the_longest_step_takes() -> float:
    parameters = dataclasses.replace(PARAMETERS, background=True, evaluations=60)
    with LearnedDisturbance(ROBOT, parameters, DT, 10.0) as model:
        observe(model, 9, 0.4)
        start = time.perf_counter()
        observe(model, 2, 0.4, start=9)
        longest, steps = 0.0, 0
        while not model.wait(0.0):
            before = time.perf_counter()
            model.predict(*QUERY)
            model.command((0.5, 0.0))
            longest, steps = max(longest, time.perf_counter() - before), steps + 1
        whole = time.perf_counter() - start
        assert model.counts.refits == 1
        assert steps > 100
        return longest / whole


def test_a_refit_in_progress_does_not_hold_up_a_control_step() -> None:
    """The longest control step beside a refit takes a small part of the refit; waiting for it would take all.

    A step that waits does so every time; one that a busy machine held up is quicker at another try.
    """
    shares: list[float] = []
    while len(shares) < 5 and not any(share < 0.2 for share in shares):
        shares.append(share_of_a_refit_that_the_longest_step_takes())
    assert min(shares) < 0.2, shares


def test_only_the_newest_of_waiting_requests_is_computed() -> None:
    refitter, gate, done = InThread(), threading.Event(), []

    def first() -> None:
        gate.wait(10.0)

    def numbered(number: int) -> None:
        done.append(number)

    refitter.submit(first, lambda _: None)
    time.sleep(0.05)
    for number in range(5):
        refitter.submit(lambda number=number: numbered(number), lambda _: None)  # type: ignore[misc]
    gate.set()
    assert refitter.wait(10.0)
    assert done == [4]
    refitter.close()


def test_close_ends_the_thread() -> None:
    refitter = InThread()
    refitter.close()
    assert not refitter._thread.is_alive()
    refitter.submit(lambda: None, lambda _: None)
    assert refitter.wait(1.0)
