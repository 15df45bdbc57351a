"""ament_python build of pe_nodes."""

from setuptools import find_packages, setup

NAME = "pe_nodes"

setup(
    name=NAME,
    version="0.1.0",
    packages=find_packages(include=[NAME, NAME + ".*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + NAME]),
        ("share/" + NAME, ["package.xml"]),
    ],
    zip_safe=False,
    maintainer="Pursuit-evasion maintainers",
    maintainer_email="maintainers@example.org",
    description="ROS 2 nodes of the pursuit-evasion game",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "policy = pe_nodes.policy_node:main",
            "safety = pe_nodes.safety_node:main",
            "state_estimator = pe_nodes.state_estimator_node:main",
            "arena_sim = pe_nodes.arena_sim_node:main",
            "watchdog = pe_nodes.watchdog_node:main",
            "evaluation_recorder = pe_nodes.evaluation_recorder_node:main",
            "fault_injector = pe_nodes.fault_injector_node:main",
            "referee = pe_nodes.referee_node:main",
            "emulated_robot = pe_nodes.emulated_robot_node:main",
        ],
    },
)
