"""One episode as arrays: what a picture, a replay, a video or a comparison needs of it, and nothing else.

A track comes from an episode in process, or from a recorded one (:func:`track_of`); as a file it is a compressed
``.npz`` of about 40 kB for a whole episode of 1200 steps.
"""

from __future__ import annotations

import dataclasses
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import Arena
from pe_core.config import ConfigurationError
from pe_core.files import replaced
from pe_core.unicycle import wrap_angle
from pe_evaluation.game_log import Episode, Run, Stream
from pe_evaluation.metrics import CAPTURE, ROLES, STOP, TIERS, body_margins
from pe_evaluation.recorded import Trace

FORMAT = "pursuit-evasion track 1"
_ARRAYS = ("poses", "nominal", "command", "margins", "tiers")
_NUMBERS = ("speed_ratio", "dt", "capture_radius")
_TEXTS = ("name", "evader", "scenario")


@dataclasses.dataclass(frozen=True, eq=False)
class Track:
    """One episode of T control steps; in every array the pursuer comes first, then the evader.

    Attributes:
        name: the approach, as a reader sees it.
        evader: name of the evader.
        scenario: name of the scenario.
        speed_ratio: the evader's greatest speed over the pursuer's.
        seed, episode: what the episode was drawn from, and its index.
        dt: control period [s].
        arena: walls and obstacles.
        capture_radius: distance of the centres at which the pursuer wins [m].
        radii: body radii [m].
        poses: (T+1, 2, 3) true x, y [m], theta [rad] at the beginning of each step, and at the end.
        nominal: (T, 2, 2) v [m/s], omega [rad/s] that the policies asked for; NaN and Inf as they came.
        command: (T, 2, 2) v, omega executed; NaN where it is not known.
        margins: (T+1, 2) least distance of each body to a wall, an obstacle or the other body [m].
        tiers: (T, 2) of the filter, indices of ``pe_evaluation.metrics.TIERS``.
        captured: whether the pursuer won.

    Raises:
        ConfigurationError: a shape or a value is not as above.
    """

    name: str
    evader: str
    scenario: str
    speed_ratio: float
    seed: int
    episode: int
    dt: float
    arena: Arena
    capture_radius: float
    radii: tuple[float, float]
    poses: NDArray[np.float64]
    nominal: NDArray[np.float64]
    command: NDArray[np.float64]
    margins: NDArray[np.float64]
    tiers: NDArray[np.int64]
    captured: bool

    def __post_init__(self) -> None:
        for key in ("poses", "nominal", "command", "margins"):
            object.__setattr__(self, key, _array(key, getattr(self, key), np.float64))
        object.__setattr__(self, "tiers", _array("tiers", self.tiers, np.int64))
        object.__setattr__(self, "radii", tuple(float(radius) for radius in self.radii))
        steps = len(self.tiers)
        shapes = {
            "poses": (steps + 1, 2, 3), "nominal": (steps, 2, 2), "command": (steps, 2, 2),
            "margins": (steps + 1, 2), "tiers": (steps, 2),
        }  # fmt: skip
        for key, shape in shapes.items():
            found = getattr(self, key).shape
            if found != shape:
                raise ConfigurationError(f"track: {key} has shape {found}: allowed: {shape} with {steps} steps")
        for key in ("poses", "margins"):
            if not np.isfinite(getattr(self, key)).all():
                raise ConfigurationError(f"track: {key} holds NaN or Inf: allowed: finite numbers")
        if len(self.radii) != 2:
            raise ConfigurationError(f"track: radii = {self.radii!r}: allowed: two, of pursuer and evader [m]")
        positive = {key: getattr(self, key) for key in _NUMBERS}
        positive |= dict(zip(("radius of pursuer", "radius of evader"), self.radii, strict=True))
        for key, value in positive.items():
            if not (math.isfinite(value) and value > 0.0):
                raise ConfigurationError(f"track: {key} = {value!r}: allowed: a positive number")
        if self.tiers.size and not (0 <= self.tiers.min() and self.tiers.max() < len(TIERS)):
            raise ConfigurationError(
                f"track: tiers from {self.tiers.min()} to {self.tiers.max()}: allowed: 0 to {len(TIERS) - 1} "
                f"({', '.join(TIERS)})"
            )

    @property
    def steps(self) -> int:
        """Control steps T."""
        return len(self.tiers)

    @property
    def time(self) -> NDArray[np.float64]:
        """Times of the samples [s], shape (T+1,)."""
        return np.arange(self.steps + 1) * self.dt

    @property
    def distance(self) -> NDArray[np.float64]:
        """Distance of the centres at the samples [m], shape (T+1,)."""
        gap = self.poses[:, 0, :2] - self.poses[:, 1, :2]
        return np.hypot(gap[:, 0], gap[:, 1])


def _array(key: str, value: Any, kind: type) -> NDArray[Any]:
    try:
        return np.ascontiguousarray(np.asarray(value).astype(kind, casting="same_kind"))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"track: {key} cannot be read as numbers: {error}") from error


