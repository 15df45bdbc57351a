"""ament_python build of pe_bringup: launch files, configuration and policy bundles, nothing else."""

import os

from setuptools import setup

NAME = "pe_bringup"


def files_below(folder: str) -> list[tuple[str, list[str]]]:
    """The files under `folder` (a link into the repository), each kept at its place under share/pe_bringup.

    A source distribution holds no links: there the folder itself is read.
    """
    listed = []
    top = folder if os.path.isdir(folder) else os.path.join("..", "..", "..", folder)
    for root, folders, files in os.walk(top, followlinks=True):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        if files:
            place = os.path.normpath(os.path.join("share", NAME, folder, os.path.relpath(root, top)))
            listed.append((place, sorted(os.path.join(root, name) for name in files)))
    return listed


setup(
    name=NAME,
    version="0.1.0",
    packages=[],
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/" + NAME]),
        ("share/" + NAME, ["package.xml"]),
        *files_below("launch"),
        *files_below("config"),
        *files_below("models"),
    ],
    zip_safe=False,
    maintainer="Pursuit-evasion maintainers",
    maintainer_email="maintainers@example.org",
    description="Launch files, configuration and policy bundles of the pursuit-evasion game",
    license="Apache-2.0",
)
