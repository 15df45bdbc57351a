"""Every topic, field and key that the Foxglove layout names is there in a recorded bag, or published by a node."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from pe_evaluation.metrics import TIERS

REPOSITORY = Path(__file__).resolve().parents[2]
LAYOUT = json.loads((REPOSITORY / "config" / "foxglove" / "pursuit.json").read_text())
PANELS: dict[str, Any] = LAYOUT["configById"]
PATH = re.compile(r'(?P<topic>/[\w/]+)\.(?P<fields>[\w.\[\]:]+?)(?:\{key=="(?P<key>[^"]+)"\}\.value)?$')


def panels_of(node: Any) -> Iterator[str]:
    """The panels of the split screen, in order."""
    if isinstance(node, str):
        yield node
    else:
        assert 0 < node["splitPercentage"] < 100 and node["direction"] in ("row", "column")
        yield from panels_of(node["first"])
        yield from panels_of(node["second"])


def paths(kind: str) -> list[str]:
    return [path["value"] for name, panel in PANELS.items() if name.startswith(kind) for path in panel["paths"]]


@pytest.fixture(scope="module")
def messages(bag: Path) -> dict[str, Any]:
    """The first message of every topic of a recorded bag."""
    store = get_typestore(Stores.ROS2_JAZZY)
    found: dict[str, Any] = {}
    with Reader(bag) as reader:
        for connection, _, data in reader.messages():
            if connection.topic not in found:
                found[connection.topic] = store.deserialize_cdr(data, connection.msgtype)
    return found


def value_at(messages: dict[str, Any], path: str) -> Any:
    """What a message path names: fields, one index of a list, or the value of a key among all."""
    match = PATH.fullmatch(path)
    assert match, path
    value = messages[match["topic"]]
    for field in match["fields"].split("."):
        name, _, index = field.partition("[")
        value = getattr(value, name)
        if index and index != ":]":
            value = value[int(index[:-1])]
    if match["key"] is None:
        return value
    (chosen,) = [pair.value for pair in value if pair.key == match["key"]]
    return chosen


def test_each_panel_is_shown_once() -> None:
    shown = list(panels_of(LAYOUT["layout"]))
    assert sorted(shown) == sorted(PANELS)


@pytest.mark.parametrize("path", paths("Plot"))
def test_what_is_plotted_is_a_number_in_the_bag(messages: dict[str, Any], path: str) -> None:
    float(value_at(messages, path))


@pytest.mark.parametrize("path", paths("StateTransitions"))
def test_what_is_a_state_is_a_word_in_the_bag(messages: dict[str, Any], path: str) -> None:
    assert value_at(messages, path) in (*TIERS, "active")


def test_commands_are_plotted_nominal_and_executed_for_both() -> None:
    named = " ".join(paths("Plot"))
    for role in ("pursuer", "evader"):
        for topic in ("cmd_vel", "cmd_vel_nominal"):
            for field in ("linear.x", "angular.z"):
                assert f"/{role}/{topic}.twist.{field}" in named


def test_diagnostics_name_the_topic_and_its_status(messages: dict[str, Any]) -> None:
    found = [panel for name, panel in PANELS.items() if name.startswith("DiagnosticStatusPanel")]
    assert len(found) == 2
    for panel in found:
        assert panel["selectedName"] in [status.name for status in messages[panel["topicToRender"]].status]


def test_the_arena_shows_poses_of_the_bag_and_markers_of_the_simulator(messages: dict[str, Any]) -> None:
    arena = PANELS["3D!arena"]
    nodes = "".join(file.read_text() for file in (REPOSITORY / "ros2_ws/src/pe_nodes/pe_nodes").glob("*.py"))
    for topic in arena["topics"]:
        if topic in messages:
            assert messages[topic].header.frame_id == arena["followTf"]
        else:
            assert re.search(rf'create_publisher\(MarkerArray, "{topic}"', nodes), topic
