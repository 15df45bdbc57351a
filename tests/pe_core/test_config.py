"""Configuration: what is refused, and that the message names file, key, value and what is allowed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_core.config import ConfigurationError, check_range, from_mapping, load_yaml, quantities, quantity


@dataclasses.dataclass(frozen=True)
class Settings:
    speed: float = quantity(1.0, unit="m/s", low=0.0, high=2.0, description="speed")
    count: int = quantity(3, low=0, high=6, description="how many")
    mode: str = quantity("slow", choices=("slow", "fast"), description="mode")
    label: str = quantity("", description="any text")
    enabled: bool = quantity(False, description="flag")
    topics: tuple[str, ...] = quantity((), description="names")
    gains: tuple[float, ...] = quantity((), low=0.0, high=1.0, description="numbers")

    def __post_init__(self) -> None:
        check_range(self, "settings")


@dataclasses.dataclass(frozen=True)
class Required:
    length: float = quantity(unit="m", low=1.0, high=2.0, description="length")


def refuse(cls: type, mapping: dict[Any, Any], *words: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        from_mapping(cls, mapping, "robot.yaml")
    for word in ("robot.yaml", *words):
        assert word in str(error.value)


def test_values_may_carry_their_unit() -> None:
    assert from_mapping(Settings, {"speed": "0.22 m/s"}, "f").speed == 0.22
    assert from_mapping(Settings, {"speed": 1}, "f").speed == 1.0
    assert isinstance(from_mapping(Settings, {"speed": 1}, "f").speed, float)
    assert from_mapping(Settings, {"count": 2.0}, "f").count == 2


def test_unknown_key_lists_the_known_ones() -> None:
    refuse(Settings, {"sped": 1.0}, "'sped'", "speed", "count")
    refuse(Settings, {3: 1.0}, "'3'")


@pytest.mark.parametrize("value", ["1 km/h", "1 m", "0.5 rad/s"])
def test_wrong_unit_names_the_wanted_one(value: str) -> None:
    refuse(Settings, {"speed": value}, "speed", value, "'m/s'", "[0, 2] m/s")


def test_unit_on_a_quantity_without_one_is_refused() -> None:
    refuse(Settings, {"count": "3 m"}, "count", "'m'", "none")


@pytest.mark.parametrize(
    "value", [-0.001, 2.001, 1e300, "2.5 m/s", float("nan"), float("inf"), "nan", 10**400]
)
def test_out_of_range_names_the_interval(value: Any) -> None:
    refuse(Settings, {"speed": value}, "speed", repr(value), "[0, 2] m/s")


@pytest.mark.parametrize("value", ["fast", "", "1.0m/s", "1 m / s", None, True, [1.0], [1.0, 1.5], {"a": 1}])
def test_wrong_type_for_a_number_is_refused(value: Any) -> None:
    refuse(Settings, {"speed": value}, "speed", repr(value), "[0, 2] m/s")


def test_fractions_are_not_whole_numbers() -> None:
    refuse(Settings, {"count": 2.5}, "count", "2.5", "[0, 6]")


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("mode", "medium", "one of slow, fast"),
        ("mode", 1, "one of slow, fast"),
        ("label", 5, "text"),
        ("enabled", "yes", "true, false"),
        ("enabled", 1, "true, false"),
        ("topics", "odom", "text"),
        ("topics", ["odom", 1], "text"),
        ("gains", [0.5, 1.5], "[0, 1]"),
        ("gains", 0.5, "[0, 1]"),
    ],
)
def test_words_flags_and_lists_are_checked(key: str, value: Any, allowed: str) -> None:
    refuse(Settings, {key: value}, key, allowed)


def test_words_flags_and_lists_are_taken() -> None:
    given_values = {"mode": "fast", "enabled": True, "topics": ["a", "b"], "gains": [0.5, 1]}
    settings_ = from_mapping(Settings, given_values, "f")
    assert (settings_.mode, settings_.enabled) == ("fast", True)
    assert (settings_.topics, settings_.gains) == (("a", "b"), (0.5, 1.0))


def test_missing_required_key_says_what_it_may_be() -> None:
    refuse(Required, {}, "'length' is missing", "[1, 2] m")


def test_constructor_checks_the_same_bounds() -> None:
    with pytest.raises(ConfigurationError, match=r"settings: speed = 3\.0: allowed: \[0, 2\] m/s"):
        Settings(speed=3.0)
    with pytest.raises(ConfigurationError, match="mode = 'x'"):
        Settings(mode="x")
    with pytest.raises(ConfigurationError, match="nan"):
        Settings(speed=float("nan"))


def test_error_of_the_dataclass_itself_names_the_file() -> None:
    @dataclasses.dataclass(frozen=True)
    class Picky:
        value: float = quantity(0.0, low=0.0, high=1.0, description="v")

        def __post_init__(self) -> None:
            raise ConfigurationError("value and weather do not go together")

    refuse(Picky, {"value": 0.5}, "do not go together")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"speed: [", "not valid YAML"),
        (b"- 1\n", "mapping of keys to values, not list"),
        (b"", "not NoneType"),
        (b"\xff\xfe\x00", "not valid YAML"),
        (b"speed: 1\nspeed: 2\n", "'speed' is given twice"),
    ],
)
def test_broken_files_are_refused_by_name(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words) as error:
        load_yaml(Settings, path)
    assert str(path) in str(error.value)


def test_missing_file_and_directory_are_refused_by_name(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be read") as error:
            load_yaml(Settings, path)
        assert str(path) in str(error.value)


def test_file_values_arrive(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text("speed: 0.5 m/s\nmode: fast\n")
    assert load_yaml(Settings, path) == Settings(speed=0.5, mode="fast")


def test_quantities_carry_unit_bounds_and_meaning() -> None:
    declared = quantities(Settings)["speed"]
    assert (declared.unit, declared.low, declared.high, declared.description) == ("m/s", 0.0, 2.0, "speed")


@settings(derandomize=True, max_examples=200)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        max_leaves=4,
    ),
    st.sampled_from(["speed", "count", "mode", "label", "enabled", "topics", "gains"]),
)
def test_any_value_is_taken_in_range_or_refused_as_configuration(value: Any, key: str) -> None:
    try:
        taken = from_mapping(Settings, {key: value}, "f")
    except ConfigurationError as error:
        assert "f:" in str(error) and key in str(error)
    else:
        assert 0.0 <= taken.speed <= 2.0 and taken.count in range(7) and isinstance(taken.topics, tuple)
        assert isinstance(taken.speed, float) and isinstance(taken.count, int)
