r"""The space that is searched: vectors in [0, 1]^n and the cases that they stand for.

A gene g becomes a signed value s(g) = clip(1.5 (2 g - 1), -1, 1), so that the ends of every bound are met often and
exactly.  Bounds are those of a randomisation (``pe_core.randomisation``) and what the filter's parameters say
about them: an adversary may use all of it, at once, and choose anew in every knot

    gains 1 +- eps, ages 0 .. age, estimates k sigma off in any direction, their headings k sigma too;

once in a case dead time, lag, the deviations (half to 1.5 times those that the estimator settles at), map errors,
speeds, the layout and the start.  Estimates of the two robots err independently, so the filter counts
k sqrt(sigma^2 + sigma_o^2) between them; the errors here are at most k sigma cos(phi) and k sigma_o sin(phi), which
is that ellipsoid.

A start is at rest, nothing on its way, and admissible: by what its first cycle sees, every robot that is filtered
has h >= 0 everywhere, with all of its margins, and its body, too, is d + margin clear.  (A robot with its back to a
wall has h = 0 where its body touches: it could not have come there, and a search that starts there finds its start.)
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import OBSTACLES_MAX
from pe_core.config import ConfigurationError
from pe_core.ekf import usual_deviations
from pe_core.randomisation import Randomisation, load_randomisation
from pe_core.robot import ACCELERATION_MAX, DELAY, LAG, V_MAX, V_MIN, WHEEL_SPEED_MAX, RobotModel, load_robot
from pe_evaluation.falsify.adversary import BEHAVIOURS
from pe_evaluation.falsify.play import COOPERATIVE, MODES, PASSIVE, Cases, Rules
from pe_safety.parameters import SafetyParameters, load_safety

DT = 0.05
STEPS = 60
KNOTS = 6
_CASE = (
    ("half_side", 1),
    ("count", 1),
    ("obstacles", 3 * OBSTACLES_MAX),
    ("pose", 3),
    ("other", 3),
    ("speed", 2),
    ("split", 1),
    ("wall", 1),
    ("map", 2 * OBSTACLES_MAX),
    ("sigma", 4),
    ("delay", 2),
    ("lag", 2),
)
_KNOT = (("nominal", 6), ("error", 6), ("age", 2), ("gain", 4))
_PER_CASE = sum(size for _, size in _CASE)
_PER_KNOT = sum(size for _, size in _KNOT)
# Slower and faster opponents.
_RATIO = 1.6
# Half the side of an open field, in units of length.
_FAR = 40.0


@dataclasses.dataclass(frozen=True)
class Space:
    """What is searched: robot profile, mode, how wide the ranges are.

    Attributes:
        robot: the profile, as believed before speeds are drawn.
        mode: one of ``MODES``.
        scale: of the ranges; 0: everything is exact.
        ranges: widened; None where everything is exact.
        parameters: of the filters, covering the ranges.
        open_field: no obstacles, walls far away: what is left is the other robot.
        steps, knots, dt: length of a case [control steps], pieces of it, control period [s].
    """

    robot: RobotModel
    mode: str
    scale: float
    ranges: Randomisation | None
    parameters: SafetyParameters
    open_field: bool = False
    steps: int = STEPS
    knots: int = KNOTS
    dt: float = DT

    @property
    def size(self) -> int:
        """Number of genes."""
        return _PER_CASE + self.knots * _PER_KNOT

    @property
    def rules(self) -> Rules:
        """How its cases are played."""
        values = self.parameters.as_array(self.dt)
        stranger = self.mode == PASSIVE
        return Rules(np.stack([values, values]), (True, not stranger), stranger, self.steps, self.dt)

    @property
    def unit(self) -> float:
        """The length [m] in which layouts are drawn: a body and the way of half a second."""
        return 2.0 * self.robot.radius + 0.5 * max(self.robot.v_max, -self.robot.v_min)


def space_of(
    robot: str,
    mode: str = COOPERATIVE,
    scale: float = 1.0,
    acceleration: float = 0.0,
    reverse: bool = False,
    open_field: bool = False,
    safety: str = "",
    randomisation: str = "turtlebot3",
    sigmas: float = 4.0,
) -> Space:
    """The space of a robot profile; ``acceleration`` > 0 limits both robots' [m/s^2], which the filter knows;
    ``reverse`` lets them drive backwards as fast as forwards; ``open_field`` leaves the robots alone with each other;
    ``safety`` is by default rcbf where all is exact, else rcbf_robust.

    Raises:
        ConfigurationError: a name is unknown, or a number not allowed.
    """
    if mode not in MODES:
        raise ConfigurationError(f"mode = {mode!r}: allowed: {', '.join(MODES)}")
    if not (math.isfinite(scale) and scale >= 0.0):
        raise ConfigurationError(f"scale = {scale!r}: allowed: 0 (exact) or a positive number")
    model = load_robot(robot)
    if reverse:
        model = dataclasses.replace(model, v_min=-model.v_max)
    ranges = load_randomisation(randomisation).scaled(scale) if scale > 0.0 else None
    behaviour = "cooperative" if mode == COOPERATIVE else "passive"
    parameters = load_safety(safety or ("rcbf_robust" if scale > 0.0 else "rcbf"))
    parameters = dataclasses.replace(parameters, opponent_behaviour=behaviour, acceleration_min=acceleration)
    if ranges is not None:
        model = dataclasses.replace(model, delay=0.5 * ranges.delay)
        parameters = parameters.covering(ranges, sigmas)
    return Space(model, mode, scale, ranges, parameters, open_field)


def signed(genes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values in [-1, 1] of genes in [0, 1], both ends met exactly by a sixth of them."""
    return np.clip(1.5 * (2.0 * genes - 1.0), -1.0, 1.0)


