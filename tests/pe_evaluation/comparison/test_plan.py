"""A plan refuses what is not allowed, and names it; its jobs cover every approach, cell, seed and episode once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from pe_core.config import ConfigurationError
from pe_evaluation.comparison.plan import BATCH, IDEAL, Cell, load_plan, plan_of
from tests.support.comparison import APPROACHES, described, small_plan


def refused(data: dict[str, Any], *words: str, episodes: int = 2, seeds: tuple[int, ...] = (0,)) -> None:
    with pytest.raises(ConfigurationError) as caught:
        plan_of(data, "some.yaml", "some", episodes, seeds)
    for word in words:
        assert word in str(caught.value)


def test_default_plan_holds_what_the_question_needs() -> None:
    plan = load_plan("default", 200, (0, 1, 2))
    evaders = {cell.evader for cell in plan.cells}
    assert evaders == {
        "lookahead",
        "boundary",
        "flee",
        "random",
        "hider",
        "ppo-selfplay",
        "barriernet-evader",
    }
    assert {cell.speed_ratio for cell in plan.cells} == {1.0, 1.1, 1.2, 1.3}
    assert {"cbf-beta", "barriernet", "hybrid", "ppo"} == {gap.name for gap in plan.gaps}
    assert [approach.name for approach in plan.approaches if approach.learns] == ["hybrid"]


def test_jobs_cover_every_episode_once() -> None:
    plan = small_plan(BATCH + 7, (3, 1), ("cbf", "hybrid"))
    jobs = list(plan.jobs())
    assert len({job.name for job in jobs}) == len(jobs)
    played = Counter(
        (job.approach, job.seed, n) for job in jobs for n in range(job.first, job.first + job.count)
    )
    assert played == Counter(
        [("cbf", seed, n) for seed in (3, 1) for n in range(BATCH + 7)]
        + [("hybrid", seed, 0) for seed in (3, 1)]
    )


def test_a_plan_is_narrowed_with_its_pairs_and_gaps() -> None:
    plan = load_plan("default", 5, (0,)).narrowed(["cbf-beta-trained", "cbf-beta-rcbf"], ["random"])
    assert [gap.name for gap in plan.gaps] == ["cbf-beta"]
    assert plan.pairs == (("cbf-beta-trained", "cbf-beta-rcbf"),)
    assert plan.cells == (Cell(IDEAL, "random", 1.0), Cell(IDEAL, "random", 1.2))
    assert plan.randomised is None


@pytest.mark.parametrize(
    ("approaches", "evaders", "words"),
    [
        (["nobody"], [], ["approach 'nobody' is unknown", "known: lead-rcbf"]),
        ([], ["ghost"], ["evader 'ghost' is not in plan 'default'", "lookahead"]),
        (["hybrid", "hybrid"], [], ["approaches = 'hybrid,hybrid'", "each once"]),
    ],
)
def test_unknown_names_are_refused(approaches: list[str], evaders: list[str], words: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_plan("default", 1, (0,)).narrowed(approaches, evaders)
    for word in words:
        assert word in str(caught.value)


def test_bad_requests_are_refused() -> None:
    refused(described(), "episodes = 0", "allowed: 1 or more", episodes=0)
    refused(described(), "seeds = '0 1 0'", "each once", seeds=(0, 1, 0))
    refused(described(), "seeds = '-1'", seeds=(-1,))


def test_bad_files_are_refused() -> None:
    refused(described(colour="red"), "unknown key 'colour'")
    refused(described(cells=[]), "cells = []")
    refused(described(cells=[{"evader": "random", "speed_ratios": [9]}]), "speed ratio = 9", "[0.1, 3]")
    refused(described(cells=[{"evader": "random", "speed_ratios": [1.0, 1.0]}]), "named twice")
    refused(described(cells=[{"evader": "ghost", "speed_ratios": [1.0]}]), "policy 'ghost' is unknown")
    refused(described(pairs=[["cbf", "nobody"]]), "approach 'nobody' is unknown")
    twice = described()
    twice["approaches"].append(twice["approaches"][0])
    refused(twice, "each name once")
    odd = described()
    odd["approaches"][0] = odd["approaches"][0] | {"acts": "sometimes"}
    refused(odd, "acts = 'sometimes'", "mean, density, noise")
    odd["approaches"][0] = odd["approaches"][0] | {"acts": "mean", "safety": "hope"}
    refused(odd, "safety 'hope' is unknown")


def test_another_training_plays_another_seed() -> None:
    data = described(("cbf",))
    data["approaches"][0]["other_seeds"] = ["seeds/cbf-beta-1"]
    plan = plan_of(data, "test", "test", 1, (4, 7))
    assert [plan.match(job).pursuer for job in plan.jobs()] == ["cbf-beta", "seeds/cbf-beta-1"]


def test_more_approaches_than_fit_side_by_side_are_refused() -> None:
    names = list(APPROACHES)[:5]
    refused(described(tuple(names), tracks={"replayed": names}), "replayed", "at most 4 approaches")


def test_a_replayed_approach_that_the_plan_lacks_is_refused() -> None:
    refused(described(tracks={"replayed": ["lead"]}), "approach 'lead' is unknown")
