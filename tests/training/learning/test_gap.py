"""The same episodes under the mechanism of training and of deployment."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pe_core.bundle import BundleError, PolicyBundle, load_bundle
from pe_core.config import ConfigurationError
from pe_evaluation.evaluate import Match, evaluate
from training.features import Canonical
from training.games import BatchedGames, Task
from training.learning.export import export
from training.learning.gap import ALONE, DEPLOYED, SAMPLED, actor_of, play
from training.learning.parameters import Learning
from training.learning.run import Training
from training.networks import BetaActor

SMALL = {"hidden": 8, "games": 16, "horizon": 8, "minibatch": 64, "epochs": 1, "starts": 32, "steps": 128}


def trained(tmp_path: Path, algorithm: str) -> str:
    learning = Learning(algorithm=algorithm, **SMALL)  # type: ignore[arg-type]
    training = Training(learning, 0, tmp_path / "run", 1, "test", resume=False)
    try:
        while not training.finished:
            training.advance()
    finally:
        training.close()
    bundle, _ = export(tmp_path / "run", "small", tmp_path)
    return str(bundle)


def test_the_density_of_a_mirrored_state_is_mirrored() -> None:
    torch.manual_seed(0)
    actor = BetaActor([8], "tanh", True)
    torch.nn.init.normal_(actor.net[-1].weight)
    canonical = Canonical(True)
    seen = torch.rand(64, len(canonical.odd)) - 0.5
    mirrored = torch.where(canonical.odd, -seen, seen)
    p, q = actor.density(seen), actor.density(mirrored)
    torch.testing.assert_close(p, q[:, [0, 1, 3, 2]])
    assert bool((canonical(seen)[1] < 0.0).any()) and bool((canonical(seen)[1] > 0.0).any())
    mean = torch.stack([p[:, 0] / (p[:, 0] + p[:, 1]), 2.0 * p[:, 2] / (p[:, 2] + p[:, 3]) - 1.0], 1)
    torch.testing.assert_close(mean, actor(seen))


@pytest.mark.slow
def test_deployed_is_what_the_evaluator_plays() -> None:
    outcome = play("lead", "flee", DEPLOYED, 1.0, 12, 5)
    records, _ = evaluate(Match("lead", "flee", "rcbf", seed=5, feasibility=""), 12)
    assert [bool(c) for c in outcome.captured] == [record.capture_time is not None for record in records]
    # A compiled opponent rounds otherwise than its bundle: an episode may end one step earlier.
    assert abs(outcome.steps - sum(record.robots["pursuer"].steps for record in records)) <= len(records)
    assert outcome.interventions == sum(record.robots["pursuer"].interventions for record in records)


@pytest.mark.slow
def test_a_beta_policy_is_sampled_safely_and_unfiltered_it_is_on_its_own(tmp_path: Path) -> None:
    bundle = trained(tmp_path, "cbf-beta")
    sampled = play(bundle, "random", SAMPLED, 1.0, 16, 0)
    assert sampled.violating_episodes == 0
    assert sampled.interventions <= sampled.infeasible, "what is drawn is safe already"
    assert play(bundle, "random", ALONE, 1.0, 16, 0).interventions == 0


def explored_before_the_filter(name: str) -> PolicyBundle:
    """The bundle ``name``, as if it had been trained with exploration = nominal."""
    bundle = load_bundle(name)
    provenance = dict(bundle.schema.provenance)
    provenance["learning"] = {**provenance["learning"], "exploration": "nominal"}
    bundle.schema = dataclasses.replace(bundle.schema, provenance=provenance)
    return bundle


def test_noise_before_the_program_is_not_played_as_noise_after_it() -> None:
    bundle = explored_before_the_filter("barriernet")
    with pytest.raises(ConfigurationError, match="'sampled': allowed: deployed, alone.*exploration = 'nominal'"):
        actor_of(bundle, SAMPLED, 0)
    games = BatchedGames(Task(starts=2), 2)
    assert actor_of(bundle, DEPLOYED, 0)(games, 0).shape == (2, 2)
    # Without a program there is no before and after.
    assert actor_of(explored_before_the_filter("ppo"), SAMPLED, 0)(games, 0).shape == (2, 2)
    assert actor_of(load_bundle("barriernet"), SAMPLED, 0)(games, 0).shape == (2, 2)


def test_a_policy_that_does_not_say_how_far_it_explored_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="how far it explored"):
        actor_of(load_bundle("lead"), SAMPLED, 0)
    with pytest.raises(BundleError, match="keeps no density"):
        load_bundle("lead").density(np.zeros((1, 44)))
    spread = json.loads((Path(trained(tmp_path, "ppo")) / "bundle.json").read_text())["provenance"]["spread"]
    assert set(spread) == {"deviation_v", "deviation_omega"}
