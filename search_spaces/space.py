"""The search space of one network: which networks can be made from it, and how.

    graph, declaration ─derive─► SearchSpace ─cut by limits─► SearchSpace ─sample, mutate─► Genome ─apply─► Graph

Equal networks are equal genomes as long as genomes are canonical, and every genome that a space gives out is: genes of
what is left out have the original's value, and where only a sum of widths shows, it is split evenly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from search_spaces.assembly import Assembly
from search_spaces.channels import ChannelMap, trace
from search_spaces.cutting import surviving_genes
from search_spaces.declare import Declaration
from search_spaces.depth import Unit, find_units
from search_spaces.deriving import Crops, crops_of, genes_of, resized, windows_of
from search_spaces.errors import SpaceError
from search_spaces.explaining import explained, fixed_layers
from search_spaces.genes import Gene, Genome
from search_spaces.graph import Graph, Op
from search_spaces.kernels import Crop
from search_spaces.resolution import idle_pools
from search_spaces.variation import mutated_values, nearest, random_values, settled_values, uniform_values
from search_spaces.widths import even_split

__all__ = ["Crop", "Origin", "SearchSpace", "derive"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a tensor of a changed network comes from.

    Attributes:
        tensor: the original's tensor whose values it should have, on the channels that are kept.
        widths: `(atom id, channels kept)` in order along its first axis.
    """

    tensor: str
    widths: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """All networks that can be made from `graph` by the values of `genes`; made by `derive`.

    Attributes:
        graph: the original.
        genes: width genes, then depth, kernel, resolution, rank and bits genes, each kind in order of the operators.
        channels: the original's atoms; gene `width:<name>` belongs to the atom of that name.
        declaration: what was declared to change.
    """

    graph: Graph
    genes: tuple[Gene, ...]
    channels: ChannelMap
    declaration: Declaration

    # ---- the network of a genome

    def apply(self, genome: Genome) -> Graph:
        """The network of a genome; operators and tensors keep their names. Thousands a second.

        Where one layer became two, the second keeps the name.

        Raises:
            SpaceError: the genome belongs to another space.
        """
        values = self._checked(genome)
        graph, assembly = self.graph, self._assembly
        shape = graph.input_shape
        if assembly.resolution >= 0:
            side = values[assembly.resolution]
            if side not in self._resized:
                law = f"one of {', '.join(map(str, self._resized))}"
                raise SpaceError(f"the side of {graph.input!r} must be {law}, got {side}")
            shape = (shape[0], side, side)
        return Graph(graph.input, shape, assembly.plan(values).ops_for(values), graph.outputs)

    def factors(self, genome: Genome) -> dict[str, tuple[str, int]]:
        """By name, each layer that this genome has as two: the first one's name, and the rank."""
        values = self._checked(genome)
        plan = self._assembly.plan(values)
        return {plan.ops[k].name: (p.first, rank) for k, p in reversed(plan.pairs) if (rank := p.rank(values))}

    def unfactored(self, genome: Genome) -> Genome:
        """The genome with every layer as one."""
        values = zip(self.genes, self._checked(genome), strict=True)
        return Genome(tuple(gene.original if gene.kind == "rank" else value for gene, value in values))

    def origins(self, genome: Genome) -> dict[str, Origin]:
        """For each tensor of `apply(unfactored(genome))`, the input's included, what it should reproduce.

        Mostly the tensor of the same name. A layer that took over a plain segment reproduces the segment's last
        layer, its activation the segment's last activation; the other side of a residual branch that was left out
        reproduces the sum, if nothing else reads it.
        """
        values = self._checked(genome)
        made: dict[str, Origin] = {}
        found: dict[str, Origin] = {}
        for tensor, source in self._assembly.plan(values).source.items():
            if source not in made:
                made[source] = Origin(source, tuple([(a, self._width(a, values)) for a in self.channels.of[source]]))
            found[tensor] = made[source]
        return found

    def keep(self, origin: Origin, order: Mapping[int, np.ndarray] | None = None) -> np.ndarray:
        """Which indices of the original tensor's first axis are kept, ascending within each atom.

        Args:
            order: permutations of an atom's channels by atom id, most important first; without one the first stay.
        """
        span = self.channels.span[origin.tensor]
        start = 0
        parts = []
        for atom, width in origin.widths:
            chosen = np.arange(width) if order is None or atom not in order else np.sort(order[atom][:width])
            parts.append(start + chosen)
            start += self.channels.atoms[atom].size
        kept = np.concatenate(parts)
        return kept if span == 1 else (kept[:, None] * span + np.arange(span)).ravel()

    def kernel_crop(self, op: Op | str, side: int, resolution: int | None = None) -> Crop:
        """Where a kernel of `side` x `side` taps lies in the original's; the original's own side is its own crop.

        Args:
            resolution: the input's side; the original's without one.

        Raises:
            SpaceError: the space has no such kernel.
        """
        name = op if isinstance(op, str) else op.name
        at = resolution if resolution in self._resized else next(reversed(self._resized))
        crop, original = self._crops.get(name, {}).get((side, at)), self._resized[at].by_name[name]
        if crop is None and original["kernel"] == (side, side):
            return Crop(0, 0, original["pads"])
        if crop is None:
            raise SpaceError(f"the space has no {side}x{side} kernel for {name!r}")
        return crop

    # ---- choosing genomes

    @cached_property
    def original(self) -> Genome:
        """The original network; after a cut it may lie outside the space."""
        return Genome(tuple(gene.original for gene in self.genes))

    @cached_property
    def cheapest(self) -> Genome:
        """The narrowest widths, smallest kernels and smallest images, with all that can be left out left out."""
        return self.canonical(Genome(tuple(gene.options[0] for gene in self.genes)))

    def uniform(self, fraction: float) -> Genome:
        """All widths nearest to `fraction` of the original's; all else as in the original, if there."""
        return self.canonical(Genome(tuple(uniform_values(self.genes, fraction))))

    def scaled(self, genome: Genome, factor: float) -> Genome:
        """The genome with all its widths multiplied by a factor, as near as the options come; all else as it is."""
        values = zip(self.genes, self._checked(genome), strict=True)
        return self.canonical(
            Genome(tuple(nearest(g.options, v * factor) if g.kind == "width" else v for g, v in values))
        )

    def factored(self, genome: Genome, share: float) -> Genome:
        """The genome with ranks nearest to `share` of the full ones at its widths, wherever two layers are smaller."""
        values = list(self._checked(genome))
        for _, pair in self._assembly.plan(genome.values).pairs:
            full = min(width.of(genome.values) for width in (pair.inputs, pair.outputs))
            values[pair.gene] = nearest(self.genes[pair.gene].options, share * full)
        return self.canonical(Genome(tuple(values)))

    def packed(self, genome: Genome) -> Genome:
        """The genome with as few bits a weight as each layer can have."""
        values = zip(self.genes, self._checked(genome), strict=True)
        return self.canonical(Genome(tuple(g.options[0] if g.kind == "bits" else value for g, value in values)))

    def sample(self, *, rng: np.random.Generator) -> Genome:
        """A random genome; samples spread over the space's sizes."""
        return self.canonical(Genome(tuple(random_values(self.genes, rng=rng))))

    def mutate(self, genome: Genome, *, rng: np.random.Generator) -> Genome:
        """A neighbour: one to three genes that matter in this network changed; never the same network.

        Genes that begin to matter, because something is put back in, take widths of the network's own scale.

        Raises:
            SpaceError: the space has no other network.
        """
        values = self._checked(genome)
        active = self._assembly.plan(values).active_at(values)
        places = [k for k, on in enumerate(active) if on]
        settled = settled_values(self.genes, values, active)
        genome = self.canonical(genome)
        for _ in range(20):
            found = self.canonical(Genome(tuple(mutated_values(self.genes, settled, places, rng=rng))))
            if found != genome:
                return found
        for k in rng.permutation(places).tolist():
            for option in self.genes[k].options:
                found = self.canonical(Genome((*settled[:k], option, *settled[k + 1 :])))
                if found != genome:
                    return found
        raise SpaceError("a network cannot be mutated in a space without another one; loosen the limits")

    def cut(self, fits: Callable[[Graph], bool]) -> SearchSpace:
        """The space without the options that no network within the limits can have.

        An option stays if a network with it and all else at its cheapest fits.

        Args:
            fits: is a network within the limits? It should not turn true again as a layer grows wider.

        Raises:
            NothingFits: not even the cheapest network fits.
        """
        return replace(self, genes=surviving_genes(self, fits))

    # ---- genomes as data

    def canonical(self, genome: Genome) -> Genome:
        """The one genome of this genome's network."""
        values = self._checked(genome)
        plan = self._assembly.plan(values)
        idle = plan.idle_at(values)
        if not idle and not plan.summed:
            return genome
        found = list(values)
        for k in idle:
            found[k] = self.genes[k].original
        for group in plan.summed:
            genes = [self.genes[k] for k in group]
            total = sum(values[k] for k in group)
            split = even_split(total, [gene.original for gene in genes], [gene.options for gene in genes])
            for k, width in zip(group, split or [values[k] for k in group], strict=True):
                found[k] = width
        return Genome(tuple(found))

    def contains(self, genome: Genome) -> bool:
        """Is it a canonical genome whose genes, where they matter, take options of this space?"""
        if len(genome.values) != len(self.genes):
            return False
        active = self._assembly.plan(genome.values).active_at(genome.values)
        inside = all(v in g.options for g, v, on in zip(self.genes, genome.values, active, strict=True) if on)
        return inside and self.canonical(genome) == genome

    def active(self, genome: Genome) -> tuple[bool, ...]:
        """For each gene, whether this genome's network depends on it."""
        values = self._checked(genome)
        return self._assembly.plan(values).active_at(values)

    def encode(self, genome: Genome) -> np.ndarray:
        """Option numbers, int64, one a gene, with `decode(encode(genome)) == genome`.

        A gene that does not matter in this network gets the option that would suit it if it did, so that a search
        that recombines numbers puts things back at the scale of their network.
        """
        values = self._checked(genome)
        settled = settled_values(self.genes, values, self.active(genome))
        pairs = zip(self.genes, settled, strict=True)
        return np.array([gene.options.index(nearest(gene.options, value)) for gene, value in pairs], dtype=np.int64)

    def decode(self, indices: Sequence[int] | np.ndarray) -> Genome:
        """The canonical genome with these option numbers.

        Raises:
            SpaceError: too few or too many, or a number out of range.
        """
        numbers = [int(k) for k in indices]
        if len(numbers) != len(self.genes):
            raise SpaceError(f"the space has {len(self.genes)} genes, got {len(numbers)} option numbers")
        for gene, k in zip(self.genes, numbers, strict=True):
            if not 0 <= k < len(gene.options):
                raise SpaceError(f"gene {gene.name!r} has options 0 to {len(gene.options) - 1}, got {k}")
        return self.canonical(Genome(tuple(g.options[k] for g, k in zip(self.genes, numbers, strict=True))))

    def values(self, genome: Genome) -> dict[str, int]:
        """Gene name → value."""
        return {gene.name: value for gene, value in zip(self.genes, self._checked(genome), strict=True)}

    def genome(self, values: Mapping[str, int]) -> Genome:
        """The canonical genome with these values by gene name; genes left out keep the original's value.

        Raises:
            SpaceError: an unknown gene, or a value that is neither an option nor the original's.
        """
        found = {gene.name: gene.original for gene in self.genes}
        options = {gene.name: (*gene.options, gene.original) for gene in self.genes}
        for name, value in values.items():
            if name not in found:
                near = get_close_matches(name, found, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise SpaceError(f"the space has no gene {name!r}{hint}")
            if value not in options[name]:
                choices = ", ".join(map(str, sorted(set(options[name]))))
                raise SpaceError(f"gene {name!r} must be one of {choices}, got {value!r}")
            found[name] = int(value)
        return self.canonical(Genome(tuple(found.values())))

    def count(self) -> int:
        """The product of the numbers of options: at least the number of different networks."""
        return prod(len(gene.options) for gene in self.genes)

    def explain(self) -> list[dict[str, Any]]:
        """One row a gene: `gene`, `kind`, `original`, `options` and `members`, the operators it changes or removes."""
        return explained(self)

    def fixed(self) -> list[dict[str, Any]]:
        """One row a conv or linear operator whose channels no gene changes: `operator`, `parameters` and `why`."""
        return fixed_layers(self)

    def repadded(self) -> tuple[str, ...]:
        """The operators that pad as TensorFlow's SAME does at the original's size, and not in the original."""
        padded = next(reversed(self._resized.values()))
        return tuple(op.name for op in padded.ops if op != self.graph.by_name[op.name])

    # ---- what follows from the four fields

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker gets the fields; tables are worked out again where they are used.
        return SearchSpace, (self.graph, self.genes, self.channels, self.declaration)

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """The stretches that depth genes leave out, in the order of these genes."""
        named = {gene.name for gene in self.genes if gene.kind == "depth"}
        return tuple(unit for unit in find_units(self.graph) if f"depth:{unit.name}" in named)

    @cached_property
    def _resized(self) -> dict[int, Graph]:
        return resized(self.graph, self.declaration)

    @cached_property
    def _crops(self) -> Crops:
        return crops_of(self._resized, self.declaration)

    @cached_property
    def _assembly(self) -> Assembly:
        idle = {side: unit for side in self._resized if side and (unit := idle_pools(self.graph, side))}
        windows = windows_of(self.graph, self._resized, self._crops)
        return Assembly(self.graph, self.genes, self.channels, self.units, windows, idle)

    def _checked(self, genome: Genome) -> tuple[int, ...]:
        if len(genome.values) != len(self.genes):
            raise SpaceError(
                f"a genome of this space has {len(self.genes)} values, got {len(genome.values)}: "
                "it belongs to another model or space"
            )
        return genome.values

    def _width(self, atom: int, values: tuple[int, ...]) -> int:
        k = self._assembly.width_gene[atom]
        return values[k] if k >= 0 else self.channels.atoms[atom].size


def derive(graph: Graph, declaration: Declaration) -> SearchSpace:
    """The space of all networks that the declaration allows to make from `graph`."""
    channels = trace(graph)
    return SearchSpace(graph, genes_of(graph, channels, declaration), channels, declaration)
