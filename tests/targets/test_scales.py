"""Which zero points and scales follow from structure alone."""

from __future__ import annotations

from search_spaces.graph import Graph
from targets.lower import lower
from targets.program import Program
from targets.scales import Scheme, scheme
from tests.toys import Sketch, chain, depthwise, residual


def facts(graph: Graph) -> tuple[Program, Scheme]:
    program = lower(graph)
    return program, scheme(program)


def unit_of(graph: Graph) -> dict[str, str | None]:
    """By activation: one whose steps it is measured in, or None for a physical scale."""
    program, found = facts(graph)
    first: dict[int, str] = {}
    for activation in program.activations:
        first.setdefault(activation.scale_group, activation.name)
    units = {a.name: found.unit[a.scale_group] for a in program.activations}
    return {name: None if unit is None else first[unit] for name, unit in units.items()}


def test_between_convolutions_every_scale_is_one_and_at_the_ends_none() -> None:
    assert unit_of(chain()[0]) == {
        "image": None,
        "r1": "r1",
        "r2": "r2",
        "c3:padded": "r2",  # one scale group with what it pads
        "r3": "r3",
        "r4": "r4",
        "gap": "r4",
        "flat": "r4",
        "logits": None,
    }


def test_relus_are_the_saturation_of_a_range_from_zero() -> None:
    program, found = facts(depthwise()[0])
    assert {call.fused for call in program.calls if call.kind in ("conv", "dw")} == {"relu6"}
    assert set(found.fused) == {"none"}
    for activation in program.activations:
        inner = activation.name not in ("image", "logits")
        assert found.rectified[activation.scale_group] == inner
        assert found.at_most_6[activation.scale_group] == inner


def test_what_an_add_ties_together_is_measured_in_one_unit() -> None:
    units = unit_of(residual()[0])
    # stem_relu, a2 and a_relu meet in the first add; 16 + 16 filters (b1, b_project) read a_relu, 8 (a1) stem_relu.
    # b2, b_project and b_relu meet in the second add.
    assert units["stem_relu"] == units["a2"] == units["a_relu"] == "a_relu"
    assert units["b2"] == units["b_project"] == units["b_relu"] == "b_relu"
    assert units["a1_relu"] == "a1_relu"
    assert units["b1_relu"] == "b1_relu"
    assert units["image"] is None
    assert units["logits"] is None


def test_a_relu6_that_saturation_cannot_do_stays_and_keeps_its_scale_physical() -> None:
    net = Sketch(2, 4, 4)
    left = net.conv("left", 4)
    left = net.add("left_relu6", "relu6")
    right = net.conv("right", 4, of="image")  # may be negative, and beyond 6
    net.add("joined", "concat", left, right)
    net.classifier(3)
    program, found = facts(net.done())
    fused = {call.output: kept for call, kept in zip(program.calls, found.fused, strict=True)}
    assert {output for output, kept in fused.items() if kept != "none"} == {"left_relu6"}
    group = program.by_name["joined"].scale_group
    assert found.unit[group] is None
    assert not found.rectified[group]


def test_a_sigmoid_sees_and_gives_physical_scales() -> None:
    net = Sketch(2, 4, 4)
    net.conv("a", 4)
    body = net.add("a_relu", "relu")
    net.gate(body, 4, "gated", "sigmoid")
    net.conv("last", 4)
    net.add("last_relu", "relu")
    net.classifier(3)
    units = unit_of(net.done())
    assert units["excite"] is None
    assert units["gate"] is None
    assert units["gated"] == units["a_relu"] == "a_relu"  # tied by their ratio; 4 filters read either, the first leads
