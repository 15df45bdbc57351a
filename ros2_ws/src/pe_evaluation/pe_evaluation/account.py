"""The metrics of a recorded run, gathered episode by episode.

What stays in memory of a control step are its times of arrival and solution, 48 bytes; of an episode, a few
hundred numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_evaluation.audit import audit_episode, audit_of
from pe_evaluation.bag import Run
from pe_evaluation.margin_terms import MarginTerms
from pe_evaluation.metrics import ROLES, EpisodeRecord, Metrics, episode_row, identity_of, latency, summarise
from pe_evaluation.recorded import (
    Trace,
    control_periods,
    differences,
    missing_samples,
    odom_to_command,
    solve_times,
    trace_of,
)

Times = dict[str, NDArray[np.float64]]
_TIMES = {
    "control_period_ms": control_periods,
    "odom_to_command_ms": odom_to_command,
    "solve_time_us": solve_times,
}


class Account:
    """Sums over the parts of a run.

    Attributes:
        records: one for each episode, in order.
    """

    def __init__(self) -> None:
        self.records: list[EpisodeRecord] = []
        self._times: dict[str, dict[str, list[NDArray[np.float64]]]] = {
            name: {role: [] for role in ROLES} for name in _TIMES
        }
        self._terms = MarginTerms()
        self._audits: list[dict[str, Any]] = []
        self._differences: list[str] = []
        self._missing: dict[str, int] = {}
        self._present: set[str] = set()
        self._seeds: set[int | None] = set()

    def add(self, part: Run) -> list[Trace]:
        """Take a part of a run, or a whole one; returns the traces of its episodes."""
        traces = [trace_of(part, episode) for episode in part.episodes]
        self.records += [trace.record for trace in traces]
        self._differences += [line for trace in traces for line in differences(trace)]
        for name, compute in _TIMES.items():
            for role, values in compute(part).items():
                self._times[name][role].append(values)
        self._audits += [audit_episode(part, episode, role) for role in ROLES for episode in part.episodes]
        for trace in traces:
            for role in ROLES:
                self._terms.add(role, trace.status[role])
        self._seeds |= {episode.seed for episode in part.episodes}
        missing, present = missing_samples(part, traces)
        for topic, count in missing.items():
            self._missing[topic] = self._missing.get(topic, 0) + count
        self._present |= present
        return traces

    def times(self, name: str) -> Times:
        """``control_period_ms``, ``odom_to_command_ms`` or ``solve_time_us`` of each robot, in order of the parts."""
        return {
            role: np.concatenate(parts) if parts else np.empty(0) for role, parts in self._times[name].items()
        }

    def metrics(self, head: Run) -> Metrics:
        """The whole of ``metrics.json``; ``head`` says what is known of the run beside its streams."""
        metrics = summarise(self.records, self._identity(head.manifest))
        metrics["control_period_ms"] = _latencies(self.times("control_period_ms"))
        metrics["odom_to_command_ms"] = _latencies(self.times("odom_to_command_ms"))
        metrics["solve_time_us"] = _latencies(self.times("solve_time_us"))
        metrics["margin_terms_mm"] = self._terms.summary()
        metrics["audit"] = audit_of(self._audits, head.profiles_known)
        metrics["differences"] = list(self._differences)
        # A topic that was never recorded is named once, in the warnings.
        metrics["missing_samples"] = {
            topic: count for topic, count in self._missing.items() if count and topic in self._present
        }
        metrics["warnings"] = [*head.warnings, *_losses(head, metrics)]
        metrics["complete"] = head.complete
        metrics["messages"] = head.messages
        metrics["per_episode"] = [episode_row(record) for record in self.records]
        return metrics

    def _identity(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What ran, from the manifest in the bag's metadata."""
        manifest = dict(given)
        keys = ("git_revision", "bundles", "configuration_sha256", "seed")
        known = {key: manifest.pop(key, None) for key in keys}
        if known["seed"] is None and len(self._seeds) == 1:
            known["seed"] = next(iter(self._seeds))
        return identity_of(**known, **{key: value for key, value in manifest.items() if key.isidentifier()})


def metrics_of(run: Run) -> Metrics:
    """The whole of ``metrics.json`` of a run in memory."""
    account = Account()
    account.add(run)
    return account.metrics(run)


def _latencies(parts: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    pooled: dict[str, Any] = dict(latency(np.concatenate([parts[role] for role in ROLES])))
    for role in ROLES:
        pooled[role] = latency(parts[role])
    return pooled


def _losses(head: Run, metrics: Metrics) -> Sequence[str]:
    arguments = head.manifest.get("arguments")
    lockstep = isinstance(arguments, Mapping) and str(arguments.get("rate")) in ("0", "0.0")
    missing = metrics["missing_samples"]
    if not lockstep or not missing:
        return []
    parts = ", ".join(f"{topic} {count}" for topic, count in missing.items())
    return [f"the recorder lost messages: of {metrics['steps']} steps are missing: {parts}"]