def gene_of(value: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """The gene in the middle of those that :func:`signed` takes to ``value``."""
    bounded = np.clip(value, -1.0, 1.0)
    return np.where(np.abs(bounded) < 1.0, 0.5 + bounded / 3.0, 0.5 + bounded * (5.0 / 12.0))


def genes(space: Space, vectors: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Views of ``vectors`` (P, size) by name: (P, size of it), and (P, knots, size of it) for what knots hold."""
    out, begin = {}, 0
    for name, size in _CASE:
        out[name] = vectors[:, begin : begin + size]
        begin += size
    knots = vectors[:, begin:].reshape(len(vectors), space.knots, _PER_KNOT)
    begin = 0
    for name, size in _KNOT:
        out[name] = knots[:, :, begin : begin + size]
        begin += size
    return out


def decode(space: Space, vectors: NDArray[np.float64]) -> Cases:
    """The cases of ``vectors`` (P, size), starts not yet settled."""
    n, k = len(vectors), space.knots
    gene = genes(space, vectors)
    bounds = space.parameters
    models = _models(space, gene["speed"])
    half_side, obstacles, count = _layout(space, gene)
    start = _start(space, gene, half_side[:, 1])
    nominal = gene["nominal"].reshape(n, k, 2, 3)
    wish = np.empty((n, k, 2, 3))
    # Half of the genes are plain commands.
    behaviour = np.floor(nominal[..., 0] * 2 * len(BEHAVIOURS)) - len(BEHAVIOURS)
    wish[..., 0] = np.clip(behaviour, 0, len(BEHAVIOURS) - 1)
    reverses = (models[:, :, V_MIN] < 0.0)[:, None]
    forward = np.clip(1.8 * nominal[..., 1] - 0.3, 0.0, 1.0)
    wish[..., 1] = np.where(reverses, signed(nominal[..., 1]), forward)
    wish[..., 2] = signed(nominal[..., 2])
    sigma, errors = _errors(space, gene)
    delay, lag, oldest = models[:, None, :, DELAY], models[:, None, :, LAG], 0.0
    if space.ranges is not None:
        oldest = math.floor(space.ranges.opponent_age / space.dt + 1e-9)
        delay = np.maximum(delay + bounds.delay_error * signed(gene["delay"])[:, None], 0.0)
        lag = np.maximum(lag + bounds.lag_error * signed(gene["lag"])[:, None], 0.0)
    age = np.minimum(np.floor(gene["age"] * (oldest + 1.0)), oldest).astype(np.int64)
    acceleration = np.full((n, 2), bounds.acceleration_min)
    return Cases(
        start=start,
        half_side=half_side,
        obstacles=obstacles,
        obstacle_count=count,
        models=models,
        acceleration=acceleration,
        nominal=wish,
        gain=1.0 + bounds.gain_error * signed(gene["gain"]).reshape(n, k, 2, 2),
        delay=np.broadcast_to(delay, (n, k, 2)).copy(),
        lag=np.broadcast_to(lag, (n, k, 2)).copy(),
        errors=errors,
        sigma=sigma,
        age=age,
    )


def deceive(space: Space, vectors: NDArray[np.float64]) -> None:
    """Let estimates of ``vectors`` (P, size), in place, lie as far as they may where there seems to be room."""
    gene = genes(space, vectors)
    errors = gene["error"].reshape(len(vectors), space.knots, 2, 3)
    errors[..., 0], errors[..., 1] = 1.0, 0.5
    gene["sigma"][...] = 1.0
    gene["wall"][...] = 0.0


def _models(space: Space, speed: NDArray[np.float64]) -> NDArray[np.float64]:
    n = len(speed)
    models = np.tile(space.robot.as_array(), (n, 2, 1))
    share = 0.0 if space.ranges is None else space.ranges.speed
    factor = 1.0 + share * signed(speed[:, 0])
    ratio = _RATIO ** signed(speed[:, 1])
    for r, scale in enumerate((factor, factor * ratio)):
        models[:, r, V_MIN] *= scale
        models[:, r, V_MAX] *= scale
        models[:, r, WHEEL_SPEED_MAX] *= np.maximum(scale, 1.0)
    assert (models[:, :, ACCELERATION_MAX] == 0.0).all()
    return models


def _layout(
    space: Space, gene: dict[str, NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    n = len(gene["count"])
    count = np.minimum(np.floor(gene["count"][:, 0] * (OBSTACLES_MAX + 1)), OBSTACLES_MAX).astype(np.int64)
    error = space.parameters.map_error
    half_side = np.empty((n, 2))
    half_side[:, 0] = space.unit * 2.5 * 4.0 ** gene["half_side"][:, 0]
    if space.open_field:
        count[:], half_side[:, 0] = 0, _FAR * space.unit
    half_side[:, 1] = half_side[:, 0] + error * signed(gene["wall"][:, 0])
    obstacles = np.zeros((n, 2, OBSTACLES_MAX, 3))
    drawn = gene["obstacles"].reshape(n, OBSTACLES_MAX, 3)
    obstacles[:, :, :, :2] = (half_side[:, None, None, None, 0] * (2.0 * drawn[:, None, :, :2] - 1.0)) * 1.2
    obstacles[:, :, :, 2] = (0.2 * space.unit * 15.0 ** drawn[:, :, 2])[:, None]
    obstacles[:, 1, :, :2] += error * in_disc(signed(gene["map"].reshape(n, OBSTACLES_MAX, 2)))
    # What is not used is not there.
    unused = np.arange(OBSTACLES_MAX)[None] >= count[:, None]
    obstacles[np.broadcast_to(unused[:, None], (n, 2, OBSTACLES_MAX))] = 0.0
    return half_side, obstacles, count


def _start(
    space: Space, gene: dict[str, NDArray[np.float64]], half_side: NDArray[np.float64]
) -> NDArray[np.float64]:
    n = len(half_side)
    start = np.empty((n, 2, 3))
    reach = np.full_like(half_side, space.unit) if space.open_field else half_side
    start[:, 0, :2] = reach[:, None] * (2.0 * gene["pose"][:, :2] - 1.0)
    start[:, 0, 2] = math.pi * (2.0 * gene["pose"][:, 2] - 1.0)
    distance = 2.0 * space.robot.radius + 4.0 * space.unit * gene["other"][:, 0] ** 2
    bearing = 2.0 * math.pi * gene["other"][:, 1]
    start[:, 1, 0] = start[:, 0, 0] + distance * np.cos(bearing)
    start[:, 1, 1] = start[:, 0, 1] + distance * np.sin(bearing)
    start[:, 1, 2] = math.pi * (2.0 * gene["other"][:, 2] - 1.0)
    return start


def _errors(
    space: Space, gene: dict[str, NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Deviations (N, K, 2, 2) and errors (N, K, 2, 3) of the estimates."""
    n, k = len(gene["count"]), space.knots
    usual, ranges = (0.0, 0.0), space.ranges
    if ranges is not None:
        odometry = (ranges.position_noise / space.dt, ranges.heading_noise / space.dt)
        pose = (ranges.pose_position_noise, ranges.pose_heading_noise)
        usual = usual_deviations(odometry, pose, ranges.pose_every, space.dt)
    sigma = np.asarray(usual) * (1.0 + 0.5 * signed(gene["sigma"].reshape(n, 1, 2, 2)))
    sigma = np.broadcast_to(sigma, (n, k, 2, 2)).copy()
    drawn = signed(gene["error"]).reshape(n, k, 2, 3)
    angle = 0.25 * math.pi * (1.0 + signed(gene["split"][:, 0]))
    split = np.stack([np.cos(angle), np.sin(angle)], 1)[:, None, :, None]
    bounds = space.parameters
    errors = np.empty((n, k, 2, 3))
    length = bounds.sigmas * sigma[..., :1] * split + bounds.position_error
    errors[..., :2] = length * in_disc(drawn[..., :2])
    errors[..., 2] = (bounds.sigmas * sigma[..., 1] + bounds.heading_error) * drawn[..., 2]
    return sigma, errors


def in_disc(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (..., 2) of the square [-1, 1]^2, those outside the unit disc moved to its rim."""
    size = np.linalg.norm(values, axis=-1, keepdims=True)
    return values / np.maximum(size, 1.0)
