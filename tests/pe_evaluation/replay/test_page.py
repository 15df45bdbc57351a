"""What a replay's fragment holds: every number of its tracks, nothing from a network, names that stay names."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pe_core.arena import Arena
from pe_core.config import ConfigurationError
from pe_evaluation import report_main
from pe_evaluation.comparison.track import Track
from pe_evaluation.replay.encoding import LIMIT, NOT_A_NUMBER, encode
from pe_evaluation.replay.page import Group, program, replay_html, replay_page


def wander(steps: int = 200, seed: int = 1, **changes: Any) -> Track:
    """Two robots on smooth random paths; the pursuer's commands are corrected in steps 40 to 60."""
    random = np.random.default_rng(seed)
    command = np.stack([random.uniform(0.0, 1.0, (steps, 2)), random.uniform(-2.8, 2.8, (steps, 2))], axis=2)
    nominal = command.copy()
    nominal[40:60, 0, 1] += 1.5
    poses = np.empty((steps + 1, 2, 3))
    poses[0] = [[-4.0, 0.0, 0.0], [4.0, 1.0, 2.0]]
    for step in range(steps):
        theta = poses[step, :, 2]
        move = 0.05 * command[step, :, :1] * np.column_stack([np.cos(theta), np.sin(theta)])
        poses[step + 1, :, :2] = poses[step, :, :2] + move
        poses[step + 1, :, 2] = (theta + 0.05 * command[step, :, 1] + math.pi) % (2.0 * math.pi) - math.pi
    tiers = np.zeros((steps, 2), dtype=np.int64)
    tiers[100:110, 1] = 2
    values: dict[str, Any] = {
        "name": "lead", "evader": "flee", "scenario": "open_field", "speed_ratio": 1.0, "seed": 5, "episode": 2,
        "dt": 0.05, "arena": Arena(10.0, np.array([[0.0, 5.0, 1.0]])), "capture_radius": 0.5, "radii": (0.15, 0.15),
        "poses": poses, "nominal": nominal, "command": command,
        "margins": 0.3 + random.random((steps + 1, 2)), "tiers": tiers, "captured": True,
    }  # fmt: skip
    return Track(**{**values, **changes})


def decoded(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype="<i2").astype(float)


def test_every_number_comes_back_within_half_a_step_of_its_scale() -> None:
    track = wander()
    data = encode(track)
    scale = data["scale"]
    poses = decoded(data["poses"]).reshape(track.poses.shape)
    for column, unit in enumerate(("position", "position", "angle")):
        error = np.abs(poses[..., column] * scale[unit] - track.poses[..., column])
        assert error.max() <= 0.5001 * scale[unit] < 0.0003
    commands = decoded(data["commands"]).reshape(track.steps, 2, 4)
    both = np.concatenate([track.nominal, track.command], axis=2)
    for column, unit in enumerate(("v", "omega", "v", "omega")):
        assert np.abs(commands[..., column] * scale[unit] - both[..., column]).max() <= 0.5001 * scale[unit]
    margins = decoded(data["margins"]).reshape(track.margins.shape)
    assert np.abs(margins * scale["margin"] - track.margins).max() <= 0.5001 * scale["margin"]
    assert list(base64.b64decode(data["tiers"])) == track.tiers.ravel().tolist()


def test_absurd_commands_are_marked_or_cut_off_and_flatten_nothing() -> None:
    track = wander()
    nominal = track.nominal.copy()
    nominal[3, 0] = (math.nan, math.inf)
    nominal[4, 1] = (1e300, -math.inf)
    data = encode(dataclasses.replace(track, nominal=nominal))
    commands = decoded(data["commands"]).reshape(track.steps, 2, 4)
    assert commands[3, 0, :2].tolist() == [NOT_A_NUMBER, LIMIT]
    assert commands[4, 1, :2].tolist() == [LIMIT, -LIMIT]
    assert np.abs(commands[..., 2] * data["scale"]["v"] - track.command[..., 0]).max() < 1e-4


def test_four_whole_episodes_take_less_than_300_kilobytes() -> None:
    tracks = [wander(1200, seed) for seed in range(4)]
    assert len(replay_html([tracks]).encode()) < 300_000


def test_nothing_comes_from_a_network() -> None:
    page = replay_page([[wander()]])
    assert not re.search(r"https?:|//[a-z]+\.|@import|\bimport\b|fetch\(|XMLHttp|src=|<link", page)


def test_names_stay_names() -> None:
    page = replay_page([Group("<i>t</i>", [wander(name="</script><script>alert(1)</script>", evader='"&<b>')])], "<u>")
    assert page.count("<script") == page.count("</script>") == 2
    assert not re.search("<(i|b|u)>", page.replace("<b>&lt;i&gt;", ""))
    (text,) = re.findall('<script type="application/json">(.*?)</script>', page, re.S)
    data = json.loads(text)
    assert data["groups"][0]["tracks"][0]["name"] == "</script><script>alert(1)</script>"


@pytest.mark.parametrize(
    ("groups", "message"),
    [([], "no group"), ([[]], "0 tracks: allowed: 1 to 4"), ([[wander(3)] * 5], "5 tracks: allowed: 1 to 4")],
)
def test_too_little_and_too_much_is_refused(groups: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        replay_html(groups)


def test_the_report_of_a_run_replays_its_episodes(bag: Path, played: Any, tmp_path: Path) -> None:
    (tmp_path / "bag").symlink_to(bag)
    report_main.build(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert page.count(program()) == 1
    (text,) = re.findall('<script type="application/json">(.*?)</script>', page, re.S)
    groups = json.loads(text)["groups"]
    assert [group["tracks"][0]["steps"] for group in groups] == [episode["steps"] for episode in played.episodes]
    assert groups[0]["title"].startswith("Episode 0: captured after")
