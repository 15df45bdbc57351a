"""Configuration by dataclasses with units and bounds, filled from YAML.

A parameter is declared once, with :func:`quantity`, as a dataclass field that carries its unit, its closed
interval of allowed values and one sentence of meaning.  YAML files, ROS parameters and documentation are all
derived from that declaration.

A YAML value is a plain number in the declared unit, or text with the unit written out (``0.22 m/s``).  An
unknown key, another unit, a wrong type or a value out of range raises :class:`ConfigurationError`, which names
the file, the key, the value and what is allowed.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, TypeVar

import yaml

T = TypeVar("T")

_METADATA_KEY = "quantity"


class ConfigurationError(ValueError):
    """A configuration file, an argument or a bundle says something that is not allowed."""


@dataclasses.dataclass(frozen=True)
class Quantity:
    """What one parameter may be: unit, closed interval, allowed words, meaning."""

    unit: str
    low: float
    high: float
    choices: tuple[str, ...]
    description: str

    def allowed(self) -> str:
        """The allowed values in words, for messages and parameter descriptions."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if math.isinf(self.low) and math.isinf(self.high):
            return f"a number in {self.unit}" if self.unit else "text"
        unit = f" {self.unit}" if self.unit else ""
        return f"[{self.low:.10g}, {self.high:.10g}]{unit}"


def quantity(
    default: Any = dataclasses.MISSING,
    *,
    unit: str = "",
    low: float = -math.inf,
    high: float = math.inf,
    choices: tuple[str, ...] = (),
    description: str = "",
) -> Any:
    """A dataclass field with its unit, closed interval and meaning; without ``default`` it is required."""
    metadata = {_METADATA_KEY: Quantity(unit, low, high, choices, description)}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def quantities(cls: type) -> dict[str, Quantity]:
    """Every declared quantity of a dataclass by field name."""
    return {
        field.name: field.metadata[_METADATA_KEY]
        for field in dataclasses.fields(cls)
        if _METADATA_KEY in field.metadata
    }


class _Loader(yaml.SafeLoader):
    """YAML without a key given twice, of which the plain loader would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            keys = [str(key.value) for key, _ in node.value]
            double = next((key for key in keys if keys.count(key) > 1), None)
            if double is not None:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key '{double}' is given twice", node.start_mark
                )
        return mapping


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigurationError: the file is missing, is not YAML, or holds no mapping.
    """
    try:
        data = yaml.load(path.read_text(), Loader=_Loader)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path}: must hold a mapping of keys to values, not {type(data).__name__}")
    return data


def load_yaml(cls: type[T], path: Path) -> T:
    """An instance of dataclass ``cls`` filled from a YAML file (see :func:`from_mapping`)."""
    return from_mapping(cls, read_yaml(path), str(path))


def from_mapping(cls: type[T], mapping: dict[str, Any], source: str) -> T:
    """An instance of dataclass ``cls`` from a mapping; ``source`` names the file in messages.

    Raises:
        ConfigurationError: unknown or missing key, wrong type or unit, value out of range.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = [str(key) for key in mapping if key not in fields]
    if unknown:
        raise ConfigurationError(
            f"{source}: unknown key '{unknown[0]}'; allowed: {', '.join(sorted(fields))}"
        )
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in mapping:
            values[name] = convert(field, mapping[name], source)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigurationError(f"{source}: key '{name}' is missing{_allowed(field)}")
    try:
        return cls(**values)
    except ConfigurationError as error:
        text = str(error)
        raise ConfigurationError(text if text.startswith(source) else f"{source}: {text}") from error


def convert(field: dataclasses.Field[Any], value: Any, source: str) -> Any:
    """One value as the declared field wants it (number in SI unit, word, flag, sequence)."""
    declared: Quantity | None = field.metadata.get(_METADATA_KEY)
    if declared is None:
        return value
    if declared.choices or field.type == "str":
        if not isinstance(value, str) or (declared.choices and value not in declared.choices):
            raise _refusal(source, field.name, value, declared)
        return value
    if field.type == "bool":
        if not isinstance(value, bool):
            raise ConfigurationError(f"{source}: {field.name} = {value!r}: allowed: true, false")
        return value
    if str(field.type).startswith("tuple"):
        if not isinstance(value, (list, tuple)):
            raise _refusal(source, field.name, value, declared)
        if "str" in str(field.type):
            if not all(isinstance(item, str) for item in value):
                raise _refusal(source, field.name, value, declared)
            return tuple(value)
        return tuple(_number(field, item, source, declared) for item in value)
    return _number(field, value, source, declared)


def check_range(instance: Any, source: str = "") -> None:
    """Check every declared numeric quantity of a dataclass instance against its interval.

    Raises:
        ConfigurationError: a value is not finite or lies outside its interval.
    """
    for name, declared in quantities(type(instance)).items():
        value = getattr(instance, name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, bool) or not isinstance(item, (int, float)):
                if declared.choices and item not in declared.choices:
                    raise _refusal(source or type(instance).__name__, name, item, declared)
                continue
            if not declared.low <= item <= declared.high:
                raise _refusal(source or type(instance).__name__, name, item, declared)


def _number(field: dataclasses.Field[Any], value: Any, source: str, declared: Quantity) -> float | int:
    number = value
    if isinstance(value, int) and abs(value) > 2**63:
        raise _refusal(source, field.name, value, declared)
    if isinstance(value, str):
        parts = value.split()
        if len(parts) == 2 and parts[1] != declared.unit:
            raise ConfigurationError(
                f"{source}: {field.name} = {value!r}: unit '{parts[1]}' is not '{declared.unit or 'none'}'; "
                f"allowed: {declared.allowed()}"
            )
        try:
            number = float(parts[0]) if len(parts) in (1, 2) else math.nan
        except ValueError:
            number = math.nan
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
        raise _refusal(source, field.name, value, declared)
    if field.type == "int":
        if number != int(number):
            raise _refusal(source, field.name, value, declared)
        number = int(number)
    else:
        number = float(number)
    if not declared.low <= number <= declared.high:
        raise _refusal(source, field.name, value, declared)
    return number


def _refusal(source: str, key: str, value: Any, declared: Quantity) -> ConfigurationError:
    return ConfigurationError(f"{source}: {key} = {value!r}: allowed: {declared.allowed()}")


def _allowed(field: dataclasses.Field[Any]) -> str:
    declared: Quantity | None = field.metadata.get(_METADATA_KEY)
    return f"; allowed: {declared.allowed()}" if declared else ""
