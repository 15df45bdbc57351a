"""ament_python build of pe_core."""

from setuptools import find_packages, setup

NAME = "pe_core"

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
    description="The game: unicycle, arena, robots, rules, observations, scenarios and policy bundles",
    license="Apache-2.0",
)
