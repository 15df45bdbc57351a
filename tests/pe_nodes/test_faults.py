"""Plans of faults: what is refused, where they stand in the graph, what they do to messages."""

from __future__ import annotations

import math

import pytest
import yaml
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry

from pe_core.config import ConfigurationError
from pe_core.paths import config_names
from pe_nodes import fault_wiring, graph
from pe_nodes.fault_messages import FaultyTopic, shifted
from pe_nodes.faults import KINDS, Plan, load_plan, parse_plan
from pe_nodes.launch_arguments import parse
from pe_nodes.messages import command_values, odometry_values, set_command, set_odometry, stamp_ns

SECOND = 1_000_000_000
DT = 0.05


def plan(*faults, seed=0) -> Plan:
    return parse_plan({"seed": seed, "faults": list(faults)}, "plan.yaml")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "explode", "target": "pursuer/odom", "at": 1}, "kind = 'explode': allowed: drop, delay, duplicate"),
        ({"kind": "drop", "target": "pursuer/cmd_vel", "at": 1}, "target = 'pursuer/cmd_vel': allowed: pursuer/odom"),
        ({"kind": "drop", "target": "pursuer/odom"}, "key 'at' is missing"),
        ({"kind": "drop", "target": "pursuer/odom", "at": 1, "odds": 1}, "unknown key 'odds'; allowed: at, duration"),
        ({"kind": "drop", "target": "pursuer/odom", "at": 1, "probability": 1.5}, "probability = 1.5: allowed: [0, 1]"),
        ({"kind": "drop", "target": "pursuer/odom", "at": -1}, "at = -1: allowed: [0, 3600] s"),
        ({"kind": "drop", "target": "pursuer/odom", "at": "1 m"}, "unit 'm' is not 's'"),
        ({"kind": "nan", "target": "pursuer/odom", "at": 1, "value": "big"}, "one of nan, inf, -inf"),
        ({"kind": "yaw_spike", "target": "pursuer/pose", "at": 1}, "target = 'pursuer/pose': allowed: pursuer/odom"),
        ({"kind": "kill", "target": "arena_sim", "at": 1}, "allowed: false for arena_sim"),
        ({"kind": "kill", "target": "pursuer/brain", "at": 1}, "allowed: pursuer/state_estimator"),
        ("drop", "allowed: a mapping with kind, target, at"),
    ],
)
def test_what_a_fault_may_not_be_is_refused_with_what_it_may(fault, said):
    with pytest.raises(ConfigurationError) as caught:
        plan(fault)
    assert said in str(caught.value)
    assert "plan.yaml: fault 1" in str(caught.value)


@pytest.mark.parametrize(
    ("words", "fault", "said"),
    [
        (["rate:=0"], {"kind": "drop", "target": "pursuer/odom", "at": 1}, "rate = 0: with faults time must pass"),
        ([], {"kind": "nan", "target": "pursuer/pose", "at": 1}, "a run without noise has no absolute pose"),
        (
            ["record:=false"],
            {"kind": "kill", "target": "evaluation_recorder", "at": 1, "restart": False},
            "allowed: with record:=true",
        ),
        ([], {"kind": "kill", "target": "pursuer/watchdog", "at": 1}, "allowed: with watchdog:=true"),
    ],
)
def test_what_a_run_cannot_have_is_refused_before_a_process_starts(tmp_path, words, fault, said):
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump({"faults": [fault]}))
    with pytest.raises(ConfigurationError) as caught:
        graph.records(parse([f"faults:={file}", *words]))
    assert said in str(caught.value)


def test_a_node_has_one_clock():
    clocks = [{"kind": "clock", "target": target, "at": 1, "step": 1} for target in ("pursuer", "pursuer/safety")]
    with pytest.raises(ConfigurationError, match="a node has one clock"):
        fault_wiring.check_plan(plan(*clocks), parse([]))


def test_an_unknown_file_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match="known: clocks, network, processes, sensors"):
        graph.records(parse(["faults:=plague"]))


@pytest.mark.parametrize("name", ["clocks", "network", "processes", "sensors"])
def test_examples_can_be_run(name):
    assert name in config_names("faults")
    nodes = graph.records(parse([f"faults:={name}", "noise:=turtlebot3"]))
    assert "/fault_injector" in [node.full_name for node in nodes]


