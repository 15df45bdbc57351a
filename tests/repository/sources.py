"""Where the packages lie, and what their files import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
WORKSPACE = REPOSITORY / "ros2_ws" / "src"
ROS_PACKAGES = ("pe_core", "pe_safety", "pe_nodes", "pe_evaluation", "pe_gazebo")


def package_folders() -> dict[str, Path]:
    """Our packages and where they lie."""
    folders = {name: WORKSPACE / name / name for name in ROS_PACKAGES}
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
