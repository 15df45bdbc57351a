"""Worlds of Gazebo classic: every number from the profile, the arena and the physics, every name one that SDF has."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
import pytest

from pe_core.arena import Arena, load_arena
from pe_core.config import ConfigurationError, load_yaml
from pe_core.paths import config_names
from pe_core.robot import RobotModel, load_robot
from pe_core.scenario import Layout, load_scenario, sample_layout
from pe_gazebo import installation
from pe_gazebo.body import Body, body_of, wheel_track
from pe_gazebo.drive import LEFT, RIGHT
from pe_gazebo.lidar import Lidar
from pe_gazebo.physics import Physics, load_physics
from pe_gazebo.worlds import POSE_SENSOR, WORLD, world_sdf
from tests.support.sdf_description import faults

ROBOTS = config_names("robots")
FLOORS = config_names("gazebo")
DT = 0.05


def layout_of(name: str = "reference") -> Layout:
    robot = load_robot(name)
    return sample_layout(load_scenario("random"), load_arena("reference"), robot, robot, 3, 0)


def parsed(
    robot: RobotModel | None = None,
    physics: Physics | None = None,
    layout: Layout | None = None,
    **more: object,
) -> Element:
    robot = robot or load_robot("reference")
    roles = {"pursuer": robot, "evader": robot}
    text = world_sdf(layout or layout_of(), roles, physics or Physics(), DT, **more)  # type: ignore[arg-type]
    return ElementTree.fromstring(text)


def found(element: Element, path: str) -> Element:
    child = element.find(path)
    assert child is not None, path
    return child


def numbers(element: Element, path: str) -> list[float]:
    return [float(word) for word in str(found(element, path).text).split()]


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("name", ROBOTS)
def test_every_robot_stands_on_every_floor_at_its_start(name: str, floor: str) -> None:
    layout = layout_of(name)
    world = found(parsed(load_robot(name), load_physics(floor), layout), "world")
    assert world.get("name") == WORLD
    for role in ("pursuer", "evader"):
        x, y, z, roll, pitch, yaw = numbers(world, f"model[@name='{role}']/pose")
        assert (x, y, yaw) == tuple(getattr(layout, role))
        assert (z, roll, pitch) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("name", ROBOTS)
def test_a_robot_has_the_measures_of_its_profile(name: str) -> None:
    robot = load_robot(name)
    body = body_of(robot)
    model = found(parsed(robot), "world/model[@name='pursuer']")
    base = found(model, "link[@name='base_link']")
    assert numbers(base, "collision[@name='body']/geometry/cylinder/radius") == [robot.radius]
    left, right = (numbers(model, f"link[@name='{side}_wheel']/pose") for side in ("left", "right"))
    assert left[1] - right[1] == wheel_track(robot) and left[:1] == right[:1] == [0.0]
    assert left[2] == right[2] == body.wheel_radius
    assert numbers(model, "link[@name='left_wheel']/collision/geometry/sphere/radius") == [body.wheel_radius]
    masses = [float(str(each.text)) for each in model.findall("link/inertial/mass")]
    assert math.isclose(sum(masses), body.mass)
    for moments in model.findall("link/inertial/inertia"):
        ixx, iyy, izz = (numbers(moments, key)[0] for key in ("ixx", "iyy", "izz"))
        assert min(ixx + iyy - izz, iyy + izz - ixx, izz + ixx - iyy) >= 0.0, "no body has such moments"


def test_only_a_robots_disc_meets_walls_and_obstacles() -> None:
    """What touches in Gazebo is what the rules of the game measure, never a wheel that sticks out."""
    world = found(parsed(), "world")
    bits = {
        f"{model.get('name')}/{collision.get('name')}": int(
            str(found(collision, "surface/contact/collide_bitmask").text)
        )
        for model in world.findall("model")
        for collision in model.findall("link/collision")
    }
    rolling = {name for name in bits if name.rpartition("/")[2] in ("wheel", "caster")}
    assert len(rolling) == 4
    for name in rolling:
        met = {other for other in bits if bits[other] & bits[name]} - rolling
        assert met == {"floor/floor"}
    for role in ("pursuer", "evader"):
        met = {other for other in bits if bits[other] & bits[f"{role}/body"]}
        assert {"walls/east", "walls/north", "obstacle_0/disc", "pursuer/body", "evader/body"} <= met


def test_walls_and_obstacles_are_those_of_the_layout() -> None:
    obstacles = np.array([[1.0, -2.0, 0.4], [-3.0, 0.5, 0.7]])
    layout = Layout(Arena(4.5, obstacles), np.zeros(3), np.array([2.0, 2.0, 1.0]))
    world = found(parsed(layout=layout), "world")
    for index, (x, y, radius) in enumerate(obstacles):
        model = found(world, f"model[@name='obstacle_{index}']")
        assert numbers(model, "pose")[:2] == [x, y]
        assert numbers(model, "link/collision/geometry/cylinder/radius") == [radius]
    walls = found(world, "model[@name='walls']")
    for name, axis, sign in (("east", 0, 1), ("west", 0, -1), ("north", 1, 1), ("south", 1, -1)):
        wall = found(walls, f"link/collision[@name='{name}']")
        middle, side = numbers(wall, "pose")[axis], numbers(wall, "geometry/box/size")[axis]
        assert math.isclose(sign * middle - side / 2.0, 4.5), "the inner face"


def test_a_positive_turn_rate_turns_left() -> None:
    """Gazebo's plugin makes its left joint the faster one for it, so the joints change places."""
    plugin = found(parsed(), "world/model[@name='pursuer']/plugin")
    assert plugin.get("filename") == "libDiffDrivePlugin.so"
    assert found(plugin, "left_joint").text == RIGHT and found(plugin, "right_joint").text == LEFT


