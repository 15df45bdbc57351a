r"""Self-play: both roles learn in turn, each against a pool of what the other has been.

    OUT/pursuer, OUT/evader       the two trainings
    OUT/pool/<role>-<phase>       a bundle of each after every phase
    OUT/self_play.json            what has been done, replaced whole

In a phase one role learns against frozen opponents: the scripted mix of its parameters, and of the pool those against
which it does worst, sampled with weight (1 - w)^p, w the learner's share of wins against it in its last phase (Vinyals
et al. 2019).  After a phase the learner's health is looked at: weights of its policy or critic that are not finite, or
a share of wins against the scripted mix that has fallen by more than ``health_drop`` below its best, send it back to
its last good snapshot.  Where there is none yet, weights that are not finite end the match.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pe_core.config import ConfigurationError, check_range, quantity
from pe_core.files import replaced, write_text
from pe_core.provenance import git_revision
from pe_core.roles import ROLES
from training.field import parse_mix
from training.learning.curves import read_curves
from training.learning.export import export
from training.learning.parameters import load_learning
from training.learning.run import CHECKPOINT, CURVES, Training
from training.opponents.play import GIVEN, NUMBERS

STATE = "self_play.json"
_UNKNOWN = 0.5
Tell = Callable[[str, int, dict[str, float]], None]


@dataclasses.dataclass(frozen=True)
class SelfPlay:
    """``config/self_play/<name>.yaml``."""

    pursuer: str = quantity("ppo", description="config/learning/<name>.yaml of the pursuer")
    evader: str = quantity("evader", description="config/learning/<name>.yaml of the evader")
    phases: int = quantity(6, low=1, high=1000, description="turns of each role")
    phase_steps: int = quantity(4_000_000, low=1, high=10**10, description="environment steps of a turn")
    pool: int = quantity(
        6, low=1, high=100, description="past selves that are played against, the latest always"
    )
    share: float = quantity(
        0.5, low=0.0, high=0.95, description="of the games that are played against past selves"
    )
    priority: float = quantity(1.0, low=0.0, high=10.0, description="exponent p of the sampling weight")
    health_drop: float = quantity(
        0.15, low=0.0, high=1.0, description="fall of the wins that sends a learner back"
    )

    def __post_init__(self) -> None:
        check_range(self, "self-play")


def mix_of(scripted: str, pool: dict[str, float], share: float, priority: float) -> str:
    """The mix of scripted opponents and of the pool, name to the learner's share of wins.

    The pool's weights (1 - w)^p, at least 0.01, add up to ``share`` of all; what then weighs nothing is left out.
    """
    base = parse_mix(scripted)
    total = sum(base.values())
    weights = {name: max((1.0 - wins) ** priority, 0.01) for name, wins in pool.items()}
    parts = {name: weight / total * (1.0 - share if pool else 1.0) for name, weight in base.items()}
    for name, weight in weights.items():
        parts[name] = share * weight / sum(weights.values())
    written = {name: f"{weight:.6f}" for name, weight in parts.items()}
    return ", ".join(f"{name}:{weight}" for name, weight in written.items() if float(weight) > 0.0)


def folder_of(out: Path) -> Path:
    """``out`` in one spelling, which the mixes of opponents hold: relative where it is below the working directory,
    else absolute.

    Raises:
        ConfigurationError: it holds a character that separates the opponents of a mix.
    """
    found = os.path.relpath(out)
    # Of the working directory itself, pool/NAME would be a bundle in models/.
    if found.split(os.sep)[0] in (os.curdir, os.pardir):
        found = os.path.abspath(out)
    if "," in found or ":" in found:
        raise ConfigurationError(
            f"--out '{found}': allowed: a path without ',' and ':', which separate the opponents of a mix"
        )
    return Path(found)


def not_finite(**networks: nn.Module) -> list[str]:
    """Names of the tensors of ``networks`` that are not finite."""
    return [
        f"{name} {key}"
        for name, network in networks.items()
        for key, value in network.state_dict().items()
        if not bool(torch.isfinite(value).all())
    ]


def wins_of(lines: Sequence[dict[str, float]], role: str) -> dict[int, float]:
    """The learner's share of wins against each opponent's number, over the episodes of lines of the curves."""
    prefix = "episodes/"
    episodes: dict[int, float] = {}
    captures: dict[int, float] = {}
    for line in lines:
        for key in line:
            if key.startswith(prefix):
                number = int(key[len(prefix) :])
                episodes[number] = episodes.get(number, 0.0) + line[key]
                captures[number] = captures.get(number, 0.0) + line[key] * line[f"capture_rate/{number}"]
    rates = {number: captures[number] / count for number, count in episodes.items()}
    return rates if role == "pursuer" else {number: 1.0 - rate for number, rate in rates.items()}


class Match:
    """Self-play that can be interrupted after every rollout and goes on as if it had not been."""

    def __init__(
        self, parameters: SelfPlay, seed: int, out: Path, threads: int, command: str, resume: bool
    ) -> None:
        """Begin in the empty folder ``out``, or ``resume`` what is there.

        Raises:
            ConfigurationError: something is there already, there is nothing to resume, or ``out`` is refused.
        """
        out = folder_of(out)
        self.parameters, self.seed, self.out = parameters, seed, out
        self.threads, self.command = threads, command
        self.learnings = {
            "pursuer": load_learning(parameters.pursuer),
            "evader": load_learning(parameters.evader),
        }
        total = parameters.phases * parameters.phase_steps
        for role, learning in self.learnings.items():
            if learning.role != role:
                raise ConfigurationError(
                    f"self-play: the parameters of the {role} are of the role {learning.role}"
                )
            self.learnings[role] = dataclasses.replace(learning, steps=total + learning.imitation)
        path = out / STATE
        if resume != path.is_file():
            raise ConfigurationError(
                f"{out}: no {STATE} to resume"
                if resume
                else f"{out}: holds self-play already; allowed: --resume"
            )
        self.state: dict[str, Any] = (
            json.loads(path.read_text())
            if resume
            else {"phase": 0, "turn": 0, "wins": {role: {} for role in ROLES}, "best": {}, "rollbacks": []}
        )
        # By folder names, which are the same wherever the match lies.
        self.state["wins"] = {
            role: {Path(name).name: rate for name, rate in wins.items()}
            for role, wins in self.state["wins"].items()
        }
        self._save()

    @property
    def finished(self) -> bool:
        """Whether every phase has been played."""
        return bool(self.state["phase"] >= self.parameters.phases)

    def account(self) -> dict[str, Any]:
        """What is played: parameters of the match and of both roles, seed, command, revision."""
        return {
            "self_play": dataclasses.asdict(self.parameters),
            "learning": {role: dataclasses.asdict(each) for role, each in self.learnings.items()},
            "seed": self.seed,
            "command": self.command,
            "revision": git_revision(),
        }

    def _told(self, role: str) -> dict[str, Any]:
        """What the bundles of ``role`` say of the match: its parameters, and how the other role learned."""
        other = self.learnings[ROLES[1 - ROLES.index(role)]]
        return dataclasses.asdict(self.parameters) | {"opponent_learning_sha256": other.sha256()}

    def play_turn(self, tell: Tell, stop: Callable[[], bool] = lambda: False) -> None:
        """One role's turn of one phase, or what is left of it, until ``stop`` says so after a rollout.

        ``tell`` gets the role, the phase and every line of the curves.
        """
        role, phase = ROLES[self.state["turn"]], self.state["phase"]
        learning = self.learnings[role]
        pool = self._pool(role)
        mix = mix_of(learning.opponents, pool, self.parameters.share, self.parameters.priority)
        folder = self.out / role
        training = Training(
            learning, self.seed, folder, self.threads, self.command, (folder / CHECKPOINT).is_file(), mix,
            match=self._told(role),
        )  # fmt: skip
        try:
            training.imitate(lambda taken, error: tell(role, phase, {"steps": float(taken), "error": error}))
            since = learning.imitation + phase * self.parameters.phase_steps
            until = since + self.parameters.phase_steps
            while training.steps < until and not stop():
                tell(role, phase, training.advance())
            training.save()
        finally:
            training.close()
        if training.steps >= until:
            lines = [line for line in read_curves(folder / CURVES) if line["steps"] > since]
            self._settle(role, phase, mix, lines, training)

    def _settle(
        self,
        role: str,
        phase: int,
        mix: str,
        lines: list[dict[str, float]],
        training: Training,
    ) -> None:
        wins = wins_of(lines[len(lines) // 2 :], role)
        players = [Path(name) for name in parse_mix(mix) if name not in NUMBERS]
        for number, rate in wins.items():
            player = players[GIVEN - 1 - number] if number < GIVEN else None
            # A learned opponent of the parameters may have the name of a past self.
            if player is not None and player.parent == self.out / "pool":
                self.state["wins"][role][player.name] = rate
        scripted = [rate for number, rate in wins.items() if number > GIVEN]
        health = sum(scripted) / len(scripted) if scripted else 0.0
        best = self.state["best"].get(role, 0.0)
        broken = not_finite(policy=training.policy, critic=training.critic)
        good = self.out / role / "good.pt"
        if broken and not good.is_file():
            rest = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
            raise ConfigurationError(
                f"self-play: {role}: not finite after phase {phase}: {', '.join(broken[:3])}{rest}; there is no "
                "earlier snapshot to go back to; a smaller learning_rate than "
                f"{self.learnings[role].learning_rate:g} may help, in another --out"
            )
        if good.is_file() and (broken or health < best - self.parameters.health_drop):
            self.state["rollbacks"].append({"role": role, "phase": phase, "wins": health, "best": best})
            self._roll_back(role, good)
        else:
            with replaced(good) as temporary:
                shutil.copyfile(self.out / role / CHECKPOINT, temporary)
            self.state["best"][role] = max(best, health)
            export(self.out / role, f"{role}-{phase}", self.out / "pool")
        self.state["turn"] = 1 - self.state["turn"]
        self.state["phase"] += self.state["turn"] == 0
        self._save()

    def _save(self) -> None:
        write_text(self.out / STATE, json.dumps(self.state, indent=1) + "\n")

    def _roll_back(self, role: str, good: Path) -> None:
        """Networks and optimisers of the last good checkpoint, with the steps and games of now."""
        path = self.out / role / CHECKPOINT
        now, then = torch.load(path, weights_only=True), torch.load(good, weights_only=True)
        for key in ("policy", "critic", "policy_optimiser", "critic_optimiser"):
            now[key] = then[key]
        with replaced(path) as temporary:
            torch.save(now, temporary)

    def _pool(self, role: str) -> dict[str, float]:
        """Past selves of the other role, path to the learner's share of wins: the latest, and the hardest before."""

        def won(path: Path) -> float:
            rate: float = self.state["wins"][role].get(path.name, _UNKNOWN)
            return rate

        other = ROLES[1 - ROLES.index(role)]
        paths = sorted(
            (self.out / "pool").glob(f"{other}-*"), key=lambda path: int(path.name.rpartition("-")[2])
        )
        kept = paths[-1:] + sorted(paths[:-1], key=won)[: self.parameters.pool - 1]
        return {str(path): won(path) for path in kept}
