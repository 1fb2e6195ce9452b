"""A `Graph` as a torch network that can be trained: the student.

The graph is compiled once into a list of steps over numbered slots, so a forward pass looks nothing up by name. A
trainable BatchNorm belongs here and never to the graph: `add_norm` puts it in without changing an answer, `folded`
takes it out again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.data.feed import feed
from nas.students.frozen import Kept
from nas.students.layers import EPS, Layer, build
from nas.students.rounding import Rounding
from search_spaces.errors import ModelError
from search_spaces.graph import Graph, Op, Weights
from search_spaces.ops import LAYERS

Run = Callable[..., Tensor]


class Student(nn.Module):
    """A network that computes what its graph says, and can be trained.

    Args:
        graph: one output.
        weights: `"<op>.weight"` and `"<op>.bias"` for every weighted operator, float.
        norm: begin with BatchNorms whose running mean is 0 and variance 1; `add_norm` measures them instead.
        ending: where the output is an operator of this kind, the student gives the values before it.

    Attributes:
        rounding: the tensors that `round` put on a grid.

    Raises:
        ModelError: the graph has several outputs, or a weight is missing or has another shape.
    """

    def __init__(self, graph: Graph, weights: Weights, *, norm: bool = False, ending: str = "softmax") -> None:
        super().__init__()
        if len(graph.outputs) != 1:
            raise ModelError(f"a student has one output, the graph has {len(graph.outputs)}: {graph.outputs}")
        for name, shape in graph.weight_shapes.items():
            found = weights[name].shape if name in weights else None
            if found != shape:
                raise ModelError(f"weight {name!r} must have shape {shape}, got {found}")
        self.graph = graph
        self.rounding: dict[str, Rounding] = {}
        slots = {graph.input: 0} | {op.name: k for k, op in enumerate(graph.ops, 1)}
        self.layers = nn.ModuleList()
        self._layer_of: dict[str, Layer | Kept] = {}
        self._steps: list[tuple[Run, tuple[int, ...], int]] = []
        for op in graph.ops:
            run = self._build(op, weights)
            self._steps.append((run, tuple(slots[name] for name in op.inputs), slots[op.name]))
        last = graph.outputs[0]
        if last in graph.by_name and graph.by_name[last].kind == ending:
            last = graph.by_name[last].inputs[0]
        self.output = last  # the tensor that holds the logits
        self._slots, self._logits = slots, slots[last]
        if norm:
            for name in normed(graph):
                bias = torch.tensor(weights[f"{name}.bias"], dtype=torch.float32)
                gamma = torch.full_like(bias, (1 + EPS) ** 0.5)
                self.layer(name).set_norm(gamma, bias, torch.zeros_like(bias), torch.ones_like(bias))

    def _build(self, op: Op, weights: Weights) -> Run:
        if op.kind in PLAIN:
            return PLAIN[op.kind](op, self.graph.shapes[op.inputs[0]])
        layer = Kept(op, weights) if op.kind == "onnx" else build(op, weights)
        self.layers.append(layer)
        self._layer_of[op.name] = layer
        return layer.forward

    def round(self, rounding: Mapping[str, Rounding]) -> None:
        """Puts the values of these tensors on a grid from now on, as int8 will; gradients go straight through.

        Raises:
            ValueError: the student has norms, which int8 does not.
        """
        if any(hasattr(layer, "gamma") for layer in self.layers):
            raise ValueError("a student with norms cannot be rounded; build one of its folded weights")
        self.rounding = dict(rounding)
        for op, (run, sources, slot) in zip(self.graph.ops, self._steps, strict=True):
            if op.name in rounding:
                self._steps[slot - 1] = (partial(_rounded, run, rounding[op.name]), sources, slot)

    def _run(self, x: Tensor, steps: list[tuple[Run, tuple[int, ...], int]]) -> list[Tensor]:
        if self.graph.input in self.rounding:
            x = self.rounding[self.graph.input](x)
        values: list[Tensor] = [x] * (len(self._steps) + 1)
        for run, sources, slot in steps:
            values[slot] = run(*[values[k] for k in sources])
        return values

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images `N x C x H x W`, float, in the shape of the output; `channels_last` input is fastest."""
        return self._run(x, self._steps[: self._logits])[self._logits]

    @torch.inference_mode()
    def logits(self, x: np.ndarray, *, batch: int = 256) -> np.ndarray:
        """Logits `N x values` of images as they lie in a data set (uint8 or float), with the running statistics."""
        training = self.training
        self.eval()
        device = next((p.device for p in self.parameters()), torch.device("cpu"))
        found = [
            self(torch.tensor(feed(x[k : k + batch]), device=device)).flatten(1).cpu().numpy()
            for k in range(0, len(x), batch)
        ]
        self.train(training)
        return np.concatenate(found)

    @torch.no_grad()
    def tensors(self, x: Tensor | np.ndarray, names: Iterable[str]) -> dict[str, Tensor]:
        """The values of named tensors of the graph for float inputs `x`, each with the batch axis first."""
        values = self._run(torch.tensor(x) if isinstance(x, np.ndarray) else x, self._steps)
        return {name: values[self._slots[name]] for name in names}

    @torch.no_grad()
    def add_norm(self, x: Tensor | np.ndarray) -> None:
        """Puts a BatchNorm behind each conv and linear operator but the last, from the student's own values on `x`.

        As each norm starts out as gamma = sqrt(var + eps), beta = mean, no answer changes, and one pass is enough.
        """
        for name, value in self.tensors(x, normed(self.graph)).items():
            var, mean = torch.var_mean(value, [axis for axis in range(value.ndim) if axis != 1], correction=0)
            self.layer(name).add_norm(mean, var)

    def folded(self) -> dict[str, np.ndarray]:
        """The graph's weights, float32, with every BatchNorm folded into the operator before it."""
        return {
            f"{name}.{role}": values
            for name, layer in self._layer_of.items()
            for role, values in layer.folded().items()
        }

    def layer(self, name: str) -> Layer:
        """The layer of a weighted operator that is not kept as it is."""
        layer = self._layer_of[name]
        assert isinstance(layer, Layer)
        return layer

    def parameters_by_name(self) -> dict[str, nn.Parameter]:
        """What is learned, as `"<op>.<weight|bias|gamma|beta>"`."""
        return {
            f"{name}.{key}": parameter
            for name, layer in self._layer_of.items()
            for key, parameter in layer.named_parameters()
        }

    def state(self) -> dict[str, np.ndarray]:
        """Everything learned and every running statistic, as copies: `"<op>.<weight|bias|gamma|beta|mean|var>"`."""
        return {
            f"{name}.{key}": value.detach().cpu().numpy().copy()
            for name, layer in self._layer_of.items()
            for key, value in layer.state_dict().items()
        }

    @classmethod
    def restore(cls, graph: Graph, state: Mapping[str, np.ndarray], *, ending: str = "softmax") -> Student:
        """The student a `state()` was taken of; other names in `state` are ignored."""
        weights = {
            name: np.asarray(state[name]) if name in state else np.zeros(shape, np.float32)
            for name, shape in graph.weight_shapes.items()
        }
        student = cls(graph, weights, ending=ending)
        for name in student._layer_of:
            if f"{name}.gamma" in state:
                student.layer(name).set_norm(
                    **{key: torch.tensor(state[f"{name}.{key}"]) for key in ("gamma", "beta", "mean", "var")}
                )
        return student


