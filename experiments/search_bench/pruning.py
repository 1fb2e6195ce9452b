"""Torch-Pruning's networks as a family by size, in the place of a search space."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from nas.evaluate import RealProblem
from nas.students.candidate import PLAIN
from search_spaces.declare import Declaration
from search_spaces.genes import Genome
from search_spaces.graph import Graph, Weights

STEPS = 256
"""Ratios: the interesting networks keep less than a quarter of all channels."""

ROUND_TO = 4


class Net(nn.Module):
    """A graph of torch's own layers, which Torch-Pruning knows how to cut."""

    def __init__(self, graph: Graph, weights: Weights) -> None:
        super().__init__()
        self.graph, self.layers = graph, nn.ModuleDict()
        for k, op in enumerate(graph.ops):
            if op.kind not in ("conv", "linear"):
                continue
            weight = torch.tensor(weights[f"{op.name}.weight"])
            if op.kind == "conv":
                inside = weight.shape[1] * op["groups"]
                settings = {"stride": op["stride"], "dilation": op["dilation"], "groups": op["groups"]}
                layer: nn.Module = nn.Conv2d(inside, len(weight), tuple(weight.shape[2:]), **settings)
            else:
                layer = nn.Linear(weight.shape[1], len(weight))
            layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(torch.tensor(weights[f"{op.name}.bias"]))
            self.layers[str(k)] = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {self.graph.input: x}
        for k, op in enumerate(self.graph.ops):
            read = [values[name] for name in op.inputs]
            if op.kind == "conv":
                top, left, bottom, right = op["pads"]
                values[op.name] = self.layers[str(k)](F.pad(read[0], (left, right, top, bottom)))
            elif op.kind == "linear":
                values[op.name] = self.layers[str(k)](read[0])
            else:
                values[op.name] = PLAIN[op.kind](op, self.graph.shapes[op.inputs[0]])(*read)
        return values[self.graph.outputs[0]]


@dataclass
class Family:
    """Torch-Pruning's networks by their share of channels, in the place of a `SearchSpace`; a genome is `(k,)`."""

    graph: Graph
    weights: Weights
    mode: str
    known: dict[int, tuple[Graph, Weights]] = field(default_factory=dict)
    declaration: ClassVar = Declaration(depth=False, kernel=False)

    def uniform(self, fraction: float) -> Genome:
        return Genome((max(1, min(STEPS, round(fraction * STEPS))),))

    @property
    def original(self) -> Genome:
        return self.uniform(1.0)

    @property
    def cheapest(self) -> Genome:
        return self.uniform(0.0)

    def apply(self, genome: Genome) -> Graph:
        return self.made(genome)[0]

    def values(self, genome: Genome) -> dict[str, int]:
        return {"channels_256ths": genome.values[0]}

    def genome(self, values: dict[str, int]) -> Genome:
        return Genome((values["channels_256ths"],))

    def made(self, genome: Genome) -> tuple[Graph, Weights]:
        k = genome.values[0]
        if k not in self.known:
            self.known[k] = (self.graph, self.weights) if k == STEPS else self.pruned(1 - k / STEPS)
        return self.known[k]

    def pruned(self, ratio: float) -> tuple[Graph, Weights]:
        import torch_pruning as tp

        net = Net(self.graph, self.weights).eval()
        last = next(reversed(net.layers.values()))
        tp.pruner.MagnitudePruner(
            net, torch.zeros(1, *self.graph.input_shape), importance=tp.importance.MagnitudeImportance(p=1),
            pruning_ratio=ratio, global_pruning=self.mode != "local", isomorphic=self.mode == "isomorphic",
            round_to=ROUND_TO, ignored_layers=[last],
        ).step()  # fmt: skip
        ops, weights = [], {}
        for k, op in enumerate(self.graph.ops):
            if str(k) in net.layers:
                layer = net.layers[str(k)]
                weights[f"{op.name}.weight"] = layer.weight.detach().numpy().copy()
                weights[f"{op.name}.bias"] = layer.bias.detach().numpy().copy()
                if op.kind == "conv":
                    op = op.replace(out_channels=layer.out_channels, groups=layer.groups)
                else:
                    op = op.replace(out_channels=layer.out_features)
            ops.append(op)
        return replace(self.graph, ops=tuple(ops)), weights


class PeerProblem(RealProblem):
    """Students begin with what the pruning left; nothing is solved anew."""

    def _inherited(self, genome: Genome) -> Weights:
        return self.space.made(genome)[1]
