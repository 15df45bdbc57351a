"""Self-play plays against the hardest past selves, notices a learner that has lost its way, and can be interrupted."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from pe_core.config import ConfigurationError
from training.field import parse_mix
from training.learning import self_play
from training.learning.parameters import Learning
from training.learning.run import CHECKPOINT, CURVES
from training.learning.self_play import Match, SelfPlay, mix_of, wins_of

SMALL = {
    "hidden": 16,
    "games": 32,
    "horizon": 8,
    "minibatch": 64,
    "epochs": 1,
    "starts": 64,
    "critic_only": 0,
}
LEARNINGS = {
    "ppo": Learning(opponents="flee", **SMALL),  # type: ignore[arg-type]
    "evader": Learning(role="evader", opponents="lead", **SMALL),  # type: ignore[arg-type]
}
PLAY = SelfPlay(phases=2, phase_steps=512, pool=2)


def test_the_hardest_past_selves_are_met_most_and_scripted_ones_keep_their_share() -> None:
    mix = parse_mix(mix_of("flee:1, lookahead:3", {"easy": 0.9, "hard": 0.4}, 0.5, 1.0))
    assert mix["flee"] == pytest.approx(0.125) and mix["lookahead"] == pytest.approx(0.375)
    assert mix["hard"] == pytest.approx(6.0 * mix["easy"], rel=1e-4)
    assert mix["hard"] + mix["easy"] == pytest.approx(0.5, rel=1e-4)
    assert parse_mix(mix_of("flee", {}, 0.5, 1.0)) == {"flee": 1.0}


def test_an_evader_wins_where_it_is_not_caught() -> None:
    first = {
        "capture_rate": 0.5,
        "episodes/6": 10.0,
        "capture_rate/6": 0.7,
        "episodes/-2": 5.0,
        "capture_rate/-2": 0.2,
    }
    assert wins_of([first], "pursuer") == {6: pytest.approx(0.7), -2: pytest.approx(0.2)}
    assert wins_of([first], "evader") == {6: pytest.approx(0.3), -2: pytest.approx(0.8)}
    second = {"episodes/6": 30.0, "capture_rate/6": 0.3}
    assert wins_of([first, second], "pursuer")[6] == pytest.approx(0.4), "episodes count, not rollouts"


def play(out: Path, turns: int, monkeypatch: pytest.MonkeyPatch, resume: bool = False) -> Match:
    monkeypatch.setattr(self_play, "load_learning", LEARNINGS.__getitem__)
    match = Match(PLAY, 0, out, 1, "test", resume)
    for _ in range(turns):
        match.play_turn(lambda role, phase, line: None)
    return match


@pytest.mark.slow
def test_turns_alternate_and_go_on_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = play(tmp_path / "whole", 4, monkeypatch)
    assert whole.finished
    play(tmp_path / "parts", 3, monkeypatch)
    parts = play(tmp_path / "parts", 1, monkeypatch, resume=True)
    assert parts.finished
    for role in ("pursuer", "evader"):
        one, other = (
            torch.load(tmp_path / name / role / CHECKPOINT, weights_only=True) for name in ("whole", "parts")
        )
        assert one["steps"] == other["steps"] == 1024
        for key, value in one["policy"].items():
            assert torch.equal(value, other["policy"][key]), key
    assert {path.name for path in (tmp_path / "whole" / "pool").iterdir()} == {
        "pursuer-0", "pursuer-1", "evader-0", "evader-1",
    }  # fmt: skip
    with pytest.raises(ConfigurationError, match="holds self-play already"):
        Match(PLAY, 0, tmp_path / "whole", 1, "test", resume=False)


@pytest.mark.slow
def test_a_turn_that_is_interrupted_goes_on_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = play(tmp_path / "whole", 1, monkeypatch)
    parts = play(tmp_path / "parts", 0, monkeypatch)
    parts.play_turn(lambda role, phase, line: None, stop=lambda: steps_of(tmp_path / "parts") == 256)
    assert parts.state["turn"] == 0
    parts = play(tmp_path / "parts", 1, monkeypatch, resume=True)
    assert parts.state == whole.state and parts.state["turn"] == 1
    one, other = (
        torch.load(tmp_path / name / "pursuer" / CHECKPOINT, weights_only=True) for name in ("whole", "parts")
    )
    for key, value in one["policy"].items():
        assert torch.equal(value, other["policy"][key]), key


def steps_of(match: Path) -> float:
    """Steps of the pursuer in the last line of its curves."""
    lines = (match / "pursuer" / CURVES).read_text().splitlines()
    return float(json.loads(lines[-1])["steps"]) if lines else 0.0


@pytest.mark.slow
def test_a_learner_that_has_lost_its_way_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    match = play(tmp_path, 2, monkeypatch)
    good = torch.load(tmp_path / "pursuer" / "good.pt", weights_only=True)
    path = tmp_path / "pursuer" / CHECKPOINT
    broken = torch.load(path, weights_only=True)
    for value in broken["policy"].values():
        value.fill_(float("nan"))
    torch.save(broken, path)
    match.parameters = dataclasses.replace(PLAY, health_drop=1.0)
    match.play_turn(lambda role, phase, line: None)
    state = json.loads((tmp_path / "self_play.json").read_text())
    assert [each["role"] for each in state["rollbacks"]] == ["pursuer"]
    after = torch.load(path, weights_only=True)
    assert after["steps"] == 1024
    for key, value in good["policy"].items():
        assert torch.equal(value, after["policy"][key]), key
