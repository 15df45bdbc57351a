"""The decision report of recorded runs: what bags hold and lack, who is who, what may be paired, what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pe_core.bundle import load_bundle
from pe_core.config import ConfigurationError
from pe_evaluation.bags_main import BagRequest, gather
from pe_evaluation.compare_main import exit_status, joined
from pe_evaluation.comparison.from_bags import by_approach, pairs_of, read_bag, read_bags
from pe_evaluation.comparison.page import render
from pe_evaluation.comparison.plan import load_plan
from pe_evaluation.comparison.recorded_plan import named_as, told_apart
from pe_evaluation.comparison.rules import load_rules
from pe_evaluation.comparison.sections import sections_of
from pe_evaluation.comparison.summary import empty_cells, summarise
from tests.pe_evaluation.conftest import text
from tests.support.damaged_bags import cut, rewritten, shifted, truncated, without


def summary_of(out: Path, *bags: str, labels: tuple[str, ...] = ()) -> dict[str, Any]:
    found = gather(BagRequest(bags, out, labels), Console(quiet=True))
    return joined(summarise(found.results, load_rules(), found.identity), found.added)


def named(played: Any, bundle: str, digest: str, safety: str = "rcbf") -> Any:
    """The recording as if that policy had played it."""
    manifest = json.loads(json.dumps(played.manifest))
    manifest["bundles"]["pursuer"] = {"name": bundle, "sha256": digest}
    manifest["arguments"]["safety"] = safety
    return dataclasses.replace(played, manifest=manifest)


def words(summary: dict[str, Any]) -> str:
    return "\n".join(str(section) for section in sections_of(summary))


def test_every_loss_is_in_the_report_and_no_cell_is_empty(
    bag: Path, played: Any, write_bag: Any, tmp_path: Path
) -> None:
    foreign = dataclasses.replace(
        played, messages=[("/chatter", "std_msgs/msg/String", 1, text({"data": 1}))], manifest=None
    )
    size = next(bag.glob("*.mcap")).stat().st_size
    bags = {
        "whole": bag,
        "silent": rewritten(bag, tmp_path / "silent", without("/pursuer/safety/status")),
        "blind": rewritten(bag, tmp_path / "blind", without("/evader/ground_truth")),
        "gap": rewritten(bag, tmp_path / "gap", cut("/pursuer/cmd_vel", 20, 39)),
        "late": rewritten(bag, tmp_path / "late", shifted("evader", 2 * 10**9)),
        "killed": truncated(bag, tmp_path / "killed", 3 * size // 4),
        "foreign": write_bag(foreign, tmp_path / "foreign"),
    }
    summary = summary_of(tmp_path / "out", *(f"{name}={path}" for name, path in bags.items()))
    assert list(empty_cells(summary)) == []
    found = {each["bag"]: each for each in summary["bags"]}
    for name, said in {
        "silent": "/pursuer/safety/status: no messages",
        "blind": "/evader/ground_truth: no messages",
        "gap": "/pursuer/cmd_vel: 20 of",
        "late": "evader's is 2.000 s ahead of pursuer's",
        "killed": "truncated",
        "foreign": "is not a recorded pursuit-evasion run",
    }.items():
        assert any(said in remark for remark in found[str(bags[name])]["remarks"]), name
    assert found[str(bag)]["remarks"] == [] and found[str(bags["killed"])]["left_out"]
    accounts = {row["approach"]: row for row in summary["accounts"]}
    assert set(accounts) == set(bags) - {"foreign"}
    assert accounts["silent"]["infeasible"] == "no /pursuer/safety/status"
    assert accounts["blind"]["violating_episodes"].startswith("no ground truth")
    # One of the two episodes of "gap" keeps its corrections.
    assert accounts["gap"]["correction_mean"]["episodes"] == 1
    assert accounts["whole"]["captured"] == accounts["blind"]["captured"] == accounts["late"]["captured"]
    report = words(summary)
    assert "no ground truth" in report and "No gap was measured" in report
    assert ">Recorded bags</h2>" in render(summary)


def test_gates_and_decision_say_why_they_have_nothing(bag: Path, tmp_path: Path) -> None:
    summary = summary_of(tmp_path / "out", str(bag))
    gates = {gate["gate"]: gate for gate in summary["gates"]}
    assert summary["decision"]["reason"] == "no policy is here both as in its training and as deployed."
    assert gates["PG-04"]["checks"] == [
        {"evidence": "no policy is here both as in its training and as deployed", "passed": False}
    ]
    assert all(gate["checks"] for gate in gates.values()) and exit_status(summary) == 0


def test_a_contact_behind_a_filter_is_the_exit_status(game: Any, write_bag: Any, tmp_path: Path) -> None:
    touching = write_bag(game(1, filtered=False, obstacles=((-1.5, 0.0, 1.0),)), tmp_path / "bag")
    summary = summary_of(tmp_path / "out", str(touching))
    (row,) = summary["accounts"]
    assert row["violating_episodes"] == 1 and exit_status(summary) == 1


def test_labels_of_the_plan_give_its_gap_and_its_titles(bag: Path, tmp_path: Path) -> None:
    bags, labels = (str(bag), str(bag)), ("cbf-beta-trained", "cbf-beta-rcbf")
    summary = summary_of(tmp_path / "out", *bags, labels=labels)
    (gap,) = summary["gaps"]
    assert (gap["name"], gap["captured"]["episodes"], gap["captured"]["gap"]) == ("cbf-beta", 2, 0.0)
    assert [row["title"] for row in summary["accounts"]] == ["CBF-Beta as trained", "CBF-Beta → RCBF-QP"]
    assert {row["pairs"] for row in summary["pairs"] if row["metric"] == "captured"} == {2}
    checks = next(gate["checks"] for gate in summary["gates"] if gate["gate"] == "PG-04")
    assert {"evidence": "CBF-Beta: 2 pairs, at least 30 wanted", "passed": False} in checks
    # The label is not what the manifest says, and that policy is not here.
    assert any("its manifest says scripted-pursuer" in note for note in summary["notes"])
    assert "not among the bundles here" in summary["decision"]["reason"]


def test_a_policy_of_the_plan_is_known_by_bundle_hash_and_filter(played: Any, write_bag: Any, tmp_path: Path) -> None:
    known, digest = load_plan("default", 1, (0,)), load_bundle("ppo", role="pursuer").schema.sha256
    mine, other = (
        read_bag(write_bag(named(played, "ppo", each), tmp_path / each[:4])) for each in (digest, "e" * 64)
    )
    assert (named_as(mine, known), named_as(other, known)) == ("ppo-rcbf", "ppo+rcbf")
    third = read_bag(write_bag(named(played, "ppo", "f" * 64), tmp_path / "third"))
    assert [each.approach for each in told_apart([other, third])] == ["ppo+rcbf-eeeeeeee", "ppo+rcbf-ffffffff"]


def test_episodes_are_pairs_by_number_start_and_seed(bag: Path, game: Any, write_bag: Any, tmp_path: Path) -> None:
    def later(message: Any) -> Any:
        """Without the first episode."""
        if message.log_ns >= second:
            yield message

    starts = [row[2] for row in game().messages if row[0] == "/episode" and '"start"' in row[3].data]
    second = starts[1] - 1
    half = rewritten(bag, tmp_path / "half", later)
    moved = write_bag(game(half_side=6.0), tmp_path / "moved")
    pairs = pairs_of(read_bags([f"a={bag}", f"a={bag}", f"b={half}", f"c={moved}"]))
    assert pairs[0] == ["episode 0", "episode 1"] and pairs[1] == ["episode 0, again 1", "episode 1, again 1"]
    assert pairs[2] == ["episode 1"] and pairs[3] == ["episode 0, start 1", "episode 1, start 1"]
    rows = by_approach(read_bags([f"a={bag}", f"b={half}"]))
    assert rows["b"][0]["pair"] == rows["a"][1]["pair"] and rows["b"][0]["steps"] == rows["a"][1]["steps"]


def test_without_a_seed_an_episode_is_in_no_pair(game: Any, write_bag: Any, tmp_path: Path) -> None:
    recording = game()
    for topic, _, _, message in recording.messages:
        if topic == "/episode":
            event = json.loads(message.data)
            event.pop("seed", None)
            message.data = json.dumps(event)
    path = write_bag(recording, tmp_path / "bag")
    summary = summary_of(tmp_path / "out", f"a={path}", f"b={path}")
    assert {row["reason"] for row in summary["pairs"]} == {"not played in the same cells"}
    assert any("4 episodes have no seed" in line for line in [words(summary)])


@pytest.mark.parametrize(
    ("bags", "labels", "said"),
    [
        (("nowhere",), (), "bags = 'nowhere': does not exist"),
        (("x=nowhere",), (), "bags = 'x=nowhere': does not exist"),
        (("BAG", "BAG"), ("a",), "labels = a: allowed: one for each of 2 bags"),
        (("../x=BAG",), (), "label = '../x': allowed: letters"),
        (("EMPTY",), (), "no whole episode to compare: .*EMPTY"),
    ],
)
def test_a_mistake_is_named(bag: Path, tmp_path: Path, bags: tuple[str, ...], labels: Any, said: str) -> None:
    (tmp_path / "EMPTY").mkdir()
    given = tuple(each.replace("BAG", str(bag)).replace("EMPTY", str(tmp_path / "EMPTY")) for each in bags)
    with pytest.raises(ConfigurationError, match=said):
        summary_of(tmp_path / "out", *given, labels=labels)


def test_a_folder_that_was_played_is_refused_and_one_of_bags_is_written_anew(bag: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary_of(out, f"a={bag}", f"b={bag}")
    assert len(list((out / "tracks").glob("*.npz"))) == 2
    summary_of(out, f"b={bag}")
    assert [path.name for path in (out / "tracks").glob("*.npz")] == ["b_scripted-evader_1_s7_e0.npz"]
    identity = json.loads((out / "identity.json").read_text())
    del identity["bags"]
    (out / "identity.json").write_text(json.dumps(identity))
    with pytest.raises(ConfigurationError, match="holds a comparison that was played"):
        summary_of(out, str(bag))
