"""Offspring screened by a guess of their looks: of a few, the one expected furthest ahead of the front is tried.

The guess is a ridge regression of log KL, made anew from all that was told; leaving one out needs no second fit. It
is not asked unless, left out like that, it ranks the networks better than their numbers of parameters alone do.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nas import pareto
from nas.objectives import value_of
from nas.statistics import rank_correlation
from nas.strategies.proposers import FAILED, Proposer
from search_spaces.genes import Genome
from search_spaces.space import SearchSpace
from targets.cost import Cost

OFFSPRING = 8
"""Proposals of which one is tried."""

HELD = 64
"""Of the proposals held back, how many are compared when nothing new comes."""

LEAST = 24
"""Networks told before the guess is asked."""

LEAST_RANKING = 0.3
"""Rank correlation below which a guess is noise, however little the parameters tell."""

STRENGTHS = tuple(float(10.0**k) for k in range(-2, 4))
"""Penalties of the ridge to choose from, on standardized features."""


class Ridge:
    """Least squares with the penalty that leaving one out prefers.

    Args:
        rows: networks x features.
        targets: (networks,).

    Attributes:
        left_out: for each network, what the others say of it.
    """

    def __init__(self, rows: np.ndarray, targets: np.ndarray) -> None:
        self.mean, self.level = rows.mean(axis=0), float(targets.mean())
        spread = rows.std(axis=0)
        self.scale = np.where(spread > 1e-9, spread, np.inf)  # what never varied says nothing
        u, s, vt = np.linalg.svd((rows - self.mean) / self.scale, full_matrices=False)
        projected = u.T @ (targets - self.level)
        best = np.inf
        for strength in STRENGTHS:
            shrunk = s**2 / (s**2 + strength)
            leverage = np.minimum((u**2) @ shrunk + 1 / len(rows), 1 - 1e-6)
            residuals = (targets - self.level - u @ (shrunk * projected)) / (1 - leverage)
            if (error := float(residuals @ residuals)) < best:
                best, self.left_out = error, targets - residuals
                self.weights = vt.T @ (s / (s**2 + strength) * projected)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        return self.level + (rows - self.mean) / self.scale @ self.weights


class Screened:
    """Another proposer whose proposals are screened.

    Args:
        inner: who proposes; it hears that all but one are skipped. They are held back until it has nothing new.
        price: genome to cost.
        unscreened: its first proposals, which are tried as they come.
        resources: the objectives beside the KL, fields of `Cost`.
    """

    def __init__(
        self,
        inner: Proposer,
        space: SearchSpace,
        price: Callable[[Genome], Cost],
        *,
        unscreened: int = 0,
        resources: tuple[str, ...] = ("size_bytes",),
    ) -> None:
        self.inner, self.space, self.price = inner, space, price
        self.unscreened, self.resources = unscreened, resources
        self.spare: list[Genome] = []
        self.rows: list[np.ndarray] = []
        self.params: list[float] = []
        self.objectives: list[np.ndarray] = []
        self.model: Ridge | None = None
        self.is_outdated = False

    def propose(self) -> Genome | None:
        self.unscreened -= 1
        if self.unscreened >= 0 or (model := self._updated()) is None:
            return self.inner.propose() or (self.spare.pop() if self.spare else None)
        found = fresh = [genome for _ in range(OFFSPRING) if (genome := self.inner.propose()) is not None]
        if not fresh:  # a small space: those that were held back are all that is left
            found, self.spare = self.spare[-HELD:], self.spare[:-HELD]
        if not found:
            return None
        best = found[int(np.argmin(self._behind(model, found)))]
        held = [genome for genome in found if genome != best]
        for genome in held if fresh else ():
            self.inner.skip(genome)
        self.spare += held
        return best

    def tell(self, genome: Genome, objectives: tuple[float, ...], violation: float) -> None:
        self.inner.tell(genome, objectives, violation)
        if violation <= 0 and objectives[-1] < FAILED and min(objectives) > 0:
            cost = self.price(genome)
            self.rows.append(self._features(genome, cost))
            self.params.append(float(cost.params))
            self.objectives.append(np.log(objectives))
            self.is_outdated = len(self.rows) >= LEAST

    def skip(self, genome: Genome) -> None:
        self.inner.skip(genome)

    def _features(self, genome: Genome, cost: Cost) -> np.ndarray:
        """Log widths at the network's own scale, the other genes' option numbers, log size, log MACs."""
        numbers = self.space.encode(genome).tolist()
        genes = [
            np.log(gene.options[k]) if gene.kind == "width" else float(k)
            for gene, k in zip(self.space.genes, numbers, strict=True)
        ]
        return np.array([*genes, np.log(cost.size_bytes), np.log(max(cost.macs, 1))])

    def _updated(self) -> Ridge | None:
        """The guess by all that was told, if it may speak."""
        if self.is_outdated:
            self.is_outdated = False
            truth = np.array(self.objectives)[:, -1]
            made = Ridge(np.array(self.rows), truth)
            ours = rank_correlation(made.left_out.tolist(), truth.tolist())
            plain = rank_correlation([-value for value in self.params], truth.tolist())
            self.model = made if (ours or 0.0) > max(plain or 0.0, LEAST_RANKING) else None
        return self.model

    def _behind(self, model: Ridge, genomes: list[Genome]) -> np.ndarray:
        """Expected log KL above that of the front at equal resources, one a genome; the front's is a plane in logs."""
        told = np.array(self.objectives)
        best = told[pareto.front(told)]
        plane, *_ = np.linalg.lstsq(np.column_stack([best[:, :-1], np.ones(len(best))]), best[:, -1], rcond=None)
        costs = [self.price(genome) for genome in genomes]
        guessed = model(np.array([self._features(g, cost) for g, cost in zip(genomes, costs, strict=True)]))
        logs = np.log([[value_of(name, cost, 0.0) for name in self.resources] for cost in costs])
        return guessed - logs @ plane[:-1] - plane[-1]
