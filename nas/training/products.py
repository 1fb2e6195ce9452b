"""Products of a weight and an input on a `Tape`: linear operators and every kind of convolution.

`product` adds the calls of `z = weight * x` and returns a function that, given the gradient to z, adds those of the
gradients to the weight and to x.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from nas.students.layers import convolve
from nas.training import kernels
from nas.training.foreign import Foreign
from nas.training.tape import Plane, Tape, memory
from search_spaces.graph import Op

Back = Callable[[Plane], None]
COLUMNS = 1 << 18  # floats of unfolded windows at a time: half of a usual second-level cache


def product(tape: Tape, op: Op, x: Plane, z: Plane) -> Back:
    """Adds z = weight * x; the returned function adds the gradients to weight and x from that to z."""
    if op.kind == "linear":
        return matrix_product(tape, op, x, z)
    channels, groups = x.map.shape[0], op["groups"]
    if groups == 1 and op["kernel"] == (1, 1) == op["stride"] and not any(op["pads"]):
        return matrix_product(tape, op, x, z)
    if groups == 1:
        return window_product(tape, op, x, z)
    if groups == channels == op["out_channels"] and op["dilation"] == (1, 1):
        return depthwise_product(tape, op, x, z)
    return foreign_product(tape, op, x, z)


def matrix_product(tape: Tape, op: Op, x: Plane, z: Plane) -> Back:
    """A linear operator or 1x1 convolution: one matrix product over all places of all samples."""
    rows = len(z.matrix)
    weight = tape.parameters[f"{op.name}.weight"].view(rows, -1)
    gweight = tape.gradients[f"{op.name}.weight"].view(rows, -1)
    tape.forward_calls.append(partial(torch.mm, weight, x.tensor, out=z.tensor))

    def back(g: Plane) -> None:
        tape.backward_calls.append(partial(torch.mm, g.tensor, x.tensor.t(), out=gweight))
        tape.contribute(
            op.inputs[0],
            lambda to: tape.backward_calls.append(partial(torch.mm, weight.t(), g.tensor, out=to.tensor)),
        )

    return back


def depthwise_product(tape: Tape, op: Op, x: Plane, z: Plane) -> Back:
    """A depthwise convolution with as many outputs as inputs."""
    taps = tape.parameters[f"{op.name}.weight"].numpy()[:, 0]
    gtaps = tape.gradients[f"{op.name}.weight"].numpy()[:, 0]
    where = (*op["stride"], *op["pads"][:2])
    tape.forward_calls.append(partial(kernels.depthwise_forward, x.map, taps, *where, z.map))

    def back(g: Plane) -> None:
        def write(to: Plane) -> None:
            tape.backward_calls.append(partial(kernels.depthwise_backward, x.map, g.map, taps, *where, to.map, gtaps))

        if op.inputs[0] == tape.graph.input:
            write(tape.plane(tape.graph.input_shape))
        else:
            tape.contribute(op.inputs[0], write)

    return back


def window_product(tape: Tape, op: Op, x: Plane, z: Plane) -> Back:
    """Any convolution of one group: windows laid out as columns, a few output rows at a time, then matrix products."""
    out, height, width, count = z.map.shape
    kernel, channels = op["kernel"], x.map.shape[0]
    weight = tape.parameters[f"{op.name}.weight"].view(out, -1)
    gweight = tape.gradients[f"{op.name}.weight"].view(out, -1)
    step = max(1, min(height, COLUMNS // (weight.shape[1] * width * count)))
    piece = memory(weight.shape[1] * step * width * count)
    where = (*op["stride"], *op["dilation"], *op["pads"][:2])

    def columns(first: int, last: int) -> tuple[np.ndarray, Tensor]:
        shape = (channels, *kernel, last - first, width, count)
        found = piece[: int(np.prod(shape))].reshape(shape)
        return found, torch.from_numpy(found).view(weight.shape[1], -1)

    def part(plane: Plane, first: int, last: int) -> Tensor:
        return plane.tensor[:, first * width * count : last * width * count]

    spans = [(first, min(first + step, height)) for first in range(0, height, step)]
    for first, last in spans:
        windows, flat = columns(first, last)
        tape.forward_calls.append(partial(kernels.unfold, x.map, *where, first, last, windows))
        tape.forward_calls.append(partial(torch.mm, weight, flat, out=part(z, first, last)))

    def back(g: Plane) -> None:
        for first, last in spans:
            windows, flat = columns(first, last)
            if len(spans) > 1:  # else they still lie there from the way forward
                tape.backward_calls.append(partial(kernels.unfold, x.map, *where, first, last, windows))
            beta = 0.0 if first == 0 else 1.0
            piece = part(g, first, last)
            tape.backward_calls.append(partial(torch.addmm, gweight, piece, flat.t(), beta=beta, out=gweight))

        def write(to: Plane) -> None:
            tape.backward_calls.append(partial(to.map.fill, 0))
            for first, last in spans:
                windows, flat = columns(first, last)
                tape.backward_calls.append(partial(torch.mm, weight.t(), part(g, first, last), out=flat))
                tape.backward_calls.append(partial(kernels.fold, windows, *where, first, last, to.map))

        tape.contribute(op.inputs[0], write)

    return back


def foreign_product(tape: Tape, op: Op, x: Plane, z: Plane) -> Back:
    """Grouped, dilated depthwise and multiplying depthwise convolutions: torch's own."""
    weight = tape.student.parameters_by_name()[f"{op.name}.weight"]

    def run(value: Tensor) -> Tensor:
        return convolve(op, value, weight, None)

    call = Foreign(run, [x.samples], z.samples, [(weight, tape.gradients[f"{op.name}.weight"])])
    tape.forward_calls.append(call.forward)
    return partial(call.add_backward, tape, list(op.inputs))
