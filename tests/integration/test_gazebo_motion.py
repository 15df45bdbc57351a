"""Robots in a real gzserver: nearly ideal on the nominal floor, further off on others, stopped by their disc."""

from __future__ import annotations

import numpy as np
import pytest

from pe_core.arena import Arena
from pe_core.robot import RobotModel, load_robot
from pe_core.roles import ROLES
from pe_core.scenario import Layout
from pe_gazebo import messages
from pe_gazebo.lidar import Lidar
from pe_gazebo.physics import Physics, load_physics
from pe_gazebo.server import Server
from pe_gazebo.worlds import WORLD, world_sdf
from tests.bench.gazebo_motion import PERIOD, Drives, Pose, measure

ANSWER = 30.0
"""Longest wait [s] for a server."""
pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("gazebo")]


@pytest.fixture(scope="module")
def burger() -> RobotModel:
    return load_robot("turtlebot3_burger")


def test_the_nominal_floor_is_nearly_ideal(burger: RobotModel) -> None:
    found = measure(burger, load_physics("nominal"), ("rest", "straight", "turn", "arc"), duration=1.0)
    assert found["rest"]["off"] < 1e-4, "a robot at rest stays where it is"
    assert found["straight"]["off"] < 0.006 and found["arc"]["off"] < 0.01
    assert abs(found["turn"]["turned"] - 1.0) < 0.02, "a positive turn rate turns left"
    assert found["turn"]["off"] < 1e-3


def test_a_slippery_floor_is_further_off(burger: RobotModel) -> None:
    found = measure(burger, load_physics("slippery"), ("straight",), duration=1.0)
    assert 0.015 < found["straight"]["off"] < 0.05


def test_a_robots_disc_stops_at_wall_obstacle_and_robot(burger: RobotModel) -> None:
    """Where the game's rules see contact, and not where a wheel would stick out."""
    physics, half_side = load_physics("nominal"), 1.0
    obstacle = Arena(half_side, np.array([[0.0, -0.6, 0.2]]))
    starts = Layout(obstacle, np.array([0.7, 0.7, 0.0]), np.array([-0.5, -0.6, 0.0]))
    pursuer, evader = driven(starts, burger, physics)
    assert abs(half_side - burger.radius - pursuer.x) < 0.002
    assert abs(abs(evader.x) - 0.2 - burger.radius) < 0.002
    facing = Layout(
        Arena(half_side, np.zeros((0, 3))), np.array([-0.4, 0.0, 0.0]), np.array([0.4, 0.0, np.pi])
    )
    pursuer, evader = driven(facing, burger, physics)
    assert abs(evader.x - pursuer.x - 2.0 * burger.radius) < 0.004


def driven(layout: Layout, burger: RobotModel, physics: Physics) -> list[Pose]:
    """Where both robots are after driving on at 0.2 m/s for three seconds."""
    world = world_sdf(layout, dict.fromkeys(ROLES, burger), physics, PERIOD)
    with Server(world, WORLD) as server:
        drives = Drives(server, layout, burger, physics)
        return [drives.step(0.2, 0.0) for _ in range(60)][-1]


def test_a_lidar_sees_walls_and_obstacles(burger: RobotModel) -> None:
    arena = Arena(1.0, np.array([[0.0, -0.6, 0.2]]))
    starts = Layout(arena, np.array([0.5, 0.5, 0.0]), np.array([-0.5, -0.6, 0.0]))
    lidar = Lidar(rate=10.0, samples=4)
    world = world_sdf(starts, dict.fromkeys(ROLES, burger), load_physics("nominal"), PERIOD, lidar=lidar)
    seen: dict[str, tuple[float, ...]] = {}
    with Server(world, WORLD) as server:
        transport = server.transport
        for role in ROLES:
            topic = f"/gazebo/{WORLD}/{role}/base_link/lidar/scan"
            transport.subscribe(
                topic,
                messages.SCAN,
                lambda data, role=role: seen.update({role: messages.pose_scan(data).ranges}),
            )
            transport.until(lambda topic=topic: transport.is_subscribed(topic), ANSWER, "no lidar")
        control = f"/gazebo/{WORLD}/world_control"
        transport.advertise(control, messages.WORLD_CONTROL)
        transport.until(lambda: transport.has_subscriber(control), ANSWER, "nobody takes steps")
        transport.publish(control, messages.multi_step(300))
        transport.until(lambda: len(seen) == 2, ANSWER, "no scans")
    assert seen["pursuer"] == pytest.approx((0.5, 0.5, 1.5, 1.5), abs=0.001)
    assert seen["evader"] == pytest.approx((0.3, 1.6, 0.5, 0.4), abs=0.001)