def test_every_kind_says_again_what_it_was_told():
    whole = plan(
        {"kind": "clock", "target": "evader", "at": 1, "step": 2.0},
        {"kind": "kill", "target": "arena_sim", "at": 2, "restart": False, "episode": 3},
        {"kind": "network", "at": 3, "duration": 1},
        seed=5,
    )
    assert parse_plan(yaml.safe_load(whole.text()), "again") == whole
    assert len(set(KINDS.values())) == len(KINDS)


def test_without_faults_the_graph_is_as_ever():
    assert load_plan("none") == Plan()
    nodes = graph.records(parse([]))
    assert "/fault_injector" not in [node.full_name for node in nodes]
    assert not any(node.respawn for node in nodes) and graph.environment_of(nodes) == {}


def run_with(tmp_path, *faults, words=()):
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump({"faults": list(faults)}))
    return {node.full_name: node for node in graph.records(parse([f"faults:={file}", *words]))}


def test_subscribers_hear_the_injector_and_publishers_keep_their_topic(tmp_path):
    nodes = run_with(tmp_path, {"kind": "drop", "target": "pursuer/state", "at": 1})
    assert nodes["/pursuer/safety"].remappings["state"] == "/pursuer/faulted/state"
    assert nodes["/evader/safety"].remappings["opponent_state"] == "/pursuer/faulted/state"
    assert nodes["/pursuer/safety"].remappings["opponent_state"] == "/evader/state"
    assert nodes["/pursuer/state_estimator"].remappings == {}
    topics = nodes["/evaluation_recorder"].parameters["topics"]
    assert {"/pursuer/state", "/pursuer/faulted/state", "/faults"} <= {entry.split()[0] for entry in topics}
    assert "/fault_injector" in nodes["/arena_sim"].parameters["expected_nodes"]


def test_a_lost_network_takes_both_links_and_stands_behind_a_faulty_state(tmp_path):
    nodes = run_with(tmp_path, {"kind": "network", "at": 1}, {"kind": "nan", "target": "evader/state", "at": 1})
    assert nodes["/pursuer/safety"].remappings["opponent_state"] == "/pursuer/faulted/opponent_state"
    assert nodes["/evader/policy"].remappings["opponent_state"] == "/evader/faulted/opponent_state"
    both = plan({"kind": "network", "at": 1}, {"kind": "nan", "target": "evader/state", "at": 1})
    sources = {relay.target: relay.source for relay in fault_wiring.relays(both, poses=False)}
    assert sources["pursuer/opponent_state"] == "/evader/faulted/state"
    assert sources["evader/opponent_state"] == "/pursuer/state"


def test_the_clock_of_a_machine_is_that_of_its_nodes_and_sensors(tmp_path):
    fault = {"kind": "clock", "target": "pursuer", "at": 1, "step": 1}
    nodes = run_with(tmp_path, fault, words=["noise:=turtlebot3"])
    for name in ("state_estimator", "policy", "safety"):
        assert nodes[f"/pursuer/{name}"].remappings["/clock"] == "/pursuer/faulted/clock"
    assert {"odom", "pose"} <= set(nodes["/pursuer/state_estimator"].remappings)
    assert "/clock" not in nodes["/evader/safety"].remappings


def test_only_what_is_to_come_back_is_started_again(tmp_path):
    nodes = run_with(
        tmp_path,
        {"kind": "kill", "target": "pursuer/policy", "at": 1},
        {"kind": "kill", "target": "evader/policy", "at": 1, "restart": False},
    )
    assert [name for name, node in nodes.items() if node.respawn] == ["/pursuer/policy"]
    assert "short_lease" in str(graph.environment_of(list(nodes.values())))


def odometry(step, *values):
    message = Odometry()
    set_odometry(message, round((1.0 + step * DT) * SECOND), values or (0.1 * step, 0.0, 0.0, 2.0, 0.0))
    return message


