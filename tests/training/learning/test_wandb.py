"""Curves for Weights & Biases: offline, one run of theirs a run folder, also of one that was interrupted."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path

import pytest

from pe_core.config import ConfigurationError
from tests.support.patience import patience
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


def records_of(path: Path) -> list[bytes]:
    """The records of a .wandb file: a log of LevelDB's format, after a header of 7 bytes.

    In blocks of 32 KiB: checksum (4), length (2), type (1; 1 whole, 2 first, 3 middle, 4 last part), contents.
    """
    data, at, found, parts = path.read_bytes(), 7, [], b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts = (b"" if kind in (1, 2) else parts) + data[at + 7 : at + 7 + length]
        if kind in (1, 4):
            found.append(parts)
        at += 7 + length
    return found


def lines_of(folder: Path, count: int) -> list[dict[str, float]]:
    """What the offline runs of a run folder have logged, in their order; wandb's process may write after the end."""
    from wandb.proto import wandb_internal_pb2

    until = time.monotonic() + patience(10.0)
    lines: list[dict[str, float]] = []
    while len(lines) < count and time.monotonic() < until:
        lines = []
        for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
            for data in records_of(path):
                record = wandb_internal_pb2.Record()
                record.ParseFromString(data)
                if record.WhichOneof("record_type") == "history":
                    items = [
                        (item.key or "/".join(item.nested_key), item.value_json)
                        for item in record.history.item
                    ]
                    lines.append({key: json.loads(value) for key, value in items})
        time.sleep(0.1)
    return lines


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
