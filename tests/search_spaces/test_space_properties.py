"""What must hold for any genome of any space: thousands of random genomes, and whole spaces one by one."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest

from search_spaces import factors
from search_spaces.declare import Declaration
from search_spaces.from_onnx import parse
from search_spaces.genes import Genome
from search_spaces.graph import Graph
from search_spaces.padding import same_padded
from search_spaces.resolution import at_side
from search_spaces.space import SearchSpace, derive
from search_spaces.to_onnx import to_onnx
from tests import toys
from tests.search_spaces.mobilenet import mobilenet_v1
from tests.search_spaces.random_networks import random_network
from tests.search_spaces.test_space import wide_shortcut

GROWING = Declaration(kernel_growth=True)
EVERYTHING = Declaration(width_step=1, width_min=1, kernel_growth=True, resolution=True, rank=True, same_padding=True)


@pytest.fixture
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers of the toys' size are large enough to have ranks."""
    monkeypatch.setattr(factors, "LARGE", 16)


def check(space: SearchSpace, genome: Genome, *, rng: np.random.Generator) -> None:
    """A genome's network builds, and what it inherits fits into it."""
    made, whole = space.apply(genome), space.apply(space.unfactored(genome))
    original = at_side(space.graph, made.input_shape[-1]).shapes if len(made.input_shape) == 3 else space.graph.shapes
    assert space.contains(genome)
    assert space.canonical(genome) == genome
    assert space.decode(space.encode(genome)) == genome
    assert space.genome(space.values(genome)) == genome
    assert all(type(value) is int for value in genome.values)
    origins = space.origins(genome)
    assert origins.keys() == whole.shapes.keys()
    assert made.shapes.keys() == whole.shapes.keys() | {first for first, _ in space.factors(genome).values()}
    assert [made.shapes[name] for name in whole.shapes] == list(whole.shapes.values())
    assert [made.shapes[name] for name in made.outputs] == [space.graph.shapes[name] for name in made.outputs]
    order = {atom.id: rng.permutation(atom.size) for atom in space.channels.atoms}
    kept = {tensor: space.keep(origin, order) for tensor, origin in origins.items()}
    for tensor, origin in origins.items():
        assert len(kept[tensor]) == made.shapes[tensor][0]
        assert len(set(kept[tensor].tolist())) == len(kept[tensor])
        assert made.shapes[tensor][1:] == original[origin.tensor][1:]
        assert kept[tensor].max() < space.graph.shapes[origin.tensor][0]
    for op in whole.ops:
        if op.kind == "add":  # both sides must bring the same channels of the original, or values would be mixed up
            np.testing.assert_array_equal(kept[op.inputs[0]], kept[op.inputs[1]])
        if op.kind in ("relu", "relu6", "sigmoid", "affine", "max_pool", "global_avg_pool", "softmax"):
            np.testing.assert_array_equal(kept[op.name], kept[op.inputs[0]])
        if op.kind == "concat":
            starts = np.cumsum([0, *(space.graph.shapes[origins[name].tensor][0] for name in op.inputs)])
            parts = [start + kept[name] for start, name in zip(starts, op.inputs, strict=False)]
            np.testing.assert_array_equal(kept[op.name], np.concatenate(parts))
        before = space.graph.by_name[op.name]
        if op.kind == "conv" and before["groups"] > 1 and before["groups"] == before["out_channels"]:
            np.testing.assert_array_equal(kept[op.name], kept[op.inputs[0]])
    assert made.params > 0


@pytest.mark.parametrize("name", ["chain", "residual", "depthwise", "concat", "every_kind", "modern"])
def test_random_genomes_of_the_toys_build_and_inherit(name: str) -> None:
    rng = np.random.default_rng(0)
    space = derive((toys.toys() | {"every_kind": toys.every_kind(), "modern": toys.modern()})[name][0], GROWING)
    for _ in range(200):
        genome = space.sample(rng=rng)
        check(space, genome, rng=rng)
        neighbour = space.mutate(genome, rng=rng)
        assert neighbour != genome
        check(space, neighbour, rng=rng)


def test_random_genomes_of_random_networks_build_and_inherit() -> None:
    rng = np.random.default_rng(1)
    genes = 0
    for _ in range(100):
        graph = random_network(rng=rng)
        space = derive(graph, Declaration(width_step=1, width_min=1, kernel_growth=bool(rng.random() < 0.5)))
        assert space.apply(space.original) == graph
        genes += len(space.genes)
        for _ in range(10):
            check(space, space.sample(rng=rng), rng=rng)
    assert genes > 1000


def test_random_genomes_with_every_gene_build_inherit_and_come_back_from_onnx(small_is_large: None) -> None:
    rng = np.random.default_rng(3)
    graphs = [random_network(rng=rng) for _ in range(60)] + [
        toy[0] for toy in (*toys.toys().values(), toys.modern(), toys.decoder())
    ]
    seen: Counter[str] = Counter()
    for graph in graphs:
        space = derive(graph, EVERYTHING)
        assert space.apply(space.original) == same_padded(graph)
        seen["repadded"] += len(space.repadded())
        for _ in range(8):
            genome = space.sample(rng=rng)
            for one in (genome, space.mutate(genome, rng=rng)):
                check(space, one, rng=rng)
            made = space.apply(genome)
            assert parse(to_onnx(made, toys.random_weights(made, 0)))[0] == made
            seen["small"] += made.input_shape != graph.input_shape
            seen["factored"] += bool(space.factors(genome))
            seen["less"] += len(made.ops) < len(graph.ops)
    assert min(seen.values()) > 50
    assert len(seen) == 4


