"""Arguments of launch files, and those of ``pursuit.launch.py``, declared once for both launchers; pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from pe_core.config import ConfigurationError, Quantity, convert, quantities, quantity
from pe_core.paths import BOUNDARY, boundary_names, bundle_names, config_names
from pe_core.roles import USUAL
from pe_nodes.settings import DEVICES, NOISE, bag_size_quantity
from pe_safety.parameters import check_mechanism

SIM = "arena_sim"


class Arguments(Protocol):
    """A frozen dataclass of launch arguments, and what its kind of run is.

    ``LAST`` is the node that ends a run well by ending (empty: none, it goes on until it is told to stop);
    ``ON_ONE_MACHINE``: nobody else may hear it, so it gets a domain of its own; ``REPORTED``: a report follows.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    LAST: ClassVar[str]
    ON_ONE_MACHINE: ClassVar[bool]
    REPORTED: ClassVar[bool]

    @property
    def out(self) -> str:
        """Directory of the run."""

    @property
    def record(self) -> bool:
        """Whether a bag is recorded."""

    @property
    def log_level(self) -> str:
        """Of every node."""


NAMES: dict[str, Callable[[], list[str]]] = {
    "pursuer": lambda: bundle_names("pursuer"),
    "evader": lambda: bundle_names("evader"),
    "policy": lambda: ["auto", *bundle_names()],
    "safety": lambda: config_names("safety"),
    "feasibility": boundary_names,
    "scenario": lambda: config_names("scenarios"),
    "robot": lambda: config_names("robots"),
    "opponent": lambda: ["auto", *config_names("robots")],
    "arena": lambda: ["auto", *config_names("arena")],
    "faults": lambda: ["none", *config_names("faults")],
    "physics": lambda: config_names("gazebo"),
}
"""What an argument of that name may be, whichever launch file has it; beside these a path."""
T = TypeVar("T", bound=Arguments)
_TRUE, _FALSE = ("true", "True", "1"), ("false", "False", "0")


def log_level_quantity() -> Any:
    """What nodes print."""
    return quantity("info", choices=("debug", "info", "warn", "error", "fatal"), description="of every node")


@dataclasses.dataclass(frozen=True)
class LaunchArguments:
    """What ``name:=value`` may say."""

    episodes: int = quantity(1, low=1, high=1_000_000, description="episodes to play")
    seed: int = quantity(0, low=0, high=2_147_483_647, description="seed of layouts and noise")
    first_episode: int = quantity(0, low=0, high=1_000_000, description="index of the first episode")
    pursuer: str = quantity(USUAL["pursuer"], description="policy bundle of the pursuer, models/<name> or a path")
    evader: str = quantity(USUAL["evader"], description="policy bundle of the evader, models/<name> or a path")
    safety: str = quantity("rcbf", description="safety filter, config/safety/<name>.yaml or a path")
    feasibility: str = quantity(
        BOUNDARY, description="who warns of infeasible states, models/feasibility/<name>.npz or a path; empty: nobody"
    )
    scenario: str = quantity("random", description="scenario, config/scenarios/<name>.yaml or a path")
    robot: str = quantity("reference", description="robot profile, config/robots/<name>.yaml or a path")
    arena: str = quantity("auto", description="arena, config/arena/<name>.yaml or a path; auto: the robot's own")
    rate: float = quantity(1.0, low=0.0, high=100.0, description="simulated over wall time; 0: as fast as it goes")
    out: str = quantity("out", description="directory of the run: bag, metrics and report")
    noise: str = quantity("none", choices=NOISE, description="noise of odometry")
    speed_ratio: float = quantity(
        0.0, low=0.0, high=3.0, description="evader's speed over the pursuer's; 0: the scenario's"
    )
    device: str = quantity(
        "auto", choices=("auto", *DEVICES), description="base whose habits the simulated robots have; auto: ideal"
    )
    watchdog: bool = quantity(False, description="a watchdog between each safety node and the base, as on a robot")
    frames: str = quantity(
        "auto",
        choices=("auto", "plain", "prefixed"),
        description="frames odom or <namespace>/odom; auto: as the device has them",
    )
    faults: str = quantity("none", description="faults to inject, config/faults/<name>.yaml or a path; none: none")
    stamped_cmd_vel: bool = quantity(True, description="cmd_vel is TwistStamped (Jazzy), not Twist")
    record: bool = quantity(True, description="record a bag, and report when the run is over")
    bag_size: int = bag_size_quantity()
    log_level: str = log_level_quantity()

    LAST: ClassVar[str] = SIM
    ON_ONE_MACHINE: ClassVar[bool] = True
    REPORTED: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.safety == "none":
            raise ConfigurationError(
                "safety = 'none': refused for nodes: every robot stands behind a safety filter; allowed: "
                f"{_known_filters()} (unfiltered play: ./pe evaluate --safety none)"
            )
        check_mechanism(self.safety, (self.pursuer, self.evader))
        if 0.0 < self.speed_ratio < 0.1:
            raise ConfigurationError(f"speed_ratio = {self.speed_ratio!r}: allowed: 0 (the scenario's) or [0.1, 3]")
        if not self.out:
            raise ConfigurationError("out = '': allowed: a directory")
        if self.watchdog and self.rate == 0.0:
            raise ConfigurationError(
                "watchdog = true: a watchdog keeps wall time, which rate = 0 does not: allowed: rate > 0"
            )

    @property
    def base(self) -> str:
        """The device that ``device`` stands for."""
        return "ideal" if self.device == "auto" else self.device

    @property
    def prefixed(self) -> bool:
        """Whether frames carry the robot's namespace."""
        return self.frames == "prefixed" or (self.frames == "auto" and self.base == "turtlebot3")


