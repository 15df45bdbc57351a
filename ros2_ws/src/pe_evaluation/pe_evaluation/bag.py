"""Reads a recorded game: whole, or one episode after the other for runs of hours."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pe_core.config import ConfigurationError, from_mapping
from pe_core.robot import RobotModel
from pe_evaluation.decoding import GAME, KNOWN, TOPICS, Announcements, Decoder, Rows
from pe_evaluation.game_log import Episode, RobotLog, Run, Status, Stream
from pe_evaluation.metrics import ROLES
from pe_evaluation.storage import BagError, RawBag, open_bag

__all__ = [
    "TOPICS",
    "Episode",
    "RobotLog",
    "Run",
    "RunReader",
    "Status",
    "Stream",
    "read_run",
    "without_collection",
]

_BEFORE_NS = 500_000_000
"""What is stamped so shortly before an episode belongs to it already."""


def read_run(path: Path | str) -> Run:
    """The run recorded at ``path``, all of it in memory: a bag folder, a storage file, or a run's output folder.

    What is missing or damaged but can be done without is named in ``Run.warnings``.

    Raises:
        BagError: the bag cannot be read, holds no message, or is not a recorded game.
    """
    reader = RunReader(path, whole=True)
    with without_collection():
        (part,) = reader.parts()
    head = reader.head
    return dataclasses.replace(part, complete=head.complete, messages=head.messages, warnings=head.warnings)


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """No search for cyclic garbage: with millions of objects that all stay, it takes longer than the work."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where an episode lies in the bag: log times and stamps of its part [ns], the last of each included."""

    first_log_ns: int
    last_log_ns: int
    first_ns: int
    last_ns: int


class RunReader:
    """A recorded run, one episode after the other; memory is that of three episodes, however long the run.

    A message belongs to the episode in whose time its stamp lies, beginning half a second before the start.  An
    episode is given out when the next but one is announced, by when its last messages have been received.

    Attributes:
        head: the run without its streams.  Its episodes, its warnings, its number of messages and whether it is
            complete are known when :meth:`parts` is exhausted.
    """

    def __init__(
        self, path: Path | str, whole: bool = False, offsets_ns: Mapping[str, int] | None = None
    ) -> None:
        """Open a bag; ``whole``: all of it is one part.

        ``offsets_ns``: by how much [ns] the clock of a robot is ahead; its own stamps are set back by that.  Ground
        truth has the simulator's stamps.

        Raises:
            BagError: there is no bag.
        """
        self._raw = open_bag(Path(path))
        self._whole = whole
        self._offsets = dict(offsets_ns or {})
        manifest = self._raw.custom.get("pe")
        self._manifest: dict[str, Any] = manifest if isinstance(manifest, dict) else {}
        self._places: dict[int, _Place] = {}
        self._ratio = 1.0
        self._low_ns = -(2**63)
        self._late = 0
        self.head = self._run(Rows(), [])

    def parts(self) -> Iterator[Run]:
        """One :class:`Run` for each episode, in order; the first also holds what came before it.

        Raises:
            BagError: the bag cannot be read, holds no message, or is not a recorded game.
        """
        decoder, rows, announced = Decoder(), Rows(), Announcements()
        shown: list[Episode] = []
        self._places, self._low_ns, self._late = {}, -(2**63), 0
        for raw in self._raw.messages(KNOWN):
            if raw.topic == "/episode":
                text = decoder.message(raw)
                if text is not None:
                    announced.add(text.data)
                while not self._whole and len(announced) > 2:
                    yield from self._emit(rows, announced, shown)
                continue
            found = self._set_back(raw.topic, decoder.row(raw))
            if found is None:
                continue
            if found[0] < self._low_ns:
                # Before the first episode there is nothing that a message could be missing from.
                self._late += bool(shown and found[0] >= shown[0].start_ns)
                continue
            rows.add(raw.topic, found[0], raw.log_ns, found[1])
        _check_game(self._raw)
        while announced and not self._whole:
            yield from self._emit(rows, announced, shown)
        if self._whole:
            taken = [announced.take(rows.last_truth_ns) for _ in range(len(announced))]
            shown += [episode for episode in taken if episode is not None]
            self._ratio = shown[0].speed_ratio if shown else 1.0
        if self._whole or not shown:
            yield self._run(rows, shown)
        self.head = dataclasses.replace(
            self._run(Rows(), shown),
            complete=self._raw.complete,
            messages=self._raw.count,
            warnings=[*self._raw.warnings, *self._doubts(), *decoder.warnings(), *announced.warnings],
        )

    def _set_back(self, topic: str, found: tuple[int, Any] | None) -> tuple[int, Any] | None:
        """The message with the stamps that a right clock had given it."""
        if found is None or not self._offsets or topic.endswith("/ground_truth"):
            return found
        role = topic.split("/", 2)[1]
        if role not in ROLES:
            return found
        stamp, row = found
        if isinstance(row, dict):
            other = ROLES[1 - ROLES.index(role)]
            named = {"state_stamp_ns": role, "nominal_stamp_ns": role, "opponent_stamp_ns": other}
            row = {
                key: str(int(value) - self._offsets.get(named[key], 0)) if key in named else value
                for key, value in row.items()
            }
        return stamp - self._offsets.get(role, 0), row

    def episode(self, index: int) -> Run:
        """The part of one episode, read again; :meth:`parts` must have been exhausted.

        Raises:
            BagError: there is no such episode.
        """
        known = {episode.index: episode for episode in self.head.episodes}
        if index not in known:
            listed = ", ".join(map(str, known)) or "none"
            raise BagError(f"{self._raw.path}: has no episode {index}; known: {listed}")
        decoder, rows, place = Decoder(), Rows(), self._places.get(index)
        if place is not None:
            wanted = [topic for topic in KNOWN if topic != "/episode"]
            for raw in self._raw.between(wanted, place.first_log_ns, place.last_log_ns):
                found = self._set_back(raw.topic, decoder.row(raw))
                if found is not None and place.first_ns <= found[0] <= place.last_ns:
                    rows.add(raw.topic, found[0], raw.log_ns, found[1])
        return self._run(rows, [known[index]])

    def _emit(self, rows: Rows, announced: Announcements, shown: list[Episode]) -> Iterator[Run]:
        episode = announced.take(rows.last_truth_ns)
        following = announced.next_start()
        if episode is None:
            return
        if not shown:
            self._ratio = episode.speed_ratio
        shown.append(episode)
        boundary = 2**63 - 1 if following is None else max(episode.end_ns + 1, following - _BEFORE_NS)
        part = rows.take(boundary)
        extent = part.log_extent
        if extent is not None:
            self._places[episode.index] = _Place(*extent, self._low_ns, boundary - 1)
        self._low_ns = boundary
        yield self._run(part, [episode])

    def _run(self, rows: Rows, episodes: list[Episode]) -> Run:
        robots: dict[str, RobotLog] = {}
        for role in ROLES:
            name = f"/{role}"
            robots[role] = RobotLog(
                _robot_model(self._manifest, role, self._ratio, []),
                rows.stream(f"{name}/ground_truth"),
                rows.stream(f"{name}/state"),
                rows.stream(f"{name}/odom"),
                rows.stream(f"{name}/cmd_vel_nominal"),
                rows.stream(f"{name}/cmd_vel"),
                rows.status(f"{name}/safety/status"),
                _heard(rows, role),
            )
        return Run(self._raw.path, robots, list(episodes), rows.stream("/clock"), self._manifest, True, 0, [])

    def _doubts(self) -> list[str]:
        lines = []
        if not self._manifest:
            lines.append(
                "the run manifest is missing: bundles and configuration are unknown; reference robots are assumed"
            )
        for role in ROLES:
            _robot_model(self._manifest, role, self._ratio, lines)
        if self._late:
            lines.append(
                f"{self._late} messages were received more than an episode after their stamp: left out"
            )
        return lines


