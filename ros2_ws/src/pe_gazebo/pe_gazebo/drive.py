"""A differential drive as SDF links and joints, the same for every Gazebo; pure.

The model frame is the middle of the axle, on the floor: x ahead, y left, z up.  The body is a disc of the profile's
radius about it, the shape that the game's rules and the safety filter know.
"""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element

from pe_core.config import ConfigurationError
from pe_core.robot import RobotModel
from pe_gazebo.arena_models import BODIES, GROUND, bitmask
from pe_gazebo.body import Body, body_of, wheel_track
from pe_gazebo.physics import Physics
from pe_gazebo.sdf import (
    colour,
    cylinder,
    element,
    inertial,
    moments_of_cylinder,
    pose,
    sphere,
    vector,
)

BASE = "base_link"
LEFT, RIGHT = "left_wheel_joint", "right_wheel_joint"
_COLOURS = {"pursuer": (0.75, 0.15, 0.15), "evader": (0.15, 0.3, 0.75)}
_CASTER_BEHIND = 0.7
"""Place of the caster and of the centre of mass behind the axle, as a share of the body's radius."""
_MASS_BEHIND = 0.2


def drive(role: str, robot: RobotModel, physics: Physics, *sensors: Element) -> list[Element]:
    """The links and joints of one robot; ``sensors`` are those of its base.

    Raises:
        ConfigurationError: the wheels do not fit the body.
    """
    body = body_of(robot)
    track = wheel_track(robot)
    if body.wheel_radius <= body.clearance or track / 2.0 >= robot.radius:
        raise ConfigurationError(
            f"robot {robot.name}: track = {track:g} m, wheel_radius = {body.wheel_radius:g} m: allowed: wheels within "
            f"the body's radius {robot.radius:g} m, of more radius than its clearance {body.clearance:g} m"
        )
    tint = _COLOURS.get(role, (0.4, 0.4, 0.4))
    wheels = [
        part
        for side, joint, y in (("left_wheel", LEFT, track / 2.0), ("right_wheel", RIGHT, -track / 2.0))
        for part in _wheel(side, joint, y, body, physics)
    ]
    return [_base(robot, body, physics, tint, sensors), *wheels]


def centre_of_mass(robot: RobotModel) -> float:
    """Where the centre of mass of the base lies ahead of the axle [m]."""
    return -_MASS_BEHIND * robot.radius


def contact_of(physics: Physics, bits: int) -> Element:
    """How a shape behaves where it is touched."""
    depth, speed = (
        element("min_depth", physics.contact_min_depth),
        element("max_vel", physics.contact_max_vel),
    )
    return bitmask(bits, element("ode", speed, depth))


def _base(
    robot: RobotModel,
    body: Body,
    physics: Physics,
    tint: tuple[float, float, float],
    sensors: tuple[Element, ...],
) -> Element:
    mass, height = body.mass - 2.0 * body.wheel_mass, body.height - body.clearance
    # The weight lies low, as batteries and motors do: at the height of the axle.
    place = pose(centre_of_mass(robot), 0.0, body.wheel_radius)
    disc, at = cylinder(robot.radius, height), pose(0.0, 0.0, body.clearance + height / 2.0)
    caster_at = pose(-_CASTER_BEHIND * robot.radius, 0.0, physics.caster_radius)
    return element(
        "link",
        inertial(mass, moments_of_cylinder(mass, robot.radius, height), place),
        element("collision", at, disc, element("surface", bitmask(BODIES)), name="body"),
        element("visual", at, disc, colour(*tint), name="body"),
        element(
            "collision",
            caster_at,
            sphere(physics.caster_radius),
            _surface(physics.caster_mu, 0.0, physics),
            name="caster",
        ),
        *sensors,
        name=BASE,
    )


def _wheel(name: str, joint: str, y: float, body: Body, physics: Physics) -> list[Element]:
    radius = body.wheel_radius
    turned = pose(roll=math.pi / 2.0)
    if physics.wheel_shape == "sphere":
        geometry = sphere(radius)
    else:
        geometry = cylinder(radius, physics.wheel_width)
    look = cylinder(radius, physics.wheel_width)
    link = element(
        "link",
        pose(0.0, y, radius),
        inertial(body.wheel_mass, (body.wheel_inertia,) * 3, pose()),
        element(
            "collision",
            turned,
            geometry,
            _surface(physics.wheel_mu, physics.wheel_slip, physics),
            name="wheel",
        ),
        element("visual", turned, look, colour(0.1, 0.1, 0.1), name="wheel"),
        name=name,
    )
    axis = element("axis", element("xyz", vector(0, 1, 0)))
    hinge = element(
        "joint", element("parent", BASE), element("child", name), axis, name=joint, type="revolute"
    )
    return [link, hinge]


def _surface(mu: float, slip: float, physics: Physics) -> Element:
    coefficients = element(
        "ode", element("mu", mu), element("mu2", mu), element("slip1", slip), element("slip2", slip)
    )
    return element("surface", element("friction", coefficients), contact_of(physics, GROUND))
