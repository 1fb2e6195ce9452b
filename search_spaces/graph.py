"""The one description of a network: frozen operators in order, without weights and without a batch axis.

Shapes are per sample: `(channels, height, width)` for images, `(features,)` after a flatten. An operator has one
output, and the operator's name is that tensor's name. Weights live beside the graph in a `Weights` mapping
`"<op>.weight"`, `"<op>.bias"`: conv and conv_transpose `O x I/groups x KH x KW`, linear `O x I`, affine `C` (a scale
and a shift).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from search_spaces import ops
from search_spaces.errors import ModelError

Shape = tuple[int, ...]
Weights = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Op:
    """One operator.

    Attributes:
        name: unique, and the name of the output tensor.
        kind: a key of `ops.KINDS`.
        inputs: names of the tensors read, in order.
        attrs: sorted `(key, value)` pairs; `op["stride"]` reads one. Which keys a kind has stands in `ops.KINDS`.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    attrs: tuple[tuple[str, Any], ...] = ()

    @staticmethod
    def make(name: str, kind: str, *inputs: str, **attrs: Any) -> Op:
        return Op(name, kind, inputs, tuple(sorted(attrs.items())))

    def __getitem__(self, key: str) -> Any:
        for name, value in self.attrs:
            if name == key:
                return value
        raise KeyError(f"{self.kind} {self.name!r} has no attribute {key!r}")

    def replace(self, **attrs: Any) -> Op:
        """The same operator with some attributes changed."""
        return Op(self.name, self.kind, self.inputs, tuple((k, attrs.get(k, v)) for k, v in self.attrs))

    @property
    def weight_bits(self) -> int:
        """Bits of a stored weight, 8 unless the attribute `weight_bits` says 4."""
        return next((value for name, value in self.attrs if name == "weight_bits"), 8)

    def stored_in(self, bits: int) -> Op:
        """The same operator with weights of 8 or 4 bits; 8 is no attribute, so that equal operators are equal."""
        others = {name: value for name, value in self.attrs if name != "weight_bits"}
        return Op.make(self.name, self.kind, *self.inputs, **others, **({} if bits == 8 else {"weight_bits": bits}))


@dataclass(frozen=True)
class Graph:
    """A network: one input, operators in execution order, one or more outputs.

    Raises:
        ModelError: a name is used twice, read before it is made, or the graph has no output.
    """

    input: str
    input_shape: Shape
    ops: tuple[Op, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        known = {self.input}
        for op in self.ops:
            if op.kind not in ops.KINDS:
                raise ModelError(f"operator kind must be one of {', '.join(ops.KINDS)}, got {op.kind!r} at {op.name!r}")
            for name in op.inputs:
                if name not in known:
                    raise ModelError(f"{op.kind} {op.name!r} reads {name!r} before it is made")
            if op.name in known:
                raise ModelError(f"tensor names must be unique, {op.name!r} is made twice")
            known.add(op.name)
        if not self.outputs or not known.issuperset(self.outputs):
            raise ModelError(f"outputs {self.outputs} must name tensors of the graph")

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Every tensor's shape per sample, the input's included."""
        found = {self.input: self.input_shape}
        for op in self.ops:
            found[op.name] = ops.KINDS[op.kind].shape(op, [found[name] for name in op.inputs])
        return found

    @cached_property
    def by_name(self) -> dict[str, Op]:
        return {op.name: op for op in self.ops}

    @cached_property
    def consumers(self) -> dict[str, tuple[Op, ...]]:
        """The operators that read each tensor, in order; a tensor nobody reads has an empty tuple."""
        found: dict[str, list[Op]] = {name: [] for name in (self.input, *self.by_name)}
        for op in self.ops:
            for name in dict.fromkeys(op.inputs):
                found[name].append(op)
        return {name: tuple(readers) for name, readers in found.items()}

    @cached_property
    def weight_shapes(self) -> dict[str, Shape]:
        """The shape of every weight, in order of the operators."""
        found: dict[str, Shape] = {}
        for op in self.ops:
            shapes = [self.shapes[name] for name in op.inputs]
            for key, shape in ops.KINDS[op.kind].weights(op, shapes).items():
                found[f"{op.name}.{key}"] = shape
        return found

    @property
    def params(self) -> int:
        """Numbers that are learned: weights and biases."""
        return sum(int(np.prod(shape)) for shape in self.weight_shapes.values())

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one sample in convolutions, linear and affine operators; nothing else is counted."""
        shapes = self.shapes
        return sum(
            ops.KINDS[op.kind].macs(op, [shapes[name] for name in op.inputs], shapes[op.name]) for op in self.ops
        )
