"""The workflow for a host that runs such files: of the right form, and everything that it calls is there."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.repository.sources import REPOSITORY
from tests.repository.test_images import tool
from tests.support.command_checks import fault
from tests.support.shown_commands import in_script

WORKFLOW = REPOSITORY / ".github" / "workflows" / "ci.yml"


def jobs() -> dict[str, Any]:
    return dict(yaml.safe_load(WORKFLOW.read_text())["jobs"])


@pytest.mark.parametrize("schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"])
def test_workflow_is_valid(schema: str) -> None:
    assert tool("check-jsonschema", "--builtin-schema", schema, WORKFLOW) == ""


def test_citation_is_valid() -> None:
    words = ("--builtin-schema", "vendor.citation-file-format")
    assert tool("check-jsonschema", *words, REPOSITORY / "CITATION.cff") == ""


@pytest.mark.parametrize("job", sorted(jobs()))
def test_every_command_of_a_job_is_one_that_runs(job: str) -> None:
    scripts = [step["run"] for step in jobs()[job]["steps"] if "run" in step]
    shown = [command for script in scripts for command in in_script(script, job)]
    faults = [f"{command}: {wrong}" for command in shown if (wrong := fault(command))]
    assert not faults, "\n".join(faults)
    assert any(command.words[0] in ("./pe", "bash", "docker") for command in shown)


def test_folders_that_steps_work_in_are_there() -> None:
    steps = [step for job in jobs().values() for step in job["steps"]]
    folders = [step["working-directory"] for step in steps if "working-directory" in step]
    assert folders and all((REPOSITORY / folder).is_dir() for folder in folders)


def test_the_suite_is_the_one_of_any_other_machine() -> None:
    """What CI runs and what a person runs are one script."""
    assert any(step.get("run") == "bash .ci/run" for step in jobs()["suite"]["steps"])


def test_what_the_suite_downloads_is_kept_between_runs() -> None:
    """Packages of pip and the folder of Gazebo, until what pins them changes; restored before anything is fetched."""
    job = jobs()["suite"]
    cache = job["env"]["XDG_CACHE_HOME"]
    assert "/pursuit-evasion/gazebo}" in (REPOSITORY / ".ci" / "run").read_text()
    kept = {}
    for number, step in enumerate(job["steps"]):
        if step.get("uses", "").startswith("actions/cache@"):
            kept[step["with"]["path"].replace("${{ env.XDG_CACHE_HOME }}", cache)] = (number, step["with"]["key"])
    assert set(kept) == {f"{cache}/pip", f"{cache}/pursuit-evasion/gazebo"}
    first = next(number for number, step in enumerate(job["steps"]) if "./pe" in step.get("run", ""))
    checked_out = next(number for number, step in enumerate(job["steps"]) if "checkout" in step.get("uses", ""))
    for number, key in kept.values():
        # What a key is a digest of lies in the checkout.
        assert checked_out < number < first
        files = re.findall(r"'([^']+)'", key)
        assert files and all((REPOSITORY / file).is_file() for file in files), key


def test_jobs_cover_wheels_and_a_sourced_ros_2() -> None:
    containers = {name: job.get("container") for name, job in jobs().items()}
    assert containers == {"suite": "debian:bookworm-slim", "ros": "ros:jazzy-ros-base-noble", "image": None}