def through(fault, steps=range(10), make=odometry, seed=0):
    """What comes out, and when, of one message each control step."""
    topic = FaultyTopic(fault["target"], plan(fault).faults, seed, DT)
    out = []
    for step in steps:
        now = step * DT
        topic.update(0, now)
        topic.offer(make(step), 0, now)
        out += [(now, message) for message in topic.due(now)]
    return out


def passed(fault, **more):
    return [round((stamp_ns(m.header.stamp) / SECOND - 1.0) / DT) for _, m in through(fault, **more)]


BASE = {"target": "pursuer/odom", "at": 0.1, "duration": 0.3}


def test_nothing_happens_before_and_after():
    assert passed(BASE | {"kind": "drop"}) == [0, 1, 8, 9]


def test_losses_repeat_with_the_seed_and_have_their_probability():
    fault = {"kind": "drop", "target": "pursuer/odom", "at": 0, "probability": 0.3}
    first = passed(fault, steps=range(2000))
    assert first == passed(fault, steps=range(2000)) != passed(fault, steps=range(2000), seed=1)
    assert 0.65 < len(first) / 2000 < 0.75


def test_duplicates_and_reverse_order():
    assert passed(BASE | {"kind": "duplicate"}) == [0, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9]
    assert passed(BASE | {"kind": "reorder", "window": 4}) == [0, 1, 5, 4, 3, 2, 7, 6, 8, 9]


def test_delay():
    out = through(BASE | {"kind": "delay", "delay": 0.12})
    late = {round((stamp_ns(m.header.stamp) / SECOND - 1.0) / DT): now for now, m in out}
    assert late[2] == pytest.approx(0.25)
    assert late[1] == pytest.approx(0.05)


def test_numbers_that_are_none():
    values = [odometry_values(m) for _, m in through(BASE | {"kind": "nan", "value": "-inf", "fields": "twist"})]
    assert values[2][3:] == (-math.inf, -math.inf) and values[2][0] == pytest.approx(0.2)
    command = TwistStamped()
    set_command(command, SECOND, 1.0, 2.0)
    fault = {"kind": "nan", "target": "pursuer/cmd_vel_nominal", "at": 0}
    assert all(math.isnan(v) for _, m in through(fault, range(1), lambda _: command) for v in command_values(m))


@pytest.mark.parametrize("stamps", ["advance", "frozen"])
def test_a_frozen_sensor_repeats_itself(stamps):
    out = [m for _, m in through(BASE | {"kind": "frozen", "stamps": stamps})]
    assert [odometry_values(m)[0] for m in out[2:8]] == [pytest.approx(0.2)] * 6
    assert odometry_values(out[8])[0] == pytest.approx(0.8)
    assert (stamp_ns(out[4].header.stamp) == stamp_ns(out[2].header.stamp)) == (stamps == "frozen")


def test_a_jump_displaces_and_turns():
    values = [odometry_values(m) for _, m in through(BASE | {"kind": "jump", "dx": 2.0, "dy": -1.0, "turn": 1.0})]
    assert values[3][:3] == pytest.approx((2.3, -1.0, 1.0))
    assert values[9][:3] == pytest.approx((0.9, 0.0, 0.0))


def test_yaw_that_passes_pi_spikes_the_rate():
    def turning(step):
        yaw = math.remainder(3.0 + 0.05 * step, 2.0 * math.pi)
        return odometry(step, 0.0, 0.0, yaw, 0.0, 1.0)

    fault = {"kind": "yaw_spike", "target": "pursuer/odom", "at": 0, "every": 0}
    rates = [odometry_values(m)[4] for _, m in through(fault, make=turning)]
    assert rates[3] == pytest.approx(1.0 - 2.0 * math.pi / DT)
    assert rates[:3] + rates[4:] == pytest.approx([1.0] * 9)


def test_stamps_of_a_clock_that_is_wrong():
    fault = {"kind": "clock", "target": "pursuer", "at": 0.1, "duration": 0.3, "step": -0.5, "drift": 0.1}
    topic = FaultyTopic("pursuer/odom", plan(fault).faults, 0, DT)
    topic.offer(odometry(4), 0, 0.2)
    assert stamp_ns(topic.due(0.2)[0].header.stamp) == pytest.approx(1.2e9 - 0.49e9)
    assert shifted(100, -1.0) == 0
