"""Games of a comparison are those of the evaluator: same starts, same rules, whoever filters and whoever acts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pe_core.bundle import BundleError, load_bundle
from pe_core.config import ConfigurationError
from pe_evaluation.comparison.acting import exploration
from pe_evaluation.comparison.episode import KEYS, NO_FILTER, corrections, metrics
from pe_evaluation.comparison.plan import IDEAL, RANDOMISED, Cell, Job, Plan
from pe_evaluation.comparison.playing import Played, play, prepare_stage
from pe_evaluation.evaluate import Match, prepare
from pe_evaluation.evaluate import play as evaluate_batch
from pe_evaluation.metrics import BACKUP, RELAXED
from tests.support.comparison import small_plan

CELL = Cell(IDEAL, "random", 1.0)
DRAWN = {
    "randomised": {
        "approaches": ["net", "hybrid"],
        "cells": [{"evader": "random", "speed_ratios": [1.0]}],
        "safety": "rcbf_robust",
    },
}  # fmt: skip


def played(
    plan: Plan, approach: str, count: int = 3, cell: Cell = CELL, apart: bool | None = None
) -> list[Played]:
    job = Job(approach, cell, 0, 0, count)
    return play(prepare_stage(plan, job), job, apart)


def test_a_batch_is_what_the_evaluator_plays() -> None:
    setup = prepare(Match("cbf-beta", "random", "rcbf", speed_ratio=1.0, seed=0, feasibility=""))
    records = evaluate_batch(setup, range(3))
    for found, record in zip(played(small_plan(), "cbf"), records, strict=True):
        track, counts = found.track, record.robots["pursuer"]
        assert track.steps == record.steps
        assert track.captured == (record.outcome == "capture")
        assert track.margins.min() == pytest.approx(record.min_margin, abs=1e-12)
        assert found.intervened[:, 0].sum() == counts.interventions
        assert found.infeasible[:, 0].sum() == counts.infeasible
        assert (track.tiers[:, 0] == BACKUP).sum() == counts.backup
        assert set(np.flatnonzero(track.tiers[:, 0] == RELAXED)) <= set(
            np.flatnonzero(found.infeasible[:, 0])
        )
        sizes = np.hypot(*corrections(found)[:, 0].T)
        assert sizes.sum() == pytest.approx(counts.correction_sum, abs=1e-9)


@pytest.mark.parametrize("world", [IDEAL, RANDOMISED])
def test_games_filtered_one_by_one_are_those_of_the_batch(world: str) -> None:
    """With the very filter of the safety node in place of the kernel: same commands, same end."""
    plan = small_plan(approaches=("net", "cbf", "hybrid"), **DRAWN)
    name = "cbf" if world == IDEAL else "net"
    cell = Cell(world, "random", 1.0)
    for one, other in zip(played(plan, name, 2, cell), played(plan, name, 2, cell, apart=True), strict=True):
        assert one.track.steps == other.track.steps
        assert one.track.captured == other.track.captured
        np.testing.assert_allclose(one.track.poses, other.track.poses, atol=1e-9)
        np.testing.assert_allclose(one.track.command, other.track.command, atol=1e-9)
        np.testing.assert_array_equal(one.track.tiers, other.track.tiers)
        np.testing.assert_array_equal(one.intervened, other.intervened)
        np.testing.assert_array_equal(one.infeasible, other.infeasible)


@pytest.mark.parametrize("approach", ["cbf-trained", "net-trained", "ppo-alone"])
def test_episodes_do_not_depend_on_the_batch(approach: str) -> None:
    plan = small_plan(approaches=(approach,))
    together = played(plan, approach, 3)
    job = Job(approach, CELL, 0, 2, 1)
    alone = play(prepare_stage(plan, job), job)[0]
    np.testing.assert_array_equal(together[2].track.poses, alone.track.poses)


def test_all_approaches_begin_the_same_episodes() -> None:
    names = ("ppo-alone", "cbf-trained", "net", "hybrid")
    starts = [
        [found.track.poses[0] for found in played(small_plan(approaches=names), name, 1)] for name in names
    ]
    for own in starts[1:]:
        np.testing.assert_array_equal(own, starts[0])


def test_a_draw_from_the_safe_set_needs_no_correction() -> None:
    for found in played(small_plan(), "cbf-trained"):
        assert np.abs(corrections(found)[:, 0]).max() < 1e-3
        # Drawn: it is not the mean.
        assert np.std(np.diff(found.track.command[:, 0, 1])) > 0.05


def test_noise_is_as_wide_as_the_policy_explored() -> None:
    found = played(small_plan(approaches=("net", "net-trained")), "net-trained", 3)
    mean = played(small_plan(approaches=("net", "net-trained")), "net", 3)
    # The first step is taken from the same state by both.
    noise = np.array(
        [
            (a.track.nominal[0, 0] - b.track.nominal[0, 0]) / a.limits[0]
            for a, b in zip(found, mean, strict=True)
        ]
    )
    spread = exploration(load_bundle("barriernet", role="pursuer"))
    assert (np.abs(noise) < 5.0 * spread).all() and (np.abs(noise[:, 1]) > 1e-4).all()
    with pytest.raises(BundleError, match="how far it explored"):
        exploration(load_bundle("lead"))


def test_where_nothing_filters_there_is_nothing_to_report() -> None:
    plan = small_plan(approaches=("ppo-alone",))
    job = Job("ppo-alone", CELL, 0, 0, 1)
    stage = prepare_stage(plan, job)
    row = metrics(play(stage, job)[0], job, stage.rewards)
    assert row["filter_us"] == row["correction_max"] == row["interventions"] == NO_FILTER
    with pytest.raises(ConfigurationError, match="nothing to filter"):
        play(stage, job, apart=True)


def test_the_learning_filter_plays_and_learns() -> None:
    plan = small_plan(approaches=("net", "hybrid"), **DRAWN)
    (found,) = played(plan, "hybrid", 1, Cell(RANDOMISED, "random", 1.0))
    assert found.track.margins.min() > 0.0
    assert len(found.filter_us) == found.track.steps
    (plain,) = played(plan, "net", 1, Cell(RANDOMISED, "random", 1.0))
    assert found.track.poses.shape != plain.track.poses.shape or not np.array_equal(
        found.track.poses, plain.track.poses
    )


def test_a_row_names_its_episode_and_has_no_hole() -> None:
    plan = small_plan()
    job = Job("cbf", CELL, 0, 0, 2)
    stage = prepare_stage(plan, job)
    for number, found in enumerate(play(stage, job)):
        row = metrics(found, job, stage.rewards)
        assert [row[key] for key in KEYS] == [IDEAL, "cbf", "random", 1.0, "random", 0, number]
        for key, value in row.items():
            assert value is not None and value != "", key
            assert not (isinstance(value, float) and not math.isfinite(value)), key
        assert row["margin_min_m"] <= row["margin_q01_m"] <= row["margin_q05_m"] <= row["margin_q50_m"]
        assert row["correction_mean"] <= row["correction_max"]
        assert row["policy_us"] > 0.0 and row["filter_us"] > 0.0
