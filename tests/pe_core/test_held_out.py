"""The held-out evaders: what their plans, draws and places are; that they are harder to catch than a plain flight."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch

from pe_core.scripted.build import HELD_OUT, POLICIES, golden_observations
from pe_core.scripted.evaders import BoundaryRunner, Flee, LookAhead
from pe_core.scripted.held_out import CALM, FEAR, LEAST_PACE, Mixed, Rollout, Waypoints, follow, rollout
from pe_core.scripted.steering import lane, ring
from pe_core.scripted.view import decode
from pe_evaluation.evaluate import Match, evaluate
from pe_evaluation.metrics import EpisodeRecord
from tests.pe_core.test_scripted import observe

ROWS = 64
NOTHING = np.zeros((0, 3))


def seen() -> torch.Tensor:
    return torch.from_numpy(golden_observations("evader", ROWS))


def noise(name: str, *values: float) -> torch.Tensor:
    assert len(values) == POLICIES[name].noise_size
    return torch.tensor(values, dtype=torch.float64).expand(ROWS, len(values))


def rolled(
    own: list[float], other: list[float], heading: float, steps: int, obstacles: np.ndarray = NOTHING
) -> tuple[Rollout, float, torch.Tensor]:
    """One heading (map frame), followed in steps of 0.1 by a pure pursuer: the end, ``lane`` and ``ring``."""
    observation = observe(np.array([*own, 0.0, 0.0, 0.0]), np.array([*other, 0.0, 0.0, 0.0]), obstacles)
    view = decode(torch.from_numpy(observation[None]))
    h = torch.tensor([math.cos(heading), math.sin(heading)], dtype=torch.float64).view(2, 1, 1)
    _, end = follow(view, rollout(view, h), h, steps, steps, 0.1, 0.0)
    return end, float(lane(view)), ring(view)


class TestPlans:
    """What :func:`follow` takes the two robots to do."""

    def test_a_plan_goes_straight_then_along_the_wall_then_round_the_corner(self) -> None:
        end, limit, _ = rolled([5.0, 5.0], [-9.0, -9.0], 0.0, 3)
        np.testing.assert_allclose(end.evader.flatten(), [0.8, 0.5], atol=1e-12)
        end, limit, _ = rolled([5.0, 5.0], [-9.0, -9.0], 0.3, 7)
        to_wall = (limit - 0.5) / math.cos(0.3)
        y = 0.5 + math.sin(0.3) * to_wall + (0.7 - to_wall)
        np.testing.assert_allclose(end.evader.flatten(), [limit, y], atol=1e-9)
        end, limit, _ = rolled([5.0, 5.0], [-9.0, -9.0], 0.3, 12)
        way = 1.2 - to_wall - (limit - 0.5 - math.sin(0.3) * to_wall)
        np.testing.assert_allclose(end.evader.flatten(), [limit - way, limit], atol=1e-9)

    def test_a_plan_ends_at_an_obstacle(self) -> None:
        end, _, circle = rolled([-3.0, 0.0], [-9.0, -9.0], 0.0, 12, np.array([[2.0, 0.0, 1.0]]))
        np.testing.assert_allclose(end.evader.flatten(), [0.2 - float(circle[0, 0]), 0.0], atol=1e-9)

    def test_the_pursuer_goes_around_an_obstacle(self) -> None:
        away = [8.0, 0.5]
        straight, _, _ = rolled(away, [-4.0, 0.0], math.pi / 2, 8)
        around, _, circle = rolled(away, [-4.0, 0.0], math.pi / 2, 8, np.array([[0.0, 0.0, 1.5]]))
        assert float(around.distance) > float(straight.distance)
        assert float(torch.hypot(around.pursuer[0], around.pursuer[1])) >= float(circle[0, 0]) - 1e-9

    def test_the_marked_moment_is_that_of_a_shorter_plan(self) -> None:
        view = decode(seen())
        h = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64).unsqueeze(2).repeat(1, 1, ROWS)
        start = rollout(view, h)
        marked, _ = follow(view, start, h, 20, 8, 0.1)
        _, shorter = follow(view, start, h, 8, 8, 0.1)
        for one, other in zip(marked, shorter, strict=True):
            torch.testing.assert_close(one, other, rtol=0.0, atol=0.0)


class TestMixed:
    """Which draw is which tactic."""

    @pytest.mark.parametrize(
        ("draw", "tactic"),
        [(0.0, LookAhead), (0.39, LookAhead), (0.4, BoundaryRunner), (0.6, Flee), (0.79, Flee)],
    )
    def test_a_draw_is_a_tactic(self, draw: float, tactic: type[torch.nn.Module]) -> None:
        torch.testing.assert_close(
            Mixed()(seen(), noise("mixed", 0.3, draw, 0.5)), tactic()(seen()), rtol=0.0, atol=0.0
        )

    def test_a_dodge_goes_to_the_drawn_side_or_is_a_flight(self) -> None:
        flight = Flee()(seen())
        left, right = (Mixed()(seen(), noise("mixed", side, 0.9, 0.2)) for side in (0.1, 0.9))
        dodges = (left != right).any(dim=1)
        view = decode(seen())
        distance = torch.hypot(view.dx, view.dy)
        assert 8 < int(dodges.sum()) < ROWS
        far = (distance > 0.8) | (distance < 4.0 * view.capture)
        torch.testing.assert_close(left[far], flight[far], rtol=0.0, atol=0.0)

    def test_a_mirrored_dodge(self) -> None:
        mirror = np.array([1.0, -1.0, -1.0, 1.0, -1.0])
        own, other = np.array([1.0, 2.0, 0.5, 1.0, 0.3]), np.array([-3.0, 1.0, 0.2, 1.0, 0.0])
        left = observe(own, other, NOTHING)[None]
        right = observe(own * mirror, other * mirror, NOTHING)[None]
        dodge, mirrored = (
            Mixed()(torch.from_numpy(o), torch.tensor([[side, 0.9, 0.4]], dtype=torch.float64))
            for o, side in ((left, 0.2), (right, 0.8))
        )
        torch.testing.assert_close(mirrored, dodge * torch.tensor([1.0, -1.0]), rtol=0.0, atol=1e-12)


class TestWaypoints:
    """A person's ways: one draw is one intention, paces, pauses and mistakes."""

    def test_equal_draws_are_equal_actions_and_others_are_not(self) -> None:
        first, again = (Waypoints()(seen(), noise("waypoints", *[0.4] * 6)) for _ in range(2))
        other = Waypoints()(seen(), noise("waypoints", 0.9, 0.1, 0.2, 0.8, 0.7, 0.4))
        torch.testing.assert_close(first, again, rtol=0.0, atol=0.0)
        assert int((first != other).any(dim=1).sum()) > ROWS // 3

    def test_the_pace_is_slow_at_ease_and_full_in_fear(self) -> None:
        draws = (0.1, 0.3, 0.5, 0.7, 0.899, 0.95)
        speed = torch.stack(
            [Waypoints()(seen(), noise("waypoints", *[0.5] * 5, mood))[:, 0] for mood in draws]
        )
        view = decode(seen())
        distance = torch.hypot(view.dx, view.dy)
        near, far = distance <= FEAR, (distance >= CALM) & (speed[0] > 0.0)
        assert int(near.sum()) > 5 and int(far.sum()) > 5
        assert bool((speed[:, near] == speed[0, near]).all())
        pace = speed[:, far] / speed[0, far] * (LEAST_PACE + (1.0 - LEAST_PACE) * 0.1)
        wanted = torch.tensor([0.64, 0.72, 0.8, 0.88, 0.9596, 0.1], dtype=torch.float64)
        torch.testing.assert_close(pace, wanted.unsqueeze(1).expand_as(pace), rtol=0.0, atol=1e-12)

    def test_a_mistake_follows_the_fancy_to_the_pursuer(self) -> None:
        own, other = np.array([-2.0, 0.0, 0.0, 1.0, 0.0]), np.array([3.0, 0.0, math.pi, 1.0, 0.0])
        observation = torch.from_numpy(observe(own, other, NOTHING)[None])
        wise, wrong = (
            Waypoints()(observation, torch.tensor([[0.5, 0.5, 0.5, 0.5, 1.0, mood]], dtype=torch.float64))
            for mood in (0.5, 0.01)
        )
        assert float(wise[0, 0]) == 0.0 and abs(float(wise[0, 1])) == 1.0  # turns away on the spot
        assert float(wrong[0, 0]) > 0.5 and abs(float(wrong[0, 1])) < 0.5


@cache
def play(evader: str, ratio: float) -> tuple[int, float, list[EpisodeRecord]]:
    """200 games of ``lead`` and an evader: captures, mean time that it survives [s], records."""
    records = evaluate(Match("lead", evader, speed_ratio=ratio, feasibility=""), 200, workers=1)[0]
    captures = sum(record.capture_time is not None for record in records)
    return captures, float(np.mean([record.steps * record.dt for record in records])), records


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [1.0, 1.2])
@pytest.mark.parametrize("name", HELD_OUT)
def test_a_held_out_evader_survives_longer_than_a_plain_flight(name: str, ratio: float) -> None:
    (captures, survived, records), (most, least, _) = play(name, ratio), play("flee", ratio)
    assert sum(record.violations or 0 for record in records) == 0
    assert sum(counts.infeasible for record in records for counts in record.robots.values()) == 0
    assert captures <= most and survived > least


@pytest.mark.slow
def test_the_deeper_plan_is_the_harder_to_catch() -> None:
    (deep, survived, _), (shallow, less, _) = play("deep", 1.2), play("lookahead", 1.2)
    assert deep < shallow and survived > less
