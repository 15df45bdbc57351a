"""Whole runs by ``./pe launch``: played to the end, interrupted, broken, refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from pe_core.arena import load_arena
from pe_core.bundle import NoiseSource, load_bundle
from pe_core.robot import load_robot
from pe_core.roles import ROLES, USUAL
from pe_core.scenario import load_scenario, sample_layout
from pe_nodes.messages import odometry_values
from pe_safety.closed_loop import Games
from pe_safety.parameters import load_safety
from tests.support.patience import patience

pytestmark = pytest.mark.integration


def read(out: Path) -> dict[str, list]:
    """Messages of the run's bag by topic."""
    store = get_typestore(Stores.ROS2_JAZZY)
    messages: dict[str, list] = {}
    with Reader(out / "bag") as reader:
        for connection, _, data in reader.messages():
            messages.setdefault(connection.topic, []).append(store.deserialize_cdr(data, connection.msgtype))
    return messages


def stamp(message) -> int:
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


def wait_for(process: subprocess.Popen, processes, text: str, limit: float) -> None:
    end = time.monotonic() + patience(limit)
    while text not in processes.output(process):
        assert process.poll() is None, processes.output(process)
        assert time.monotonic() < end, f"{text!r} did not come:\n{processes.output(process)}"
        time.sleep(0.05)


def playing(out: Path, process: subprocess.Popen, processes, limit: float = 150.0) -> None:
    """Wait until the run is being recorded and played; how long eight processes take to start is not tested."""
    end = time.monotonic() + patience(limit)
    bag = out / "bag" / "bag_0.mcap"
    while not (bag.is_file() and bag.stat().st_size > 400_000):
        assert process.poll() is None, processes.output(process)
        assert time.monotonic() < end, processes.output(process)
        time.sleep(0.1)


