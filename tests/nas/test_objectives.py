"""Limits as text, and the distance from them."""

from __future__ import annotations

import math

import pytest

from nas.objectives import (
    OBJECTIVES,
    OPEN_DROP,
    Budget,
    Limits,
    binding,
    excesses,
    objective_vector,
    parse_budget,
    parse_drop,
    parse_energy,
    parse_latency,
    parse_objectives,
    parse_size,
    reference_point,
    resources,
    violation,
)
from search_spaces.errors import LimitError
from targets.cost import Cost

COST = Cost(
    size_bytes=4096,
    weights_bytes=3000,
    flash_bytes=30_000,
    ram_bytes=2000,
    macs=10_000,
    params=3000,
    latency_ms=8.0,
    energy_uj=None,
    runtime="tflm",
    target="toy",
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("256KB", 262_144),
        ("256KiB", 262_144),
        ("256 kb", 262_144),
        ("1MB", 1_048_576),
        ("1.5MB", 1_572_864),
        ("262144B", 262_144),
        ("0.5KB", 512),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["256XB", "256", "KB", "", "-5KB", "0KB", "0.1B", "1e3KB", "256KB extra", "nanKB", "1GB"]
)
def test_a_size_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(LimitError, match="got '") as caught:
        parse_size(text)
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_unit_is_told_the_known_ones() -> None:
    with pytest.raises(LimitError, match=r"256KB, 1MB or 262144B \(1 KB = 1024 bytes\); got '256XB'"):
        parse_size("256XB")


@pytest.mark.parametrize(("text", "drop"), [("2%", 2.0), ("2", 2.0), ("0.5 %", 0.5), ("0%", 0.0), ("100", 100.0)])
def test_drops_are_points(text: str, drop: float) -> None:
    assert parse_drop(text) == drop


@pytest.mark.parametrize("text", ["-1%", "101%", "2pp", "", "%", "two"])
def test_a_drop_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(LimitError):
        parse_drop(text)


def test_latencies_are_milliseconds_and_energies_microjoules() -> None:
    assert [parse_latency(text) for text in ("50ms", "0.5s", "800us", "800µs")] == [50.0, 500.0, 0.8, 0.8]
    assert [parse_energy(text) for text in ("5mJ", "0.1J", "800uJ")] == [5000.0, 100_000.0, 800.0]


@pytest.mark.parametrize("text", ["0ms", "50", "5m", "-1s"])
def test_a_latency_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(LimitError, match="a latency"):
        parse_latency(text)


@pytest.mark.parametrize("text", ["0mJ", "5", "5kWh"])
def test_an_energy_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(LimitError, match="an energy"):
        parse_energy(text)


def test_budgets_are_seconds_or_steps() -> None:
    assert [parse_budget(text).seconds for text in ("90s", "10m", "1h", "1.5m")] == [90.0, 600.0, 3600.0, 90.0]
    assert parse_budget("2000steps") == Budget(steps=2000)
    assert parse_budget("1 step") == Budget(steps=1)


@pytest.mark.parametrize("text", ["-5m", "0s", "0steps", "10", "1.5steps", "-10steps", "10d", "m", ""])
def test_a_budget_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(LimitError, match="a budget"):
        parse_budget(text)


@pytest.mark.parametrize("values", [{}, {"seconds": 1.0, "steps": 1}, {"seconds": math.inf}, {"steps": 0}])
def test_a_budget_is_one_positive_quantity(values: dict[str, float]) -> None:
    with pytest.raises(LimitError):
        Budget(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values", [{"size_bytes": 0}, {"drop": -1.0}, {"latency_ms": math.nan}, {"ram_bytes": math.inf}]
)
def test_a_limit_is_positive_and_finite(values: dict[str, float]) -> None:
    with pytest.raises(LimitError, match="must be limited"):
        Limits(**values)  # type: ignore[arg-type]


def test_excesses_are_shares_of_the_limit() -> None:
    limits = Limits(size_bytes=2048, ram_bytes=4000, latency_ms=10.0, drop=2.0)
    assert excesses(COST, limits, drop=2.5) == {"size_bytes": 1.0, "drop": 0.25, "ram_bytes": -0.5, "latency_ms": -0.2}
    assert violation(COST, limits, drop=2.5) == 1.25
    assert violation(COST, limits) == 1.0


def test_a_network_on_its_limits_fits() -> None:
    assert violation(COST, Limits(size_bytes=4096, ram_bytes=2000, flash_bytes=30_000, latency_ms=8.0)) == 0.0
    assert violation(COST, Limits()) == 0.0


def test_the_binding_limit_is_the_one_exceeded_most_or_else_the_nearest() -> None:
    assert binding(COST, Limits(size_bytes=8192, ram_bytes=2100, latency_ms=80.0)) == "ram_bytes"
    assert binding(COST, Limits(size_bytes=2048, ram_bytes=1900)) == "size_bytes"
    assert binding(COST, Limits(size_bytes=8192, drop=1.0), drop=0.9) == "drop"
    assert binding(COST, Limits()) == ""


def test_a_drop_limit_of_nothing_can_be_judged() -> None:
    assert violation(COST, Limits(drop=0.0), drop=0.3) == pytest.approx(0.3)
    assert violation(COST, Limits(drop=0.0), drop=-0.3) == 0.0


def test_a_limit_on_an_unknown_quantity_is_refused() -> None:
    with pytest.raises(LimitError, match="energy_uj cannot be limited: it is not known for target 'toy'"):
        violation(COST, Limits(energy_uj=100.0))


def test_points_and_reference_lie_on_the_same_axes() -> None:
    assert objective_vector(COST, 1.5).tolist() == [12.0, 1.5]
    assert objective_vector(COST, -0.2).tolist() == [12.0, 0.0]
    assert objective_vector(COST, 1.5, ("latency_ms", "drop")).tolist() == [3.0, 1.5]
    assert reference_point(Limits(size_bytes=2**18, drop=2.0), OBJECTIVES, COST).tolist() == [18.0, 2.0]


def test_an_objective_without_a_limit_ends_at_the_original_or_at_five_points() -> None:
    """The original has 4,096 bytes and needs 8 ms."""
    assert reference_point(Limits(), ("size_bytes", "latency_ms", "drop"), COST).tolist() == [12.0, 3.0, OPEN_DROP]
    assert reference_point(Limits(size_bytes=2**10), ("latency_ms", "size_bytes"), COST).tolist() == [3.0, 10.0]


def test_objectives_are_two_to_four_names_in_their_order() -> None:
    assert parse_objectives("size,drop") == OBJECTIVES
    assert parse_objectives(" RAM , drop,macs,Latency") == ("ram_bytes", "drop", "macs", "latency_ms")
    assert resources(parse_objectives("drop,ram,size")) == ("ram_bytes", "size_bytes")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("size", "two to four different ones of drop, size, flash, ram, latency, energy, macs; got 'size'"),
        ("size,size", "two to four different ones"),
        ("size,ram,flash,macs,drop", "two to four different ones"),
        ("size,accuracy", "got 'accuracy' in 'size,accuracy'"),
        ("", "got '' in ''"),
    ],
)
def test_other_objectives_are_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(LimitError, match=said) as caught:
        parse_objectives(text)
    assert "\n" not in str(caught.value)


def test_an_unknown_quantity_cannot_be_an_objective() -> None:
    with pytest.raises(LimitError, match="energy_uj cannot be minimised"):
        objective_vector(COST, 1.0, ("energy_uj", "drop"))
