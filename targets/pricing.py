"""Genome to cost, thousands of times: the same sum as `estimate`, each network priced once.

`SearchSpace.apply` shares operators between networks, and what follows from one operator and the shape it reads is
remembered: for chains as priced links (`targets.links`), for all other networks by `lower` and `call_costs`.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable

from search_spaces.genes import Genome
from search_spaces.space import SearchSpace
from targets.cost import Cost, estimate
from targets.device import Device
from targets.links import Links
from targets.program import Runtime


class Pricer:
    """Prices the genomes of one space on one device.

    Attributes:
        space, device, runtime: what is priced, and for whom.
    """

    def __init__(self, space: SearchSpace, device: Device, runtime: Runtime = "tflm") -> None:
        self.space, self.device, self.runtime = space, device, runtime
        self._known: dict[Genome, Cost] = {}
        self._links = Links(device) if runtime == "tflm" and device.kernels is not None else None

    def price(self, genome: Genome) -> Cost:
        """`estimate(space.apply(genome), device, runtime)`.

        Raises:
            SpaceError: the genome belongs to another space.
            TargetError: the runtime lacks an operator.
        """
        cost = self._known.get(genome)
        if cost is None:
            graph = self.space.apply(genome)
            cost = self._links.price(graph) if self._links is not None else None
            cost = self._known[genome] = cost or estimate(graph, self.device, self.runtime)
        return cost

    def price_all(self, genomes: Iterable[Genome]) -> list[Cost]:
        """`price` of each.

        The cyclic garbage collector rests meanwhile: networks and their costs hold no cycles, and what is remembered of
        them grows so fast that it would otherwise look through all of it again and again.
        """
        collects = gc.isenabled()
        gc.disable()
        try:
            return [self.price(genome) for genome in genomes]
        finally:
            if collects:
                gc.enable()
