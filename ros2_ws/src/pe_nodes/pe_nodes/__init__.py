"""ROS 2 nodes: the only package that imports rclpy."""

from pe_nodes.libraries import lend

# First of all: what a launch file imports of this package asks for numba and torch.
lend()
