"""The certificate trace of a whole bag, audited, one episode after the other."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pe_core.config import ConfigurationError, from_mapping
from pe_evaluation.audit.cycle import Finding, check
from pe_evaluation.audit.trace import Trace, trace_of
from pe_evaluation.bag import Run, RunReader
from pe_evaluation.metrics import ROLES
from pe_safety.parameters import SafetyParameters

UNCHECKED_MOST = 0.01
"""Share of cycles that may lack an input."""
FINDINGS_MOST = 1000


class NoCertificateError(ValueError):
    """A bag says too little to be audited; the message says what is missing."""


@dataclasses.dataclass
class Certificate:
    """What the audit of a bag found.

    Attributes:
        cycles: those in which the filter ran; sampled: those of them that were taken; checked: and computed again.
        stopped: cycles in which it did not run, whose command must be zero.
        unchecked: by reason.
        tiers: checked cycles by rung.
        turned: turns on the spot although a command existed that meets every row: the one rung that the ladder puts
            above such a command, because a blocked robot must be able to turn away.
        tipped: cycles in which rounding decides, either way being right.
        cut: commands after the last status of a robot in an episode.
        differences: the largest of each kind of quantity.
        findings: what failed; the first of them where there are many, ``failures`` counts all.
    """

    sample: int = 1
    cycles: int = 0
    sampled: int = 0
    checked: int = 0
    stopped: int = 0
    unchecked: Counter[str] = dataclasses.field(default_factory=Counter)
    tiers: Counter[str] = dataclasses.field(default_factory=Counter)
    turned: int = 0
    tipped: int = 0
    cut: int = 0
    differences: dict[str, float] = dataclasses.field(default_factory=dict)
    findings: list[Finding] = dataclasses.field(default_factory=list)
    failures: int = 0

    @property
    def passed(self) -> bool:
        """Whether cycles were checked, nothing failed, and not too much could not be checked."""
        return self.checked > 0 and not self.failures and self.missing <= UNCHECKED_MOST * self.sampled

    @property
    def missing(self) -> int:
        """Cycles that could not be computed again."""
        return sum(self.unchecked.values())

    def add(self, other: Certificate) -> None:
        """Join the certificate of another episode or robot."""
        for name in ("cycles", "sampled", "checked", "stopped", "turned", "tipped", "cut", "failures"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.unchecked += other.unchecked
        self.tiers += other.tiers
        for kind, difference in other.differences.items():
            self.differences[kind] = max(self.differences.get(kind, 0.0), difference)
        self.findings += other.findings[: FINDINGS_MOST - len(self.findings)]

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        found = dataclasses.asdict(self) | {"passed": self.passed, "missing": self.missing}
        found["unchecked"], found["tiers"] = dict(self.unchecked), dict(self.tiers)
        return found


def audit_trace(trace: Trace, sample: int = 1) -> Certificate:
    """The certificate of one robot in one episode."""
    result = Certificate(sample, trace.active, len(trace.cycles), stopped=trace.stopped, cut=trace.cut)
    for quantity, steps in (
        ("command of a stopped cycle", trace.moving),
        ("command without a cycle", trace.stray),
    ):
        for step, v, omega in steps:
            result.failures += 1
            result.findings.append(
                Finding(trace.episode, trace.role, step, quantity, f"({v!r}, {omega!r})", "(0.0, 0.0)")
            )
    for cycle in trace.cycles:
        verdict = check(trace, cycle)
        if verdict.unchecked:
            result.unchecked[verdict.unchecked] += 1
            continue
        result.checked += 1
        result.tiers[cycle.tier] += 1
        result.turned += verdict.turned
        result.tipped += verdict.tipped
        result.failures += len(verdict.findings)
        result.findings += verdict.findings[: FINDINGS_MOST - len(result.findings)]
        for key, difference in verdict.differences.items():
            kind = key.split("/")[0] if key[:2] in ("h/", "m/") else key
            result.differences[kind] = max(result.differences.get(kind, 0.0), difference)
    return result


def audit_bag(path: Path | str, sample: int = 1) -> Certificate:
    """Audit a bag, every ``sample``-th cycle of it.

    Raises:
        BagError: it cannot be read.
        NoCertificateError: it does not say which robots and which filter played.
    """
    total = Certificate(sample)
    for trace in traces_of(path, sample):
        total.add(audit_trace(trace, sample))
    return total


def traces_of(path: Path | str, sample: int = 1) -> Iterator[Trace]:
    """Every robot in every episode of a bag; exceptions as :func:`audit_bag`."""
    reader = RunReader(path)
    for part in reader.parts():
        parameters = parameters_of(part)
        arguments = part.manifest.get("arguments")
        stamped = not isinstance(arguments, Mapping) or arguments.get("stamped_cmd_vel") is not False
        for episode in part.episodes:
            for role in ROLES:
                yield trace_of(part, episode, role, parameters, sample, stamped)


def parameters_of(run: Run) -> SafetyParameters:
    """The filter's parameters as the manifest has them."""
    if not run.profiles_known:
        raise NoCertificateError(f"{run.path}: the manifest does not say which robots played")
    given = run.manifest.get("safety")
    if not isinstance(given, Mapping):
        raise NoCertificateError(f"{run.path}: the manifest has no parameters of the filter")
    try:
        return from_mapping(SafetyParameters, dict(given), "manifest: safety")
    except ConfigurationError as error:
        raise NoCertificateError(f"{run.path}: {error}") from error
