"""Who may import whom: the libraries know neither ROS nor Gymnasium, and nothing imports sideways or upwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.repository.sources import REPOSITORY, imports, package_folders

MAY_IMPORT: dict[str, set[str]] = {
    "pe_core": set(),
    "pe_safety": {"pe_core"},
    "pe_nodes": {"pe_core", "pe_safety"},
    "pe_evaluation": {"pe_core", "pe_safety"},
    "pe_gazebo": {"pe_core", "pe_safety", "pe_nodes"},
    "training": {"pe_core", "pe_safety"},
    "pe_cli": {"pe_core", "pe_safety", "pe_nodes", "pe_evaluation", "pe_gazebo", "training"},
}
"""For each of our packages, which others of ours it may import."""

ROS = {"rclpy", "tf2_ros", "rosgraph_msgs", "std_srvs", "builtin_interfaces", "rcl_interfaces", "action_msgs"}
GYMNASIUM = {"gymnasium", "gym", "pettingzoo"}
LAUNCH = {"launch", "launch_ros"}


def is_ros(name: str) -> bool:
    return name in ROS or name.endswith("_msgs")


def refusal(package: str, name: str) -> str | None:
    """Why `package` may not import `name`; None where it may."""
    if name in MAY_IMPORT and name != package and name not in MAY_IMPORT[package]:
        return f"{package} may import {sorted(MAY_IMPORT[package]) or 'none of our packages'}, not {name}"
    if is_ros(name) and package != "pe_nodes":
        return f"only pe_nodes imports ROS, not {package}"
    if name in GYMNASIUM and package != "training":
        return f"only training imports Gymnasium, not {package}"
    return None


@pytest.mark.parametrize("package", sorted(package_folders()))
def test_package_imports_only_what_stands_above_it(package: str) -> None:
    faults = [
        f"{path.relative_to(REPOSITORY)}:{line}: {reason}"
        for path in sorted(package_folders()[package].rglob("*.py"))
        for line, name in imports(path)
        if (reason := refusal(package, name))
    ]
    assert not faults, "\n".join(faults)


def test_launch_is_imported_only_when_a_launch_file_runs() -> None:
    """A machine without launch_ros must still be able to load the launch files and every module."""
    folders = [*package_folders().values(), REPOSITORY / "launch"]
    faults = [
        f"{path.relative_to(REPOSITORY)}:{line}: imports {name} at module level"
        for folder in folders
        for path in sorted(folder.rglob("*.py"))
        for line, name in imports(path, module_level_only=True)
        if name in LAUNCH
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("package", "name", "allowed"),
    [
        ("pe_core", "numpy", True),
        ("pe_core", "pe_safety", False),
        ("pe_core", "geometry_msgs", False),
        ("pe_safety", "rclpy", False),
        ("pe_safety", "pe_core", True),
        ("pe_nodes", "rclpy", True),
        ("pe_nodes", "pe_evaluation", False),
        ("pe_evaluation", "pe_nodes", False),
        ("pe_evaluation", "std_msgs", False),
        ("pe_cli", "pe_nodes", True),
        ("pe_core", "gymnasium", False),
        ("training", "gymnasium", True),
        ("training", "pe_safety", True),
        ("training", "pe_evaluation", False),
        ("training", "rclpy", False),
        ("pe_evaluation", "training", False),
        ("pe_evaluation", "pettingzoo", False),
    ],
)
def test_the_rules_themselves(package: str, name: str, allowed: bool) -> None:
    assert (refusal(package, name) is None) is allowed


def test_imports_are_seen_wherever_they_stand(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text("import os.path\nfrom a.b import c\nfrom . import d\ndef f():\n    import launch.x\n")
    assert sorted(name for _, name in imports(source)) == ["a", "launch", "os"]
    assert sorted(name for _, name in imports(source, module_level_only=True)) == ["a", "os"]