def _rounded(run: Run, rounding: Rounding, *inputs: Tensor) -> Tensor:
    return rounding(run(*inputs))


def normed(graph: Graph) -> list[str]:
    """The convolutions and linear operators that get a BatchNorm: those with another weighted operator behind them."""
    behind: set[str] = set()  # tensors that some later weighted operator depends on
    found = []
    for op in reversed(graph.ops):
        if op.kind in LAYERS and op.name in behind:
            found.append(op.name)
        if op.name in behind or op.kind in LAYERS:
            behind.update(op.inputs)
    return found[::-1]


def _pool(average: bool) -> Callable[[Op, tuple[int, ...]], Run]:
    def build(op: Op, shape: tuple[int, ...]) -> Run:
        (top, left, bottom, right), kernel, stride = op["pads"], op["kernel"], op["stride"]
        if average:
            if not any(op["pads"]) and kernel == shape[1:]:
                return _global
            if any(op["pads"]):
                # Padding does not count: divide the sum by how many real values each window covers.
                ones = F.pad(torch.ones(1, 1, *shape[1:]), (left, right, top, bottom))
                share = 1 / F.avg_pool2d(ones, kernel, stride)
                pads = (left, right, top, bottom)
                return lambda x: F.avg_pool2d(F.pad(x, pads), kernel, stride) * share.to(x.device)
            return lambda x: F.avg_pool2d(x, kernel, stride)
        if (top, left) == (bottom, right) and 2 * top <= kernel[0] and 2 * left <= kernel[1]:
            return lambda x: F.max_pool2d(x, kernel, stride, (top, left))
        return lambda x: F.max_pool2d(F.pad(x, (left, right, top, bottom), value=float("-inf")), kernel, stride)

    return build


