"""A bag in several files: read as one, read in part, and read when its end, a file or its metadata is missing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pe_evaluation import bag_main, picture_main, report_main
from pe_evaluation.account import metrics_of
from pe_evaluation.bag import RunReader, read_run
from pe_evaluation.metrics import ROLES
from pe_evaluation.recorded import trace_of
from pe_evaluation.storage import BagError
from pe_evaluation.survey import Survey
from pe_nodes.bag_writer import BagWriter
from tests.pe_evaluation.conftest import STORE


def write_split(recording: Any, directory: Path, split: int, close: bool = True) -> Path:
    """A recording by the recorder's own writer; unclosed, it is what a killed recorder leaves."""
    bag = BagWriter(directory, {"pe": json.dumps(recording.manifest)}, split)
    for topic, kind, log_ns, message in sorted(recording.messages, key=lambda row: row[2]):
        if not bag.knows(topic):
            bag.add_topic(topic, kind, [], latched=topic == "/episode" or topic.endswith("status"))
        bag.write(topic, log_ns, bytes(STORE.serialize_cdr(message, kind)))
    if close:
        bag.close()
    else:
        bag._file.flush()  # what the recorder does every second
    return directory


@pytest.fixture(scope="module")
def split(played: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bag of ``played`` in several files."""
    return write_split(played, tmp_path_factory.mktemp("split") / "bag", 300_000)


def files(bag: Path) -> list[Path]:
    return sorted(bag.glob("*.mcap"), key=lambda path: int(path.stem.rsplit("_", 1)[1]))


def without_identity(metrics: Any) -> dict[str, Any]:
    return {key: value for key, value in metrics.items() if key not in ("messages", "audit")}


def test_all_files_are_one_run(split: Path, bag: Path, played: Any) -> None:
    assert len(files(split)) > 10, "every file begins in the middle of an episode"
    one, many = read_run(bag), read_run(split)
    assert many.complete and many.warnings == []
    assert many.messages > len(played.messages), "latched messages are repeated"
    assert without_identity(metrics_of(many)) == without_identity(metrics_of(one))


def test_episode_by_episode_is_the_same_as_all_at_once(split: Path, bag: Path) -> None:
    for path in (split, bag):
        survey, whole = Survey(path), read_run(path)
        metrics = metrics_of(whole)
        assert survey.metrics() == metrics
        for episode in whole.episodes:
            part, trace = survey.trace(episode.index), trace_of(whole, episode)
            assert np.array_equal(part.margins, trace.margins)
            for role in ROLES:
                assert np.array_equal(part.poses[role], trace.poses[role])
                assert np.array_equal(part.command[role].values, trace.command[role].values)
                assert np.array_equal(part.status[role].column("slack"), trace.status[role].column("slack"))


def test_parts_come_while_the_bag_is_being_read(game: Any, tmp_path: Path) -> None:
    """An episode is given out before the last one has been reached, and holds nothing of others."""
    bag = write_split(game(episodes=6, max_time=1.0), tmp_path / "bag", 0)
    reader = RunReader(bag)
    seen = []
    for part in reader.parts():
        (episode,) = part.episodes
        seen.append(episode.index)
        for role in ROLES:
            stamps = part.robots[role].state.stamp_ns
            assert len(stamps) == 20
            assert episode.start_ns <= stamps[0] and stamps[-1] < episode.end_ns
        if episode.index == 0:
            assert reader.head.messages == 0, "the bag was not read to its end before"
    assert seen == [episode.index for episode in reader.head.episodes] == list(range(6))
    assert reader.head.messages > 0


def test_each_file_can_be_read_alone(split: Path) -> None:
    for path in files(split):
        run = read_run(path)
        assert run.complete
        assert run.manifest["seed"] == 7, "each file says what it is"
        assert len(run.episodes) >= 1, "and which episode it shows"
        assert metrics_of(run)["audit"]["passed"] is True


def test_commands_take_a_split_bag(split: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bag_main.main(split) == 0
    assert picture_main.main([str(split), str(tmp_path / "a.png"), "--episode", "1"]) == 0
    shutil.copytree(split, tmp_path / "bag")
    report_main.build(tmp_path)
    assert "Episode 1: captured" in (tmp_path / "report.html").read_text()


def test_what_a_killed_recorder_leaves(game: Any, tmp_path: Path) -> None:
    recording = game(episodes=1, max_time=4.0)
    bag = write_split(recording, tmp_path / "bag", 200_000, close=False)
    last = files(bag)[-1]
    data = last.read_bytes()
    last.write_bytes(data[: len(data) - 1000])
    run = read_run(bag)
    assert not run.complete
    assert run.manifest["seed"] == 7
    assert any("metadata.yaml is missing" in line for line in run.warnings)
    (said,) = [line for line in run.warnings if "truncated" in line]
    assert said.startswith(f"{last.name} is truncated (the recorder was killed, or the disk was full): ")
    assert "messages could be read, the last received at 2023-11-14 22:13:" in said
    assert "bytes behind them cannot" in said
    assert "what came later is lost" in said
    metrics = metrics_of(run)
    assert metrics["identity"]["bundles"]["evader"]["name"] == "scripted-evader"
    assert metrics["audit"]["passed"] is True


def test_a_file_that_was_cut_off_later_is_told_with_what_it_held(split: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bag"
    shutil.copytree(split, copy)
    second = files(copy)[1]
    second.write_bytes(second.read_bytes()[:150_000])
    run = read_run(copy)
    assert not run.complete
    (said,) = run.warnings
    assert said.startswith("bag_1.mcap is truncated") and " are lost" in said
    lost, whole = (int(word) for word in (said.split("; ")[1].split()[0], said.split("; ")[1].split()[2]))
    assert 0 < lost < whole
    assert run.messages == read_run(split).messages - lost
    assert bag_main.main(copy) == 1


@pytest.mark.parametrize("listed", [True, False])
def test_a_missing_file_is_named(split: Path, tmp_path: Path, listed: bool) -> None:
    copy = tmp_path / "bag"
    shutil.copytree(split, copy)
    files(copy)[2].unlink()
    if not listed:
        (copy / "metadata.yaml").unlink()
    run = read_run(copy)
    assert not run.complete
    name = "bag_2.mcap is missing" if listed else "file 2 of the bag is missing"
    assert any(line.startswith(name) for line in run.warnings)


def test_a_last_file_that_was_only_begun(split: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bag"
    shutil.copytree(split, copy)
    (copy / "metadata.yaml").unlink()
    (copy / f"bag_{len(files(copy))}.mcap").touch()
    run = read_run(copy)
    assert not run.complete
    assert any("is empty: the recorder was stopped before it wrote anything" in line for line in run.warnings)
    assert run.messages == read_run(split).messages


def test_a_damaged_chunk_is_left_out_and_told(split: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bag"
    shutil.copytree(split, copy)
    data = bytearray(files(copy)[0].read_bytes())
    data[len(data) // 2] ^= 0xFF
    files(copy)[0].write_bytes(bytes(data))
    run = read_run(copy)
    assert not run.complete
    assert any("a damaged chunk was left out: its checksum does not hold" in line for line in run.warnings)
    assert any(line.startswith("bag_0.mcap holds") and "are lost" in line for line in run.warnings)
    files(copy)[0].write_bytes(b"something else")
    with pytest.raises(BagError, match="is not an MCAP file"):
        read_run(files(copy)[0])


def shift(recording: Any, seconds: int) -> None:
    """Let the recording take place later, as the next episode."""
    for i, (topic, kind, log_ns, message) in enumerate(recording.messages):
        if topic == "/episode":
            event = json.loads(message.data)
            event["index"] += 1
            if "start_ns" in event:
                event["start_ns"] += seconds * 10**9
            message.data = json.dumps(event)
        else:
            stamp = message.clock if topic == "/clock" else getattr(message, "header", message).stamp
            stamp.sec += seconds
        recording.messages[i] = (topic, kind, log_ns + seconds * 10**9, message)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_run(game: Any, tmp_path: Path) -> None:
    """Eight times the episodes take less than half as much again."""
    recording = game(episodes=1, max_time=5.0)
    peaks = []
    for copies in (4, 32):
        bag = BagWriter(tmp_path / f"bag{copies}", {"pe": json.dumps(recording.manifest)}, 2_000_000)
        for _ in range(copies):
            for topic, kind, log_ns, message in sorted(recording.messages, key=lambda row: row[2]):
                if not bag.knows(topic):
                    bag.add_topic(topic, kind, [])
                bag.write(topic, log_ns, bytes(STORE.serialize_cdr(message, kind)))
            shift(recording, 30)
        bag.close()
        program = (
            "import re, sys; from pe_evaluation.survey import Survey\n"
            "def peak(): return int(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])\n"
            f"before = peak(); survey = Survey(sys.argv[1]); assert len(survey.records) == {copies}\n"
            "print(peak() - before)"
        )
        command = [sys.executable, "-c", program, str(tmp_path / f"bag{copies}")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.5 * peaks[0], peaks
