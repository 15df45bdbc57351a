"""Gazebo: its installation in a folder of its own, and worlds and models made from the game's own numbers."""
