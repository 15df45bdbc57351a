"""Bags as episodes of a comparison: whole, damaged, foreign; what is missing is said, and the rest is computed."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
from rosbags.rosbag2 import StoragePlugin

from pe_core.config import ConfigurationError
from pe_evaluation.account import metrics_of
from pe_evaluation.bag import read_run
from pe_evaluation.comparison.from_bags import BagEpisodes, by_approach, read_bag, read_bags
from pe_evaluation.storage import BagError
from tests.pe_evaluation.conftest import STORE, text
from tests.support.damaged_bags import cut, rewritten, same, shifted, truncated, without


def said(found: BagEpisodes, *words: str) -> bool:
    return any(all(word in line for word in words) for line in found.remarks)


def test_rows_are_the_metrics_of_the_run(bag: Path) -> None:
    found, metrics = read_bag(bag), metrics_of(read_run(bag))
    assert [row["steps"] for row in found.rows] == [row["steps"] for row in metrics["per_episode"]]
    assert [row["captured"] for row in found.rows] == [e["outcome"] == "capture" for e in metrics["per_episode"]]
    margin = min(row["margin_min_m"] for row in found.rows)
    assert margin >= metrics["min_margin_m"] and found.left_out == [] and found.remarks == []
    own = sum(row["interventions"] + row["evader_interventions"] for row in found.rows)
    assert own == metrics["interventions"]
    assert all(row["filter_us"] > 0.0 and row["policy_us"] == "not recorded" for row in found.rows)


def test_an_approach_is_named_by_you_the_manifest_or_the_folder(
    bag: Path, played: Any, write_bag: Any, tmp_path: Path
) -> None:
    assert (read_bag(bag).approach, read_bag(bag).named_by) == ("scripted-pursuer+unknown", "manifest")
    assert read_bags([f"mine={bag}"])[0].approach == "mine"
    nameless = write_bag(dataclasses.replace(played, manifest=None), tmp_path / "found" / "bag")
    found = read_bag(nameless)
    assert (found.approach, found.named_by) == ("found", "folder")
    assert said(found, "the manifest does not say what drove", "NAME=DIR") and len(found.rows) == 2
    with pytest.raises(ConfigurationError, match="DIR or NAME=DIR"):
        read_bags(["x="])


def test_bags_of_one_name_are_one_approach(bag: Path, tmp_path: Path) -> None:
    again = rewritten(bag, tmp_path / "again", same)
    grouped = by_approach(read_bags([f"a={bag}", f"a={again}", f"b={bag}"]))
    assert {name: len(rows) for name, rows in grouped.items()} == {"a": 4, "b": 2}
    assert [row["episode"] for row in grouped["a"]] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("topic", "reason", "keys"),
    [
        ("/pursuer/safety/status", "no /pursuer/safety/status", ("interventions", "infeasible", "backup")),
        ("/evader/safety/status", "no /evader/safety/status", ("evader_interventions",)),
        ("/pursuer/cmd_vel_nominal", "no /pursuer/cmd_vel_nominal", ("correction_mean", "steering_braking")),
        ("/pursuer/cmd_vel", "no /pursuer/cmd_vel", ("jerk_v", "correction_max")),
        ("/evader/ground_truth", "no ground truth", ("margin_min_m", "violations", "return")),
    ],
)
def test_a_missing_topic_costs_what_stands_on_it(
    bag: Path, tmp_path: Path, topic: str, reason: str, keys: tuple[str, ...]
) -> None:
    whole, found = read_bag(bag), read_bag(rewritten(bag, tmp_path / "bag", without(topic)))
    assert said(found, f"{topic}: no messages")
    for row, before in zip(found.rows, whole.rows, strict=True):
        for key in keys:
            assert str(row[key]).startswith(reason), key
        assert (row["steps"], row["captured"]) == (before["steps"], before["captured"])


def test_without_announced_episodes_nothing_can_be_computed(bag: Path, tmp_path: Path) -> None:
    found = read_bag(rewritten(bag, tmp_path / "bag", without("/episode")))
    assert found.rows == [] and said(found, "/episode says of no episode", "nothing can be computed")


def test_a_gap_withholds_what_stands_on_the_topic(bag: Path, tmp_path: Path) -> None:
    found = read_bag(rewritten(bag, tmp_path / "bag", cut("/pursuer/safety/status", 20, 39)))
    steps = found.rows[0]["steps"]
    assert found.rows[0]["interventions"] == f"/pursuer/safety/status: 20 of {steps} steps are missing"
    assert isinstance(found.rows[0]["correction_mean"], float)
    assert isinstance(found.rows[1]["interventions"], int)


@pytest.mark.parametrize(("role", "ahead"), [("evader", 2.0), ("pursuer", 2.0)])
def test_a_clock_that_is_wrong_is_found_and_set_right(bag: Path, tmp_path: Path, role: str, ahead: float) -> None:
    whole = read_bag(bag)
    found = read_bag(rewritten(bag, tmp_path / "bag", shifted(role, round(ahead * 1e9))))
    assert said(found, f"{role}'s is 2.000 s ahead of", "agrees with /clock", "stamps are set")
    timed = ("filter_us", "policy_us")
    for row, before in zip(found.rows, whole.rows, strict=True):
        assert {k: v for k, v in row.items() if k not in timed} == {k: v for k, v in before.items() if k not in timed}


def test_without_a_clock_topic_ground_truth_serves_then_the_recorder(bag: Path, tmp_path: Path) -> None:
    source = rewritten(bag, tmp_path / "noclock", without("/clock"))
    assert not said(read_bag(source), "clocks")
    found = read_bag(rewritten(source, tmp_path / "late", shifted("evader", 2 * 10**9)))
    assert said(found, "evader's is 2.000 s ahead of pursuer's", "agrees with /pursuer/ground_truth")
    blind = without("/pursuer/ground_truth", "/evader/ground_truth")
    found = read_bag(rewritten(tmp_path / "late", tmp_path / "blind", blind))
    assert said(found, "evader's is 2.0", "ahead of pursuer's", "neither agrees with the recorder's clock")


def test_a_truncated_bag_gives_its_whole_episodes(bag: Path, tmp_path: Path) -> None:
    whole = read_bag(bag)
    (file,) = bag.glob("*.mcap")
    size, counts = file.stat().st_size, []
    for k in range(1, 20, 3):
        try:
            found = read_bag(truncated(bag, tmp_path / str(k), size * k // 20), "cut")
        except BagError as error:
            assert "holds no message" in str(error) or "not a recorded" in str(error)
            counts.append(0)
            continue
        assert said(found, "truncated")
        names = ("steps", "captured", "margin_min_m", "interventions")
        for row, before in zip(found.rows, whole.rows, strict=False):
            assert [row[name] for name in names] == [before[name] for name in names]
        assert all("its end was not recorded" in why or "interrupted" in why for _, why in found.left_out)
        counts.append(len(found.rows))
    assert counts == sorted(counts) and counts[0] == 0 and counts[-1] >= 1


def test_what_is_no_bag_of_ours_is_refused_by_name(played: Any, write_bag: Any, tmp_path: Path) -> None:
    foreign = dataclasses.replace(
        played, messages=[("/chatter", "std_msgs/msg/String", 1, text({"data": 1}))], manifest=None
    )
    with pytest.raises(BagError, match="is not a recorded pursuit-evasion run.*/chatter"):
        read_bag(write_bag(foreign, tmp_path / "foreign"))
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.mcap").write_text("no bag at all")
    with pytest.raises(BagError, match="is not an MCAP file"):
        read_bag(tmp_path / "text")
    with pytest.raises(BagError):
        read_bag(tmp_path / "nowhere")


def test_a_topic_of_another_type_is_left_out_and_named(bag: Path, tmp_path: Path) -> None:
    def change(message: Any) -> Any:
        if message.topic == "/pursuer/safety/status":
            data = STORE.serialize_cdr(text({"x": 1}), "std_msgs/msg/String")
            message = message._replace(type="std_msgs/msg/String", data=bytes(data))
        yield message

    found = read_bag(rewritten(bag, tmp_path / "bag", change))
    assert said(found, "/pursuer/safety/status: type std_msgs/msg/String is not diagnostic_msgs/msg/DiagnosticArray")
    assert found.rows[0]["interventions"] == "no /pursuer/safety/status"


def test_an_sqlite_bag_says_the_same(bag: Path, tmp_path: Path) -> None:
    found = read_bag(rewritten(bag, tmp_path / "bag", same, storage=StoragePlugin.SQLITE3), "x")
    assert found.rows == read_bag(bag, "x").rows


def test_a_file_missing_from_the_folder_is_named(bag: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bag"
    shutil.copytree(bag, copy)
    next(copy.glob("*.mcap")).unlink()
    with pytest.raises(BagError):
        read_bag(copy)
