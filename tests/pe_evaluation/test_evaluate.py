"""Episodes in process: determinism, independence of batches, counts, refusals, the contract of the JSON."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from pe_core.config import ConfigurationError
from pe_core.observation import SIZE, encode
from pe_core.plant import Plant
from pe_core.robot import command_from_action
from pe_core.rules import is_capture
from pe_core.scenario import sample_layout
from pe_evaluation.evaluate import Match, evaluate, play, prepare, start
from pe_evaluation.evaluate_main import run
from pe_safety.closed_loop import Games
from pe_safety.filter import SafetyFilter

CONTRACT = {
    "episodes", "captures", "capture_rate", "violations", "violation_episodes", "min_margin_m", "interventions",
    "intervention_rate", "infeasible", "backup", "capture_time_s", "identity",
}  # fmt: skip


class TestEpisodes:
    """What an episode is does not depend on how it is computed."""

    @pytest.mark.slow
    def test_chunks_and_processes_do_not_change_an_episode(self) -> None:
        match = Match("lead", "random", seed=7)
        setup = prepare(match)
        together = play(setup, range(0, 6))
        apart = [play(setup, range(i, i + 1))[0] for i in range(6)]
        spread, _ = evaluate(match, 6, workers=2)
        assert together == apart == spread

    @pytest.mark.parametrize("evader", ["lookahead", "flee", "boundary", "hider", "deep"])
    def test_not_a_bit_of_an_action_depends_on_the_batch(self, evader: str) -> None:
        setup = prepare(Match("lead", evader, seed=5))
        layouts = [sample_layout(setup.scenario, setup.config, *setup.robots, 5, episode) for episode in range(37)]
        games = Games(layouts, setup.config, setup.robots, setup.parameters)
        for _ in range(12):
            actions = np.empty((len(games.active), 2, 2))
            for role, policy in enumerate(setup.policies):
                seen = games.observe(role)
                actions[:, role] = policy.act(seen)
                alone = np.concatenate([policy.act(seen[row : row + 1]) for row in range(len(seen))])
                assert np.array_equal(actions[:, role], alone)
            games.step(actions)

    def test_another_seed_is_another_game(self) -> None:
        first = play(prepare(Match("lead", "flee", seed=1)), range(4))
        second = play(prepare(Match("lead", "flee", seed=2)), range(4))
        assert [record.steps for record in first] != [record.steps for record in second]

    def test_an_episode_equals_one_played_with_the_objects_that_the_nodes_use(self) -> None:
        setup = prepare(Match("lead", "lookahead", seed=3))
        config, (pursuer, evader) = setup.config, setup.robots
        assert setup.parameters is not None
        for episode in range(2):
            layout = sample_layout(setup.scenario, config, pursuer, evader, 3, episode)
            plants = (Plant(pursuer, layout.pursuer), Plant(evader, layout.evader))
            filters = [
                SafetyFilter(setup.parameters[0], pursuer, evader, config.dt),
                SafetyFilter(setup.parameters[1], evader, pursuer, config.dt),
            ]
            models = (pursuer.as_array(), evader.as_array())
            steps = 0
            while steps < config.max_steps:
                commands = []
                for role in (0, 1):
                    own, other = plants[role].state, plants[1 - role].state
                    seen = np.empty((1, SIZE))
                    encode(
                        own, other, models[role], models[1 - role], config.half_side, layout.arena.obstacles,
                        len(layout.arena.obstacles), config.capture_radius, 1.0 - steps / config.max_steps,
                        config.dt, seen[0],
                    )  # fmt: skip
                    action = setup.policies[role].act(seen)[0]
                    nominal = command_from_action(action[0], action[1], models[role])
                    commands.append(filters[role].step(own, nominal, other, layout.arena).command)
                for plant, command in zip(plants, commands, strict=True):
                    plant.step(command, config.dt)
                steps += 1
                if is_capture(plants[0].state, plants[1].state, config.capture_radius):
                    break
            (record,) = play(setup, range(episode, episode + 1))
            assert record.steps == steps


class TestSafety:
    """The filter is what keeps bodies apart, and its work is counted."""

    def test_warnings_are_counted_where_a_boundary_is_asked(self) -> None:
        watched = play(prepare(Match("ram_pursuer", "ram_evader", seed=11)), range(20))
        blind = play(prepare(Match("ram_pursuer", "ram_evader", seed=11, feasibility="")), range(20))
        told = [counts.warned for record in watched for counts in record.robots.values()]
        assert all(count is not None for count in told)
        assert 0 < sum(count or 0 for count in told) < sum(2 * record.steps for record in watched)
        for one, other in zip(watched, blind, strict=True):
            for role, counts in other.robots.items():
                assert counts == dataclasses.replace(one.robots[role], warned=None, foreseen=None), "it only looks"
        unfiltered = play(prepare(Match("lead", "lookahead", safety="none")), range(2))
        assert unfiltered[0].robots["pursuer"].warned is None

    def test_no_contact_and_no_infeasible_step_with_the_filter(self) -> None:
        records = play(prepare(Match("lead", "lookahead", seed=11)), range(60))
        assert sum(record.violations or 0 for record in records) == 0
        assert min(record.min_margin for record in records) > 0.0
        assert sum(counts.infeasible for record in records for counts in record.robots.values()) == 0

    def test_a_policy_that_drives_into_walls_is_corrected_and_counted(self, wall_seeker: Path) -> None:
        records = play(prepare(Match("lead", str(wall_seeker), seed=0)), range(8))
        assert sum(record.robots["evader"].interventions for record in records) > 0
        assert sum(record.violations or 0 for record in records) == 0

    def test_the_same_policy_without_filter_touches_the_walls(self, wall_seeker: Path) -> None:
        records = play(prepare(Match("lead", str(wall_seeker), safety="none", seed=0)), range(8))
        assert sum(record.violations or 0 for record in records) > 0
        assert sum(record.robots["evader"].interventions for record in records) == 0


class TestRefusals:
    """What cannot be played is refused before anything runs."""

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"pursuer": "nobody"}, "known:"),
            ({"pursuer": "flee"}, "role evader"),
            ({"safety": "prayer"}, "known: barriernet, rcbf, rcbf_gp, rcbf_robust"),
            ({"arena": "moon"}, "known:"),
            ({"robot": "submarine"}, "known:"),
            ({"scenario": "nowhere"}, "known:"),
            ({"robot": "turtlebot3_waffle", "arena": "turtlebot3"}, "capture_radius"),
            ({"speed_ratio": -1.0}, "speed ratio"),
            ({"seed": -1}, "seed"),
            ({"obstacles": -1}, "obstacles = -1: allowed: 0 to 6"),
            ({"obstacles": 7}, "obstacles = 7: allowed: 0 to 6"),
            ({"obstacles": 2, "scenario": "central_obstacle"}, "central_obstacle places its own"),
        ],
    )
    def test_refused_with_what_is_allowed(self, change: dict[str, object], says: str) -> None:
        with pytest.raises(ConfigurationError, match=says):
            prepare(Match(**({"pursuer": "lead", "evader": "flee"} | change)))  # type: ignore[arg-type]

    def test_no_episodes(self) -> None:
        with pytest.raises(ConfigurationError, match="episodes"):
            evaluate(Match("lead", "flee"), 0)

    def test_a_json_path_that_cannot_be_written_is_refused_first(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="json"):
            run(Match("lead", "flee"), 1, tmp_path / "missing" / "metrics.json", workers=1)


@pytest.mark.parametrize("randomise", [0.0, 1.0])
@pytest.mark.parametrize("obstacles", [0, 6])
def test_as_many_obstacles_as_asked_and_the_identity_says_so(obstacles: int, randomise: float) -> None:
    match = Match("lead", "flee", obstacles=obstacles, randomise=randomise)
    setup, usual = prepare(match), prepare(dataclasses.replace(match, obstacles=None))
    layouts, _ = start(setup, range(5))
    assert [len(layout.arena.obstacles) for layout in layouts] == [obstacles] * 5
    assert setup.identity()["match"]["obstacles"] == obstacles
    assert usual.identity()["match"]["obstacles"] is None
    assert setup.identity()["configuration_sha256"] != usual.identity()["configuration_sha256"]


def test_the_json_holds_the_contract_and_what_ran(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    assert run(Match("lead", "flee", seed=5), 3, path, workers=1) == 0
    metrics = json.loads(path.read_text())
    assert set(metrics) >= CONTRACT
    assert metrics["episodes"] == 3
    assert metrics["identity"]["seed"] == 5
    assert metrics["identity"]["bundles"]["pursuer"]["name"] == "lead"
    assert len(metrics["identity"]["configuration_sha256"]) == 64


@pytest.fixture(scope="module")
def wall_seeker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evader that drives straight ahead at full speed, whatever lies there."""
    import torch

    from pe_core.bundle import save_bundle

    class Straight(torch.nn.Module):
        def forward(self, observation: torch.Tensor) -> torch.Tensor:
            return torch.stack([torch.ones_like(observation[:, 0]), torch.zeros_like(observation[:, 0])], dim=1)

    path = tmp_path_factory.mktemp("bundles") / "straight"
    save_bundle(
        Straight(), path, name="straight", role="evader", kind="scripted", dtype="float64", noise_size=0,
        noise_hold=1, dt=0.05, golden_observations=np.zeros((4, SIZE)), provenance={"command": "test"},
    )  # fmt: skip
    return path
