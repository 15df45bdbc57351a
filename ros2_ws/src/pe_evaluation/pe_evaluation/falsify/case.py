"""A case in a file: self-contained YAML, replayed to the same margin.

It holds what is believed of both robots, the filter's parameters, the layout, the start, what the adversary does
knot by knot, and what came of it.  The filter and the plants are the code's own, so a change of theirs shows.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from pe_core.arena import OBSTACLES_MAX
from pe_core.config import ConfigurationError, check_range, from_mapping, quantity, read_yaml
from pe_core.files import write_text
from pe_core.robot import RobotModel
from pe_evaluation.falsify.adversary import BEHAVIOURS
from pe_evaluation.falsify.play import MODES, PASSIVE, Cases, Outcomes, Rules, play
from pe_safety.parameters import SafetyParameters

WALLS = ("wall_east", "wall_west", "wall_north", "wall_south")
_KNOT_SHAPES = {
    "v": (2,),
    "omega": (2,),
    "gain": (2, 2),
    "delay": (2,),
    "lag": (2,),
    "error": (2, 3),
    "sigma": (2, 2),
    "age": (2,),
}


@dataclasses.dataclass(frozen=True)
class Scenario:
    """``config/falsified/<name>.yaml``: one bad case and its smallest body margin.

    Lists of two are of both robots; ``obstacles`` and ``half_side`` are of the map, ``true_...`` what stands there.
    ``knots`` are mappings: behaviour (names of ``BEHAVIOURS``), v, omega (of the limits), gain (v, omega), delay, lag
    [s], error (away from the nearest thing, to the left of that, heading) [m, m, rad], sigma [m, rad], age [steps].
    ``genes`` is the vector that it was decoded from, for a search to start there; nothing is replayed from it.
    """

    name: str = quantity(description="name of the case")
    description: str = quantity(description="what was searched, and what found it")
    mode: str = quantity(choices=MODES, description="what is promised of whom")
    steps: int = quantity(unit="", low=1, high=10000, description="control steps")
    dt: float = quantity(unit="s", low=0.01, high=0.2, description="control period")
    half_side: float = quantity(unit="m", low=0.1, high=100.0, description="of the map")
    true_half_side: float = quantity(unit="m", low=0.1, high=100.0, description="of the arena")
    margin: float = quantity(unit="m", low=-10.0, high=10.0, description="smallest body margin")
    robots: Any = dataclasses.field(default_factory=list)
    safety: Any = dataclasses.field(default_factory=dict)
    obstacles: Any = dataclasses.field(default_factory=list)
    true_obstacles: Any = dataclasses.field(default_factory=list)
    start: Any = dataclasses.field(default_factory=list)
    knots: Any = dataclasses.field(default_factory=list)
    genes: Any = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        check_range(self, f"case {self.name}")

    @property
    def models(self) -> tuple[RobotModel, RobotModel]:
        """What is believed of both robots."""
        if not isinstance(self.robots, list) or len(self.robots) != 2:
            raise ConfigurationError(f"case {self.name}: robots: allowed: a list of two")
        first, second = (from_mapping(RobotModel, robot, f"case {self.name}") for robot in self.robots)
        return first, second

    @property
    def parameters(self) -> SafetyParameters:
        """The parameters of the filters."""
        return from_mapping(SafetyParameters, self.safety, f"case {self.name}")

    def rules(self) -> Rules:
        """How it is played."""
        values = self.parameters.as_array(self.dt)
        stranger = self.mode == PASSIVE
        return Rules(np.stack([values, values]), (True, not stranger), stranger, self.steps, self.dt)

    def cases(self) -> Cases:
        """A batch of this one.

        Raises:
            ConfigurationError: lists of another shape, unknown behaviours, too many obstacles.
        """
        if not isinstance(self.knots, list) or not self.knots:
            raise ConfigurationError(f"case {self.name}: knots: allowed: a list of at least one")
        count = len(self.obstacles)
        if count > OBSTACLES_MAX:
            raise ConfigurationError(f"case {self.name}: {count} obstacles: allowed: at most {OBSTACLES_MAX}")
        obstacles = np.zeros((1, 2, OBSTACLES_MAX, 3))
        obstacles[0, 0, :count] = self._array("obstacles", self.obstacles, (count, 3))
        obstacles[0, 1, :count] = self._array("true_obstacles", self.true_obstacles, (count, 3))
        knots = [self._knot(knot) for knot in self.knots]
        column = {name: np.stack([knot[name] for knot in knots])[None] for name in knots[0]}
        models = self.models
        return Cases(
            start=self._array("start", self.start, (2, 3))[None],
            half_side=np.array([[self.half_side, self.true_half_side]]),
            obstacles=obstacles,
            obstacle_count=np.array([count]),
            models=np.stack([model.as_array() for model in models])[None],
            acceleration=np.full((1, 2), self.parameters.acceleration_min),
            nominal=np.stack([column["behaviour"], column["v"], column["omega"]], axis=-1),
            gain=column["gain"],
            delay=column["delay"],
            lag=column["lag"],
            errors=column["error"],
            sigma=column["sigma"],
            age=column["age"].astype(np.int64),
        )

    def replay(self) -> Outcomes:
        """Play it."""
        return play(self.cases(), self.rules())

    def _knot(self, knot: Any) -> dict[str, NDArray[np.float64]]:
        wanted = {"behaviour", *_KNOT_SHAPES}
        if not isinstance(knot, dict) or set(knot) != wanted:
            raise ConfigurationError(
                f"case {self.name}: knots: allowed: mappings with {', '.join(sorted(wanted))}"
            )
        unknown = [word for word in knot["behaviour"] if word not in BEHAVIOURS]
        if unknown or len(knot["behaviour"]) != 2:
            raise ConfigurationError(
                f"case {self.name}: behaviour = {knot['behaviour']!r}: allowed: two of {', '.join(BEHAVIOURS)}"
            )
        values = {name: self._array(name, knot[name], shape) for name, shape in _KNOT_SHAPES.items()}
        values["behaviour"] = np.array([float(BEHAVIOURS.index(word)) for word in knot["behaviour"]])
        return values

    def _array(self, name: str, value: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
        try:
            array = np.array(value, dtype=np.float64).reshape(
                shape if np.prod(shape) == 0 else np.shape(value)
            )
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"case {self.name}: {name} = {value!r}: allowed: numbers") from error
        if array.shape != shape or not np.isfinite(array).all():
            raise ConfigurationError(f"case {self.name}: {name}: allowed: finite numbers of shape {shape}")
        return array


def load_case(path: Path) -> Scenario:
    """The case in a YAML file.

    Raises:
        ConfigurationError: the file cannot be read, or says something that is not allowed.
    """
    return from_mapping(Scenario, read_yaml(path), str(path))


def save_case(path: Path, scenario: Scenario) -> None:
    """Write a case as YAML, atomically, numbers in full."""
    text = yaml.safe_dump(dataclasses.asdict(scenario), sort_keys=False, default_flow_style=None, width=110)
    write_text(path, text)


def scenario_of(
    name: str,
    description: str,
    mode: str,
    parameters: SafetyParameters,
    robot: RobotModel,
    case: Cases,
    outcome: Outcomes,
    steps: int,
    dt: float,
) -> Scenario:
    """The file of a batch of one; ``robot`` is the profile whose limits the case has scaled."""
    count = int(case.obstacle_count[0])
    return Scenario(
        name=name,
        description=description,
        mode=mode,
        steps=steps,
        dt=dt,
        half_side=float(case.half_side[0, 0]),
        true_half_side=float(case.half_side[0, 1]),
        margin=float(outcome.margin[0]),
        robots=[dataclasses.asdict(model_of(robot, values)) for values in case.models[0]],
        safety=dataclasses.asdict(parameters),
        obstacles=case.obstacles[0, 0, :count].tolist(),
        true_obstacles=case.obstacles[0, 1, :count].tolist(),
        start=case.start[0].tolist(),
        knots=[
            {
                "behaviour": [BEHAVIOURS[int(index)] for index in case.nominal[0, k, :, 0]],
                "v": case.nominal[0, k, :, 1].tolist(),
                "omega": case.nominal[0, k, :, 2].tolist(),
                "gain": case.gain[0, k].tolist(),
                "delay": case.delay[0, k].tolist(),
                "lag": case.lag[0, k].tolist(),
                "error": case.errors[0, k].tolist(),
                "sigma": case.sigma[0, k].tolist(),
                "age": case.age[0, k].tolist(),
            }
            for k in range(case.nominal.shape[1])
        ],
    )


def model_of(robot: RobotModel, values: NDArray[np.float64]) -> RobotModel:
    """``robot`` with the numbers of an array in the order of ``RobotModel.as_array``."""
    fields = (
        "v_min", "v_max", "omega_max", "radius", "track", "wheel_speed_max", "vcp_offset", "lag", "delay", "v_quantum",
        "omega_quantum", "acceleration_max",
    )  # fmt: skip
    return dataclasses.replace(robot, **dict(zip(fields, values.tolist(), strict=True)))


def thing_name(thing: int) -> str:
    """What a body came near to, in words."""
    if thing < 0:
        return "the other robot"
    return WALLS[thing] if thing < len(WALLS) else f"obstacle_{thing - len(WALLS)}"
