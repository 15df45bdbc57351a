"""One pass over a recorded run, however long: its metrics, and what the figures need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pe_evaluation.account import Account
from pe_evaluation.bag import Run, RunReader
from pe_evaluation.distributions import Distributions
from pe_evaluation.metrics import EpisodeRecord, Metrics
from pe_evaluation.recorded import Trace, trace_of


class Survey:
    """A run that has been read once, episode by episode.

    Attributes:
        head: the run without its streams.
        account, distributions: sums over its episodes.
    """

    def __init__(self, path: Path | str, also: Callable[[Run, list[Trace]], None] | None = None) -> None:
        """Read the run at ``path`` (see :func:`pe_evaluation.bag.read_run`); ``also`` is called with every part.

        Raises:
            BagError: it cannot be read.
        """
        self.account = Account()
        self.distributions = Distributions()
        self._reader = RunReader(path)
        for part in self._reader.parts():
            traces = self.account.add(part)
            for trace in traces:
                self.distributions.add(trace)
            if also is not None:
                also(part, traces)
        self.head = self._reader.head

    @property
    def records(self) -> list[EpisodeRecord]:
        """One for each episode, in order."""
        return self.account.records

    def metrics(self) -> Metrics:
        """The whole of ``metrics.json``."""
        return self.account.metrics(self.head)

    def trace(self, index: int) -> Trace:
        """The arrays of one episode, read again; raises BagError where there is no such episode."""
        part = self._reader.episode(index)
        return trace_of(part, part.episodes[0])
