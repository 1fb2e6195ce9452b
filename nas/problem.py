"""What the loop asks of a problem. The real one is `nas.evaluate`; the tests have a pure function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from nas.evaluation import Evaluation, Job
    from search_spaces.genes import Genome
    from search_spaces.space import SearchSpace
    from targets.cost import Cost


class Problem(Protocol):
    """A search space, the price of each point in it, and the means to find out how good a point is."""

    @property
    def space(self) -> SearchSpace:
        """What may be asked for."""

    def price(self, genome: Genome) -> Cost:
        """What the network costs on the run's device: exact, without training, about a millisecond."""

    def evaluate(self, job: Job) -> Evaluation:
        """Does the job. The result depends on the job alone (and, through `job.start`, on an earlier one's checkpoint).

        An exception means that this job failed, and the run goes on; `RunFolderError` (a full disk) stops the run.
        """
