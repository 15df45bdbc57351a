"""The arena as SDF models, the same for every Gazebo: floor, walls, obstacles; pure."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from pe_core.arena import Arena
from pe_gazebo.sdf import box, colour, cylinder, element, pose, vector

WALL_HEIGHT = 0.5
WALL_THICKNESS = 0.1
GROUND = 2
"""Bit of what rolls on the floor; bodies, walls and obstacles meet by the other bit, so that what touches a wall is
the body's disc, as in the game, and never a wheel."""
BODIES = 1
_FLOOR_MU = 100.0
"""Of two frictions the smaller counts: that of the wheels."""
GRAVITY = 9.80665
_GREY, _DARK, _BROWN = (0.8, 0.8, 0.8), (0.4, 0.4, 0.4), (0.55, 0.4, 0.25)


def arena_models(arena: Arena, contact: Element) -> list[Element]:
    """Floor, four walls with inner faces at +-half_side, and every obstacle.

    ``contact`` says how the floor behaves where it is touched.
    """
    side = 2.0 * (arena.half_side + WALL_THICKNESS)
    friction = element("friction", element("ode", element("mu", _FLOOR_MU), element("mu2", _FLOOR_MU)))
    plane = element(
        "geometry", element("plane", element("normal", vector(0, 0, 1)), element("size", vector(side, side)))
    )
    surface = element("surface", friction, contact)
    floor = _static("floor", pose(), [("floor", pose(), plane, _GREY, surface)])
    return [floor, _walls(arena.half_side), *_obstacles(arena)]


def surroundings() -> list[Element]:
    """Gravity, and a sun."""
    light = element(
        "light",
        pose(z=10.0),
        element("cast_shadows", True),
        element("diffuse", vector(0.8, 0.8, 0.8, 1.0)),
        element("direction", vector(-0.5, 0.1, -0.9)),
        name="sun",
        type="directional",
    )
    return [element("gravity", vector(0.0, 0.0, -GRAVITY)), light]


def bitmask(bits: int, *parts: Element) -> Element:
    """What a collision shape meets: shapes that have a bit in common."""
    return element("contact", element("collide_bitmask", bits), *parts)


def _walls(half_side: float) -> Element:
    middle, length = half_side + WALL_THICKNESS / 2.0, 2.0 * (half_side + WALL_THICKNESS)
    flat, upright = (length, WALL_THICKNESS, WALL_HEIGHT), (WALL_THICKNESS, length, WALL_HEIGHT)
    z = WALL_HEIGHT / 2.0
    walls = [
        ("east", pose(middle, 0.0, z), box(*upright), _DARK, element("surface", bitmask(BODIES))),
        ("west", pose(-middle, 0.0, z), box(*upright), _DARK, element("surface", bitmask(BODIES))),
        ("north", pose(0.0, middle, z), box(*flat), _DARK, element("surface", bitmask(BODIES))),
        ("south", pose(0.0, -middle, z), box(*flat), _DARK, element("surface", bitmask(BODIES))),
    ]
    return _static("walls", pose(), walls)


def _obstacles(arena: Arena) -> list[Element]:
    return [
        _static(
            f"obstacle_{index}",
            pose(float(x), float(y), WALL_HEIGHT / 2.0),
            [
                (
                    "disc",
                    pose(),
                    cylinder(float(radius), WALL_HEIGHT),
                    _BROWN,
                    element("surface", bitmask(BODIES)),
                )
            ],
        )
        for index, (x, y, radius) in enumerate(arena.obstacles)
    ]


def _static(
    name: str, place: Element, shapes: list[tuple[str, Element, Element, tuple[float, float, float], Element]]
) -> Element:
    """A model that does not move, of shapes (name, pose, geometry, colour, surface)."""
    parts = []
    for part, at, geometry, tint, surface in shapes:
        parts.append(element("collision", at, geometry, surface, name=part))
        parts.append(element("visual", at, geometry, colour(*tint), name=part))
    link = element("link", *parts, name="link")
    return element("model", element("static", True), place, link, name=name)
