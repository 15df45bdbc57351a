"""``./pe compare`` takes its seeds as the contract writes them, and answers a mistake with one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pe_cli.app import app
from pe_core.config import ConfigurationError
from pe_evaluation import bags_main, compare_main


def test_seeds_are_written_one_after_the_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(compare_main, "run", lambda request: asked.append(request) or 0)
    words = [
        "compare",
        "--episodes",
        "7",
        "--seeds",
        "3",
        "1",
        "2",
        "--out",
        str(tmp_path),
        "--evaders",
        "random,flee",
    ]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert CliRunner().invoke(app, ["compare"]).exit_code == 0
    assert asked[0].seeds == (3, 1, 2) and asked[0].episodes == 7 and asked[0].evaders == ("random", "flee")
    assert asked[1].seeds == (0, 1, 2) and asked[1].episodes == 200


def test_bags_are_written_one_after_the_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(bags_main, "run", lambda request: asked.append(request) or 0)
    out = str(tmp_path / "out")
    words = ["compare", "--bags", "one", "x=two", "three", "--tensorboard", "--wandb", "offline", "--out", out]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert asked[0].bags == ("one", "x=two", "three") and asked[0].out == tmp_path / "out"
    assert (asked[0].tracking.tensorboard, asked[0].tracking.wandb) == (tmp_path / "out" / "tensorboard", "offline")
    words = ["compare", "--bags", "one", "--label", "a", "two", "--label", "b", "--tensorboard", "here"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert (asked[1].bags, asked[1].labels) == (("one", "two"), ("a", "b"))
    assert asked[1].tracking.tensorboard == Path("here") and asked[1].tracking.wandb == "off"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--bags", "one", "--seeds", "1"], "--seeds"),
        (["--label", "a"], "--label"),
        (["--seeds", "0", "one"], "'one' is not a whole number"),
        (["--wandb", "maybe"], "--wandb"),
    ],
)
def test_what_does_not_go_together_is_refused(words: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["compare", *words])
    assert result.exit_code == 2 and said in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--approaches", "magic"], "approach 'magic' is unknown"),
        (["--evaders", "ghost"], "evader 'ghost' is not in plan"),
        (["--seeds", "0", "0"], "seeds = '0 0'"),
        (["--plan", "nowhere"], "comparison 'nowhere' is unknown"),
        (["--decision", "dice"], "decision 'dice' is unknown"),
        (["--bags", "nowhere"], "bags = 'nowhere': does not exist"),
        (["--out", "/proc/nowhere"], "out = /proc/nowhere: cannot be written"),
    ],
)
def test_a_mistake_is_named(words: list[str], said: str, tmp_path: Path) -> None:
    out = [] if "--out" in words else ["--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["compare", *out, *words])
    assert isinstance(result.exception, ConfigurationError)
    assert said in str(result.exception)


def test_no_episode_is_refused() -> None:
    assert CliRunner().invoke(app, ["compare", "--episodes", "0"]).exit_code == 2
