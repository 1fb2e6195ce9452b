"""A graph under construction while an ONNX file is read: operators, weights, and what each ONNX name stands for.

ONNX moves axes about where a `Graph` has none of that: a Transpose, Squeeze or Reshape mostly changes how a tensor is
looked at and not what it holds. So an ONNX name stands for a `View` of a tensor, and an operator is made only where
values change or where the graph has a word for it (`flatten`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import accumulate
from math import prod
from typing import Any, NoReturn

import numpy as np

from search_spaces import ops
from search_spaces.errors import ModelError, UnsupportedOp
from search_spaces.graph import Op, Shape

LARGEST = 2**26  # elements of a constant, or of a tensor of one sample; no network for a device comes near it

# Stands for the batch size where a file computes with shapes; a prime, so that no product or quotient of true sides
# is taken for it.
BATCH = 10_007


def counts_batch(values: Any) -> Any:
    """Which whole numbers stand for some times the batch size: an array of truth values, or one."""
    array = np.asarray(values)
    return array.dtype.kind == "i" and (array > 0) & (array < BATCH * 10_000) & (array % BATCH == 0)


@dataclass(frozen=True, slots=True)
class Node:
    """One ONNX node in plain Python: attributes are numbers, lists, bytes or arrays."""

    kind: str
    label: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: dict[str, Any]

    def refuse(self, why: str) -> NoReturn:
        raise UnsupportedOp(f"{self.kind} node {self.label!r}: {why}")


@dataclass(frozen=True, slots=True)
class View:
    """How an ONNX tensor looks at a tensor of the graph.

    Attributes:
        tensor: the graph tensor.
        order: the ONNX axes after the batch axis, as axes of the graph tensor; `(1, 2, 0)` is channels last. Axes of
            size 1 may be left out.
        columns: of a flat tensor whose features stand in another order than the graph's: entry `j` is the place in
            the graph tensor of ONNX feature `j`.
        groups: of a map whose channels stand apart as groups x members, the first half of a channel shuffle, the
            number of groups; negative once those two axes are swapped. 1 where the whole map is one group, 1 x all, as
            a group norm has it; else 0.
    """

    tensor: str
    order: tuple[int, ...]
    columns: np.ndarray | None = None
    groups: int = 0


def check_elements(name: str, shape: Shape) -> None:
    """Raises ModelError for a tensor that would fill the memory as soon as anything is done with it."""
    if prod(shape) > LARGEST:
        raise ModelError(f"a tensor may have at most {LARGEST} elements a sample, {name!r} has shape {shape}")


@dataclass
class Draft:
    """Everything known so far. Tensors are per sample, channels first.

    Attributes:
        input, input_shape, outputs: the file's, as ONNX names; a transposed input changes the shape.
        batch: the batch size where the file fixes one.
        constants: ONNX name to value: initializers and everything computed from constants alone.
        repeated: of a constant that is the same for every sample, the batch axis, along which it is held for one.
        differing: of a constant that is held for one sample and is not so repeated, its value for two.
        views: ONNX name to what it stands for.
        shapes: graph tensor to shape.
        ops: in order; the kind `pad` exists here only and is folded away before the end.
        weights: float64, so that folding rounds once, at the end.
        templates: of tensors that nodes kept as they are make, see `onnx_frozen`.
        held: ONNX name to the tensor that holds its values in ONNX's own order of axes, where its view is another.
    """

    input: str
    input_shape: Shape
    outputs: tuple[str, ...]
    batch: int | None
    constants: dict[str, np.ndarray]
    repeated: dict[str, int] = field(default_factory=dict)
    differing: dict[str, np.ndarray] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    templates: dict[str, Shape] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_elements(self.input, self.input_shape)
        self.shapes[self.input] = self.input_shape
        self.show(self.input, self.input)

    # What a node reads

    def constant(self, node: Node, place: int, what: str) -> np.ndarray:
        """A constant input, float64 if it is floating point; refuses a computed one."""
        name = node.inputs[place] if place < len(node.inputs) else ""
        if name not in self.constants:
            node.refuse(f"its {what} must be a constant, got {name or 'nothing'!r}; export with constants folded")
        self.check_alike(node, name)
        values = self.constants[name]
        return values.astype(np.float64) if values.dtype.kind == "f" else values

    def check_alike(self, node: Node, name: str) -> None:
        """Refuses a constant that differs from sample to sample."""
        if name in self.differing:
            node.refuse("a constant differs from sample to sample")

    def for_samples(self, name: str, count: int) -> np.ndarray:
        """A constant as it is in a batch of one or two samples."""
        values = self.constants[name]
        if name in self.differing:
            values = (values, self.differing[name])[count - 1]
        elif name in self.repeated:
            values = np.concatenate([values] * count, axis=self.repeated[name])
        return np.where(counts_batch(values), values // BATCH * count, values) if values.dtype.kind == "i" else values

    def has(self, node: Node, place: int) -> bool:
        """Whether an optional input is given."""
        return place < len(node.inputs) and node.inputs[place] != ""

    def setting(self, node: Node, name: str, place: int, default: Any) -> Any:
        """A setting that is an attribute in some ONNX versions and a constant input in others."""
        if name in node.attrs:
            return node.attrs[name]
        return self.constant(node, place, name).tolist() if self.has(node, place) else default

    def parts(self, node: Node, size: int) -> dict[str, tuple[int, int]]:
        """Where each output of a Split of an axis of `size` begins and ends; even parts unless it says which."""
        count = len(node.outputs)
        even = [-(-size // count)] * (count - 1)
        sizes = [int(part) for part in self.setting(node, "split", 1, [*even, size - sum(even)])]
        stops = list(accumulate(sizes))
        return {name: (stop - part, stop) for name, part, stop in zip(node.outputs, sizes, stops, strict=True)}

    def weights_of(self, name: str) -> list[str]:
        """The keys of an operator's weights."""
        return [key for key in self.weights if key.rpartition(".")[0] == name]

    def norm(self, node: Node) -> tuple[np.ndarray, np.ndarray]:
        """Scale and shift of a BatchNormalization's channels."""
        if node.attrs.get("training_mode", 0):
            node.refuse("it is in training mode; export the model in eval mode")
        gamma, beta, mean, variance = (
            self.constant(node, place, what)
            for place, what in enumerate(("scale", "bias", "mean", "variance"), start=1)
        )
        scale = gamma / np.sqrt(variance + node.attrs.get("epsilon", 1e-5))
        return scale, beta - mean * scale

    def view(self, node: Node, place: int = 0) -> View:
        """What an input stands for; refuses a constant."""
        name = node.inputs[place] if place < len(node.inputs) else ""
        if name not in self.views:
            node.refuse(f"input {place} must be computed from the model's input, got {name or 'nothing'!r}")
        return self.views[name]

    def plain(self, node: Node, place: int = 0) -> str:
        """The graph tensor an input stands for; refuses one whose axes are moved about."""
        view = self.view(node, place)
        if not self.is_plain(view):
            node.refuse("its input must be batch x channels x height x width; export the model with channels first")
        return view.tensor

    def maker(self, tensor: str) -> Op | None:
        """The operator that makes a graph tensor; the input has none."""
        return next((op for op in reversed(self.ops) if op.name == tensor), None)

    def is_plain(self, view: View) -> bool:
        """Whether the axes stand as the graph has them."""
        plain_order = view.order == tuple(range(len(self.shapes[view.tensor])))
        return view.columns is None and not view.groups and plain_order

    def sides(self, view: View) -> Shape:
        """The ONNX shape of a view, without the batch axis."""
        sides = tuple(self.shapes[view.tensor][axis] for axis in view.order)
        if view.groups in (0, 1):
            return (1, prod(sides)) if view.groups else sides
        halves = abs(view.groups), sides[0] // abs(view.groups)
        return (*(halves if view.groups > 0 else halves[::-1]), *sides[1:])

    # What a node leaves

    def show(self, name: str, tensor: str) -> None:
        """ONNX name `name` is `tensor` as it stands."""
        self.views[name] = View(tensor, tuple(range(len(self.shapes[tensor]))))

    def fresh(self, name: str) -> str:
        """A tensor name that is not taken, near `name`."""
        while name in self.shapes or name in self.views:
            name += "_"
        return name

    def append(self, op: Op, shape: Shape) -> str:
        """Appends an operator whose output shape is known; returns its name.

        Raises:
            ModelError: the output is larger than any network's for a device.
        """
        check_elements(op.name, shape)
        self.ops.append(op)
        self.shapes[op.name] = shape
        return op.name

    def add(
        self,
        name: str,
        kind: str,
        *inputs: str,
        weight: np.ndarray | None = None,
        bias: np.ndarray | None = None,
        **attrs: Any,
    ) -> str:
        """Appends an operator under a fresh name near `name`, which is returned.

        Raises:
            ModelError: the shape rule of the kind is broken, or the weights do not fit the input.
        """
        op = Op.make(self.fresh(name), kind, *inputs, **attrs)
        rule = ops.KINDS[kind]
        shapes = [self.shapes[tensor] for tensor in inputs]
        self.append(op, rule.shape(op, shapes))
        given = {"weight": weight, "bias": bias}
        for role, shape in rule.weights(op, shapes).items():
            values = given[role]
            if values is None or values.shape != shape:
                got = "none" if values is None else values.shape
                raise ModelError(
                    f"{kind} {name!r}: its {role} must have shape {shape} for input {shapes[0]}, got {got}"
                )
            self.weights[f"{op.name}.{role}"] = values
        return op.name

    def emit(self, node: Node, kind: str, *inputs: str, **rest: Any) -> None:
        """Appends an operator that makes the node's output."""
        self.show(node.outputs[0], self.add(node.outputs[0], kind, *inputs, **rest))

    def emit_like(self, node: Node, view: View, kind: str, *others: str, **rest: Any) -> None:
        """Appends an operator over the tensor of `view` that makes the node's output, which is looked at the same way.

        The kinds of the draft alone, which a later pass removes, have no shape rule: their output is as their input.
        """
        name = node.outputs[0]
        if kind in ops.KINDS:
            made = self.add(name, kind, view.tensor, *others, **rest)
        else:
            made = self.append(Op.make(self.fresh(name), kind, view.tensor), self.shapes[view.tensor])
        self.views[name] = replace(view, tensor=made)

    def alias(self, node: Node, view: View) -> None:
        """The node changes nothing but the view."""
        self.views[node.outputs[0]] = view
        turned = {(2, 0, 1): (1, 2, 0), (2, 0): (2, 1, 0)}.get(view.order)  # from old axes to new
        if view.order == (2, 1, 0) and self.input_shape[1] == 1:  # a series, length x channels, with its height
            turned = (2, 1, 0)
        if view.tensor == self.input and turned and not self.ops:
            # A channels-last input, as Keras has it: the graph's input is what this node makes of it.
            shape = self.input_shape
            self.input_shape = self.shapes[self.input] = tuple(shape[turned.index(axis)] for axis in range(3))
            for name, seen in self.views.items():
                self.views[name] = View(self.input, tuple(turned[axis] for axis in seen.order))

    def forget(self, count: int, names: tuple[str, ...]) -> None:
        """Takes back all operators but the first `count`, and what `names` stand for."""
        for op in self.ops[count:]:
            del self.shapes[op.name]
            for key in self.weights_of(op.name):
                del self.weights[key]
        del self.ops[count:]
        for name in names:
            self.views.pop(name, None)

    def take(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """An operator's weight and bias, which it loses."""
        return self.weights.pop(f"{name}.weight"), self.weights.pop(f"{name}.bias")

    def put(self, name: str, weight: np.ndarray, bias: np.ndarray) -> None:
        """Gives an operator its weight and bias."""
        self.weights[f"{name}.weight"], self.weights[f"{name}.bias"] = weight, bias
