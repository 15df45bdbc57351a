"""Gazebo: its installation in a folder of its own, and worlds and models made from the game's own numbers."""

# First of all: it lets the Python of ros2 launch import what a launch file of this package asks for.
import pe_nodes  # noqa: F401
