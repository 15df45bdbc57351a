"""Reading: whole bags, broken bags, bags of somebody else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pe_evaluation import bag_main
from pe_evaluation.account import metrics_of
from pe_evaluation.bag import read_run
from pe_evaluation.metrics import ROLES
from pe_evaluation.storage import BagError


def test_streams_hold_what_was_recorded(bag: Path, played: Any) -> None:
    run = read_run(bag)
    assert run.complete
    assert run.warnings == []
    assert run.messages == len(played.messages)
    steps = sum(episode["steps"] for episode in played.episodes)
    for role in ROLES:
        log = run.robots[role]
        assert len(log.ground_truth) == steps + 2
        for stream in (log.state, log.odom, log.nominal, log.command, log.status):
            assert len(stream) == steps
            assert (np.diff(stream.stamp_ns) > 0).all()
        assert set(log.status.barriers) == {
            "wall_east", "wall_west", "wall_north", "wall_south", "obstacle_0", "obstacle_1", "opponent",
        }  # fmt: skip
        assert log.model.radius == 0.15
    assert len(run.clock) == steps
    assert [episode.index for episode in run.episodes] == [0, 1]
    assert run.episodes[0].arena.obstacles.shape == (2, 3)
    assert run.manifest["git_revision"] == "0123abc"


def test_poses_survive_the_quaternion(bag: Path) -> None:
    run = read_run(bag)
    log = run.robots["pursuer"]
    used = log.status.columns("state_x", "state_y", "state_theta", "state_v", "state_omega")
    assert np.abs(log.state.values - used).max() < 1e-12


def test_output_folder_and_file_are_bags_too(bag: Path) -> None:
    assert read_run(bag.parent).messages == read_run(bag).messages
    assert len(read_run(bag / "bag.mcap").episodes) == 2


def test_file_without_metadata_keeps_its_manifest(bag: Path, tmp_path: Path) -> None:
    """The recorder died between the file's footer and metadata.yaml: the MCAP file holds a copy."""
    copy = tmp_path / "bag"
    shutil.copytree(bag, copy)
    (copy / "metadata.yaml").unlink()
    run = read_run(copy)
    assert run.complete
    assert run.manifest["seed"] == 7
    assert any("metadata.yaml is missing" in line for line in run.warnings)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9, 0.999])
def test_truncated_bag_gives_what_it_holds(bag: Path, tmp_path: Path, part: float) -> None:
    file = tmp_path / "bag" / "bag.mcap"
    file.parent.mkdir()
    data = (bag / "bag.mcap").read_bytes()
    file.write_bytes(data[: int(part * len(data))])
    run = read_run(file.parent)
    assert not run.complete
    assert any("truncated" in line for line in run.warnings)
    whole = read_run(bag)
    if part < 0.99:
        assert 0.8 * part * whole.messages < run.messages < whole.messages
    metrics = metrics_of(run)
    assert metrics["audit"]["passed"] is True
    if part == 0.2:
        assert metrics["interrupted"] == 1
        assert metrics["episodes"] == 0
        assert any("its end was not recorded" in line for line in metrics["differences"])


