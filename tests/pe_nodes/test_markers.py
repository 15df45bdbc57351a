"""Markers of the arena."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from pe_core.arena import load_arena  # noqa: E402
from pe_core.robot import load_robot  # noqa: E402
from pe_core.scenario import Scenario, sample_layout  # noqa: E402
from pe_nodes.arena_game import ArenaGame  # noqa: E402
from pe_nodes.markers import arena_markers  # noqa: E402


def test_walls_obstacles_and_bodies_are_drawn_to_scale():
    config, robot = load_arena("reference"), load_robot("reference")
    scenario = Scenario(obstacles=[[1.0, 2.0, 0.7]], pursuer=[-5.0, 0.0, 90.0], evader=[5.0, 0.0, 0.0])
    game = ArenaGame(sample_layout(scenario, config, robot, robot, 0, 0), config, (robot, robot), 0, 0, False)
    markers = arena_markers(5_000_000_000, "map", game).markers
    spaces = [marker.ns for marker in markers]
    assert spaces == ["", "walls", "obstacles", "robots", "headings", "robots", "headings"]
    assert all(marker.header.frame_id == "map" and marker.header.stamp.sec == 5 for marker in markers)
    assert (markers[2].pose.position.x, markers[2].scale.x) == (1.0, 1.4)
    assert (markers[3].pose.position.x, markers[3].scale.x) == (-5.0, 0.3)
    assert max(point.x for point in markers[1].points) == 10.0
