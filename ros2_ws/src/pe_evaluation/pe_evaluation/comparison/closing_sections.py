"""The last sections of the decision report: what it does not show, and what ran."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pe_evaluation.comparison.document import Section, table
from pe_evaluation.comparison.plan import RECORDED
from pe_evaluation.comparison.recorded_sections import notes_of_recording

Summary = Mapping[str, Any]


def main_world(summary: Summary) -> str:
    """The world that approaches are compared in."""
    return str(summary["identity"]["plan"]["cells"][0]["world"])


def limits_section(summary: Summary) -> Section:
    """What the numbers do not say."""
    if main_world(summary) == RECORDED:
        lines = [*notes_of_recording(summary), *summary["notes"]]
    else:
        filtered = "Evaders are filtered in every episode, the same for all approaches."
        lines = [_trainings(summary), filtered, *_scale(summary), *summary["notes"]]
    return Section("What this does not show", tuple(lines))


def _trainings(summary: Summary) -> str:
    """What the seeds vary: starts alone, or the training too."""
    approaches = summary["identity"]["plan"]["approaches"]
    several = [each["title"] for each in approaches if each["other_seeds"]]
    text = (
        "come from one training: intervals and tests speak of episodes and starts, not of what another training seed "
        "would have learned."
    )
    if not several:
        return f"All policies {text}"
    return f"Each seed was played by another training of: {', '.join(several)}. Policies of the others {text}"


def _scale(summary: Summary) -> list[str]:
    """That robot and arena are one."""
    if "robot" in summary["identity"]["plan"]:
        return []
    return [
        "All cells are the reference robot's, in its arena: at another scale approaches may stand in another order. "
        "The policies that come with this at a TurtleBot's scale: docs/results/scenarios.md and sim_gap.md."
    ]


def identity_section(summary: Summary) -> Section:
    """Plan, bundles and configuration."""
    identity = summary["identity"]
    plan = identity["plan"]
    rows = [
        ("revision", ", ".join(identity["git_revisions"])),
        ("configuration", identity["configuration_sha256"]),
        ("plan", f"{plan['name']}: {plan['description']}"),
        ("episodes of a cell and seed", f"at most {plan['episodes']}" if "bags" in summary else str(plan["episodes"])),
        ("seeds", " ".join(map(str, plan["seeds"]))),
        *((f"bundle of {name}", digest) for name, digest in identity["bundles"].items()),
        *((f"config/{name}", digest) for name, digest in identity["configuration"].items()),
    ]
    return Section("What ran", (table(("what", "which"), rows, numbers=False),))
