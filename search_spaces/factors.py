"""One dense layer as two: inputs to a few channels, the rank, and from these to the outputs.

Only layers that are one matrix are factorized: linear layers and 1x1 convolutions of one group without pads.
"""

from __future__ import annotations

from search_spaces.graph import Op

LARGE = 1024  # weights; less is not worth the second layer's own bytes


def rank_options(op: Op, inputs: int, *, step: int, least: int) -> tuple[int, ...]:
    """The ranks a layer may have, ascending; the last, its full rank, is the layer as it is. Empty if it stays so.

    The others are the full rank halved again and again down to `least`, rounded up to multiples of `step`, where the
    two layers have fewer weights than the one.
    """
    outputs = op["out_channels"] if op.kind in ("conv", "linear") else 0
    if not _one_matrix(op) or inputs * outputs < LARGE:
        return ()
    full = min(inputs, outputs)
    halved = [full >> k for k in range(1, full.bit_length())]
    ranks = {-(-max(rank, least) // step) * step for rank in halved if rank >= least}
    found = sorted(rank for rank in ranks if pays(rank, inputs, outputs))
    return (*found, full) if found else ()


def pays(rank: int, inputs: int, outputs: int) -> bool:
    """Do two layers of this rank have fewer weights than one? The rank is then below both numbers of channels."""
    return rank * (inputs + outputs) < inputs * outputs


def factored(op: Op, rank: int, first: str) -> tuple[Op, Op]:
    """The two layers, the first with a name of its own; a stride goes to the first, which has fewer outputs then."""
    if op.kind == "linear":
        return Op.make(first, "linear", *op.inputs, out_channels=rank), Op(op.name, "linear", (first,), op.attrs)
    down = Op(first, "conv", op.inputs, op.attrs).replace(out_channels=rank)
    return down, Op(op.name, "conv", (first,), op.attrs).replace(stride=(1, 1))


def _one_matrix(op: Op) -> bool:
    if op.kind == "linear":
        return True
    return op.kind == "conv" and op["kernel"] == (1, 1) and op["groups"] == 1 and not any(op["pads"])