def _known_filters() -> str:
    return ", ".join(config_names("safety"))


def parse(words: Sequence[str], kind: type[T] = LaunchArguments) -> T:  # type: ignore[assignment]
    """Arguments of a ``kind`` from ``name:=value`` words.

    Raises:
        ConfigurationError: a word has another form, a name is unknown, or a value is not allowed.
    """
    given: dict[str, str] = {}
    for word in words:
        name, separator, value = word.partition(":=")
        if not separator or not name:
            raise ConfigurationError(f"argument '{word}': allowed: name:=value with name one of {_names(kind)}")
        given[name] = value
    return from_texts(given, kind)


def from_texts(given: Mapping[str, str], kind: type[T] = LaunchArguments) -> T:  # type: ignore[assignment]
    """Arguments from texts by name; raises like :func:`parse`."""
    declared = {field.name: field for field in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name not in declared:
            raise ConfigurationError(f"argument '{name}' is unknown; known: {_names(kind)}")
        field = declared[name]
        value: Any = text
        if field.type == "bool":
            if text not in _TRUE + _FALSE:
                raise ConfigurationError(f"argument: {name} = {text!r}: allowed: true, false")
            value = text in _TRUE
        values[name] = convert(field, value, "argument")
    return kind(**values)


def table(kind: type[Arguments] = LaunchArguments) -> list[tuple[str, str, str, str]]:
    """(name, default, allowed, description) of every argument."""
    rows = []
    for field in dataclasses.fields(kind):
        declared: Quantity = quantities(kind)[field.name]
        default = str(field.default).lower() if field.type == "bool" else str(field.default)
        allowed = {"bool": "true, false", "str": "text"}.get(str(field.type), "")
        if field.name in NAMES:
            allowed = ", ".join(NAMES[field.name]()) + ", or a path"
        elif declared.choices or not allowed:
            allowed = declared.allowed()
        rows.append((field.name, default, allowed, declared.description))
    return rows


def _names(kind: type[Arguments]) -> str:
    return ", ".join(quantities(kind))


def with_out(arguments: T, out: Path) -> T:
    """The same arguments with the prepared, absolute directory of the run, where they have one."""
    if "out" not in quantities(type(arguments)):
        return arguments
    return dataclasses.replace(arguments, out=str(out))
