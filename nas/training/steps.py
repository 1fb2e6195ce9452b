"""Makes a `Tape`: what each kind of operator adds to it.

An operator adds the calls of its way forward at once and returns a function for its way back. That function is called
later, in reverse order of the operators; it appends the calls of the way back, reads the gradient to the operator's
output and contributes to those of its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from torch import Tensor

from nas.students.candidate import PLAIN, Student
from nas.students.layers import EPS, MOMENTUM
from nas.training import kernels
from nas.training.foreign import Foreign
from nas.training.products import product
from nas.training.tape import Plane, Tape
from search_spaces.graph import Graph, Op

WayBack = Callable[[], None]
LIMITS = {"": (-np.inf, np.inf), "relu": (0.0, np.inf), "relu6": (0.0, 6.0)}  # what an activation clamps to


def record(student: Student, count: int, gradients: Mapping[str, Tensor]) -> Tape:
    """The tape of a student; the arguments are those of `Tape`."""
    tape = Tape(student, count, gradients)
    if student.graph.input in student.rounding:
        _round(tape, student.graph.input)
    ways_back = [add(tape, op, act) for op, act in fused(student.graph, student.output)]
    for way_back in reversed(ways_back):
        way_back()
    return tape


def fused(graph: Graph, output: str) -> list[tuple[Op, Op | None]]:
    """The operators up to the output, a weighted one together with the relu or relu6 that alone reads it."""
    found: list[tuple[Op, Op | None]] = []
    done: set[str] = set()
    for op in graph.ops:
        if op.name in done:
            continue
        readers = graph.consumers[op.name]
        act = None
        if op.kind in ("conv", "linear") and op.name != output and len(readers) == 1:
            act = readers[0] if readers[0].kind in ("relu", "relu6") else None
        if act is not None:
            done.add(act.name)
        found.append((op, act))
        if output in (op.name, act.name if act else ""):
            break
    return found


def add(tape: Tape, op: Op, act: Op | None) -> WayBack:
    """The step of one operator, with the activation that follows it as `fused` says, and its rounding."""
    name = act.name if act else op.name
    way_back = _plain(tape, op, act)
    if name not in tape.student.rounding or op.kind in ("conv", "linear"):
        return way_back
    _round(tape, name)

    def rounded() -> None:
        grid, y, g = tape.student.rounding[name], tape.planes[name].map, tape.gradient(name).map
        call = partial(kernels.clamp_backward, g.reshape(-1), y.reshape(-1), grid.low, grid.high, g.reshape(-1))
        tape.backward_calls.append(call)
        way_back()

    return rounded


def _round(tape: Tape, name: str) -> None:
    """Puts a tensor on its grid."""
    grid, values = tape.student.rounding[name], tape.planes[name].map.reshape(-1)
    tape.forward_calls.append(partial(kernels.round_forward, values, grid.low, grid.high, grid.scale, values))


def _plain(tape: Tape, op: Op, act: Op | None) -> WayBack:
    if op.kind in ("conv", "linear"):
        return weighted(tape, op, act)
    if op.kind in ("relu", "relu6"):
        return clamp(tape, op)
    if op.kind in ("global_avg_pool", "avg_pool") and is_whole_mean(tape, op):
        return mean(tape, op)
    alike = len({tape.graph.shapes[name] for name in op.inputs}) == 1 or op.kind == "concat"
    return STEPS.get(op.kind, foreign)(tape, op) if alike else foreign(tape, op)


def weighted(tape: Tape, op: Op, act: Op | None) -> WayBack:
    """Product z, then norm or bias, then clamp, to y."""
    x, z = tape.planes[op.inputs[0]], tape.plane(tape.graph.shapes[op.name])
    product_back = product(tape, op, x, z)
    name = act.name if act else op.name
    low, high = LIMITS[act.kind if act else ""]
    layer, gradients = tape.layer(op), {}
    for role in ("bias", "gamma", "beta"):
        if f"{op.name}.{role}" in tape.gradients:
            gradients[role] = tape.gradients[f"{op.name}.{role}"].numpy()
    if layer.bias is not None:
        tape.planes[name] = y = z  # the bias needs no z on its way back
        bias = layer.bias.detach().numpy()
        grid = tape.student.rounding.get(name)
        if grid:  # within both limits; a relu6 on a grid of its own kind has no other limits than the grid's
            low, high = max(low, grid.low), min(high, grid.high)
            call = partial(kernels.bias_round_forward, z.matrix, bias, low, high, grid.scale, y.matrix)
        else:
            call = partial(kernels.bias_forward, z.matrix, bias, low, high, y.matrix)
        tape.forward_calls.append(call)
    else:
        tape.planes[name] = y = tape.plane(tape.graph.shapes[op.name])
        gamma, beta = layer.gamma.detach().numpy(), layer.beta.detach().numpy()
        mean, inverse = np.zeros_like(gamma), np.zeros_like(gamma)
        running = layer.mean.numpy(), layer.var.numpy()
        scalars = MOMENTUM, EPS, low, high
        tape.forward_calls.append(
            partial(kernels.norm_forward, z.matrix, gamma, beta, *running, *scalars, y.matrix, mean, inverse)
        )

    def way_back() -> None:
        g = tape.gradient(name)
        if layer.bias is not None:
            tape.backward_calls.append(partial(kernels.bias_backward, g.matrix, y.matrix, low, high, gradients["bias"]))
        else:
            kept = gamma, mean, inverse
            into = gradients["gamma"], gradients["beta"]
            tape.backward_calls.append(
                partial(kernels.norm_backward, g.matrix, y.matrix, z.matrix, *kept, low, high, *into)
            )
        product_back(g)
        tape.release(name)

    return way_back


def clamp(tape: Tape, op: Op) -> WayBack:
    """A relu or relu6 that stands alone, as behind an add."""
    (source,), (low, high) = op.inputs, LIMITS[op.kind]
    x, y = tape.planes[source], tape.plane(tape.graph.shapes[op.name])
    tape.planes[op.name] = y
    tape.forward_calls.append(partial(kernels.clamp_forward, x.map.reshape(-1), low, high, y.map.reshape(-1)))

    def way_back() -> None:
        g, out = tape.gradient(op.name).map.reshape(-1), y.map.reshape(-1)
        tape.backward_calls.append(partial(kernels.clamp_backward, g, out, low, high, g))
        tape.hand_over(source, op.name)

    return way_back


def total(tape: Tape, op: Op) -> WayBack:
    """An add."""
    first, second = op.inputs
    y = tape.planes[op.name] = tape.plane(tape.graph.shapes[op.name])
    tape.forward_calls.append(partial(np.add, tape.planes[first].map, tape.planes[second].map, out=y.map))

    def way_back() -> None:
        tape.contribute_copy(second, tape.gradient(op.name))
        tape.hand_over(first, op.name)

    return way_back


def concat(tape: Tape, op: Op) -> WayBack:
    """Channels side by side."""
    y = tape.planes[op.name] = tape.plane(tape.graph.shapes[op.name])
    tape.forward_calls.append(partial(np.concatenate, [tape.planes[name].map for name in op.inputs], out=y.map))

    def way_back() -> None:
        g, start = tape.gradient(op.name), 0
        for name in op.inputs:
            size = tape.graph.shapes[name][0]
            tape.contribute_copy(
                name, Plane.of(g.map[start : start + size].reshape(-1), tape.graph.shapes[name], tape.count)
            )
            start += size
        tape.release(op.name)

    return way_back


def is_whole_mean(tape: Tape, op: Op) -> bool:
    """A pool over everything a channel has."""
    if op.kind == "global_avg_pool":
        return True
    return bool(op["kernel"] == tape.graph.shapes[op.inputs[0]][1:] and not any(op["pads"]))


def mean(tape: Tape, op: Op) -> WayBack:
    """The mean of each channel's map."""
    x, y = tape.planes[op.inputs[0]], tape.plane(tape.graph.shapes[op.name])
    tape.planes[op.name] = y
    places = (len(x.map), -1, tape.count)
    tape.forward_calls.append(partial(kernels.mean_forward, x.map.reshape(places), y.matrix))

    def way_back() -> None:
        g = tape.gradient(op.name).matrix
        tape.contribute(
            op.inputs[0],
            lambda to: tape.backward_calls.append(partial(kernels.mean_backward, g, to.map.reshape(places))),
        )
        tape.release(op.name)

    return way_back


