"""``./pe world``: the world of an episode as a file."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from pe_cli.app import app
from pe_core.arena import arena_of, load_arena
from pe_core.robot import load_robot
from pe_core.scenario import load_scenario, sample_layout


def written(file: Path, *words: str) -> ElementTree.Element:
    result = CliRunner().invoke(app, ["world", str(file), *words])
    assert result.exit_code == 0, result.output
    return ElementTree.parse(file).getroot()


def test_a_world_has_robots_and_obstacles_where_the_episode_has_them(tmp_path: Path) -> None:
    root = written(tmp_path / "w.sdf", "--robot", "turtlebot3_burger", "--seed", "3", "--episode", "7")
    robot = load_robot("turtlebot3_burger")
    start = sample_layout(load_scenario("random"), load_arena(arena_of("auto", robot.name)), robot, robot, 3, 7)
    for role in ("pursuer", "evader"):
        pose = [float(word) for word in root.findtext(f"world/model[@name='{role}']/pose", "").split()]
        x, y, heading = getattr(start, role)
        assert pose == pytest.approx([x, y, 0.0, 0.0, 0.0, heading])
    texts = [model.findtext("pose", "") for model in root.findall("world/model")]
    places = [tuple(float(word) for word in text.split()[:2]) for text in texts if text]
    assert len(start.arena.obstacles) == 2
    for x, y, _ in start.arena.obstacles:
        assert np.min(np.linalg.norm(np.array(places) - (x, y), axis=1)) < 1e-9


def test_a_world_runs_in_real_time_and_has_lidars_when_asked_for(tmp_path: Path) -> None:
    root = written(tmp_path / "w.sdf", "--lidar", "--physics", "slippery")
    step, rate = (
        float(root.findtext(f"world/physics/{name}", ""))
        for name in ("max_step_size", "real_time_update_rate")
    )
    assert step * rate == pytest.approx(1.0)
    assert len(root.findall("world/model/link/sensor[@name='lidar']")) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--robot", "nosuch"), "robot 'nosuch'"),
        (("--physics", "ice"), "'ice'"),
        (("--scenario", "moon"), "scenario 'moon'"),
    ],
)
def test_a_name_that_is_unknown_is_refused(tmp_path: Path, words: tuple[str, str], said: str) -> None:
    result = CliRunner().invoke(app, ["world", str(tmp_path / "w.sdf"), *words])
    assert result.exit_code == 2
    assert said in result.output
    assert not (tmp_path / "w.sdf").exists()
