"""The safety node's filter that learns from what the node hears and sends."""

from __future__ import annotations

import numpy as np
import pytest

from pe_core.arena import Arena
from pe_core.robot import RobotModel
from pe_nodes.learned_disturbance import ListeningFilter, make_filter
from pe_nodes.safety_inputs import SafetyInputs
from pe_nodes.settings import SafetySettings
from pe_safety.disturbance.filter import LearnedFilter
from pe_safety.disturbance.hearing import CROSSING
from pe_safety.disturbance.refit import InThread
from pe_safety.disturbance.simulation import Imperfection, ImperfectRobot
from pe_safety.filter import SafetyFilter
from pe_safety.parameters import load_safety
from pe_safety.sent_commands import SentCommands

ROBOT = RobotModel()
SETTINGS = SafetySettings(profile="rcbf_gp", lockstep=True)
DT = SETTINGS.dt
ARENA = Arena(10.0, np.zeros((0, 3)))
FAR = np.array([-8.0, -8.0, 0.0, 0.0, 0.0])
PERIOD = round(1e9 * DT)


class Wired:
    """Filter, inputs and commands as the node holds them, and a robot with gain error behind them."""

    def __init__(self) -> None:
        self.heard = SafetyInputs(SETTINGS, ROBOT, ROBOT)
        self.sent = SentCommands(ROBOT.as_array(), DT)
        made = make_filter(SETTINGS, load_safety("rcbf_gp"), (ROBOT, ROBOT), self.heard, self.sent)
        assert isinstance(made, ListeningFilter)
        self.filter = made
        self.robot = ImperfectRobot(ROBOT, Imperfection(gain_v=0.8), np.zeros(3), 10.0)
        self.stamp = 0

    def cycle(self, nominal: tuple[float, float], repeats: int = 1) -> None:
        """One control step, the node's cycle run ``repeats`` times on the same state."""
        self.stamp += PERIOD
        state = (*(float(value) for value in self.robot.state), 0.0, 0.0)
        self.heard.own.values, self.heard.own.stamp_ns = state, self.stamp
        for _ in range(repeats):
            own = self.heard.own_at(self.stamp, self.sent)
            result = self.filter.step(own, nominal, FAR, ARENA)
            self.sent.add(self.stamp, result.command)
        self.robot.step(result.command, DT)


@pytest.fixture
def wired() -> Wired:
    return Wired()


def test_a_profile_without_disturbance_is_the_plain_filter() -> None:
    heard, sent = SafetyInputs(SETTINGS, ROBOT, ROBOT), SentCommands(ROBOT.as_array(), DT)
    made = make_filter(SafetySettings(profile="rcbf"), load_safety("rcbf"), (ROBOT, ROBOT), heard, sent)
    assert isinstance(made, SafetyFilter) and not isinstance(made, LearnedFilter)


def test_refits_go_on_in_a_thread_unless_the_simulator_waits() -> None:
    heard, sent = SafetyInputs(SETTINGS, ROBOT, ROBOT), SentCommands(ROBOT.as_array(), DT)
    real_time = SafetySettings(profile="rcbf_gp")
    made = make_filter(real_time, load_safety("rcbf_gp"), (ROBOT, ROBOT), heard, sent)
    assert isinstance(made, LearnedFilter)
    assert isinstance(made.learned._refitter, InThread)
    made.learned.close()


def test_it_learns_the_gain_from_states_and_commands(wired: Wired) -> None:
    for k in range(120):
        wired.cycle((0.5 + 0.4 * np.sin(0.2 * k), 1.5))
    counts = wired.filter.learned.counts
    assert counts.accepted == 119 and counts.outliers == counts.irregular == 0 and counts.refits > 5
    mean, sigma = wired.filter.learned.predict(wired.robot.state, (0.5, 1.5))
    assert mean[0] == pytest.approx(-0.2 * 0.5, abs=0.02) and sigma[0] < 0.03
    assert wired.filter.latest is not None and wired.filter.latest.kappa < 2.5


def test_a_state_counts_once_however_many_cycles_it_serves(wired: Wired) -> None:
    for _ in range(10):
        wired.cycle((0.5, 0.0), repeats=3)
    assert wired.filter.learned.counts.accepted == 9


def test_a_new_episode_is_no_residual_and_what_was_learnt_stays(wired: Wired) -> None:
    for _ in range(40):
        wired.cycle((0.5, 0.5))
    before = wired.filter.learned.counts
    wired.sent.clear()
    wired.robot.reset(np.array([3.0, -2.0, 1.0]))
    wired.cycle((0.5, 0.5))
    counts = wired.filter.learned.counts
    assert counts.accepted == before.accepted == 39
    assert counts.outliers == counts.forgotten == 0
    wired.cycle((0.5, 0.5))
    assert wired.filter.learned.counts.accepted == 40


def test_a_gap_in_the_states_is_no_residual(wired: Wired) -> None:
    for _ in range(5):
        wired.cycle((0.5, 0.0))
    wired.stamp += 5 * PERIOD
    wired.cycle((0.5, 0.0))
    counts = wired.filter.learned.counts
    assert counts.accepted == 4 and counts.irregular == 1


def test_the_scale_of_positions_is_the_time_matched_arena() -> None:
    assert CROSSING * ROBOT.v_max == 10.0
