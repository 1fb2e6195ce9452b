"""Weights of 4 bits as genes: which layers have one, what it makes of the operator, and when it says nothing."""

from __future__ import annotations

import numpy as np

from search_spaces.declare import Declaration
from search_spaces.from_onnx import parse
from search_spaces.genes import Gene
from search_spaces.graph import Graph, Weights
from search_spaces.space import derive
from search_spaces.to_onnx import to_onnx
from tests.search_spaces.random_networks import random_network
from tests.toys import Sketch, depthwise

BITS = Declaration(width=False, depth=False, kernel=False, bits=True)


def mixed() -> Graph:
    """A convolution, a depthwise, one of two groups, a large 1x1 and a linear layer."""
    net = Sketch(1, 8, 8)
    net.conv("stem", 32)
    net.conv("dw", 32, groups=32)
    net.conv("half", 32, groups=2)
    net.conv("pw", 64, 1)
    net.classifier(4)
    return net.done()


def zeros(graph: Graph) -> Weights:
    return {name: np.zeros(shape, np.float32) for name, shape in graph.weight_shapes.items()}


def test_convolutions_of_one_group_and_depthwise_ones_have_a_gene() -> None:
    genes = derive(mixed(), BITS).genes
    assert genes == tuple(Gene(f"bits:{name}", "bits", (4, 8), 8) for name in ("stem", "dw", "pw"))
    assert not derive(mixed(), Declaration(width=False)).genes[0].name.startswith("bits")


def test_a_gene_sets_the_bits_of_its_operator_and_of_no_other() -> None:
    space = derive(mixed(), BITS)
    assert space.apply(space.original) == space.graph
    made = space.apply(space.genome({"bits:dw": 4}))
    assert {op.name: op.weight_bits for op in made.ops if op.weight_bits != 8} == {"dw": 4}
    assert made.by_name["dw"].stored_in(8) == space.graph.by_name["dw"]
    assert made.params == space.graph.params
    least = space.apply(space.packed(space.original))
    assert [op.name for op in least.ops if op.weight_bits == 4] == ["stem", "dw", "pw"]


def test_a_layer_in_two_parts_has_its_bits_in_both() -> None:
    space = derive(mixed(), Declaration(width=False, depth=False, kernel=False, rank=True, bits=True))
    made = space.apply(space.genome({"rank:pw": 4, "bits:pw": 4}))
    assert [(op.name, op.weight_bits) for op in made.ops if "pw" in op.name] == [("pw.rank", 4), ("pw", 4)]
    assert space.apply(space.genome({"rank:pw": 4})).by_name["pw.rank"].weight_bits == 8


def test_the_bits_of_what_is_left_out_are_the_originals() -> None:
    space = derive(depthwise()[0], Declaration(bits=True))
    unit = next(gene for gene in space.genes if gene.kind == "depth")
    gone = set(space.graph.by_name) - set(space.apply(space.genome({unit.name: 0})).by_name)
    named = next(gene.name for gene in space.genes if gene.kind == "bits" and gene.name[5:] in gone)
    assert space.genome({unit.name: 0, named: 4}) == space.genome({unit.name: 0})
    assert space.genome({named: 4}) != space.original


def test_random_genomes_come_back_from_numbers_and_from_onnx() -> None:
    declared = Declaration(resolution=True, rank=True, bits=True)
    packed = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        space = derive(random_network(rng=rng), declared)
        genome = space.sample(rng=rng)
        graph = space.apply(genome)
        assert space.decode(space.encode(genome)) == genome
        assert space.contains(genome)
        assert parse(to_onnx(graph, zeros(graph)))[0] == graph
        packed += any(op.weight_bits == 4 for op in graph.ops)
    assert packed > 5
