"""Scales, zero points and integers by hand, and what must hold of every quantized network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nas.int8 import quantize as under_test
from nas.int8.equalize import Ranges
from nas.int8.quantize import IMAGE, QuantizeError, calibrate, quantize, quantize_filters
from targets.lower import lower
from targets.scales import Scheme, encoding_of, scheme
from tests.toys import Sketch, chain, decoder, depthwise, every_kind, images, modern, random_weights, residual, toys

ONE = np.float32(1)
TOYS = [*toys().items(), ("every_kind", every_kind()), ("modern", modern()), ("decoder", decoder())]


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [
        (0.0, 25.5, 0.1, -128),
        (-25.5, 0.0, 0.1, 127),
        (-12.8, 12.7, 0.1, 0),
        (-1.0, 0.53, 0.006, 39),  # -128 + 166.67 = 38.67
        (0.0, 0.0, 1.0, -128),
    ],
)
def test_a_range_by_hand(low: float, high: float, scale: float, zero_point: int) -> None:
    found = encoding_of(low, high)
    assert found == (pytest.approx(scale), zero_point)


def test_filters_by_hand() -> None:
    weight = np.array([[1.27, -0.5, 0.0], [0.0, 0.002, -0.0254]])
    bias = np.array([0.1, -3.0])
    mean = np.zeros(3)
    weights, biases, scale, bias_scale = quantize_filters(weight, bias, mean, np.float32(0.5), ONE)
    np.testing.assert_allclose(scale, [0.01, 0.0002], rtol=1e-6)
    np.testing.assert_allclose(bias_scale, [0.005, 0.0001], rtol=1e-6)
    assert weights.tolist() == [[127, -50, 0], [0, 10, -127]]
    assert biases.tolist() == [20, -30_000]
    assert (weights.dtype, biases.dtype, scale.dtype, bias_scale.dtype) == ("int8", "int32", "float32", "float32")


def test_filters_of_four_bits_by_hand() -> None:
    # A step is 1.4 / 7 = 0.2: 0.5 is 2.5 of them, which goes to the even 2, and -0.31 is 1.55.
    weights, _, scale, _ = quantize_filters(np.array([[1.4, 0.5, -0.31]]), np.zeros(1), np.zeros(3), ONE, ONE, limit=7)
    np.testing.assert_allclose(scale, [0.2], rtol=1e-6)
    assert weights.tolist() == [[7, 2, -2]]


def test_a_bias_takes_back_what_rounding_adds() -> None:
    # Steps of 0.01: 0.254 becomes 25 steps, 0.004 too little; at a mean input of 10 that is 0.04 less, 4 steps.
    weight = np.array([[1.27, 0.254]])
    weights, biases, _, _ = quantize_filters(weight, np.array([0.0]), np.array([0.0, 10.0]), ONE, ONE)
    assert weights.tolist() == [[127, 25]]
    assert biases.tolist() == [4]


def test_a_transposed_filters_bias_takes_back_what_one_of_its_taps_adds() -> None:
    # Steps of 0.01: each of three taps of 0.254 becomes 25 steps, 0.004 too little, the fourth 127. At a stride of 2 an
    # output meets one of the 2 x 2 taps, so 3 x 0.004 / 4 x 10 = 0.03 is lost on average: 3 steps of 0.01.
    net = Sketch(1, 2, 2)
    net.up("up", 1, 2, 2)
    graph = net.done()
    program = lower(graph)
    (group,) = {a.scale_group for a in program.activations if a.name == "up"}
    weights = {"up.weight": np.array([[[[1.27, 0.254], [0.254, 0.254]]]]), "up.bias": np.zeros(1)}
    seen = Ranges(
        *({"image": np.array([value]), "up": np.array([value])} for value in (0.0, 255.0, 10.0)), encoding=(1.0, -128)
    )
    found = quantize(program, weights, seen)
    assert found.scales[group] == 1
    assert found.weights["up"].ravel().tolist() == [127, 25, 25, 25]
    assert found.biases["up"].tolist() == [3]


def test_a_zero_filter_has_a_positive_scale_and_keeps_its_bias() -> None:
    weights, biases, scale, bias_scale = quantize_filters(
        np.zeros((2, 3)), np.array([0.0, 37.0]), np.zeros(3), np.float32(0.02), ONE
    )
    assert (scale > 0).all()
    assert not weights.any()
    np.testing.assert_allclose(biases * bias_scale, [0, 37], rtol=1e-6)


def test_a_bias_too_large_for_its_filter_still_fits() -> None:
    _, biases, _, bias_scale = quantize_filters(np.full((1, 2), 1e-9), np.array([50.0]), np.zeros(2), ONE, ONE)
    assert biases[0] <= 2**30
    assert biases[0] * bias_scale[0] == pytest.approx(50, rel=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["weight", "range"])
def test_what_is_not_finite_is_refused_by_name(bad: float, where: str) -> None:
    graph, weights = chain()
    program = lower(graph)
    ranges = calibrate(program, graph, weights, images(graph, 4))
    if where == "weight":
        weights["c2.weight"][0, 0, 0, 0] = bad
    else:
        ranges.high["r3"][0] = bad
    with pytest.raises(QuantizeError, match=r"c2.weight" if where == "weight" else "r3"):
        quantize(program, weights, ranges)


def test_calibration_sees_the_extremes_and_the_mean_of_every_channel() -> None:
    net = Sketch(2, 1, 1)
    net.conv("a", 2, 1)
    net.add("a_relu", "relu")
    net.classifier(2)
    graph = net.done()
    weights = random_weights(graph, 0)
    weights["a.weight"] = np.eye(2, dtype=np.float32).reshape(2, 2, 1, 1)
    weights["a.bias"] = np.zeros(2, np.float32)
    x = np.array([[1, -1], [2, -3], [-6, 5], [0, 1]], np.float32).reshape(4, 2, 1, 1)
    ranges = calibrate(lower(graph), graph, weights, x)
    assert ranges.low["image"].tolist() == [-6, -3]
    assert ranges.high["image"].tolist() == [2, 5]
    assert ranges.mean["image"].tolist() == [-0.75, 0.5]
    assert ranges.low["a_relu"].tolist() == [0, 0]
    assert ranges.high["a_relu"].tolist() == [2, 5]
    assert ranges.encoding is None


def test_pixels_keep_their_encoding_and_count_as_fractions_of_255() -> None:
    graph, weights = chain()
    pixels = np.random.default_rng(0).integers(0, 200, (6, *graph.input_shape), np.uint8)
    program = lower(graph)
    ranges = calibrate(program, graph, weights, pixels)
    assert ranges.encoding == IMAGE
    assert ranges.high["image"].max() < 200 / 255
    quantized = quantize(program, weights, ranges)
    assert quantized.scales[0] == np.float32(1 / 255)
    assert quantized.zero_points[0] == -128
    as_floats = calibrate(program, graph, weights, pixels / 255, encoding=IMAGE)
    np.testing.assert_allclose(as_floats.high["r4"], ranges.high["r4"], rtol=1e-6)


@pytest.mark.parametrize(("name", "toy"), TOYS)
def test_what_every_quantized_network_keeps_to(name: str, toy: tuple) -> None:
    graph, weights = toy
    program = lower(graph)
    found = quantize(program, weights, calibrate(program, graph, weights, images(graph, 16)))
    facts = scheme(program)
    assert (found.scales > 0).all()
    assert ((found.zero_points >= -128) & (found.zero_points <= 127)).all()
    for group, (unit, rectified) in enumerate(zip(facts.unit, facts.rectified, strict=True)):
        assert unit != group or found.scales[group] == 1
        assert not rectified or found.zero_points[group] == -128
    for activation in program.activations:
        if activation.fixed:
            group = activation.scale_group
            assert (found.scales[group], found.zero_points[group]) == activation.fixed
    for call in program.calls:
        if call.op and call.weight_shape:
            assert found.weights[call.op].min() >= -127
            assert np.abs(found.weights[call.op].reshape(call.out_channels, -1)).max() == 127
            assert found.weights[call.op].shape == weights[f"{call.op}.weight"].shape
            source = found.scales[program.by_name[call.inputs[0]].scale_group]
            np.testing.assert_array_equal(found.bias_scales[call.op], source * found.weight_scales[call.op])


@pytest.mark.parametrize("toy", [chain, depthwise, residual])
def test_the_unit_a_tensor_is_counted_in_changes_no_integer(toy, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, weights = toy()
    program = lower(graph)
    ranges = calibrate(program, graph, weights, images(graph, 16))
    counted = quantize(program, weights, ranges)

    def physical(of: object) -> Scheme:
        return replace(scheme(program), unit=(None,) * len(scheme(program).unit))

    monkeypatch.setattr(under_test, "scheme", physical)
    plain = quantize(program, weights, ranges)
    assert not np.array_equal(plain.scales, counted.scales)
    np.testing.assert_array_equal(plain.zero_points, counted.zero_points)
    for op in plain.weights:
        np.testing.assert_array_equal(plain.weights[op], counted.weights[op])
        np.testing.assert_allclose(plain.biases[op], counted.biases[op], rtol=1e-6, atol=1)