def test_truncated_bag_with_metadata_is_read_too(bag: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bag"
    shutil.copytree(bag, copy)
    data = (copy / "bag.mcap").read_bytes()
    (copy / "bag.mcap").write_bytes(data[: len(data) // 2])
    run = read_run(copy)
    assert not run.complete
    assert run.manifest["seed"] == 7


def test_every_cut_is_survived(game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path) -> None:
    """Wherever the file ends, reading ends in a run or in a message, never in another exception."""
    data = (write_bag(game(episodes=1, max_time=0.5), tmp_path / "bag") / "bag.mcap").read_bytes()
    file = tmp_path / "cut.mcap"
    for size in [*range(0, 120, 7), *range(len(data) - 120, len(data), 7)]:
        file.write_bytes(data[:size])
        try:
            assert read_run(file).messages > 0
        except BagError as error:
            assert "cut.mcap" in str(error)


def test_damaged_bytes_are_survived(bag: Path, tmp_path: Path) -> None:
    data = bytearray((bag / "bag.mcap").read_bytes())
    random = np.random.default_rng(5)
    for place in random.integers(1000, len(data), 200):
        data[place] ^= 0xFF
    file = tmp_path / "bad.mcap"
    file.write_bytes(bytes(data))
    try:
        metrics_of(read_run(file))
    except BagError as error:
        assert "bad.mcap" in str(error)


def test_missing_topics_are_named(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path
) -> None:
    recording = game(episodes=1)
    gone = ("/evader/safety/status", "/pursuer/odom", "/evader/cmd_vel")
    recording.messages = [row for row in recording.messages if row[0] not in gone]
    run = read_run(write_bag(recording, tmp_path / "bag"))
    assert sorted(run.warnings) == sorted(f"{topic}: no messages" for topic in gone)
    metrics = metrics_of(run)
    assert metrics["intervention_rate_evader"] is None
    assert metrics["odom_to_command_ms"]["count"] == 0
    assert metrics["control_period_ms"]["count"] > 0


def test_without_ground_truth_violations_are_unknown(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path
) -> None:
    recording = game(episodes=1)
    recording.messages = [row for row in recording.messages if "ground_truth" not in row[0]]
    metrics = metrics_of(read_run(write_bag(recording, tmp_path / "bag")))
    assert metrics["violations"] is None
    assert metrics["min_margin_m"] is None
    assert metrics["captures"] == 1


def test_missing_manifest_is_told(game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path) -> None:
    recording = game(episodes=1)
    recording.manifest = None
    run = read_run(write_bag(recording, tmp_path / "bag"))
    assert any("manifest is missing" in line for line in run.warnings)
    assert metrics_of(run)["identity"]["seed"] == 7


def test_foreign_bag_is_refused_by_name(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path
) -> None:
    recording = game(episodes=1)
    recording.messages = [("/camera/talk", *row[1:]) for row in recording.messages if row[0] == "/episode"]
    with pytest.raises(BagError, match=r"not a recorded pursuit-evasion run.*its topics are: /camera/talk"):
        read_run(write_bag(recording, tmp_path / "bag"))


def test_empty_bag_is_refused(game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path) -> None:
    recording = game(episodes=1)
    recording.messages = []
    with pytest.raises(BagError, match="holds no message"):
        read_run(write_bag(recording, tmp_path / "bag"))


def test_what_is_no_bag_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty.mcap").touch()
    (tmp_path / "text.mcap").write_text("this is not a bag, although its name says so")
    for name, reason in (
        ("absent", "does not exist"),
        ("notes.txt", "is not a bag"),
        ("", "is not a bag|is empty|is not an MCAP"),
        ("empty.mcap", "is empty"),
        ("text.mcap", "is not an MCAP file"),
    ):
        with pytest.raises(BagError, match=reason):
            read_run(tmp_path / name)


def test_unstamped_commands_take_the_stamp_of_their_odometry(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path
) -> None:
    recording = game(episodes=1)
    recording.messages = [
        (topic, "geometry_msgs/msg/Twist", log_ns, message.twist) if topic.endswith("/cmd_vel") else
        (topic, kind, log_ns, message)
        for topic, kind, log_ns, message in recording.messages
    ]  # fmt: skip
    metrics = metrics_of(read_run(write_bag(recording, tmp_path / "bag")))
    assert metrics["odom_to_command_ms"]["count"] == 2 * recording.episodes[0]["steps"]
    assert metrics["audit"]["max_command_difference"] == 0.0


def test_wrong_type_on_a_topic_is_left_out(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path
) -> None:
    recording = game(episodes=1)
    episode = next(row for row in recording.messages if row[0] == "/episode")
    recording.messages = [row for row in recording.messages if row[0] != "/pursuer/odom"]
    recording.messages.append(("/pursuer/odom", episode[1], episode[2], episode[3]))
    run = read_run(write_bag(recording, tmp_path / "bag"))
    assert any(line.startswith("/pursuer/odom: type std_msgs/msg/String is not") for line in run.warnings)
    assert len(run.robots["pursuer"].odom) == 0


def test_repeated_announcements_count_once(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path
) -> None:
    recording = game(episodes=2)
    recording.messages += [row for row in recording.messages if row[0] == "/episode"]
    assert [episode.index for episode in read_run(write_bag(recording, tmp_path / "bag")).episodes] == [0, 1]


def test_command_prints_and_writes(bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "metrics.json"
    assert bag_main.main(bag, target) == 0
    text = capsys.readouterr().out
    assert "capture rate" in text
    assert "passed" in text
    assert json.loads(target.read_text())["episodes"] == 2


def test_command_says_why_it_cannot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bag_main.main(tmp_path / "absent") == 2
    assert "does not exist" in capsys.readouterr().err


def test_command_fails_for_a_truncated_bag(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cut.mcap"
    data = (bag / "bag.mcap").read_bytes()
    file.write_bytes(data[: len(data) // 2])
    assert bag_main.main(file) == 1
    assert "truncated" in capsys.readouterr().out
