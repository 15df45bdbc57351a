"""The return of an episode is what training would have paid for it."""

from __future__ import annotations

import numpy as np
import pytest

from pe_core.rewards import Rewards
from pe_evaluation.comparison.episode import episode_return
from pe_evaluation.comparison.plan import IDEAL, Cell, Job
from pe_evaluation.comparison.playing import play, prepare_stage
from tests.support.comparison import small_plan
from training.learning.gap import DEPLOYED
from training.learning.gap import play as play_in_training

CELL = Cell(IDEAL, "lookahead", 1.0)


def test_returns_are_those_of_training() -> None:
    job = Job("cbf", CELL, 0, 0, 3)
    stage = prepare_stage(small_plan(approaches=("cbf",)), job)
    found = [episode_return(played, stage.rewards) for played in play(stage, job)]
    np.testing.assert_allclose(found, play_in_training("cbf-beta", "lookahead", DEPLOYED, 1.0, 3, 0).returns, atol=1e-6)


def test_a_return_by_its_equation() -> None:
    """Capture less time, and what was closed in, whatever the way; no term of safety or correction."""
    job = Job("cbf", CELL, 0, 0, 1)
    played = play(prepare_stage(small_plan(approaches=("cbf",)), job), job)[0]
    weights = Rewards(capture=10.0, time=5.0, progress=4.0, safety=0.0, safety_scale=0.25, correction=0.0)
    track = played.track
    closed = (track.distance[0] - track.distance[-1]) / track.arena.half_side
    wanted = 10.0 * track.captured - 5.0 * track.steps / played.max_steps + 4.0 * closed
    assert episode_return(played, weights) == pytest.approx(wanted, abs=1e-9)
