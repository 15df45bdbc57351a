"""The arena as visualization_msgs/MarkerArray."""

from __future__ import annotations

from collections.abc import Sequence

from geometry_msgs.msg import Point
from rclpy.node import Node
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from pe_core.robot import RobotModel
from pe_core.scenario import Layout
from pe_nodes import qos
from pe_nodes.arena_game import ArenaGame
from pe_nodes.messages import Vector, set_pose, set_stamp
from pe_nodes.settings import ROLES

PERIOD = 0.1
_COLOURS = {"pursuer": (0.84, 0.15, 0.16), "evader": (0.12, 0.47, 0.71)}
_GREY = (0.45, 0.45, 0.45)


class MarkerPublisher:
    """Publishes /arena_markers at most every ``PERIOD``, and only while somebody subscribes."""

    def __init__(self, node: Node, frame: str) -> None:
        self._frame = frame
        self._publisher = node.create_publisher(MarkerArray, "/arena_markers", qos.EVENT)
        self._drawn = 0.0

    def update(self, now: float, stamp_ns: int, game: ArenaGame) -> None:
        """Draw, if it is time at wall time ``now`` [s]."""
        states = (game.plants[0].state, game.plants[1].state)
        self.draw(now, stamp_ns, game.layout, game.robots, states)

    def draw(
        self, now: float, stamp_ns: int, layout: Layout, robots: Sequence[RobotModel], states: Sequence[Vector | None]
    ) -> None:
        """As :meth:`update`, for robots at ``states`` (x, y, theta, ...); one that is None is not known."""
        if now - self._drawn > PERIOD and self._publisher.get_subscription_count():
            self._drawn = now
            self._publisher.publish(layout_markers(stamp_ns, self._frame, layout, robots, states))


def arena_markers(stamp_ns: int, frame: str, game: ArenaGame) -> MarkerArray:
    """Walls, obstacles and bodies of a simulated game."""
    states = (game.plants[0].state, game.plants[1].state)
    return layout_markers(stamp_ns, frame, game.layout, game.robots, states)


def layout_markers(
    stamp_ns: int, frame: str, layout: Layout, robots: Sequence[RobotModel], states: Sequence[Vector | None]
) -> MarkerArray:
    """Walls, obstacles and bodies."""
    result = MarkerArray(markers=[_marker(Marker.DELETEALL, "", 0, stamp_ns, frame, _GREY)])
    arena = layout.arena
    side = arena.half_side
    walls = _marker(Marker.LINE_STRIP, "walls", 0, stamp_ns, frame, _GREY)
    walls.scale.x = 0.01 * side
    corners = ((side, side), (-side, side), (-side, -side), (side, -side), (side, side))
    walls.points = [Point(x=x, y=y) for x, y in corners]
    result.markers.append(walls)
    for index, (x, y, radius) in enumerate(arena.obstacles.tolist()):
        result.markers.append(_disc("obstacles", index, stamp_ns, frame, _GREY, (x, y, 0.0), radius, 0.3))
    for index, (role, robot, state) in enumerate(zip(ROLES, robots, states, strict=True)):
        if state is None:
            continue
        radius = robot.radius
        result.markers.append(_disc("robots", index, stamp_ns, frame, _COLOURS[role], state, radius, 0.2))
        heading = _marker(Marker.ARROW, "headings", index, stamp_ns, frame, _COLOURS[role])
        set_pose(heading.pose, state[0], state[1], state[2])
        heading.scale.x, heading.scale.y, heading.scale.z = 2.5 * radius, 0.3 * radius, 0.3 * radius
        result.markers.append(heading)
    return result


def _marker(
    kind: int, namespace: str, index: int, stamp_ns: int, frame: str, colour: tuple[float, float, float]
) -> Marker:
    marker = Marker(ns=namespace, id=index)
    if kind == Marker.DELETEALL:
        marker.action = kind
    else:
        marker.type = kind
    marker.header.frame_id = frame
    set_stamp(marker.header.stamp, stamp_ns)
    marker.pose.orientation.w = 1.0
    marker.color = ColorRGBA(r=colour[0], g=colour[1], b=colour[2], a=1.0)
    return marker


def _disc(
    namespace: str,
    index: int,
    stamp_ns: int,
    frame: str,
    colour: tuple[float, float, float],
    pose: Vector,
    radius: float,
    height: float,
) -> Marker:
    marker = _marker(Marker.CYLINDER, namespace, index, stamp_ns, frame, colour)
    set_pose(marker.pose, pose[0], pose[1], pose[2])
    marker.pose.position.z = 0.5 * height
    marker.scale.x = marker.scale.y = 2.0 * radius
    marker.scale.z = height
    return marker