def flatten(tape: Tape, op: Op) -> WayBack:
    """The same memory under another shape."""
    x = tape.planes[op.inputs[0]]
    tape.planes[op.name] = Plane.of(x.map.reshape(-1), tape.graph.shapes[op.name], tape.count)

    def way_back() -> None:
        tape.gradient(op.name)
        tape.hand_over(op.inputs[0], op.name)

    return way_back


def foreign(tape: Tape, op: Op) -> WayBack:
    """Any other operator: torch's."""
    y = tape.planes[op.name] = tape.plane(tape.graph.shapes[op.name])
    learned = []
    if f"{op.name}.weight" in tape.gradients:
        run = tape.layer(op).forward
        for role, parameter in tape.layer(op).named_parameters():
            learned.append((parameter, tape.gradients[f"{op.name}.{role}"]))
    else:
        run = PLAIN[op.kind](op, tape.graph.shapes[op.inputs[0]])
    call = Foreign(run, [tape.planes[name].samples for name in op.inputs], y.samples, learned)
    tape.forward_calls.append(call.forward)

    def way_back() -> None:
        call.add_backward(tape, list(op.inputs), tape.gradient(op.name))
        tape.release(op.name)

    return way_back


STEPS: dict[str, Callable[[Tape, Op], WayBack]] = {"add": total, "concat": concat, "flatten": flatten}
