"""What a strategy knows of one genome."""

from __future__ import annotations

from dataclasses import dataclass, field

from nas.evaluation import Evaluation
from nas.schedule import Measured
from search_spaces.genes import Genome
from search_spaces.graph import Graph
from targets.cost import Cost


@dataclass
class Candidate:
    """One genome.

    Attributes:
        is_ladder: a copy of the original of uniform width.
        resources: the objectives beside the drop, in plain units.
        evaluations: what came back, by rung.
    """

    genome: Genome
    cost: Cost
    graph: Graph
    is_ladder: bool
    resources: tuple[float, ...]
    evaluations: dict[int, Evaluation] = field(default_factory=dict)

    @property
    def trained_rung(self) -> int:
        """The highest rung that it was trained to; 0 before."""
        return max((rung for rung, e in self.evaluations.items() if e.status == "ok" and e.drop is not None), default=0)

    @property
    def size(self) -> float:
        """The first of the resources."""
        return self.resources[0]

    def measured(self, rung: int, axis: int = 0) -> Measured | None:
        """One of the resources and the drop after that rung, where it was trained so far."""
        found = self.evaluations.get(rung)
        return Measured(self.resources[axis], found.drop) if found and found.drop is not None else None

    def told(self, rung: int) -> float | None:
        """The KL after that rung."""
        found = self.evaluations.get(rung)
        return found.kl if found else None
