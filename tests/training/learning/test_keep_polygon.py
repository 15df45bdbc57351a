"""Of a CBF-Beta bundle one that keeps its polygon: the same networks, and a filter that finds nothing to correct."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pe_cli.app import app
from pe_core.bundle import BundleError, load_bundle, save_bundle
from pe_core.scripted.build import golden_observations
from training.batch import PURSUER_INTERVENED
from training.games import LEARNER, BatchedGames, Task
from training.learning.keep_polygon import keep_polygon
from training.learning.parameters import CBF_BETA, KEPT_POLYGON, Learning
from training.learning.rebuilt import REBUILT, module_of
from training.learning.run import Training, make_policy


def test_the_committed_one_is_what_the_command_makes_of_cbf_beta(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["policy", "polygon", "cbf-beta", "--name", "again", "--out", str(tmp_path)])
    assert done.exit_code == 0 and "equals what it was made of to" in done.output, done.output
    again, committed = load_bundle(str(tmp_path / "again"), "pursuer"), load_bundle("cbf-beta-polygon", "pursuer")
    source, seen = load_bundle("cbf-beta", "pursuer"), golden_observations("pursuer", 300)
    assert np.abs(again.act(seen) - committed.act(seen)).max() < 1e-6
    assert np.array_equal(again.density(seen), source.density(seen)), "the networks are the same"
    of = {source.schema.sha256, *source.schema.provenance.get(REBUILT, [])}
    for bundle in (again, committed):
        assert bundle.schema.provenance[KEPT_POLYGON]["sha256"] in of
        assert bundle.schema.provenance["learning"] == source.schema.provenance["learning"]


def test_its_filter_has_nothing_to_correct_where_that_of_the_whole_mean_has() -> None:
    corrected = {}
    for name in ("cbf-beta", "cbf-beta-polygon"):
        games = BatchedGames(Task(pursuer=LEARNER, evader="hider", starts=32, seed=0), 32, 1)
        bundle = load_bundle(name, "pursuer")
        for _ in range(200):
            games.step(bundle.act(games.observe(0)), 0)
        corrected[name] = int(games.batch.totals[:, PURSUER_INTERVENED].sum())
    assert corrected["cbf-beta-polygon"] == 0 and corrected["cbf-beta"] > 100, corrected


def test_a_training_can_go_on_from_it(tmp_path: Path) -> None:
    learning = Learning(**load_bundle("cbf-beta-polygon", "pursuer").schema.provenance["learning"])
    learning = dataclasses.replace(learning, opponents="flee", games=16, horizon=4, minibatch=32, starts=64)
    seen = torch.from_numpy(golden_observations("pursuer", 50)).float()
    trainings = []
    for name in ("cbf-beta", "cbf-beta-polygon"):
        trainings.append(Training(learning, 3, tmp_path / name, 1, "on", False, start=Path(name)))
    with torch.inference_mode():
        first, second = (training.policy.deterministic()(seen) for training in trainings)
    assert torch.equal(first, second)
    for training in trainings:
        training.close()


def test_its_modules_can_be_made_again() -> None:
    bundle, seen = load_bundle("cbf-beta-polygon", "pursuer"), golden_observations("pursuer", 100)
    with torch.inference_mode():
        eager = module_of(bundle)(torch.from_numpy(seen).float()).double().numpy()
    assert np.abs(eager - bundle.act(seen)).max() < 1e-6


@pytest.mark.parametrize(
    ("name", "said"),
    [("barriernet", "is a barriernet"), ("lead", "is a scripted"), ("cbf-beta-polygon", "keeps its polygon already")],
)
def test_other_bundles_are_refused(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(BundleError, match=f"policy '{name}': .*{said}.*allowed: a cbf-beta"):
        keep_polygon(name, "x", tmp_path)
    assert not (tmp_path / "x").exists()


def test_a_policy_of_boxes_or_of_unknown_origin_is_refused(tmp_path: Path) -> None:
    learning = Learning(algorithm=CBF_BETA, hidden=16, support="box")
    for name, provenance, said in (
        ("boxed", {"learning": json.loads(json.dumps(dataclasses.asdict(learning)))}, "support = 'box'"),
        ("silent", {}, "its provenance has no 'learning'"),
    ):
        save_bundle(
            make_policy(learning).deterministic(), tmp_path / name, name=name, role="pursuer", kind=CBF_BETA,
            dtype="float32", noise_size=0, noise_hold=1, dt=0.05, golden_observations=golden_observations("pursuer"),
            provenance=provenance,
        )  # fmt: skip
        with pytest.raises(BundleError, match=said):
            keep_polygon(str(tmp_path / name), "x", tmp_path)