def test_scans_come_once_a_control_period() -> None:
    sensor = found(parsed(), f"world/model[@name='evader']/link/sensor[@name='{POSE_SENSOR}']")
    assert numbers(sensor, "update_rate") == [1.0 / DT]
    assert numbers(sensor, "ray/scan/horizontal/samples") == [1.0]


def test_a_lidar_is_there_when_asked_for() -> None:
    assert parsed().find("world/model/link/sensor[@name='lidar']") is None
    sensor = found(parsed(lidar=Lidar(samples=90)), "world/model/link/sensor[@name='lidar']")
    assert numbers(sensor, "ray/scan/horizontal/samples") == [90.0]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"wheel_mu": -0.1}, "wheel_mu = -0.1: allowed: [0, 10]"),
        ({"step": 0.5}, "step = 0.5: allowed: [0.0001, 0.01] s"),
        ({"wheel_shape": "cube"}, "wheel_shape = 'cube': allowed: one of sphere, cylinder"),
        ({"caster_radius": math.nan}, "caster_radius = nan"),
    ],
)
def test_bad_physics_is_refused_by_name(values: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Physics(**values)  # type: ignore[arg-type]
    assert words in str(refused.value)


def test_an_unknown_key_of_physics_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wet.yaml"
    path.write_text("name: wet\nmew: 0.3\n")
    with pytest.raises(ConfigurationError, match="wet.yaml: unknown key 'mew'; allowed: .*wheel_mu"):
        load_yaml(Physics, path)


def test_a_period_that_is_no_multiple_of_the_step_is_refused() -> None:
    with pytest.raises(
        ConfigurationError, match="step = 0.0007: allowed: a whole fraction of the control period 0.05"
    ):
        parsed(physics=Physics(step=0.0007))


def test_wheels_that_do_not_fit_are_refused() -> None:
    wide = dataclasses.replace(load_robot("turtlebot3_burger"), track=0.3)
    with pytest.raises(ConfigurationError, match="track = 0.3 m.*within the body's radius 0.105 m"):
        parsed(wide)
    with pytest.raises(ConfigurationError, match="mass = 0.1: allowed: more than its wheels' 0.2 kg"):
        Body(mass=0.1, wheel_mass=0.1)


def test_every_body_is_that_of_a_profile() -> None:
    assert set(config_names("gazebo_bodies")) <= set(ROBOTS)


@pytest.mark.parametrize("shape", ["sphere", "cylinder"])
def test_sdf_knows_every_element(shape: str, gazebo: Path) -> None:
    world = parsed(physics=Physics(wheel_shape=shape), lidar=Lidar())
    assert faults(world, gazebo / "usr/share/sdformat9/1.6") == []
    found(world, "world/physics/ode/solver/iters").tag = "iterations"
    assert faults(world, gazebo / "usr/share/sdformat9/1.6") == ["sdf/world/physics/ode/solver/iterations"]


def test_commands_name_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PE_GAZEBO", str(tmp_path / "none"))
    assert not installation.installed()
    with pytest.raises(ConfigurationError, match=r"not installed in .*none; run: ./pe setup gazebo"):
        installation.gzserver_command(tmp_path / "world.sdf")
    with pytest.raises(ConfigurationError, match="port = 80: allowed:"):
        installation.environment(80, tmp_path)
