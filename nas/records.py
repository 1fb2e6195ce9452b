"""Frozen dataclasses from the JSON that `dataclasses.asdict` made of them."""

from __future__ import annotations

import dataclasses
import math
import types
from typing import Any, Union, get_args, get_origin, get_type_hints


def without_nan(value: Any) -> Any:
    """The same plain values, numbers that are none as None: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def built(kind: Any, value: Any) -> Any:
    """`value` from JSON as `kind`: frozen dataclasses, tuples, dicts, unions with None, and plain values.

    Raises:
        TypeError, KeyError, ValueError: `value` is not of that form.
    """
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise TypeError(f"{kind.__name__} must be an object, got {value!r}")
        hints = get_type_hints(kind)
        return kind(**{key: built(hints[key], item) for key, item in value.items()})
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return built(next(option for option in inner if option is not types.NoneType), value)
    if origin is tuple:
        each = [inner[0]] * len(value) if len(inner) == 2 and inner[1] is Ellipsis else list(inner)
        return tuple(built(item_kind, item) for item_kind, item in zip(each, value, strict=True))
    if kind is float:
        return float(value)
    return value