def test_a_space_without_the_new_genes_draws_what_it_always_drew() -> None:
    """Their chances are drawn only where they are, so that a seed means the same network as before."""
    plain, more = (derive(toys.chain()[0], Declaration(resolution=on)) for on in (False, True))
    assert plain.sample(rng=np.random.default_rng(0)).values == (4, 8, 8, 8, 1, 1, 1, 1, 1, 3)
    assert len(more.genes) == len(plain.genes) + 1


def test_thousands_of_random_genomes_of_mobilenet_build_and_spread_over_its_sizes() -> None:
    rng = np.random.default_rng(2)
    space = derive(mobilenet_v1(), Declaration())
    sizes = []
    for _ in range(2000):
        made = space.apply(space.sample(rng=rng))
        sizes.append(made.params)
    assert min(sizes) < 2_000
    assert max(sizes) > 2_000_000
    spread = np.histogram(np.log10(sizes), bins=[3, 4, 5, 6, 6.5])[0]
    assert spread.min() > 100  # every decade of parameters is visited


def walk_through(space: SearchSpace) -> int:
    """Every choice of values: equal networks must be equal genomes and the other way round. Counts the networks."""
    genomes_of: dict[Graph, Genome] = {}
    networks_of: dict[Genome, Graph] = {}
    for values in product(*(gene.options for gene in space.genes)):
        genome, network = space.canonical(Genome(values)), space.apply(Genome(values))
        assert space.apply(genome) == network
        assert genomes_of.setdefault(network, genome) == genome
        assert networks_of.setdefault(genome, network) == network
        assert space.contains(Genome(values)) == (genome.values == values)
    return len(genomes_of)


@pytest.mark.parametrize(
    ("graph", "networks"),
    [
        (
            toys.chain()[0],
            (4 * 4 + 4) * (6 * 6 + 6),
        ),  # two pairs of layers, each whole or with the second's width alone
        (toys.residual()[0], 4 * (4 + 1) * 8 * (8 + 1)),  # the widths inside a branch go with it
        (toys.concat()[0], 4 * 3 * 5 * 6 * 2),  # nothing stops to matter
        (wide_shortcut(), 4 * 4 * 8 + 4 * 11),  # 4 + 8 options, summed: 4, 6, …, 24
    ],
    ids=["chain", "residual", "concat", "wide_shortcut"],
)
def test_equal_networks_are_equal_genomes_through_a_whole_space(graph: Graph, networks: int) -> None:
    space = derive(graph, Declaration(width_step=2, width_min=2, kernel=False))
    assert walk_through(space) == networks


def test_equal_networks_are_equal_genomes_where_layers_become_two_and_images_smaller(small_is_large: None) -> None:
    """Of a second layer of up to 8 x 16 weights: a rank of 2 is below 4 x 6, say, and one of 4 below 6 x 14."""
    net = toys.Sketch(1, 4, 4)
    net.conv("a", 8, 1)
    net.conv("b", 16, 1)
    net.classifier(2)
    space = derive(net.done(), Declaration(True, 2, 2, depth=False, kernel=False, resolution=True, rank=True))
    assert [gene.options for gene in space.genes] == [
        (2, 4, 6, 8), (2, 4, 6, 8, 10, 12, 14, 16), (2, 3, 4), (2, 4, 8),
    ]  # fmt: skip
    pairs = [(a, b) for a in (2, 4, 6, 8) for b in range(2, 17, 2)]
    ranks = sum(1 + (2 * (a + b) < a * b) + (4 * (a + b) < a * b) for a, b in pairs)
    assert walk_through(space) == 3 * ranks


def test_equal_networks_are_equal_genomes_in_random_spaces() -> None:
    rng = np.random.default_rng(6)
    walked = 0
    while walked < 40:
        declaration = Declaration(width_step=int(rng.integers(2, 5)), width_min=2, kernel=False)
        space = derive(random_network(rng=rng), declaration)
        if 10 < space.count() < 800:
            walk_through(space)
            walked += 1


def test_the_same_seed_gives_the_same_genomes() -> None:
    space = derive(mobilenet_v1(), Declaration())

    def walk(seed: int) -> list[Genome]:
        rng = np.random.default_rng(seed)
        genomes = [space.sample(rng=rng)]
        for _ in range(20):
            genomes.append(space.mutate(genomes[-1], rng=rng))
        return genomes

    assert walk(3) == walk(3) != walk(4)


def test_tables_do_not_leak_from_one_genome_to_the_next() -> None:
    """A space that has built other networks builds the same network as a new one."""
    rng = np.random.default_rng(5)
    used = derive(toys.residual()[0], GROWING)
    genomes = [used.sample(rng=rng) for _ in range(100)]
    made = [used.apply(genome) for genome in genomes]
    for genome, network in zip(genomes[::7], made[::7], strict=True):
        assert derive(toys.residual()[0], GROWING).apply(genome) == network


def test_an_operator_is_made_once_for_each_choice_it_depends_on() -> None:
    """What makes `apply` fast: a change of one width makes new operators only where channels change."""
    space = derive(mobilenet_v1(), Declaration())
    space.apply(space.original)
    first, second = space.apply(space.uniform(0.5)), space.apply(space.uniform(0.5))
    assert all(a is b for a, b in zip(first.ops, second.ops, strict=True))
    wider = space.apply(space.genome(space.values(space.uniform(0.5)) | {"width:pw5": 256}))
    assert [a.name for a, b in zip(first.ops, wider.ops, strict=True) if a is not b] == ["pw5", "dw6"]
