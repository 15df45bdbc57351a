"""Self-play plays against the hardest past selves, notices a learner that has lost its way, and can be interrupted."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from pe_core.bundle import load_bundle
from pe_core.config import ConfigurationError
from training.field import parse_mix
from training.learning import self_play
from training.learning.parameters import Learning
from training.learning.run import CHECKPOINT, CURVES, Training
from training.learning.self_play import Match, SelfPlay, folder_of, mix_of, wins_of
from training.opponents.play import GIVEN, LOOKAHEAD

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


def test_what_weighs_nothing_is_not_in_the_mix() -> None:
    assert parse_mix(mix_of("flee:3, lookahead:1", {"easy": 0.9, "hard": 0.4}, 0.0, 1.0)) == {
        "flee": 0.75,
        "lookahead": 0.25,
    }
    assert "easy" not in mix_of("flee", {"easy": 1.0, "hard": 0.0}, 1e-5, 1.0)


def test_a_folder_has_one_spelling_and_no_separator_of_a_mix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for spelling in ("runs/a", "./runs/a", "runs/b/../a", str(tmp_path / "runs" / "a")):
        assert folder_of(Path(spelling)) == Path("runs/a")
    assert folder_of(Path()) == tmp_path and folder_of(Path("../b")) == tmp_path.parent / "b"
    for name in ("a,b", "a:1"):
        with pytest.raises(ConfigurationError, match=f"--out '{name}': allowed: a path without"):
            Match(PLAY, 0, Path(name), 1, "test", resume=False)


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


def training_of(match: Match, out: Path) -> Training:
    return Training(match.learnings["pursuer"], 0, out, 1, "test", resume=False)


@pytest.mark.parametrize("network", ["policy", "critic"])
def test_weights_that_are_not_finite_end_a_match_that_has_no_snapshot(
    network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    match = play(tmp_path, 0, monkeypatch)
    training = training_of(match, tmp_path / "pursuer")
    list(getattr(training, network).parameters())[-1].data.fill_(float("nan"))
    training.save()
    training.close()
    with pytest.raises(
        ConfigurationError, match=f"pursuer: not finite after phase 0: {network}.*smaller learning_rate"
    ):
        match._settle("pursuer", 0, "flee", [], training)
    assert not (tmp_path / "pursuer" / "good.pt").exists() and not (tmp_path / "pool").exists()
    assert (match.state["turn"], match.state["rollbacks"]) == (0, [])


@pytest.mark.parametrize(("wins", "rolled_back"), [(0.76, False), (0.74, True)])
def test_a_learner_whose_wins_fall_by_more_than_health_drop_goes_back(
    wins: float, rolled_back: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    match = play(tmp_path, 0, monkeypatch)
    training = training_of(match, tmp_path / "pursuer")
    found = iter([{LOOKAHEAD: 0.9}, {LOOKAHEAD: wins, GIVEN - 1: 0.0}])
    monkeypatch.setattr(self_play, "wins_of", lambda lines, role: next(found))
    kept = {name: value.clone() for name, value in training.policy.state_dict().items()}
    training.save()
    match._settle("pursuer", 0, "lookahead", [], training)
    match.state["turn"] = 0
    for value in training.policy.parameters():
        value.data.add_(1.0)
    training.steps = 512
    training.save()
    training.close()
    match._settle("pursuer", 1, f"lookahead, {tmp_path / 'pool' / 'evader-0'}", [], training)
    assert [each["wins"] for each in match.state["rollbacks"]] == ([wins] if rolled_back else [])
    after = torch.load(tmp_path / "pursuer" / CHECKPOINT, weights_only=True)
    assert after["steps"] == 512
    assert all(torch.equal(value, after["policy"][name]) for name, value in kept.items()) == rolled_back
    assert (tmp_path / "pool" / "pursuer-1").exists() != rolled_back
    assert match.state["best"]["pursuer"] == 0.9 and match.state["wins"]["pursuer"] == {"evader-0": 0.0}


def test_wins_are_kept_by_the_names_of_past_selves_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    match = play(tmp_path, 0, monkeypatch)
    training = training_of(match, tmp_path / "pursuer")
    training.save()
    training.close()
    monkeypatch.setattr(self_play, "wins_of", lambda lines, role: {GIVEN - 1: 0.1, GIVEN - 2: 0.7})
    mix = f"pool/evader-1, {tmp_path / 'pool' / 'evader-1'}"
    match._settle("pursuer", 0, mix, [], training)
    assert match.state["wins"]["pursuer"] == {"evader-1": 0.7}


def test_a_match_knows_its_past_selves_in_every_spelling_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    match = play(tmp_path / "match", 0, monkeypatch)
    for name in ("pursuer-0", "pursuer-1"):
        (tmp_path / "match" / "pool" / name).mkdir(parents=True)
    # As a path, too, which is how older matches kept it.
    match.state["wins"]["evader"] = {"pursuer-0": 0.9, str(tmp_path / "match" / "pool" / "pursuer-1"): 0.2}
    match._save()
    monkeypatch.chdir(tmp_path)
    for spelling in (Path("match"), Path("other/../match"), tmp_path / "match"):
        pool = play(spelling, 0, monkeypatch, resume=True)._pool("evader")
        assert pool == {"match/pool/pursuer-1": 0.2, "match/pool/pursuer-0": 0.9}


@pytest.mark.slow
def test_turns_alternate_and_go_on_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = play(tmp_path / "whole", 4, monkeypatch)
    assert whole.finished
    play(tmp_path / "parts", 3, monkeypatch)
    # In another spelling of the folder.
    monkeypatch.chdir(tmp_path)
    parts = play(Path("other/../parts"), 1, monkeypatch, resume=True)
    assert parts.finished and parts.state["wins"] == whole.state["wins"]
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
    told = load_bundle(str(tmp_path / "whole" / "pool" / "evader-1")).schema.provenance["self_play"]
    assert (told["phases"], told["phase_steps"], told["pool"]) == (2, 512, 2)
    assert told["opponent_learning_sha256"] == whole.learnings["pursuer"].sha256()
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
