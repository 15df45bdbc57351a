"""The search: random starts, half of them with the most deceptive estimates, starts from elsewhere (gradients, known
cases), and CMA-ES from the best of them.

CMA-ES is pycma (Hansen), with a diagonal covariance at first, as the space has more than a hundred dimensions and a
run a few thousand evaluations.  A run ends when it has not improved for a while; the next one starts from the next
best start.  The objective is the smallest body margin; a start that is not admissible costs more than any margin.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pe_core.randomness import generator
from pe_evaluation.falsify.play import Cases, Outcomes, play
from pe_evaluation.falsify.space import Space, deceive, decode

_BATCH = 256
_RANDOM_SHARE = 0.25
_POPULATION = 24
_SPREAD = 0.15
_DIAGONAL = 150
# A run ends after this many generations in which its best margin fell by less than this [m].
_PATIENCE = 40
_GAIN = 1e-4


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """One bad case: a batch of one, start settled, its vector, its outcome, and what found it."""

    case: Cases
    outcome: Outcomes
    vector: NDArray[np.float64]
    origin: str

    @property
    def margin(self) -> float:
        """Its smallest body margin [m]."""
        return float(self.outcome.margin[0])


@dataclasses.dataclass(frozen=True)
class Result:
    """What a search did: the worst cases, one of each start, worst first; simulated steps, cases and contacts."""

    worst: tuple[Found, ...]
    steps: int
    cases: int
    contacts: int


class _Account:
    """What has been played so far, and the worst case of every origin."""

    def __init__(self, space: Space, workers: int, report: Callable[[int, float], None] | None) -> None:
        self.space = space
        self.workers = workers
        self.report = report
        self.worst: dict[str, Found] = {}
        self.steps = self.cases = self.contacts = 0

    def play(self, vectors: NDArray[np.float64], origins: Sequence[str]) -> NDArray[np.float64]:
        """Objective (P,) of ``vectors``; their worst is kept under each origin."""
        cases = decode(self.space, vectors)
        outcomes = play(cases, self.space.rules, True, self.workers)
        admissible = outcomes.lack == 0.0
        played = int(admissible.sum())
        self.cases += played
        self.steps += played * self.space.steps
        self.contacts += int((outcomes.margin[admissible] <= 0.0).sum())
        for row in np.argsort(outcomes.margin, kind="stable"):
            known = self.worst.get(origins[row])
            if admissible[row] and (known is None or outcomes.margin[row] < known.margin):
                one = np.array([row])
                part = Outcomes(
                    **{f.name: getattr(outcomes, f.name)[one] for f in dataclasses.fields(Outcomes)}
                )
                self.worst[origins[row]] = Found(cases.part(one), part, vectors[row].copy(), origins[row])
        if self.report is not None:
            least = min((found.margin for found in self.worst.values()), default=np.inf)
            self.report(self.steps, float(least))
        return outcomes.margin


def search(
    space: Space,
    steps: int,
    seed: int,
    workers: int = 1,
    starts: Sequence[tuple[str, NDArray[np.float64]]] = (),
    report: Callable[[int, float], None] | None = None,
) -> Result:
    """Play at least ``steps`` simulated steps (both robots at once) in search of the smallest body margin.

    Args:
        starts: vectors (size,) from elsewhere and what found them; CMA-ES starts from them first.
        report: called with the steps played and the smallest margin so far.
    """
    account = _Account(space, workers, report)
    rng = generator(seed, 0, f"falsify/{space.robot.name}/{space.mode}")
    pool: list[tuple[float, str, NDArray[np.float64]]] = []
    if starts:
        given = np.clip(np.stack([vector for _, vector in starts]), 0.0, 1.0)
        values = account.play(given, [origin for origin, _ in starts])
        pool += sorted(
            (
                (float(value), origin, vector)
                for value, (origin, _), vector in zip(values, starts, given, strict=True)
            ),
            key=lambda entry: entry[0],
        )
    drawn: list[tuple[float, str, NDArray[np.float64]]] = []
    while account.steps < _RANDOM_SHARE * steps:
        vectors = rng.random((_BATCH, space.size))
        deceive(space, vectors[::2])
        values = account.play(vectors, ["random"] * _BATCH)
        drawn += [(float(value), "random", vector) for value, vector in zip(values, vectors, strict=True)]
        drawn = sorted(drawn, key=lambda entry: entry[0])[:_BATCH]
    # In turn: one from elsewhere, one that was drawn.
    order = [entry for pair in zip(pool, drawn, strict=False) for entry in pair]
    order += (pool if len(pool) > len(drawn) else drawn)[min(len(pool), len(drawn)) :]
    run = 0
    while account.steps < steps:
        _, origin, start = order[run % len(order)]
        _descend(account, start, f"CMA-ES {run} from {origin}", steps, int(rng.integers(1, 2**31)))
        run += 1
    worst = sorted(account.worst.values(), key=lambda found: found.margin)
    return Result(tuple(worst), account.steps, account.cases, account.contacts)


def _descend(account: _Account, start: NDArray[np.float64], origin: str, steps: int, seed: int) -> None:
    """One run of CMA-ES."""
    # pycma warns that matplotlib or optional modules are missing, and about options that are meant.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cma

        options = {
            "bounds": [0.0, 1.0],
            "popsize": _POPULATION,
            "seed": seed,
            "CMA_diagonal": _DIAGONAL,
            "verbose": -9,
            "tolfun": 0.0,
            "tolx": 1e-7,
        }
        strategy = cma.CMAEvolutionStrategy(np.clip(start, 0.02, 0.98), _SPREAD, options)
        best, quiet = np.inf, 0
        while quiet < _PATIENCE and account.steps < steps and not strategy.stop():
            vectors = strategy.ask()
            values = account.play(np.clip(np.stack(vectors), 0.0, 1.0), [origin] * len(vectors))
            strategy.tell(vectors, values.tolist())
            least = float(values.min())
            quiet = quiet + 1 if least > best - _GAIN else 0
            best = min(best, least)
