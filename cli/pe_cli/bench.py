"""``./pe bench``: ours and the peers', measured in turn in one run."""

from __future__ import annotations

import importlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Suite(StrEnum):
    """What is measured; each is a module of tests/bench."""

    QP = "qp"
    CONTROL_LOOP = "control-loop"
    TRAINING = "training"
    BARRIER_NET = "barrier-net"
    BETA_BOX = "beta-box"
    ENDURANCE = "endurance"
    RANDOMISED = "randomised"
    LEARNED = "learned"
    GAP = "gap"
    SCENARIOS = "scenarios"
    GAZEBO_MOTION = "gazebo-motion"
    ALL = "all"


_NOT_IN_ALL = (
    Suite.ALL, Suite.ENDURANCE, Suite.RANDOMISED, Suite.LEARNED, Suite.GAP, Suite.SCENARIOS, Suite.GAZEBO_MOTION,
)  # fmt: skip
"""What takes many minutes, or a Gazebo, is asked for by name."""


def bench(
    suite: Annotated[Suite, typer.Argument(help="What to measure.")] = Suite.ALL,
    json: Annotated[Path | None, typer.Option(help="Write the rows to this file.", metavar="FILE")] = None,
    pursuers: Annotated[
        str | None,
        typer.Option(help="learned, gap, scenarios: bundles to play, with commas. Default: those in models/."),
    ] = None,
    episodes: Annotated[
        int | None, typer.Option(help="learned, gap, scenarios: episodes of each case.", min=1)
    ] = None,
    minutes: Annotated[float, typer.Option(help="endurance: wall time of the run.", min=0.2)] = 30.0,
) -> None:
    """Measure our solver and control loop beside their peers, in the same run on the same machine.

    training steps many games at once, filters and opponent included; it wants two cores to itself.
    barrier-net runs a policy whose last layer is the safety QP, as it is exported, and makes the rows to learn with.
    beta-box takes boxes of safe commands beside the exact polygons, in states that a learned pursuer meets.
    endurance is a long run through the nodes; with --json its page and figure are written beside the file.
    randomised plays 20,000 episodes in which robots, sensors and maps differ from what the filter believes.
    learned plays the learned pursuers and lead pursuit against every evader, slower and faster, held-out ones too.
    gap plays learned pursuers as they were trained, as they are deployed, and without a filter.
    scenarios plays the scenario suite with every pursuer at both scales; with --json its page is written beside it.
    gazebo-motion drives every robot on every floor of Gazebo (./pe setup gazebo) beside the ideal unicycle.
    """
    from pe_cli.test import find_root
    from pe_evaluation.metrics import write_json

    sys.path.insert(0, str(find_root()))
    chosen = [each for each in Suite if each not in _NOT_IN_ALL] if suite is Suite.ALL else [suite]
    rows = []
    for each in chosen:
        module = importlib.import_module(f"tests.bench.{each.value.replace('-', '_')}")
        if each is Suite.ENDURANCE:
            rows += module.run(json, minutes)
        elif each in (Suite.LEARNED, Suite.GAP, Suite.SCENARIOS):
            named = {"pursuers": pursuers.split(",")} if pursuers else {}
            rows += module.run(json, episodes or module.EPISODES, **named)
        else:
            rows += module.run(None)
    if json is not None:
        write_json(json, rows)
