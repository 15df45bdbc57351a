"""ament_python build of pe_gazebo."""

from setuptools import find_packages, setup

NAME = "pe_gazebo"

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
    description="Gazebo worlds, models and bridge of the pursuit-evasion game",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "gazebo_sim = pe_gazebo.gazebo_sim_node:main",
        ],
    },
)
