"""A bundle is scripted again of today's modules only where not a bit of what it does changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from pe_cli.app import app
from pe_core.bundle import MODEL_FILE, SCHEMA_FILE, BundleError, load_bundle
from pe_core.paths import bundle_path
from pe_core.scripted.build import golden_observations
from training.learning import rebuilt
from training.learning.curves import THINNED
from training.learning.rebuilt import REBUILT, module_of, rebuild


@pytest.mark.parametrize("name", ["ppo", "cbf-beta", "cbf-beta-polygon", "barriernet", "barriernet-evader"])
def test_committed_bundles_are_what_today_s_modules_make_of_their_weights(name: str) -> None:
    bundle = load_bundle(name)
    module = torch.jit.script(module_of(bundle))
    for rows in (1, 16):
        seen = golden_observations(bundle.schema.role, 20 * rows).reshape(20, rows, -1)
        with torch.inference_mode():
            for part in seen:
                here = module(torch.from_numpy(part).float()).double().numpy()
                assert np.abs(bundle.act(part) - here).max() < 1e-6


def test_a_bundle_that_is_scripted_again_acts_as_before_and_says_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "ppo"
    shutil.copytree(bundle_path("ppo"), path)
    before, seen = load_bundle(str(path)), golden_observations("pursuer", 500)
    wanted, curves = before.act(seen), (path / THINNED).read_bytes()
    done = CliRunner().invoke(app, ["policy", "rebuild", str(path)])
    assert done.exit_code == 0 and "equals what it was made of to" in done.output, done.output
    after = load_bundle(str(path), "pursuer")
    assert np.array_equal(after.act(seen), wanted) and (path / THINNED).read_bytes() == curves
    said = dict(after.schema.provenance)
    assert said.pop(REBUILT)[-1] == before.schema.sha256
    assert said == {key: value for key, value in before.schema.provenance.items() if key != REBUILT}


class Other(nn.Module):
    """Does almost the same."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, observation: Tensor) -> Tensor:
        """(N, SIZE) -> (N, 2)."""
        return 0.999999 * self.module(observation)


def test_a_bundle_that_would_act_otherwise_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ppo"
    shutil.copytree(bundle_path("ppo"), path)
    before = [(path / name).read_bytes() for name in (MODEL_FILE, SCHEMA_FILE)]
    monkeypatch.setattr(rebuilt, "module_of", lambda bundle: Other(module_of(bundle)))
    with pytest.raises(BundleError, match="policy 'ppo': differs by .* when scripted again; allowed: 0"):
        rebuild(str(path))
    assert before == [(path / name).read_bytes() for name in (MODEL_FILE, SCHEMA_FILE)]


def test_a_scripted_policy_cannot_be_scripted_again() -> None:
    with pytest.raises(BundleError, match="policy 'lead': its provenance has no 'learning'"):
        rebuild("lead")
