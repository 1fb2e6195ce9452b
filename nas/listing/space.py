"""What `nas space` prints: the genes of a model, what each changes, what stays and why, and what the ends cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nas import wording
from nas.inputs import cut
from nas.listing import closed
from nas.objectives import Limits
from search_spaces.declare import load_declaration
from search_spaces.errors import TargetError
from search_spaces.graph import Graph
from search_spaces.space import SearchSpace, derive
from targets.cost import Cost, bands, estimate
from targets.device import Device
from targets.program import Runtime
from targets.x_cube_ai import Bands

GENES = {
    "width": "channels of the layers that must agree",
    "depth": "0 leaves out a branch or a stretch of layers",
    "kernel": "side of a square kernel",
    "resolution": "side of the square images, which are resized for the network",
    "rank": "channels between two layers in place of a large one, which the original's value keeps",
    "bits": "bits of a stored weight; biases and all that is computed keep theirs",
}
"""What a gene's values are, by its kind."""

SHOWN = 3  # layers that a row names


@dataclass(frozen=True)
class Listing:
    """A space before and after the limits.

    Attributes:
        whole, left: as derived, and without the options that no network within the limits has. A network of the others
            may still break them.
        costs: of the original, the largest network of the space and the cheapest; empty where nothing can be priced.
        bands: of the same networks, on a closed runtime.
        unpriced: why nothing can be priced; else empty.
        target: whose prices these are.
    """

    whole: SearchSpace
    left: SearchSpace
    costs: dict[str, Cost]
    bands: dict[str, Bands]
    unpriced: str
    target: str

    def record(self) -> dict[str, Any]:
        """Both spaces as plain values."""
        return {
            "networks": self.whole.count(),
            "networks_left": self.left.count(),
            "genes": self.whole.explain(),
            "genes_within_limits": self.left.explain(),
            "fixed": self.whole.fixed(),
            "repadded": self.whole.repadded(),
            "costs": {name: {"size_bytes": c.size_bytes, "ram_bytes": c.ram_bytes, "latency_ms": c.latency_ms}
                      for name, c in self.costs.items()},
            "bands": {name: closed.record(found) for name, found in self.bands.items()},
            "unpriced": self.unpriced,
        }  # fmt: skip

    def text(self) -> str:
        """All of it as tables."""
        whole, left = self.whole, {gene.name: gene.options for gene in self.left.genes}
        rows = [("gene", "changes", "original", "options", "within the limits")]
        for row in whole.explain():
            options = tuple(row["options"])
            kept = left.get(row["gene"], ())
            now = _options(kept) if kept != options else "all"
            rows.append((row["gene"], _few(row["members"]), str(row["original"]), _options(options), now))
        kinds = dict.fromkeys(gene.kind for gene in whole.genes)
        count, remaining = _magnitude(whole.count()), _magnitude(self.left.count())
        counted = f"{len(whole.genes)} genes, {count} networks; {remaining} of options that fit with some of the others"
        parts = [
            wording.columns(rows, left=2),
            wording.columns([(kind, GENES[kind]) for kind in kinds], left=2) if kinds else "",
            f"{counted}.",
            self._fixed(),
            self._repadded(),
            self._ends(),
        ]
        return "\n\n".join(part for part in parts if part)

    def _fixed(self) -> str:
        fixed = self.whole.fixed()
        if not fixed:
            return ""
        share = 100 * sum(row["parameters"] for row in fixed) / self.whole.graph.params
        rows = [("layer", "why"), *((row["operator"], row["why"]) for row in fixed)]
        return f"Layers whose channels stay, {share:.0f} % of the parameters:\n{wording.columns(rows, left=2)}"

    def _repadded(self) -> str:
        names = self.whole.repadded()
        return f"Padded as TFLite's SAME in every network, unlike the original: {_few(names)}" if names else ""

    def _ends(self) -> str:
        if self.unpriced:
            return f"No prices, and no limits looked at: {self.unpriced}"
        rows = [("on " + self.target, "size", "RAM", "latency")]
        for name, cost in self.costs.items():
            ram, latency = wording.size(cost.ram_bytes), wording.milliseconds(cost.latency_ms)
            if name in self.bands:
                ram, latency = (closed.span(self.bands[name], figure) for figure in ("ram_bytes", "latency_ms"))
            rows.append((name, wording.size(cost.size_bytes), ram, latency))
        return wording.columns(rows) + (f"\n{closed.LIMITED}" if self.bands else "")


def list_space(graph: Graph, declaration: str, device: Device, runtime: Runtime, limits: Limits) -> Listing:
    """The derived space, and what the limits leave of it.

    Raises:
        SpaceError: the declaration cannot be read.
        NothingFits: the limits leave nothing.
    """
    whole = derive(graph, load_declaration(declaration))
    try:
        left = cut(whole, device, runtime, limits)
        largest = whole.apply(whole.decode([len(gene.options) - 1 for gene in whole.genes]))
        ends = {"original": graph} | ({} if largest == graph else {"largest": largest})
        ends["cheapest"] = left.apply(left.cheapest)
        costs = {name: estimate(made, device, runtime) for name, made in ends.items()}
        spans = {name: found for name, made in ends.items() if (found := bands(made, device, runtime))}
    except TargetError as error:  # the runtime lacks an operator: the space is what it is all the same
        return Listing(whole, whole, {}, {}, str(error), device.name)
    return Listing(whole, left, costs, spans, "", device.name)


def _few(names: Sequence[str]) -> str:
    """`conv1, conv2, conv3 (7)`: the first few of many."""
    shown = ", ".join(names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} ({len(names)})"


def _options(options: tuple[int, ...]) -> str:
    """`4 8 12 ... 64 (15)`: a few in full, many by their ends."""
    if len(options) <= 5:
        return " ".join(str(option) for option in options)
    return f"{options[0]} {options[1]} ... {options[-1]} ({len(options)})"


def _magnitude(count: int) -> str:
    """`312` or `about 10^34`."""
    return str(count) if count < 100_000 else f"about 10^{math.log10(count):.0f}"