def save_track(path: Path, track: Track) -> None:
    """Write a track as compressed .npz, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    arrays = {key: getattr(track, key) for key in (*_ARRAYS, *_NUMBERS, *_TEXTS, "seed", "episode", "captured")}
    arrays["tiers"] = track.tiers.astype(np.int8)
    with replaced(Path(path)) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file, format=FORMAT, radii=np.array(track.radii), half_side=track.arena.half_side,
            obstacles=track.arena.obstacles, **arrays,
        )  # fmt: skip


def load_track(path: Path) -> Track:
    """Read what :func:`save_track` wrote; every number comes back to the last bit.

    Raises:
        ConfigurationError: the file cannot be read, or is not a track.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {key: file[key] for key in file.files} if isinstance(file, np.lib.npyio.NpzFile) else {}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or "it is not a whole .npz"
        raise ConfigurationError(f"{path}: cannot be read as a track: {reason}") from error
    found = str(data.get("format", "none"))
    if found != FORMAT:
        raise ConfigurationError(f"{path}: format = {found!r}: allowed: {FORMAT!r}")
    try:
        values: dict[str, Any] = {key: data[key] for key in _ARRAYS}
        values |= {key: str(data[key]) for key in _TEXTS} | {key: float(data[key]) for key in _NUMBERS}
        return Track(
            **values,
            seed=int(data["seed"]),
            episode=int(data["episode"]),
            arena=Arena(float(data["half_side"]), data["obstacles"]),
            radii=tuple(data["radii"]),
            captured=bool(data["captured"]),
        )
    except KeyError as error:
        raise ConfigurationError(f"{path}: has no {error.args[0]!r}") from error
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


def track_of(run: Run, trace: Trace, name: str | None = None) -> Track:
    """The track of a recorded episode.

    Samples lie on the grid start + k dt.  Where one was lost, or the poses are a robot's own estimates, which come
    when they come, the pose is interpolated.  A step has the last command, nominal and tier that were stamped before
    its middle: what is not renewed holds.  Before the first, commands are NaN and the tier is "stop", which the bag's
    reader too takes for what was never said.

    Args:
        run: the run, or the part of it with this episode.
        trace: the episode.
        name: of the approach; the pursuer's policy where it is not given.

    Raises:
        ConfigurationError: no pose of the episode was recorded.
    """
    episode = trace.episode
    if not len(trace.time):
        raise ConfigurationError(f"episode {episode.index}: no pose of both robots at one time was recorded")
    steps = max(trace.record.steps if trace.true_poses else round(float(trace.time[-1]) / episode.dt), 0)
    grid = np.array([round(step * episode.dt * 1e9) for step in range(steps + 1)], dtype=np.int64)
    poses = np.stack([_poses(trace, role, grid) for role in ROLES], axis=1)
    begun = episode.start_ns + grid[:-1]
    tiers = np.stack([_tiers(trace, role, begun) for role in ROLES], axis=1)
    radii = (run.robots["pursuer"].model.radius, run.robots["evader"].model.radius)
    names = {role: str(_bundles(run).get(role) or role) for role in ROLES}
    return Track(
        name=names["pursuer"] if name is None else name,
        evader=names["evader"],
        scenario=episode.scenario,
        speed_ratio=episode.speed_ratio,
        seed=0 if episode.seed is None else episode.seed,
        episode=episode.index,
        dt=episode.dt,
        arena=episode.arena,
        capture_radius=episode.capture_radius,
        radii=radii,
        poses=poses,
        nominal=np.stack([_held(trace.nominal[role], begun, episode) for role in ROLES], axis=1),
        command=np.stack([_held(trace.command[role], begun, episode) for role in ROLES], axis=1),
        margins=body_margins(poses[:, 0], poses[:, 1], radii, episode.arena),
        tiers=tiers,
        captured=trace.record.outcome == CAPTURE,
    )


def _bundles(run: Run) -> dict[str, Any]:
    listed = run.manifest.get("bundles")
    return {
        role: bundle.get("name") for role, bundle in (listed.items() if isinstance(listed, dict) else ())
        if isinstance(bundle, dict)
    }  # fmt: skip


def _poses(trace: Trace, role: str, grid: NDArray[np.int64]) -> NDArray[np.float64]:
    """x, y, theta at the grid's times [ns from the start], shape (len(grid), 3)."""
    stamps = np.rint(trace.time * 1e9).astype(np.int64)
    values = trace.poses[role][:, :3]
    rows = np.minimum(np.searchsorted(stamps, grid), len(stamps) - 1)
    if (stamps[rows] == grid).all():
        return values[rows]
    columns = [values[:, 0], values[:, 1], np.unwrap(values[:, 2])]
    poses = np.column_stack([np.interp(grid, stamps, column) for column in columns])
    poses[:, 2] = [wrap_angle(angle) for angle in poses[:, 2]]
    return poses


def _last(stamp_ns: NDArray[np.int64], begun: NDArray[np.int64], dt: float) -> NDArray[np.int64]:
    """Rows of the last stamps before the middles of the steps, -1 where there is none; stamps are in order."""
    return np.searchsorted(stamp_ns, begun + round(0.5e9 * dt)) - 1


def _held(stream: Stream, begun: NDArray[np.int64], episode: Episode) -> NDArray[np.float64]:
    rows = _last(stream.stamp_ns, begun, episode.dt)
    values = np.full((len(begun), 2), np.nan)
    values[rows >= 0] = stream.values[rows[rows >= 0], :2]
    return values


def _tiers(trace: Trace, role: str, begun: NDArray[np.int64]) -> NDArray[np.int64]:
    status = trace.status[role]
    rows = _last(status.stamp_ns, begun, trace.episode.dt)
    tiers = np.full(len(begun), STOP)
    tiers[rows >= 0] = status.tier[rows[rows >= 0]]
    return tiers
