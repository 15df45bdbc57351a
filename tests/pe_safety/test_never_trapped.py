"""From every state inside margins, with an opponent that leaves room, the robot gets out.

A grid of starts whose body touches nothing while margins are used up: at walls, in corners, at obstacles, between
an obstacle and a wall, near an opponent.  From each the robot shall reach an open place, ten radii away, under a
policy that turns towards it and drives.  Room is: a way that leads away from the wall at 45 degrees, a passage that
the body's margins leave open, an opponent that does not stand in the way.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from pe_core.arena import Arena, ArenaConfig, load_arena
from pe_core.randomisation import WorldDraw, draw, load_randomisation
from pe_core.robot import RobotModel, load_robot
from pe_core.scenario import Layout
from pe_safety.closed_loop import Games
from pe_safety.parameters import SafetyParameters

PROFILES = {
    "reference": "reference",
    "turtlebot3_burger": "turtlebot3",
    "turtlebot3_waffle": "turtlebot3_waffle",
    "turtlebot4": "turtlebot4",
}
HEADINGS = 0.01 + np.linspace(-math.pi, math.pi, 12, endpoint=False)
# Within this share of the way the open place is reached.
NEAR = 0.35


@dataclasses.dataclass(frozen=True)
class Start:
    kind: str
    pose: tuple[float, float, float]
    goal: tuple[float, float]
    opponent: tuple[float, float, float]
    opponent_speed: float = 0.0
    obstacles: tuple[tuple[float, float, float], ...] = ()


def starts(robot: RobotModel, half_side: float, covered: bool) -> list[Start]:
    """The grid; gaps between body and surface [m] that margins do not allow to be reached."""
    r, d = robot.radius, robot.vcp_offset
    inside, way, slant = half_side - r, 10.0 * r, 10.0 * r * math.sqrt(0.5)
    gaps = (0.025, 0.06, 0.12) if covered else (1e-3, 0.5 * d, d)
    passages = (0.13, 0.18) if covered else (0.5 * d, d)
    away = (-inside + 3.0 * r, -inside + 3.0 * r, 0.0)
    out = []
    for heading in HEADINGS:
        for gap in gaps:
            x = inside - gap
            for goal in ((x - slant, -slant), (x - way, 0.0), (x - slant, slant)):
                out.append(Start("wall", (x, 0.0, heading), goal, away))
            for other in gaps:
                goal = (inside - slant, inside - slant)
                out.append(Start("corner", (x, inside - other, heading), goal, away))
            radius = 1.5 * r
            for angle in (0.0, 2.0):
                c, s = math.cos(angle), math.sin(angle)
                near, far = radius + r + gap, radius + r + way
                circle = ((0.0, 0.0, radius),)
                out.append(
                    Start("obstacle", (near * c, near * s, heading), (far * c, far * s), away, 0.0, circle)
                )
            for move, (bearing, speed) in {
                "at rest": (0.0, 0.0),
                "leaving": (math.pi, 0.5),
                "passing": (0.5 * math.pi, 0.5),
            }.items():
                there = (-(2.0 * r + gap), -r if move == "passing" else 0.0, bearing)
                out.append(Start(f"opponent {move}", (0.0, 0.0, heading), (way, 0.0), there, speed))
            beside = (x, -(2.0 * r + gap), 0.5 * math.pi)
            out.append(Start("opponent at the wall", (x, 0.0, heading), (x - slant, slant), beside))
        for gap in passages:
            for other in passages:
                x, radius = inside - gap, 1.5 * r
                circle = ((x - r - other - radius, 0.0, radius),)
                out.append(Start("passage", (x, 0.0, heading), (x, way), away, 0.0, circle))
    return out


def towards(state: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Actions (k, 2) that turn towards ``goal`` (k, 2) on the spot, then drive."""
    way = goal - state[:, :2]
    bearing = np.angle(np.exp(1j * (np.arctan2(way[:, 1], way[:, 0]) - state[:, 2])))
    v = np.where(np.abs(bearing) < 0.5, np.cos(bearing), 0.0)
    return np.column_stack([v, np.clip(1.5 * bearing, -1.0, 1.0)])


def begin(
    grid: list[Start], robot: RobotModel, config: ArenaConfig, parameters: SafetyParameters, covered: bool
) -> Games:
    layouts = [
        Layout(
            arena=Arena(config.half_side, np.array(start.obstacles).reshape(-1, 3)),
            pursuer=np.array(start.pose),
            evader=np.array(start.opponent),
        )
        for start in grid
    ]
    worlds: list[WorldDraw] | None = None
    if covered:
        ranges = load_randomisation("turtlebot3")
        worlds = [
            dataclasses.replace(draw(ranges, config, (robot, robot), 1, episode), config=config)
            for episode in range(len(grid))
        ]
    return Games(layouts, config, (robot, robot), (parameters, None), worlds)


@pytest.mark.slow
@pytest.mark.parametrize("behaviour", ["cooperative", "passive"])
@pytest.mark.parametrize("covered", [False, True])
@pytest.mark.parametrize("name", PROFILES)
def test_robot_gets_out_of_every_margin(name: str, covered: bool, behaviour: str) -> None:
    robot = load_robot(name)
    longest = 4.0 * (10.0 * robot.radius / robot.v_max + math.pi / robot.omega_max) + 30.0
    config = dataclasses.replace(load_arena(PROFILES[name]), capture_radius=0.05, max_time=longest)
    parameters = SafetyParameters(opponent_behaviour=behaviour)
    if covered:
        parameters = parameters.covering(load_randomisation("turtlebot3"))
    grid = starts(robot, config.half_side, covered)
    games = begin(grid, robot, config, parameters, covered)
    goal = np.array([start.goal for start in grid])
    speed = np.array([start.opponent_speed for start in grid])
    out = np.full(len(grid), math.inf)
    while len(games.active) and not np.isfinite(out).all():
        rows = games.active
        actions = np.zeros((len(rows), 2, 2))
        actions[:, 0] = towards(games.states[rows, 0], goal[rows])
        actions[:, 1, 0] = speed[rows]
        games.step(actions)
        left = np.hypot(*(games.states[:, 0, :2] - goal).T)
        arrived = (left < NEAR * 10.0 * robot.radius) & ~np.isfinite(out)
        out[arrived] = games.steps[arrived] * config.dt
    trapped = [
        (start, games.states[i, 0].round(3)) for i, start in enumerate(grid) if not math.isfinite(out[i])
    ]
    kinds = {
        kind: sum(start.kind == kind for start, _ in trapped) for kind in {start.kind for start, _ in trapped}
    }
    assert not trapped, (kinds, trapped[:3])
