"""Curves for Weights & Biases: offline, one run of theirs a run folder, also of one that was interrupted."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path

import pytest

from pe_core.config import ConfigurationError
from tests.support.wandb_files import lines_of
from training.learning import self_play
from training.learning.parameters import Learning
from training.learning.self_play import Match, SelfPlay
from training.learning.train_main import train
from training.learning.wandb_curves import OFFLINE, WandbCurves, check_mode

needs_wandb = pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb not installed")
SMALL = Learning(
    opponents="random",
    hidden=16,
    games=32,
    horizon=8,
    minibatch=64,
    epochs=1,
    starts=64,
    steps=512,
    critic_only=0,
)


@needs_wandb
@pytest.mark.slow
def test_a_resumed_training_goes_on_in_the_same_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert train(SMALL, 3, folder, False, 1, "test", wandb=OFFLINE, group="small") == 0
    identity = json.loads((folder / "wandb.json").read_text())
    curves = [json.loads(text) for text in (folder / "curves.jsonl").read_text().splitlines()]
    # wandb's folders are named by the second.
    time.sleep(1.1)
    again = WandbCurves(folder, OFFLINE, "small", {})
    again.tell({"steps": 768.0, "return": 1.0})
    again.close()
    lines = lines_of(folder, 3)
    assert [line["steps"] for line in lines] == [256.0, 512.0, 768.0]
    assert lines[0]["policy_loss"] == curves[0]["policy_loss"]
    assert (
        json.loads((folder / "wandb.json").read_text()) == identity
        and identity["project"] == "pursuit-evasion"
    )
    assert len({path.name for path in folder.glob("wandb/offline-run-*/run-*.wandb")}) == 1


@needs_wandb
def test_both_roles_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learnings = {"ppo": SMALL, "evader": Learning(role="evader", opponents="lead")}
    monkeypatch.setattr(self_play, "load_learning", learnings.__getitem__)
    match = Match(SelfPlay(), 5, tmp_path, 1, "test", False)
    account = match.account()
    assert account["seed"] == 5 and account["learning"]["evader"]["role"] == "evader" and account["revision"]
    curves = WandbCurves(tmp_path, OFFLINE, "self-play", account)
    curves.tell({"steps": 1.0, "return": 0.5}, "pursuer")
    curves.tell({"steps": 2.0, "return": 0.25}, "evader")
    curves.close()
    first, second = lines_of(tmp_path, 2)
    assert first["pursuer/steps"] == 1.0 and second["evader/return"] == 0.25 and "evader/steps" not in first


def test_what_is_not_installed_is_said_before_anything_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = (
        r"--wandb offline: wandb is not installed; allowed: off, or pip install 'pursuit-evasion\[wandb\]'"
    )
    with pytest.raises(ConfigurationError, match=message):
        train(SMALL, 3, tmp_path / "run", False, 1, "test", wandb=OFFLINE)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigurationError, match="--wandb maybe: allowed: off, online, offline"):
        check_mode("maybe")
    check_mode("off")
