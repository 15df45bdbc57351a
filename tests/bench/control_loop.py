"""Odometry to cmd_vel through estimator, policy and safety node, in real time at 20 Hz, three processes.

Beside it, in turn in the same run, a bare chain: three rclpy processes that relay the same message types and do
nothing, on rclpy's own executor.  It is what the transport costs on this machine; the ratio to it is what we add.
The probe (this process) stamps odometry, drives a plant with the answers, and takes the time from its publish
call to the arrival of the command that was computed from that odometry.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

RATE = 20.0
SECONDS = float(os.environ.get("PE_BENCH_SECONDS", "15"))
ROUNDS = 2
WARM_UP = 40
DOMAIN = 77
NODES = {
    "state_estimator": {"role": "pursuer"},
    "policy": {"role": "pursuer", "bundle": "lead"},
    "safety": {"role": "pursuer"},
}


def run(json_path: Path | None) -> list[dict[str, Any]]:
    """Measure, print a table, return the rows; ``json_path`` gets them too."""
    os.environ["ROS_DOMAIN_ID"] = str(DOMAIN)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    times: dict[str, list[float]] = {"pe": [], "rclpy relay chain": []}
    for round_ in range(ROUNDS):
        for subject, commands in (("pe", _our_nodes()), ("rclpy relay chain", _relays())):
            print(f"control-loop: round {round_ + 1} of {ROUNDS}, {subject}, {SECONDS:g} s ...", flush=True)
            with _processes(commands):
                times[subject] += _measure(SECONDS, ours=subject == "pe")
    rows = [
        {
            "bench": "control-loop",
            "subject": subject,
            "case": f"odometry to cmd_vel, {RATE:g} Hz, 3 processes, {len(values)} samples",
            "metric": metric,
            "value": value,
            "unit": "ms",
        }
        for subject, values in times.items()
        for metric, value in zip(
            ("p50", "p99", "max"), (1e3 * np.quantile(values, (0.5, 0.99, 1.0))).tolist(), strict=True
        )
    ]
    for metric in ("p50", "p99"):
        ours, bare = (next(r["value"] for r in rows if r["subject"] == s and r["metric"] == metric) for s in times)
        rows.append(
            {
                "bench": "control-loop",
                "subject": "pe / rclpy relay chain",
                "case": rows[0]["case"],
                "metric": f"{metric} ratio",
                "value": ours / bare,
                "unit": "1",
            }
        )
    for row in rows:
        print(f"{row['subject']:>24}  {row['metric']:>10}  {row['value']:8.3f} {row['unit']}")
    if json_path is not None:
        json_path.write_text(json.dumps(rows, indent=1) + "\n")
    return rows


def _our_nodes() -> list[list[str]]:
    commands = []
    for node, parameters in NODES.items():
        command = [sys.executable, "-m", f"pe_nodes.{node}_node", "--ros-args", "-r", "__ns:=/pursuer"]
        command += ["-r", "opponent_state:=/evader/state"]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={value}"]
        commands.append(command)
    return commands


def _relays() -> list[list[str]]:
    odometry, twist = "nav_msgs.msg:Odometry", "geometry_msgs.msg:TwistStamped"
    chain = (
        (odometry, "odom", odometry, "state"),
        (odometry, "state", twist, "cmd_vel_nominal"),
        (twist, "cmd_vel_nominal", twist, "cmd_vel"),
    )
    return [[sys.executable, "-m", "tests.bench.relay", *entry] for entry in chain]


@contextmanager
def _processes(commands: list[list[str]]) -> Iterator[None]:
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    started = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for command in commands]
    try:
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()


def _measure(seconds: float, ours: bool) -> list[float]:
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray
    from geometry_msgs.msg import PoseWithCovarianceStamped, TwistStamped
    from nav_msgs.msg import Odometry
    from std_msgs.msg import String

    from pe_core.arena import load_arena
    from pe_core.plant import Plant
    from pe_core.robot import load_robot
    from pe_nodes import messages, qos

    rclpy.init()
    node = rclpy.create_node("probe")
    arena, robot = load_arena("reference"), load_robot("reference")
    plant = Plant(robot, np.array([-5.0, -5.0, 0.5]))
    sent: dict[int, float] = {}
    arrived: dict[int, float] = {}
    latencies: list[float] = []
    command = [0.0, 0.0]
    answered = [False]

    def on_command(message: Any) -> None:
        now = time.perf_counter()
        stamp = messages.stamp_ns(message.header.stamp)
        command[0], command[1] = messages.command_values(message)
        if ours:
            arrived[stamp] = now
        elif stamp in sent:
            answered[0] = True
            latencies.append(now - sent.pop(stamp))

    def on_status(message: Any) -> None:
        # The status says from which nominal command a cycle came; that has the stamp of the odometry behind it.
        values = {entry.key: entry.value for entry in message.status[0].values}
        cycle = messages.stamp_ns(message.header.stamp)
        state = int(values.get("nominal_stamp_ns", 0))
        if state in sent and cycle in arrived:
            answered[0] = True
            latencies.append(arrived.pop(cycle) - sent.pop(state))

    odom = node.create_publisher(Odometry, "/pursuer/odom", qos.SENSOR)
    opponent = node.create_publisher(Odometry, "/evader/state", qos.STATE)
    initial = node.create_publisher(PoseWithCovarianceStamped, "/pursuer/initialpose", qos.EVENT)
    announce = node.create_publisher(String, "/episode", qos.LATCHED)
    node.create_subscription(TwistStamped, "/pursuer/cmd_vel", on_command, 10)
    node.create_subscription(DiagnosticArray, "/pursuer/safety/status", on_status, 10)

    start = node.get_clock().now().nanoseconds
    episode = {
        "event": "start", "index": 0, "seed": 0, "start_ns": start, "dt": arena.dt, "scenario": "bench",
        "half_side": arena.half_side, "capture_radius": arena.capture_radius, "max_time": 3600.0, "obstacles": [],
        "pursuer": plant.state[:3].tolist(), "evader": [5.0, 5.0, 0.0], "speed_ratio": 1.0,
    }  # fmt: skip
    pose = PoseWithCovarianceStamped()
    pose.header.frame_id = "map"
    messages.set_pose(pose.pose.pose, *plant.state[:3])
    messages.set_planar_covariance(pose.pose.covariance, 1e-6, 0.0, 1e-6, 1e-6)
    own, other = Odometry(), Odometry()
    own.header.frame_id, own.child_frame_id = "odom", "base_link"
    other.header.frame_id, other.child_frame_id = "map", "base_link"
    ticks = 0
    deadline = time.perf_counter() + 60.0
    due = time.perf_counter()
    while ticks < WARM_UP + seconds * RATE:
        if time.perf_counter() > deadline and not answered[0]:
            raise RuntimeError("the nodes did not answer within 60 s")
        if ours and not answered[0]:
            # Discovery takes its time, and the initial pose is not latched.
            announce.publish(String(data=json.dumps(episode)))
            messages.set_stamp(pose.header.stamp, start)
            initial.publish(pose)
        due += 1.0 / RATE
        stamp = node.get_clock().now().nanoseconds
        messages.set_odometry(other, stamp, [5.0, 5.0, 0.0, 0.0, 0.0])
        opponent.publish(other)
        messages.set_odometry(own, stamp, plant.state)
        sent[stamp] = time.perf_counter()
        odom.publish(own)
        while (left := due - time.perf_counter()) > 0.0:
            rclpy.spin_once(node, timeout_sec=left)
        if answered[0]:
            ticks += 1
        if ticks == WARM_UP:
            latencies.clear()
        plant.step(command, 1.0 / RATE)
    node.destroy_node()
    rclpy.shutdown()
    if len(latencies) < 0.9 * seconds * RATE:
        raise RuntimeError(f"only {len(latencies)} of {seconds * RATE:.0f} commands came back")
    return latencies
