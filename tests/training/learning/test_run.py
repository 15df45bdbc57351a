"""A training goes on after an interruption as if there had been none, and refuses what it cannot continue."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pe_core.bundle import BundleError, load_bundle
from pe_core.config import ConfigurationError
from pe_core.paths import boundary_path
from pe_core.robot import V_MAX
from pe_core.scripted.build import golden_observations
from pe_safety.feasibility.model import load_feasibility
from training.batch import Batch
from training.games import BatchedGames
from training.learning import run
from training.learning.export import export, load_policy
from training.learning.parameters import Learning
from training.learning.run import CURVES, RUN, Training, task_of
from training.learning.train_main import parameters

SMALL = Learning(
    opponents="random:1, lookahead:1", hidden=16, games=32, horizon=8, minibatch=64, epochs=2, starts=64, steps=2048,
    critic_only=1, teacher="lead", imitation=512, ratio_low=0.9, ratio_high=1.2, obstacles_low=0, obstacles_high=3,
)  # fmt: skip


def train(learning: Learning, out: Path, rollouts: int, resume: bool = False, threads: int = 1) -> Training:
    training = Training(learning, 3, out, threads, "test", resume)
    training.imitate(lambda steps, error: None)
    for _ in range(rollouts):
        training.advance()
    training.save()
    training.close()
    return training


def test_another_revision_that_goes_on_is_named_in_the_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(SMALL, tmp_path, 1)
    first = json.loads((tmp_path / RUN).read_text())["revision"]
    steps = train(SMALL, tmp_path, 1, resume=True).steps
    assert "resumed" not in load_policy(tmp_path)[2]
    monkeypatch.setattr(run, "git_revision", lambda: "another")
    for _ in range(2):
        train(SMALL, tmp_path, 1, resume=True)
    found = load_policy(tmp_path)[2]
    assert found["revision"] == first
    assert found["resumed"] == [{"steps": steps, "revision": "another"}]


@pytest.mark.parametrize(
    ("algorithm", "curriculum"),
    [
        ("ppo", 0.0),
        ("ppo", 0.9),
        pytest.param("cbf-beta", 0.0, marks=pytest.mark.slow),
        pytest.param("barriernet", 0.0, marks=pytest.mark.slow),
        pytest.param("shac", 0.0, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(
    algorithm: str, curriculum: float, tmp_path: Path
) -> None:
    learning = dataclasses.replace(SMALL, algorithm=algorithm, curriculum=curriculum)
    whole = train(learning, tmp_path / "whole", 4)
    train(learning, tmp_path / "parts", 2)
    parts = train(learning, tmp_path / "parts", 2, resume=True)
    for one, other in ((whole.policy, parts.policy), (whole.critic, parts.critic)):
        for key, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[key]), key
    np.testing.assert_array_equal(whole.games.batch.states, parts.games.batch.states)
    curves = [
        [json.loads(line)["steps"] for line in (tmp_path / name / CURVES).read_text().splitlines()]
        for name in ("whole", "parts")
    ]
    assert curves[0] == curves[1] and whole.steps == parts.steps


def test_a_line_that_was_cut_off_when_a_run_was_killed_does_not_stop_it(tmp_path: Path) -> None:
    train(SMALL, tmp_path, 1)
    with (tmp_path / CURVES).open("a") as file:
        file.write('{"rollout": 2')
    training = train(SMALL, tmp_path, 1, resume=True)
    lines = [json.loads(line) for line in (tmp_path / CURVES).read_text().splitlines()]
    assert [line["rollout"] for line in lines] == [1.0, 2.0] and lines[-1]["steps"] == training.steps


def test_a_curriculum_makes_evaders_faster_in_equal_steps(tmp_path: Path) -> None:
    learning = dataclasses.replace(SMALL, curriculum=0.5, ratio_low=1.0, ratio_high=1.4)
    assert [learning.speed_ratio(steps)[1] for steps in (0, 128, 1023, 1024, 2048)] == pytest.approx(
        [1.05, 1.1, 1.4, 1.4, 1.4]
    )
    assert dataclasses.replace(learning, curriculum=0.0).speed_ratio(0) == (1.0, 1.4)
    training = train(learning, tmp_path, 1)
    models = training.games._starts.models
    ratios = models[:, 1, V_MAX] / models[:, 0, V_MAX]
    assert 1.0 <= ratios.min() < ratios.max() <= learning.speed_ratio(512)[1] < 1.4


def test_a_run_folder_is_not_overwritten(tmp_path: Path) -> None:
    train(SMALL, tmp_path, 1)
    with pytest.raises(ConfigurationError, match="holds a training already"):
        Training(SMALL, 3, tmp_path, 1, "test", resume=False)
    with pytest.raises(ConfigurationError, match="other parameters or another seed"):
        Training(SMALL, 4, tmp_path, 1, "test", resume=True)
    with pytest.raises(ConfigurationError, match="no checkpoint.pt to resume"):
        Training(SMALL, 3, tmp_path / "nothing", 1, "test", resume=True)


def test_what_is_exported_is_what_was_trained(tmp_path: Path) -> None:
    training = train(SMALL, tmp_path / "run", 1)
    path, found = export(tmp_path / "run", "trial", tmp_path)
    schema = json.loads((path / "bundle.json").read_text())
    assert found["difference"] <= 1e-5 and schema["role"] == "pursuer" and schema["kind"] == "ppo"
    provenance = schema["provenance"]
    assert provenance["steps"] == training.steps and provenance["seed"] == 3
    assert provenance["learning_sha256"] == SMALL.sha256()


@pytest.mark.slow
def test_what_short_horizons_teach_is_a_barrier_net(tmp_path: Path) -> None:
    train(dataclasses.replace(SMALL, algorithm="shac"), tmp_path / "run", 2)
    path, found = export(tmp_path / "run", "trial", tmp_path)
    schema = json.loads((path / "bundle.json").read_text())
    assert found["difference"] <= 1e-5 and schema["kind"] == "barriernet"
    lines = [json.loads(line) for line in (tmp_path / "run" / CURVES).read_text().splitlines()]
    assert [line["policy_steps"] for line in lines] == [0.0, 1.0]
    assert lines[1]["gradient_norm"] > 0.0 and lines[1]["gradient_safe"] > 0.0


def test_parameters_can_be_changed_by_name_and_nothing_else() -> None:
    changed = parameters("ppo", 1000, ["hidden=64", "opponents=flee", "imitation=500"])
    assert (changed.hidden, changed.opponents, changed.steps) == (64, "flee", 1000)
    for change, message in (
        ("hiden=1", "unknown key 'hiden'"),
        ("hidden", "KEY=VALUE"),
        ("hidden=0", "allowed"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            parameters("ppo", None, [change])


def test_a_training_that_would_only_imitate_is_refused() -> None:
    message = r"cbf-beta\.yaml.*imitation = 2000000: allowed: less than steps = {}$"
    for steps in (200_000, 2_000_000):
        with pytest.raises(ConfigurationError, match=message.format(steps)):
            parameters("cbf-beta", steps, [])
    assert parameters("cbf-beta", 400_000, ["imitation=100000"]).imitation == 100_000
    assert parameters("cbf-beta", 2_000_001, []).steps == 2_000_001


@pytest.mark.parametrize("algorithm", ["ppo", "cbf-beta"])
def test_a_price_of_corrections_is_refused_where_nothing_would_pay_it(algorithm: str) -> None:
    with pytest.raises(ConfigurationError, match=r"correction = 0\.1: allowed: 0\.01.*correction in config/training"):
        Learning(algorithm=algorithm, correction=0.1)
    assert Learning(algorithm="barriernet", correction=0.1).correction == 0.1


def test_a_step_into_a_state_that_the_boundary_calls_infeasible_costs_its_price(tmp_path: Path) -> None:
    weight = 0.5
    learning = dataclasses.replace(SMALL, teacher="", imitation=0, horizon=96, feasibility=weight)
    free = Training(dataclasses.replace(learning, feasibility=0.0), 3, tmp_path / "free", 1, "test", False)
    model = load_feasibility(boundary_path(learning.boundary))
    wanted: list[np.ndarray] = []
    step = free.games.step

    def watched(actions: np.ndarray, role: int | None = None) -> Batch:
        batch = step(actions, role)
        depth = -free.games.feasibility(model)[:, 0]
        ended = batch.terminated | batch.truncated
        wanted.append(np.where((depth > 0.0) & ~ended, weight * np.minimum(depth, 1.0), 0.0))
        return batch

    free.games.step = watched  # type: ignore[method-assign]
    priced = Training(learning, 3, tmp_path / "priced", 1, "test", False)
    for training in (free, priced):
        training.advance()
        training.close()
    price = np.stack(wanted)
    taken = (free.rollout.rewards - priced.rollout.rewards).numpy() / free.reward_scale
    assert torch.equal(free.rollout.actions, priced.rollout.actions), "the same games"
    np.testing.assert_allclose(taken, price, rtol=0.0, atol=1e-5)
    assert 10 < (price > 0.0).sum() < 0.5 * price.size and (taken[price == 0.0] == 0.0).all()


def deterministic_return(training: Training) -> float:
    """Mean return of 256 games over 15 s without noise, from the same starts every time."""
    games = BatchedGames(task_of(training.learning, training.opponents, 99), 256)
    total = np.zeros(256)
    for _ in range(300):
        with torch.inference_mode():
            action = training.policy.mean(torch.from_numpy(games.observe(0)).float())
        total += games.step(action.double().numpy(), 0).rewards[:, 0]
    return float(total.mean())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "seed"), [("ppo", 0), ("ppo", 1), ("ppo", 2), ("barriernet", 0), ("barriernet", 1)]
)
def test_it_04_fifty_thousand_steps_show_learning(tmp_path: Path, algorithm: str, seed: int) -> None:
    learning = Learning(
        algorithm=algorithm, opponents="random", hidden=64, games=128, horizon=32, minibatch=256, epochs=10, starts=512,
        steps=50_000, critic_only=1, divergence=0.05, learning_rate=1e-3, discount=0.9, trace=0.9, deviation_high=1.0,
    )  # fmt: skip
    training = Training(learning, seed, tmp_path, 1, "test", resume=False)
    before = deterministic_return(training)
    while not training.finished:
        training.advance()
    training.close()
    assert deterministic_return(training) > before + 3.0


def test_a_second_part_begins_with_the_networks_of_the_first_and_says_so(tmp_path: Path) -> None:
    first = train(SMALL, tmp_path / "first", 2)
    learning = dataclasses.replace(SMALL, teacher="", imitation=0, opponents="flee")
    second = Training(learning, 3, tmp_path / "second", 1, "second", False, start=tmp_path / "first")
    for one, other in ((first.policy, second.policy), (first.critic, second.critic)):
        for key, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[key]), key
    assert second.steps == 0
    second.advance()
    second.save()
    second.close()
    path, _ = export(tmp_path / "second", "both", tmp_path)
    kept = json.loads((path / "bundle.json").read_text())["provenance"]["start"]
    assert (kept["command"], kept["seed"], kept["steps"]) == ("test", 3, first.steps)
    with pytest.raises(ConfigurationError, match="networks are not those"):
        Training(
            dataclasses.replace(SMALL, hidden=8), 3, tmp_path / "x", 1, "", False, start=tmp_path / "first"
        )
    with pytest.raises(ConfigurationError, match=r"nothing to start from; allowed: a run folder .*, or a bundle"):
        Training(SMALL, 3, tmp_path / "y", 1, "", False, start=tmp_path)


@pytest.mark.parametrize("name", ["ppo", "cbf-beta", "barriernet"])
def test_a_training_begins_with_the_policy_of_a_bundle_and_says_so(tmp_path: Path, name: str) -> None:
    learning = Learning(**load_bundle(name, "pursuer").schema.provenance["learning"])
    learning = dataclasses.replace(learning, opponents="flee", games=16, horizon=4, minibatch=32, starts=64)
    training = Training(learning, 3, tmp_path / "run", 1, "on", False, start=Path(name))
    training.save()
    path, _ = export(tmp_path / "run", "again", tmp_path)
    seen = golden_observations("pursuer", 200)
    given, again = load_bundle(name, "pursuer"), load_bundle(str(path), "pursuer")
    assert np.array_equal(given.act(seen), again.act(seen))
    then, now = given.schema.provenance, again.schema.provenance
    assert now["start"]["bundle"] == name and now["start"]["sha256"] == given.schema.sha256
    assert now["start"]["command"] == then["command"]
    assert now["start"].get("start") == then.get("start")
    assert now["spread"] == pytest.approx(then["spread"])
    training.close()


def test_a_bundle_of_another_algorithm_or_role_is_no_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="networks are not those"):
        Training(SMALL, 3, tmp_path / "x", 1, "", False, start=Path("lead"))
    with pytest.raises(BundleError, match="made for role evader"):
        Training(SMALL, 3, tmp_path / "y", 1, "", False, start=Path("barriernet-evader"))