def _global(x: Tensor) -> Tensor:
    return x if x.shape[2:] == (1, 1) else x.mean((2, 3), keepdim=True)


def _padding(pads: tuple[int, int, int, int]) -> Run:
    top, left, bottom, right = pads
    return lambda x: F.pad(x, (left, right, top, bottom))


def _resize(op: Op, shape: tuple[int, ...]) -> Run:
    size = [side * factor for side, factor in zip(shape[1:], op["factor"], strict=True)]
    if op["mode"] == "nearest":
        return lambda x: F.interpolate(x, size)
    return lambda x: F.interpolate(x, size, mode="bilinear", align_corners=False)


def _norm(op: Op, shape: tuple[int, ...]) -> Run:
    axes = {"channels": (1,), "positions": (2, 3), "all": (1, 2, 3)}[op["over"]]

    def run(x: Tensor) -> Tensor:
        var, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
        return (x - mean) * torch.rsqrt(var + op["epsilon"])

    return run


PLAIN: dict[str, Callable[[Op, tuple[int, ...]], Run]] = {
    "relu": lambda op, shape: torch.relu,
    "relu6": lambda op, shape: F.relu6,
    "clip": lambda op, shape: lambda x: x.clamp(op["low"], op["high"]),
    "leaky_relu": lambda op, shape: lambda x: F.leaky_relu(x, op["slope"]),
    "hard_swish": lambda op, shape: F.hardswish,
    "gelu": lambda op, shape: lambda x: F.gelu(x, approximate="tanh" if op["tanh"] else "none"),
    "elu": lambda op, shape: lambda x: F.elu(x, op["alpha"]),
    "softplus": lambda op, shape: F.softplus,
    "tanh": lambda op, shape: torch.tanh,
    "sigmoid": lambda op, shape: torch.sigmoid,
    "softmax": lambda op, shape: lambda x: torch.softmax(x, 1),
    "norm": _norm,
    "add": lambda op, shape: torch.add,
    "sub": lambda op, shape: torch.sub,
    "mul": lambda op, shape: torch.mul,
    "concat": lambda op, shape: lambda *xs: torch.cat(xs, 1),
    "max_pool": _pool(average=False),
    "avg_pool": _pool(average=True),
    "global_avg_pool": lambda op, shape: _global,
    "flatten": lambda op, shape: lambda x: x.flatten(1),
    "pad": lambda op, shape: _padding(op["pads"]),
    "slice": lambda op, shape: lambda x: x[:, op["start"] : op["stop"]],
    "shuffle": lambda op, shape: lambda x: x.unflatten(1, (op["groups"], -1)).transpose(1, 2).flatten(1, 2),
    "resize": _resize,
}
