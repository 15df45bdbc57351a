"""The replay of a comparison's page: the plan's ``replayed`` approaches side by side, one start after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pe_evaluation.comparison.figures.material import Material
from pe_evaluation.comparison.plan import IDEAL
from pe_evaluation.comparison.store import TRACKS
from pe_evaluation.comparison.track import Track, load_track
from pe_evaluation.replay.page import Group, replay_html

TITLE = "Replay"


def replay_section(folder: Path) -> list[tuple[str, str]]:
    """(title, HTML) of the replay, for the page of the comparison in ``folder``; empty: nothing was kept to show.

    Raises:
        ConfigurationError: the folder holds no comparison that has been summarised, or a track is damaged.
    """
    groups = groups_of(Material(folder))
    return [(TITLE, replay_html(groups, "Replay of the approaches side by side"))] if groups else []


def groups_of(material: Material) -> list[Group]:
    """What can be watched: the scenarios of the plan, then the first drawn start of every cell of the ideal world."""
    tracks, plan = material.plan["tracks"], material.plan
    groups = []
    for scenario in tracks["scenarios"]:
        found = _side_by_side(material, f"{tracks['evader']}_{tracks['speed_ratio']:g}_{scenario}", 0)
        if found:
            title = f"{scenario.replace('_', ' ').capitalize()}, {_opponent(tracks['evader'], tracks['speed_ratio'])}"
            groups.append(Group(title, found))
    for cell in _cells(plan):
        for episode in range(tracks["first_episodes"]):
            found = _side_by_side(material, f"{cell['evader']}_{cell['speed_ratio']:g}", episode)
            if found:
                opponent = _opponent(cell["evader"], cell["speed_ratio"])
                groups.append(Group(f"Drawn start {episode}, {opponent}", found))
    return groups


def _cells(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (cell for cell in plan["cells"] if cell["world"] == IDEAL)


def _opponent(evader: str, ratio: float) -> str:
    return f"against {evader} at {ratio:g} times the speed"


def _side_by_side(material: Material, start: str, episode: int) -> list[Track]:
    seed = material.plan["seeds"][0]
    files = (
        material.folder / TRACKS / f"{name}_{start}_s{seed}_e{episode}.npz"
        for name in material.plan["tracks"].get("replayed", ())
    )
    return [load_track(file) for file in files if file.is_file()]
