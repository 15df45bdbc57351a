"""SDF elements: text and numbers, poses, shapes, inertias; pure."""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

Part = Element | str | float | bool


def element(tag: str, *parts: Part, **attributes: str) -> Element:
    """An element with children, or with one text, number or flag; attributes are given as keywords."""
    made = Element(tag, attributes)
    for part in parts:
        if isinstance(part, Element):
            made.append(part)
        else:
            made.text = text_of(part)
    return made


def text_of(value: str | float | bool) -> str:
    """A value as SDF writes it; a float so that it is read back as the same float."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value + 0)


def vector(*values: float) -> str:
    """Numbers in one text."""
    return " ".join(text_of(float(value)) for value in values)


def pose(
    x: float = 0.0, y: float = 0.0, z: float = 0.0, roll: float = 0.0, pitch: float = 0.0, yaw: float = 0.0
) -> Element:
    """A pose [m, rad]."""
    return element("pose", vector(x, y, z, roll, pitch, yaw))


def cylinder(radius: float, length: float) -> Element:
    """Geometry of a cylinder along z."""
    return element("geometry", element("cylinder", element("radius", radius), element("length", length)))


def sphere(radius: float) -> Element:
    """Geometry of a sphere."""
    return element("geometry", element("sphere", element("radius", radius)))


def box(x: float, y: float, z: float) -> Element:
    """Geometry of a box by its sides."""
    return element("geometry", element("box", element("size", vector(x, y, z))))


def inertial(mass: float, moments: tuple[float, float, float], place: Element) -> Element:
    """Mass [kg] and principal moments of inertia [kg m^2] about the place of the centre of mass."""
    names = ("ixx", "iyy", "izz", "ixy", "ixz", "iyz")
    values = (*moments, 0.0, 0.0, 0.0)
    inertia = element("inertia", *(element(name, value) for name, value in zip(names, values, strict=True)))
    return element("inertial", place, element("mass", mass), inertia)


def moments_of_cylinder(mass: float, radius: float, length: float) -> tuple[float, float, float]:
    """(Ixx, Iyy, Izz) of a solid cylinder along z: m (3 r^2 + l^2) / 12 across, m r^2 / 2 along."""
    across = mass * (3.0 * radius**2 + length**2) / 12.0
    return across, across, mass * radius**2 / 2.0


def moments_of_sphere(mass: float, radius: float) -> tuple[float, float, float]:
    """(Ixx, Iyy, Izz) of a solid sphere: 2 m r^2 / 5."""
    moment = 0.4 * mass * radius**2
    return moment, moment, moment


def colour(red: float, green: float, blue: float) -> Element:
    """A material."""
    value = vector(red, green, blue, 1.0)
    return element("material", element("ambient", value), element("diffuse", value))


def document(version: str, *parts: Element) -> str:
    """The text of an SDF file."""
    root = element("sdf", *parts, version=version)
    ElementTree.indent(root)
    return '<?xml version="1.0"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"
