"""A space as rows of a table: what each gene changes, and which layers' channels stay and why."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from search_spaces.ops import LAYERS

if TYPE_CHECKING:
    from search_spaces.space import SearchSpace


def explained(space: SearchSpace) -> list[dict[str, Any]]:
    """One row a gene: `gene`, `kind`, `original`, `options` and `members`, the operators it changes or removes."""
    graph, channels = space.graph, space.channels
    members: dict[str, list[str]] = {f"width:{atom.name}": [] for atom in channels.atoms}
    for op in graph.ops:
        if op.kind in LAYERS or op.kind == "affine":
            for atom in dict.fromkeys(channels.of[op.name]):
                members[f"width:{channels.atoms[atom].name}"].append(op.name)
        members |= {f"kernel:{op.name}": [op.name], f"rank:{op.name}": [op.name], f"bits:{op.name}": [op.name]}
    members[f"resolution:{graph.input}"] = [graph.input]
    members |= {f"depth:{unit.name}": list(unit.ops) for unit in space.units}
    return [
        {
            "gene": gene.name,
            "kind": gene.kind,
            "original": gene.original,
            "options": list(gene.options),
            "members": members[gene.name],
        }
        for gene in space.genes
    ]


def fixed_layers(space: SearchSpace) -> list[dict[str, Any]]:
    """One row a conv or linear operator whose channels no gene changes: `operator`, `parameters` and `why`."""
    genes = {gene.name for gene in space.genes}
    graph, channels = space.graph, space.channels
    shapes, rows = graph.weight_shapes, []
    for op in graph.ops:
        if op.kind not in LAYERS:
            continue
        near = [channels.atoms[a] for name in (op.inputs[0], op.name) for a in channels.of[name]]
        if not any(f"width:{atom.name}" in genes for atom in near):
            reasons = dict.fromkeys(atom.frozen or f"{atom.size} channels are the least" for atom in near)
            size = sum(prod(shapes[f"{op.name}.{role}"]) for role in ("weight", "bias"))
            rows.append({"operator": op.name, "parameters": size, "why": "; ".join(reasons)})
    return rows
