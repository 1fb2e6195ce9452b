"""Genome to cost, thousands of times: the same sum as `estimate`, each network priced once.

The speed lies in the floors below: `SearchSpace.apply` shares operators between networks, `lower` and `call_costs`
remember what follows from one operator and the shape it reads.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable

from search_spaces.genes import Genome
from search_spaces.space import SearchSpace
from targets.cost import Cost, estimate
from targets.device import Device
from targets.program import Runtime


class Pricer:
    """Prices the genomes of one space on one device.

    Attributes:
        space, device, runtime: what is priced, and for whom.
    """

    def __init__(self, space: SearchSpace, device: Device, runtime: Runtime = "tflm") -> None:
        self.space, self.device, self.runtime = space, device, runtime
        self._known: dict[Genome, Cost] = {}

    def price(self, genome: Genome) -> Cost:
        """`estimate(space.apply(genome), device, runtime)`.

        Raises:
            SpaceError: the genome belongs to another space.
            TargetError: the runtime lacks an operator.
        """
        cost = self._known.get(genome)
        if cost is None:
            cost = self._known[genome] = estimate(self.space.apply(genome), self.device, self.runtime)
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
