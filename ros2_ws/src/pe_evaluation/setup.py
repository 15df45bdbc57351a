"""ament_python build of pe_evaluation."""

from setuptools import find_packages, setup

NAME = "pe_evaluation"

setup(
    name=NAME,
    version="0.1.0",
    packages=find_packages(include=[NAME, NAME + ".*"]),
    package_data={NAME + ".replay": ["*.css", "*.js"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + NAME]),
        ("share/" + NAME, ["package.xml"]),
    ],
    zip_safe=False,
    maintainer="Pursuit-evasion maintainers",
    maintainer_email="maintainers@example.org",
    description="Metrics, bags, statistics and reports of recorded and simulated runs",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "report = pe_evaluation.report_main:main",
        ],
    },
)
