"""Who may import whom: the libraries know neither ROS nor Gymnasium, and nothing imports sideways or upwards."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
WORKSPACE = REPOSITORY / "ros2_ws" / "src"

MAY_IMPORT: dict[str, set[str]] = {
    "pe_core": set(),
    "pe_safety": {"pe_core"},
    "pe_nodes": {"pe_core", "pe_safety"},
    "pe_evaluation": {"pe_core", "pe_safety"},
    "training": {"pe_core", "pe_safety"},
    "pe_cli": {"pe_core", "pe_safety", "pe_nodes", "pe_evaluation", "training"},
}
"""For each of our packages, which others of ours it may import."""

ROS = {"rclpy", "tf2_ros", "rosgraph_msgs", "std_srvs", "builtin_interfaces", "rcl_interfaces", "action_msgs"}
GYMNASIUM = {"gymnasium", "gym"}
LAUNCH = {"launch", "launch_ros"}


def package_folders() -> dict[str, Path]:
    """Our packages and where they lie."""
    folders = {name: WORKSPACE / name / name for name in MAY_IMPORT if (WORKSPACE / name / name).is_dir()}
    folders["pe_cli"] = REPOSITORY / "cli" / "pe_cli"
    if (REPOSITORY / "training").is_dir():
        folders["training"] = REPOSITORY / "training"
    return folders


def imports(path: Path, module_level_only: bool = False) -> Iterator[tuple[int, str]]:
    """Line and top-level name of everything that a file imports from outside its own package."""
    tree = ast.parse(path.read_text(), str(path))
    deferred: set[ast.AST] = set()
    if module_level_only:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                deferred.update(ast.walk(node))
    for node in ast.walk(tree):
        if node in deferred:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.partition(".")[0]


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
    ],
)
def test_the_rules_themselves(package: str, name: str, allowed: bool) -> None:
    assert (refusal(package, name) is None) is allowed


def test_imports_are_seen_wherever_they_stand(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text("import os.path\nfrom a.b import c\nfrom . import d\ndef f():\n    import launch.x\n")
    assert sorted(name for _, name in imports(source)) == ["a", "launch", "os"]
    assert sorted(name for _, name in imports(source, module_level_only=True)) == ["a", "os"]
