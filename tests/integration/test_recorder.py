"""The recorder in whole runs: files by size, nothing lost while it is held up, and what is left when it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from rosbags.rosbag2 import Reader

from pe_evaluation.bag import read_run
from pe_evaluation.survey import Survey
from tests.support.patience import patience

pytestmark = pytest.mark.integration


def recorder_of(processes) -> int:
    """Process id of the recorder below the test's launcher, found by its domain."""
    domain = f"ROS_DOMAIN_ID={processes.environment['ROS_DOMAIN_ID']}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"pe_nodes.evaluation_recorder_node" in words and domain in environment:
                found.append(int(entry.name))
    assert len(found) == 1, found
    return found[0]


def files(bag: Path) -> list[Path]:
    return sorted(bag.glob("*.mcap"), key=lambda path: int(path.stem.rsplit("_", 1)[1]))


def recording(out: Path, process: subprocess.Popen, processes, count: int, limit: float = 150.0) -> None:
    """Wait until ``count`` files of the bag were begun and the last one holds messages."""
    end = time.monotonic() + patience(limit)
    while not (len(files(out / "bag")) >= count and files(out / "bag")[-1].stat().st_size > 400_000):
        assert process.poll() is None, processes.output(process)
        assert time.monotonic() < end, processes.output(process)
        time.sleep(0.05)


def test_a_run_in_lockstep_loses_nothing_although_the_recorder_stands_still(processes, tmp_path):
    """Held up for longer than the network's buffers last, it gets every message later; and the files are whole."""
    out = tmp_path / "out"
    process = processes.launch("rate:=0", "episodes:=3", "seed:=3", "bag_size:=2", f"out:={out}")
    recording(out, process, processes, 1)
    pid = recorder_of(processes)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1.0)
    os.kill(pid, signal.SIGCONT)
    assert process.wait(150) == 0, processes.output(process)
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["episodes"], metrics["complete"]) == (3, True)
    assert metrics["control_period_ms"]["max"] > 900.0, "the recorder stood still while a game was played"
    assert metrics["missing_samples"] == {}
    assert metrics["warnings"] == [] and metrics["differences"] == []
    parts = files(out / "bag")
    assert len(parts) >= 3
    information = yaml.safe_load((out / "bag" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert information["relative_file_paths"] == [part.name for part in parts]
    for part, entry in zip(parts, information["files"], strict=True):
        with Reader(part) as reader:
            assert sum(1 for _ in reader.messages()) == reader.message_count == entry["message_count"] > 0
        assert read_run(part).manifest["seed"] == 3
    assert all(2_000_000 <= part.stat().st_size < 2_300_000 for part in parts[:-1])


def test_a_killed_recorder_leaves_the_identity_and_all_but_the_last_second(processes, tmp_path):
    out = tmp_path / "out"
    process = processes.launch("rate:=1", "episodes:=50", "seed:=5", "bag_size:=1", f"out:={out}")
    recording(out, process, processes, 2)
    killed_ns = time.time_ns()
    os.kill(recorder_of(processes), signal.SIGKILL)
    assert process.wait(60) == 1
    assert "evaluation_recorder ended with exit code -9" in processes.output(process).replace("\n", " ")
    assert not (out / "bag" / "metadata.yaml").exists()
    survey = Survey(out)
    metrics = survey.metrics()
    last = files(out / "bag")[-1].name
    assert metrics["complete"] is False
    assert any(line.startswith(f"{last} is truncated (the recorder was killed") for line in metrics["warnings"])
    identity = metrics["identity"]
    assert identity["seed"] == 5 and len(identity["bundles"]["evader"]["sha256"]) == 64
    assert identity["configuration_sha256"] and identity["arguments"]["episodes"] == 50
    assert survey.records[0].steps > 20
    newest = max(int(log.command.log_ns.max()) for log in read_run(out).robots.values())
    assert 0 < killed_ns - newest < 1e9 * patience(2.0), "no more than about a second is lost"
    # The launcher reported what there is.
    assert json.loads((out / "metrics.json").read_text())["identity"]["seed"] == 5