def children(process: subprocess.Popen, module: str) -> list[int]:
    """Process ids of the nodes of one kind below a launcher."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            mine = f"PE_TEST_RUN={process.pid}".encode()
            if f"pe_nodes.{module}".encode() in words and mine in environment:
                found.append(int(entry.name))
    return found


def in_process(seed: int, index: int, pursuer: str, evader: str) -> np.ndarray:
    """The same episode without nodes: states (steps + 1, 2, 5)."""
    config, robot, safety = load_arena("reference"), load_robot("reference"), load_safety("rcbf")
    layout = sample_layout(load_scenario("random"), config, robot, robot, seed, index)
    games = Games([layout], config, (robot, robot), (safety, safety))
    bundles = [load_bundle(pursuer, "pursuer"), load_bundle(evader, "evader")]
    noise = [NoiseSource(bundle.schema, seed, index, config.max_steps) for bundle in bundles]
    states = [games.states[0].copy()]
    while len(games.active):
        step = len(states) - 1
        actions = [bundles[i].act(games.observe(i), noise[i].at(step)) for i in range(2)]
        games.step(np.stack(actions, axis=1))
        states.append(games.states[0].copy())
    return np.array(states)


@pytest.mark.parametrize(
    ("pursuer", "evader", "safety"),
    [
        ("pure", "random", "rcbf"),
        ("barriernet", "ppo-selfplay", "barriernet"),
        ("cbf-beta", "barriernet", "rcbf"),
        (USUAL["pursuer"], USUAL["evader"], "rcbf"),
    ],
)
def test_a_chase_in_lockstep_is_the_game_in_process(processes, tmp_path, pursuer, evader, safety):
    out = tmp_path / "out"
    words = (f"pursuer:={pursuer}", f"evader:={evader}", f"safety:={safety}", f"out:={out}")
    process = processes.launch("rate:=0", "episodes:=3", "seed:=3", *words)
    assert process.wait(150) == 0, processes.output(process)
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["episodes"], metrics["violations"]) == (3, 0)
    assert (out / "report.html").stat().st_size > 10_000
    messages = read(out)
    events = [json.loads(message.data) for message in messages["/episode"]]
    ends = {event["index"]: event for event in events if event["event"] == "end"}
    starts = {event["index"]: event["start_ns"] for event in events if event["event"] == "start"}
    assert sorted(ends) == [0, 1, 2]
    for index, end in ends.items():
        wanted = in_process(3, index, pursuer, evader)
        assert end["steps"] == len(wanted) - 1
        for i, role in enumerate(ROLES):
            truth = {stamp(m): odometry_values(m) for m in messages[f"/{role}/ground_truth"]}
            stamps = [starts[index] + k * 50_000_000 for k in range(len(wanted))]
            played = np.array([truth[key] for key in stamps])
            assert np.array_equal(played, wanted[:, i]), "every bit of the true states"
            for name in ("odom", "state", "cmd_vel_nominal", "cmd_vel", "safety/status"):
                present = {stamp(m) for m in messages[f"/{role}/{name}"]}
                assert not set(stamps[:-1]) - present, f"/{role}/{name} is complete"


def test_noise_delay_prefixed_frames_and_plain_twist_in_scaled_time(processes, tmp_path):
    out = tmp_path / "out"
    process = processes.launch(
        "rate:=4", "robot:=turtlebot3_burger", "noise:=turtlebot3", "frames:=prefixed", "stamped_cmd_vel:=false",
        "seed:=1", f"out:={out}",
    )  # fmt: skip
    assert process.wait(120) == 0, processes.output(process)
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["episodes"], metrics["violations"]) == (1, 0)
    messages = read(out)
    assert messages["/pursuer/odom"][0].header.frame_id == "pursuer/odom"
    assert messages["/evader/state"][0].child_frame_id == "evader/base_link"
    assert messages["/evader/cmd_vel"][0].__msgtype__ == "geometry_msgs/msg/Twist"
    assert len(messages["/pursuer/pose"]) > 10


def test_interrupted_run_stops_the_robots_and_keeps_its_bag(processes, tmp_path):
    out = tmp_path / "out"
    process = processes.launch("rate:=1", "episodes:=50", f"out:={out}")
    playing(out, process, processes)
    process.send_signal(signal.SIGINT)
    wait_for(process, processes, "all nodes have stopped", 3.0)
    assert process.wait(60) == 130, processes.output(process)
    assert (out / "metrics.json").is_file() and (out / "report.html").is_file()
    messages = read(out)
    for role in ROLES:
        last = messages[f"/{role}/cmd_vel"][-3:]
        assert [(m.twist.linear.x, m.twist.angular.z) for m in last] == [(0.0, 0.0)] * 3


@pytest.mark.parametrize(
    ("module", "name"), [("policy_node", "pursuer/policy"), ("state_estimator_node", "evader/state_estimator")]
)
def test_a_killed_node_ends_the_run_by_name(processes, tmp_path, module, name):
    out = tmp_path / "out"
    processes.environment["PE_TEST_RUN"] = "0"
    process = processes.launch("rate:=1", "episodes:=50", f"out:={out}", limit="export PE_TEST_RUN=$$")
    playing(out, process, processes)
    namespace = name.split("/")[0]
    mine = f"__ns:=/{namespace}".encode()
    victims = [pid for pid in children(process, module) if mine in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(victims) == 1
    os.kill(victims[0], signal.SIGKILL)
    assert process.wait(60) == 1
    assert f"error: {name} ended with exit code -9" in processes.output(process).replace("\n", " ")
    messages = read(out)
    last = messages[f"/{namespace}/cmd_vel"][-1]
    assert (last.twist.linear.x, last.twist.angular.z) == (0.0, 0.0)


def test_a_full_disk_ends_the_run_and_keeps_what_was_written(processes, tmp_path):
    out = tmp_path / "out"
    process = processes.launch("rate:=0", "episodes:=50", f"out:={out}", limit="ulimit -f 3000")
    assert process.wait(120) == 1, processes.output(process)
    text = processes.output(process).replace("\n", " ")
    assert "error: evaluation_recorder ended with exit code 4" in text
    assert "File too large" in text
    messages = read(out)
    assert len(messages["/pursuer/cmd_vel"]) > 50


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("robot:=turtlebot9",), "known: reference, turtlebot3_burger"),
        (("arena:=moon",), "known: reference, turtlebot3"),
        (("scenario:=zzz",), "scenario 'zzz' is unknown; known: "),
        (("episode:=3",), "argument 'episode' is unknown; known: episodes, seed"),
        (("safety:=none",), "refused for nodes"),
    ],
)
def test_what_is_unknown_is_refused_before_a_process_starts(processes, tmp_path, words, said):
    process = processes.launch(*words, f"out:={tmp_path / 'out'}")
    assert process.wait(60) == 2
    assert said in " ".join(processes.output(process).split())
    assert not (tmp_path / "out" / "bag").exists()


def test_a_directory_that_holds_a_run_is_not_overwritten(processes, tmp_path):
    (tmp_path / "mine" / "bag").mkdir(parents=True)
    process = processes.launch(f"out:={tmp_path / 'mine'}")
    assert process.wait(60) == 2
    assert "holds a run already" in " ".join(processes.output(process).split())


def test_a_place_that_cannot_be_written_is_refused(processes, tmp_path):
    (tmp_path / "file").write_text("")
    process = processes.launch(f"out:={tmp_path / 'file' / 'out'}")
    assert process.wait(60) == 2
    assert "cannot be made" in " ".join(processes.output(process).split())


def test_an_obstacle_over_the_spawn_is_refused_with_the_margin(processes, tmp_path):
    scenario = tmp_path / "blocked.yaml"
    poses = "pursuer: [0.5, 0.0, 0.0]\nevader: [6.0, 0.0, 0.0]\n"
    scenario.write_text("name: blocked\nobstacles: [[0.0, 0.0, 1.0]]\n" + poses)
    process = processes.launch(f"scenario:={scenario}", f"out:={tmp_path / 'out'}")
    assert process.wait(60) == 2
    said = " ".join(processes.output(process).split())
    assert "scenario blocked: pursuer = [0.500, 0.000, 0.0 deg]: body margin" in said
    assert "allowed: at least 0.1 m" in said