def _heard(rows: Rows, role: str) -> dict[str, Stream]:
    """What a robot's safety node heard and said: of a topic that faults act on, what they made of it."""
    own, other = (f"/{name}" for name in (role, ROLES[1 - ROLES.index(role)]))
    return {
        "state": rows.heard(f"{own}/faulted/state", f"{own}/state"),
        "opponent_state": rows.heard(
            f"{own}/faulted/opponent_state", f"{other}/faulted/state", f"{other}/state"
        ),
        "nominal": rows.heard(f"{own}/faulted/cmd_vel_nominal", f"{own}/cmd_vel_nominal"),
        "command": rows.heard(f"{own}/cmd_vel"),
    }


def _check_game(raw: RawBag) -> None:
    if not raw.count:
        raise BagError(f"{raw.path}: holds no message" + ("" if raw.complete else " that is whole"))
    if not GAME.keys() & set(raw.topics):
        listed = ", ".join(sorted(raw.topics)[:8]) + (" ..." if len(raw.topics) > 8 else "")
        raise BagError(
            f"{raw.path}: is not a recorded pursuit-evasion run: it holds none of /episode, "
            f"/pursuer/ground_truth, /evader/ground_truth ...; its topics are: {listed}"
        )


def _robot_model(manifest: Mapping[str, Any], role: str, ratio: float, warnings: list[str]) -> RobotModel:
    """The robot as it played: the manifest's profile, whose speed is scaled already, or the reference robot."""
    assumed = RobotModel().with_speed_ratio(ratio) if role == "evader" else RobotModel()
    given = (manifest.get("robots") or {}).get(role) if isinstance(manifest.get("robots"), Mapping) else None
    try:
        if isinstance(given, Mapping):
            return from_mapping(RobotModel, dict(given), f"manifest: robots: {role}")
    except ConfigurationError as error:
        warnings.append(f"{error}; the reference robot is assumed for {role}")
        return assumed
    if manifest:
        warnings.append(f"the manifest has no profile of {role}; the reference robot is assumed")
    return assumed
