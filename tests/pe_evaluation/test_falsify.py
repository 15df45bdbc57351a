"""The search for the smallest margin: what it plays is the evaluation's own step, and it finds what is broken."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pe_core.arena import Arena, ArenaConfig
from pe_core.config import ConfigurationError
from pe_core.robot import DELAY, LAG, RADIUS, load_robot
from pe_core.scenario import Layout
from pe_evaluation.falsify.adversary import BEHAVIOURS, OPPONENT
from pe_evaluation.falsify.case import load_case, save_case
from pe_evaluation.falsify.play import COOPERATIVE, MODES, PASSIVE, Cases, play, trajectories
from pe_evaluation.falsify.search import search
from pe_evaluation.falsify.space import Space, decode, gene_of, genes, signed, space_of
from pe_evaluation.falsify_main import job_of, replay, run, scenario_from
from pe_safety.closed_loop import Games
from pe_safety.parameters import SafetyParameters

ROBOTS = ("reference", "turtlebot3_burger", "turtlebot3_waffle", "turtlebot4")


def drawn(space: Space, count: int, seed: int = 0) -> Cases:
    return decode(space, np.random.default_rng(seed).random((count, space.size)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("robot", ROBOTS)
def test_decoded_cases_are_within_their_bounds_and_meet_them(robot: str, mode: str) -> None:
    space = space_of(robot, mode, 2.0)
    cases, bounds = drawn(space, 300), space.parameters
    gain = np.abs(cases.gain - 1.0)
    assert gain.max() == pytest.approx(bounds.gain_error, rel=1e-12)
    for values, axis, error in ((cases.delay, DELAY, bounds.delay_error), (cases.lag, LAG, bounds.lag_error)):
        away = np.abs(values - cases.models[:, None, :, axis])
        assert away.max() == pytest.approx(error, rel=1e-9) and values.min() >= 0.0
    limit = bounds.sigmas * cases.sigma
    length = np.linalg.norm(cases.errors[..., :2], axis=-1)
    # Both robots' errors together: the ellipsoid of independent estimates.
    assert (length / limit[..., 0]).max() <= 1.0 + 1e-12
    assert np.square(length / limit[..., 0]).max(1).sum(1).max() <= 1.0 + 1e-9
    assert (np.abs(cases.errors[..., 2]) / limit[..., 1]).max() == pytest.approx(1.0)
    moved = np.linalg.norm(cases.obstacles[:, 1] - cases.obstacles[:, 0], axis=-1)
    assert moved.max() == pytest.approx(bounds.map_error)
    assert np.abs(np.diff(cases.half_side, axis=1)).max() == pytest.approx(bounds.map_error)
    assert set(np.unique(cases.age)) == {0, 1, 2}
    assert set(np.unique(cases.nominal[..., 0])) == set(range(len(BEHAVIOURS)))
    assert set(np.unique(cases.obstacle_count)) == set(range(7))


def test_everything_is_exact_at_scale_zero() -> None:
    cases = drawn(space_of("turtlebot3_burger", COOPERATIVE, 0.0), 50)
    robot = load_robot("turtlebot3_burger")
    assert (cases.gain == 1.0).all() and (cases.errors == 0.0).all() and (cases.age == 0).all()
    assert (cases.delay == robot.delay).all() and (cases.lag == robot.lag).all()
    np.testing.assert_array_equal(cases.obstacles[:, 0], cases.obstacles[:, 1])


def test_open_field_leaves_the_robots_alone_with_each_other() -> None:
    space = space_of("reference", COOPERATIVE, 1.0, open_field=True)
    cases = drawn(space, 100)
    outcomes = play(cases, space.rules, settle=True)
    assert (cases.obstacle_count == 0).all()
    assert set(outcomes.thing[outcomes.lack == 0.0]) == {OPPONENT}


def test_gene_of_inverts_signed() -> None:
    values = np.linspace(-1.0, 1.0, 41)
    np.testing.assert_allclose(signed(gene_of(values)), values, atol=1e-12)


def test_genes_are_views() -> None:
    space = space_of("reference")
    vectors = np.zeros((2, space.size))
    for part in genes(space, vectors).values():
        part[...] = 1.0
    assert (vectors == 1.0).all()


@pytest.mark.parametrize("robot", ROBOTS)
def test_settled_starts_are_admissible_and_clear(robot: str) -> None:
    space = space_of(robot, COOPERATIVE, 1.0)
    cases = drawn(space, 200)
    outcomes = play(cases, space.rules, settle=True)
    admissible = outcomes.lack == 0.0
    assert admissible.mean() > 0.7
    start, there = cases.start[admissible], cases.obstacles[admissible, 1]
    radius, d = space.robot.radius, space.robot.vcp_offset
    walls = cases.half_side[admissible, 1, None] - np.abs(start[..., :2]).max(-1) - radius
    gap = np.linalg.norm(start[:, 0, :2] - start[:, 1, :2], axis=1) - 2.0 * radius
    assert walls.min() >= d and gap.min() >= d
    rho = (
        np.linalg.norm(start[:, :, None, :2] - there[:, None, :, :2], axis=-1) - there[:, None, :, 2] - radius
    )
    assert np.where(there[:, None, :, 2] > 0.0, rho, np.inf).min() >= d
    assert (outcomes.margin[~admissible] > 1.0).all()
    again = play(cases.part(admissible), space.rules)
    np.testing.assert_array_equal(again.margin, outcomes.margin[admissible])


@pytest.mark.parametrize("robot", ROBOTS)
def test_exact_cases_equal_games(robot: str) -> None:
    space = space_of(robot, COOPERATIVE, 0.0)
    cases = drawn(space, 12)
    cases.nominal[..., 0] = 0.0
    outcomes = play(cases, space.rules, settle=True)
    cases = cases.part(outcomes.lack == 0.0)
    track = trajectories(cases, space.rules)
    margin = play(cases, space.rules).margin
    knot = np.arange(space.steps) * space.knots // space.steps
    for n in range(len(cases)):
        count = int(cases.obstacle_count[n])
        arena = Arena(float(cases.half_side[n, 0]), cases.obstacles[n, 0, :count])
        layout = Layout(arena, cases.start[n, 0], cases.start[n, 1])
        config = ArenaConfig(half_side=arena.half_side, capture_radius=0.05, max_time=3.0)
        models = [
            dataclasses.replace(space.robot, v_max=m[1], wheel_speed_max=m[5])
            for m in cases.models[n].tolist()
        ]
        games = Games([layout], config, (models[0], models[1]), (space.parameters, space.parameters))
        least = float(games.min_margin[0])
        for k in range(space.steps):
            games.step(cases.nominal[n : n + 1, knot[k], :, 1:])
            np.testing.assert_array_equal(games.states[0], track[n, k + 1])
        # Bodies are judged between the samples too, and not at the start.
        assert margin[n] <= games.min_margin[0] + 1e-12 or games.min_margin[0] == least


def test_threads_share_cases_without_changing_them() -> None:
    space = space_of("turtlebot4", PASSIVE, 1.0)
    one, two = drawn(space, 40), drawn(space, 40)
    np.testing.assert_array_equal(
        play(one, space.rules, True).margin, play(two, space.rules, True, workers=3).margin
    )


def test_search_finds_contact_where_the_filter_knows_nothing_of_the_world() -> None:
    """The same ranges, but a filter that takes the world for exact."""
    space = space_of("reference", COOPERATIVE, 2.0)
    ignorant = dataclasses.replace(
        space, parameters=dataclasses.replace(space.parameters, map_error=0.0, sigmas=1.0)
    )
    cases = drawn(space, 400)
    assert (play(cases, dataclasses.replace(space.rules, parameters=_plain(space)), True).margin <= 0.0).any()
    found = search(ignorant, 5_000, 0).worst[0]
    assert found.margin <= search(space, 5_000, 0).worst[0].margin


def _plain(space: Space) -> np.ndarray:
    values = SafetyParameters().as_array(space.dt)
    return np.stack([values, values])


def test_unfiltered_rammer_touches_a_standing_robot_and_that_is_no_contact() -> None:
    space = space_of("reference", PASSIVE, 0.0)
    cases = drawn(space, 60)
    cases.nominal[:, :, 0] = 0.0
    cases.nominal[:, :, 1] = [BEHAVIOURS.index("ram"), 1.0, 0.0]
    outcomes = play(cases, space.rules, settle=True)
    admissible = outcomes.lack == 0.0
    track = trajectories(cases.part(admissible), space.rules)
    gap = np.linalg.norm(track[:, :, 0, :2] - track[:, :, 1, :2], axis=-1) - cases.models[0, :, RADIUS].sum()
    assert (gap.min(1) < 0.0).any()
    assert outcomes.margin[admissible].min() > 0.0


def test_search_improves_on_its_start_and_repeats_itself() -> None:
    space = space_of("reference", COOPERATIVE, 0.0)
    first, second = (search(space, 40_000, 3, workers=2) for _ in range(2))
    assert first.steps >= 40_000 and first.contacts == 0
    assert [found.margin for found in first.worst] == [found.margin for found in second.worst]
    by_origin = {found.origin: found.margin for found in first.worst}
    assert min(by_origin.values()) < by_origin["random"]
    assert first.worst[0].margin < 0.5 * space.robot.vcp_offset


def test_case_survives_its_file(tmp_path: Path) -> None:
    space = space_of("turtlebot3_burger", PASSIVE, 2.0)
    result = search(space, 3_000, 0)
    scenario = scenario_from(space, "one", result.worst[0])
    save_case(tmp_path / "one.yaml", scenario)
    read = load_case(tmp_path / "one.yaml")
    assert read == scenario
    outcome = read.replay()
    assert float(outcome.margin[0]) == result.worst[0].margin == read.margin
    assert replay([tmp_path / "one.yaml"]) == 0
    save_case(tmp_path / "two.yaml", dataclasses.replace(scenario, margin=scenario.margin + 1e-3))
    assert replay([tmp_path / "one.yaml", tmp_path / "two.yaml"]) == 1
    assert replay([tmp_path / "two.yaml"], record=True) == 0
    assert load_case(tmp_path / "two.yaml").margin == scenario.margin


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mode": "hostile"}, "mode"),
        ({"knots": []}, "knots"),
        ({"start": [[0.0, 0.0]]}, "start"),
        ({"robots": [{}]}, "robots"),
    ],
)
def test_file_that_says_something_else_is_refused(tmp_path: Path, change: dict, said: str) -> None:
    space = space_of("reference", COOPERATIVE, 1.0)
    scenario = scenario_from(space, "one", search(space, 1_000, 0).worst[0])
    with pytest.raises(ConfigurationError, match=said):
        save_case(tmp_path / "one.yaml", dataclasses.replace(scenario, **change))
        load_case(tmp_path / "one.yaml").replay()


def test_run_saves_prints_and_exits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = job_of("reference", PASSIVE, steps=2_000, scale=0.0)
    assert run(job, tmp_path / "out", tmp_path / "found.json") == 0
    assert "reference" in capsys.readouterr().out
    files = sorted((tmp_path / "out").glob("*.yaml"))
    assert files and replay(files) == 0
    with pytest.raises(ConfigurationError, match="nothing"):
        job_of("nothing", "all")
