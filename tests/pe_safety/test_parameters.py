"""Parameters of the filter: the shipped file, bounds, what the kernels read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pe_core.config import ConfigurationError
from pe_core.paths import config_names
from pe_safety.parameters import ARC, COOPERATIVE, RATE, SafetyParameters, check_mechanism, load_safety
from training.learning.parameters import load_learning


def test_shipped_parameters_are_the_specified_ones() -> None:
    parameters = load_safety("rcbf")
    assert parameters == SafetyParameters()
    assert (parameters.gamma, parameters.weight_v, parameters.weight_omega) == (0.2, 150.0, 1.0)
    assert (parameters.condition, parameters.arc_margin, parameters.opponent_behaviour) == (
        "discrete", True, "cooperative",
    )  # fmt: skip


def test_the_filter_that_verifies_a_barrier_net_is_the_one_it_learned_in() -> None:
    assert load_safety("barriernet") == load_safety(load_learning("barriernet").safety) == load_safety("rcbf")


def test_a_barrier_net_is_verified_only_where_there_is_one() -> None:
    check_mechanism("barriernet", ("barriernet", "lookahead"))
    check_mechanism("rcbf", ("lead", "lookahead"))
    with pytest.raises(ConfigurationError, match="neither policy has a BarrierNet head; allowed: rcbf, "):
        check_mechanism("barriernet", ("lead", "lookahead"))


def test_every_safety_file_loads() -> None:
    for name in config_names("safety"):
        load_safety(name)


def test_rate_is_decay_per_step_or_class_k_gain() -> None:
    assert SafetyParameters(gamma=0.2).as_array(0.05)[RATE] == pytest.approx(4.0)
    assert SafetyParameters(condition="continuous", alpha=1.5).as_array(0.05)[RATE] == 1.5


def test_arc_margin_belongs_to_the_discrete_condition() -> None:
    assert SafetyParameters().as_array(0.05)[ARC] == 1.0
    assert SafetyParameters(arc_margin=False).as_array(0.05)[ARC] == 0.0
    assert SafetyParameters(condition="continuous").as_array(0.05)[ARC] == 0.0


def test_behaviour_of_the_opponent_reaches_the_kernels() -> None:
    assert SafetyParameters().as_array(0.05)[COOPERATIVE] == 1.0
    assert SafetyParameters(opponent_behaviour="passive").as_array(0.05)[COOPERATIVE] == 0.0


@pytest.mark.parametrize("dt", [0.0, -0.05, 1.5, float("nan")])
def test_impossible_periods_are_refused(dt: float) -> None:
    with pytest.raises(ConfigurationError, match=r"dt = .*\(0, 1\] s"):
        SafetyParameters().as_array(dt)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gamma: 0\n", r"gamma = 0.*\[0.001, 1\]"),
        ("gamma: 1.5\n", r"gamma = 1.5"),
        ("weight_v: -1\n", "weight_v = -1"),
        ("margin: 5 cm\n", "unit 'cm' is not 'm'"),
        ("condition: exact\n", "one of discrete, continuous"),
        ("opponent_behaviour: hostile\n", "one of cooperative, passive"),
        ("arc_margin: 1\n", "true, false"),
        ("gama: 0.2\n", "unknown key 'gama'"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "safety.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=words) as error:
        load_safety(str(path))
    assert str(path) in str(error.value)


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="known: .*rcbf"):
        load_safety("trust_me")
