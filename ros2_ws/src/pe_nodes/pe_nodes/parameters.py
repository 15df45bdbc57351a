"""ROS parameters declared from dataclasses, with description and range, and read back as those dataclasses."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from pe_core.config import ConfigurationError, Quantity, from_mapping, quantities

T = TypeVar("T")


def declare(node: Node, defaults: Any, prefix: str = "") -> list[str]:
    """Declare every quantity of the dataclass instance ``defaults`` as ``<prefix><field>``; returns the names.

    Raises:
        ConfigurationError: a value given at start has the wrong type or is out of range.
    """
    names = []
    for name, declared in quantities(type(defaults)).items():
        full = prefix + name
        default = getattr(defaults, name)
        try:
            if isinstance(default, tuple):
                # An empty list has no type of its own.
                node.declare_parameter(full, Parameter.Type.STRING_ARRAY, descriptor(declared, default))
            else:
                node.declare_parameter(full, default, descriptor(declared, default))
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ConfigurationError(
                f"parameter {full}: {error}; allowed: {_kind(default)}, {declared.allowed()}"
            ) from error
        names.append(full)
    return names


def read(node: Node, cls: type[T], prefix: str = "", defaults: Any = None) -> T:
    """The parameters as an instance of ``cls``.

    Raises:
        ConfigurationError: a value is not allowed.
    """
    values: dict[str, Any] = {}
    for name in quantities(cls):
        parameter = node.get_parameter_or(prefix + name, None)
        if parameter is None or parameter.type_ == Parameter.Type.NOT_SET:
            continue
        value = parameter.value
        values[name] = value if isinstance(value, (str, bool, int, float)) else tuple(value)
    words = {name: value for name, value in values.items() if isinstance(value, tuple)}
    plain = {name: value for name, value in values.items() if not isinstance(value, tuple)}
    base = from_mapping(cls, plain, node.get_fully_qualified_name())
    return dataclasses.replace(base, **words) if words else base  # type: ignore[type-var]


def descriptor(declared: Quantity, default: Any) -> ParameterDescriptor:
    """Description, unit and range of a declared quantity."""
    text = ParameterDescriptor(
        description=declared.description + (f" [{declared.unit}]" if declared.unit else ""),
        additional_constraints=f"{declared.allowed()}; read-only while the node is active",
    )
    bounded = math.isfinite(declared.low) and math.isfinite(declared.high)
    if bounded and isinstance(default, int) and not isinstance(default, bool):
        text.integer_range = [IntegerRange(from_value=int(declared.low), to_value=int(declared.high), step=1)]
    elif bounded and isinstance(default, float):
        text.floating_point_range = [FloatingPointRange(from_value=declared.low, to_value=declared.high, step=0.0)]
    return text


def _kind(default: Any) -> str:
    return {bool: "true or false", int: "whole number", float: "number", str: "text", tuple: "list of texts"}[
        type(default)
    ]
