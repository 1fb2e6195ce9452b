"""Which genes a declaration gives a network, and what follows from their values for each operator's window."""

from __future__ import annotations

from collections.abc import Mapping

from search_spaces.assembly import Windows
from search_spaces.channels import ChannelMap
from search_spaces.declare import Declaration
from search_spaces.depth import find_units
from search_spaces.factors import rank_options
from search_spaces.genes import Gene
from search_spaces.graph import Graph, Op
from search_spaces.kernels import Crop, kernel_options
from search_spaces.ops import is_depthwise
from search_spaces.padding import WINDOWED, same_padded
from search_spaces.resolution import at_side, resolution_options
from search_spaces.widths import width_options

Crops = dict[str, dict[tuple[int, int], Crop]]
"""By operator: the crop to each side that its kernel may have, at each side of the images (0 if they have but one)."""


def genes_of(graph: Graph, channels: ChannelMap, declaration: Declaration) -> tuple[Gene, ...]:
    """All genes, kind by kind; what depends on the size of maps must hold at every size that the images may have."""
    step, least = declaration.width_step, declaration.width_min
    genes: list[Gene] = []
    if declaration.width:
        for atom in channels.atoms:
            options = width_options(atom.size, step=step, least=least)
            if not atom.frozen and len(options) > 1:
                genes.append(Gene(f"width:{atom.name}", "width", options, atom.size))
    sizes = resized(graph, declaration)
    if declaration.depth:
        elsewhere = [find_units(other) for other in sizes.values() if other is not graph]
        units = [unit for unit in find_units(graph) if all(unit in found for found in elsewhere)]
        genes.extend(Gene(f"depth:{unit.name}", "depth", (0, 1), 1) for unit in units)
    for name, crops in crops_of(sizes, declaration).items():
        kernels = tuple(dict.fromkeys(kernel for kernel, _ in crops))
        genes.append(Gene(f"kernel:{name}", "kernel", kernels, graph.by_name[name]["kernel"][0]))
    if len(sizes) > 1:
        genes.append(Gene(f"resolution:{graph.input}", "resolution", tuple(sizes), graph.input_shape[1]))
    for op in graph.ops if declaration.rank else ():
        ranks = rank_options(op, graph.shapes[op.inputs[0]][0], step=step, least=least)
        if ranks:
            genes.append(Gene(f"rank:{op.name}", "rank", ranks, ranks[-1]))
    if declaration.bits:
        genes.extend(Gene(f"bits:{op.name}", "bits", (4, 8), 8) for op in graph.ops if _may_be_packed(graph, op))
    return tuple(genes)


def _may_be_packed(graph: Graph, op: Op) -> bool:
    """Is it a layer whose weights of 4 bits a runtime reads: a convolution of one group, or a depthwise one?"""
    return op.kind == "conv" and (op["groups"] == 1 or is_depthwise(op, graph.shapes[op.inputs[0]][0]))


def resized(graph: Graph, declaration: Declaration) -> dict[int, Graph]:
    """The network at each side that its images may have, the original's last; at 0 where there is no choice.

    It pads as every network of the space does.
    """
    sides = resolution_options(graph) if declaration.resolution else ()
    sizes = {side: at_side(graph, side) for side in sides} or {0: graph}
    return {side: same_padded(sized) for side, sized in sizes.items()} if declaration.same_padding else sizes


def crops_of(sizes: Mapping[int, Graph], declaration: Declaration) -> Crops:
    """The crops of every kernel that may change."""
    names = next(iter(sizes.values())).by_name if declaration.kernel else ()
    found: Crops = {}
    for name in names:
        options = {}
        for side, graph in sizes.items():
            op = graph.by_name[name]
            options[side] = kernel_options(op, graph.shapes[op.inputs[0]], growth=declaration.kernel_growth)
        first, *others = options.values()
        common = [kernel for kernel in first if all(kernel in other for other in others)]
        if len(common) > 1:
            found[name] = {(kernel, side): options[side][kernel] for kernel in common for side in sizes}
    return found


def windows_of(original: Graph, sizes: Mapping[int, Graph], crops: Crops) -> dict[str, Windows]:
    """What each operator's kernel and pads may be, for those that need not be as in the original."""
    found: dict[str, Windows] = {}
    for name, op in original.by_name.items():
        if name in crops:
            found[name] = {(k, side): {"kernel": (k, k), "pads": crop.pads} for (k, side), crop in crops[name].items()}
        elif op.kind in WINDOWED:
            ops = {side: graph.by_name[name] for side, graph in sizes.items()}
            if any(other != op for other in ops.values()):
                found[name] = {(0, side): {"kernel": o["kernel"], "pads": o["pads"]} for side, o in ops.items()}
    return found
