"""Faults that a run injects, as a YAML file declares them; pure.

Times are simulated seconds from the start of an episode.  A fault acts from ``at`` for ``duration`` (0: to the
episode's end).  docs/faults.md says what the nodes are expected to do about each.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from pe_core.config import ConfigurationError, check_range, from_mapping, quantity, read_yaml
from pe_core.paths import config_path
from pe_nodes.settings import ROLES

NONE = "none"
MACHINE, LINK = "machine", "link"
TOPICS = ("odom", "pose", "state", "opponent_state", "cmd_vel_nominal")
NODES = ("state_estimator", "policy", "safety", "watchdog")
GAME_NODES = ("arena_sim", "evaluation_recorder")


def _below_roles(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{role}/{name}" for role in ROLES for name in names)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """What every fault has; ``target`` is a topic or node without its leading slash, or a robot."""

    allowed_targets: ClassVar[tuple[str, ...]] = ()
    target: str = quantity(description="what is disturbed")
    at: float = quantity(unit="s", low=0.0, high=3600.0, description="begin, from the start of the episode")
    duration: float = quantity(
        0.0, unit="s", low=0.0, high=3600.0, description="0: to the end of the episode"
    )
    episode: int = quantity(-1, low=-1, high=1_000_000, description="index of the episode; -1: every one")

    def __post_init__(self) -> None:
        check_range(self, type(self).__name__)
        if self.target not in self.allowed_targets:
            raise ConfigurationError(f"target = {self.target!r}: allowed: {', '.join(self.allowed_targets)}")

    @property
    def kind(self) -> str:
        """The word that the file uses."""
        return _WORDS[type(self)]

    def acts(self, episode: int, time: float) -> bool:
        """Whether the fault is there ``time`` [s] after the start of an episode."""
        end = self.at + self.duration if self.duration else math.inf
        return self.episode in (-1, episode) and self.at <= time < end

    def as_mapping(self) -> dict[str, Any]:
        """As in the file."""
        return {"kind": self.kind} | dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drop(Fault):
    """Messages get lost, each with the same probability."""

    allowed_targets = _below_roles(TOPICS)
    probability: float = quantity(1.0, low=0.0, high=1.0, description="of losing a message")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network(Fault):
    """Nothing passes between the two robots any more, in either direction."""

    allowed_targets = (LINK,)
    target: str = quantity(LINK, description="what is disturbed")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Delay(Fault):
    """Messages come later by ``delay`` and up to ``jitter`` more, uniform, each on its own."""

    allowed_targets = _below_roles(TOPICS)
    delay: float = quantity(0.1, unit="s", low=0.0, high=10.0, description="of every message")
    jitter: float = quantity(0.0, unit="s", low=0.0, high=10.0, description="at most so much more")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Duplicate(Fault):
    """Every message comes several times."""

    allowed_targets = _below_roles(TOPICS)
    copies: int = quantity(2, low=2, high=20, description="how often a message comes")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reorder(Fault):
    """Messages come in reverse order, ``window`` at a time."""

    allowed_targets = _below_roles(TOPICS)
    window: int = quantity(3, low=2, high=20, description="messages that are turned round")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NotFinite(Fault):
    """Numbers of a message are not finite."""

    allowed_targets = _below_roles(TOPICS)
    value: str = quantity(
        "nan", choices=("nan", "inf", "-inf"), description="what stands in place of numbers"
    )
    fields: str = quantity("all", choices=("all", "pose", "twist"), description="which numbers")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frozen(Fault):
    """A sensor repeats its last values; ``stamps`` go on, or stand still too."""

    allowed_targets = _below_roles(("odom", "pose", "state", "opponent_state"))
    stamps: str = quantity("advance", choices=("advance", "frozen"), description="stamps of what is repeated")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Jump(Fault):
    """Poses are displaced in their own frame."""

    allowed_targets = _below_roles(("odom", "pose", "state", "opponent_state"))
    dx: float = quantity(0.0, unit="m", low=-100.0, high=100.0, description="displacement")
    dy: float = quantity(0.0, unit="m", low=-100.0, high=100.0, description="displacement")
    turn: float = quantity(0.0, unit="rad", low=-math.pi, high=math.pi, description="turn of the heading")


@dataclasses.dataclass(frozen=True, kw_only=True)
class YawSpike(Fault):
    """Turn rate differs by 2 pi / dt in the sample whose yaw passes +-pi, and in one sample every ``every`` s.

    That is what odometry says which differentiates a wrapped yaw.
    """

    allowed_targets = _below_roles(("odom", "state", "opponent_state"))
    every: float = quantity(0.5, unit="s", low=0.0, high=3600.0, description="0: only where yaw passes +-pi")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClockError(Fault):
    """A machine's clock (all nodes and sensors of a robot), or that of one node, is wrong by step + drift (t - at)."""

    allowed_targets = ROLES + _below_roles(NODES)
    step: float = quantity(0.0, unit="s", low=-100.0, high=100.0, description="jump; the way back is one too")
    drift: float = quantity(0.0, low=-0.5, high=0.5, description="seconds gained in a second")

    def offset(self, time: float) -> float:
        """Error [s] at ``time`` [s], while the fault acts."""
        return self.step + self.drift * (time - self.at)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kill(Fault):
    """A node's process is killed (SIGKILL) at ``at``, once; where ``restart``, it is started again at once."""

    allowed_targets = _below_roles(NODES) + GAME_NODES
    restart: bool = quantity(True, description="start it again; not possible for simulator and recorder")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.restart and self.target in GAME_NODES:
            raise ConfigurationError(
                f"restart = True: {self.target} ends the run when it ends; allowed: false for {', '.join(GAME_NODES)}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slow(Fault):
    """A node gets no processor for a share of every period (SIGSTOP, SIGCONT); share 1: it hangs."""

    allowed_targets = _below_roles(NODES)
    share: float = quantity(0.8, low=0.05, high=1.0, description="of the time without a processor")
    period: float = quantity(0.2, unit="s", low=0.05, high=10.0, description="of stop and go")

    def stopped(self, time: float) -> bool:
        """Whether the node is halted at ``time`` [s], while the fault acts."""
        return math.fmod(time - self.at, self.period) < self.share * self.period


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hog(Fault):
    """Busy processes compete with all nodes for the processor."""

    allowed_targets = (MACHINE,)
    target: str = quantity(MACHINE, description="what is disturbed")
    processes: int = quantity(4, low=1, high=64, description="busy processes")


MESSAGE_KINDS = (Drop, Delay, Duplicate, Reorder, NotFinite, Frozen, Jump, YawSpike)
KINDS: dict[str, type[Fault]] = {
    "drop": Drop,
    "delay": Delay,
    "duplicate": Duplicate,
    "reorder": Reorder,
    "nan": NotFinite,
    "frozen": Frozen,
    "jump": Jump,
    "yaw_spike": YawSpike,
    "clock": ClockError,
    "network": Network,
    "kill": Kill,
    "slow": Slow,
    "hog": Hog,
}
_WORDS = {cls: word for word, cls in KINDS.items()}


@dataclasses.dataclass(frozen=True)
class Plan:
    """The faults of a run, in the order of the file, in which those of one topic act one after the other."""

    faults: tuple[Fault, ...] = ()
    seed: int = 0

    def text(self) -> str:
        """JSON, for a node's parameter."""
        return json.dumps({"seed": self.seed, "faults": [fault.as_mapping() for fault in self.faults]})

    def of(self, *kinds: type[Fault]) -> list[Fault]:
        """The faults of some kinds."""
        return [fault for fault in self.faults if isinstance(fault, kinds)]


def load_plan(name: str) -> Plan:
    """The faults in ``config/faults/<name>.yaml`` or a path; ``none`` has none.

    Raises:
        ConfigurationError: there is no such file, or something in it is not allowed; says what is.
    """
    if name == NONE:
        return Plan()
    path = config_path("faults", name)
    return parse_plan(read_yaml(path), _source(path))


def _source(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def parse_plan(data: dict[str, Any], source: str) -> Plan:
    """The faults in a mapping; raises like :func:`load_plan`."""
    unknown = [str(key) for key in data if key not in ("faults", "seed")]
    if unknown:
        raise ConfigurationError(f"{source}: unknown key '{unknown[0]}'; allowed: faults, seed")
    seed, entries = data.get("seed", 0), data.get("faults")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**31:
        raise ConfigurationError(f"{source}: seed = {seed!r}: allowed: [0, 2147483647]")
    if not isinstance(entries, list) or not entries:
        raise ConfigurationError(f"{source}: faults = {entries!r}: allowed: a list with at least one fault")
    return Plan(tuple(_fault(entry, f"{source}: fault {i + 1}") for i, entry in enumerate(entries)), seed)


def _fault(entry: Any, source: str) -> Fault:
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{source}: {entry!r}: allowed: a mapping with kind, target, at ...")
    kind = entry.get("kind")
    if kind not in KINDS:
        raise ConfigurationError(f"{source}: kind = {kind!r}: allowed: {', '.join(KINDS)}")
    rest = {str(key): value for key, value in entry.items() if key != "kind"}
    return from_mapping(KINDS[kind], rest, f"{source} ({kind})")
