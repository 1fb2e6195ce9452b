"""Runtimes held against each other on small networks, honest and made to lie behind one operator."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import pytest

from nas.int8.export.qdq_onnx import qdq_onnx
from nas.int8.export.tflite import tflite_bytes
from nas.int8.quantize import calibrate, quantize
from nas.tasks import CLASSIFICATION, load_task
from nas.verify import litert, prove
from nas.verify.litert import LiteRT
from nas.verify.proof import LEAST_AGREEMENT, Samples, culprit, proof
from nas.verify.qdq import OnnxRuntime
from nas.verify.runner import LITERT, ONNX, TFLM, C, Exported
from search_spaces.errors import ModelError
from search_spaces.graph import Graph, Weights
from targets.lower import lower
from tests import litert as plain
from tests.search_spaces.random_networks import random_network
from tests.toys import Sketch, depthwise, images, modern, random_weights, toys

TOYS = toys()
needs_tflm = pytest.mark.skipif(find_spec("tflite_micro") is None, reason="needs tflite-micro: pip install '.[tflm]'")


def exported(graph: Graph, weights: Weights, x: np.ndarray) -> Exported:
    program = lower(graph)
    ints = quantize(program, weights, calibrate(program, graph, weights, x))
    return litert.exported(tflite_bytes(program, ints), qdq_onnx(program, ints).SerializeToString())


@pytest.fixture(scope="module")
def network() -> tuple[Exported, Samples]:
    graph, weights = depthwise()
    x = images(graph, 64)
    return exported(graph, weights, x), Samples(CLASSIFICATION, x, np.arange(64) % 4, x)


@dataclass(frozen=True)
class Liar:
    """LiteRT, but everything behind the first `honest` operators is off by some steps."""

    name: str
    honest: int
    off: int = 1

    needs = ""

    def missing(self) -> bool:
        return False

    def answers(self, model: Exported, images: np.ndarray) -> np.ndarray:
        found = LiteRT().answers(model, images)
        if len(litert.operators(model)) <= self.honest:
            return found
        return np.where(found > 0, found - self.off, found + self.off).astype(np.int8)


class Broken(Liar):
    def answers(self, model: Exported, images: np.ndarray) -> np.ndarray:
        raise ModelError("the interpreter lacks HARD_SWISH")


def test_litert_answers_as_its_plain_loop_does(network: tuple[Exported, Samples]) -> None:
    model, samples = network
    steps, scale, zero_point = plain.int8_outputs(model.tflite, samples.images)
    found = LiteRT(threads=3).answers(model, model.input.quantized(samples.images))
    np.testing.assert_array_equal(found, steps)
    assert (model.output.scale, model.output.zero_point) == (pytest.approx(scale), zero_point)


def test_onnxruntime_gives_its_answers_in_the_files_steps(network: tuple[Exported, Samples]) -> None:
    model, samples = network
    pixels = model.input.quantized(samples.images)
    apart = OnnxRuntime().answers(model, pixels) - LiteRT().answers(model, pixels).astype(np.int16)
    assert np.abs(apart).max() <= 2


def test_an_image_at_the_output_keeps_its_order() -> None:
    net = Sketch(3, 6, 4)
    net.conv("answer", 2)
    graph = net.done()
    x = images(graph, 8)
    model = exported(graph, random_weights(graph, 1), x)
    pixels = model.input.quantized(x)
    found = [runner.answers(model, pixels) for runner in (LiteRT(), OnnxRuntime())]
    assert found[0].shape == (8, 6 * 4 * 2)
    assert np.abs(found[0] - found[1].astype(np.int16)).max() <= 1
    assert model.output.values(found[0]).shape == (8, 2, 6, 4)


@needs_tflm
@pytest.mark.parametrize("seed", range(6))
def test_tflm_answers_as_litert_to_within_a_step(seed: int) -> None:
    graph = random_network(rng=np.random.default_rng(seed))
    x = images(graph, 20, seed)
    model = exported(graph, random_weights(graph, seed), x)
    done = proof("any", model, Samples(CLASSIFICATION, x, np.zeros(20, int), x), [LiteRT(), prove.Tflm()])
    assert done.broken == ()
    assert done.answers[1].worst_lsb <= 1


@pytest.mark.skipif(prove.CompiledC().missing() or prove.Tflm().missing(), reason="needs bakenn, tflite-micro and cc")
def test_the_compiled_c_answers_as_tflm_byte_for_byte() -> None:
    graph, weights = modern()
    x = images(graph, 20)
    model = exported(graph, weights, x)
    pixels = model.input.quantized(x)
    np.testing.assert_array_equal(prove.CompiledC().answers(model, pixels), prove.Tflm().answers(model, pixels))


def test_a_head_is_the_network_up_to_an_operator(network: tuple[Exported, Samples]) -> None:
    model, samples = network
    names = litert.operators(model)
    assert names[-1].startswith("FULLY_CONNECTED (")
    assert litert.operators(litert.head(model, 3)) == [name.replace(f"of {len(names)}", "of 3") for name in names[:3]]
    whole = litert.head(model, len(names))
    pixels = model.input.quantized(samples.images[:4])
    np.testing.assert_array_equal(LiteRT().answers(whole, pixels), LiteRT().answers(model, pixels))


@pytest.mark.parametrize("honest", [0, 1, 5])
def test_who_differs_is_found_with_the_operator(network: tuple[Exported, Samples], honest: int) -> None:
    model, samples = network
    pixels = model.input.quantized(samples.images)
    assert culprit(model, pixels, LiteRT(), Liar("liar", honest)) == litert.operators(model)[honest]


def test_the_law_wants_bytes_of_c_and_a_step_of_tflm(network: tuple[Exported, Samples]) -> None:
    """Both liars are one step from LiteRT, which is allowed, and C is one step from an honest TFLM, which is not."""
    model, samples = network
    alike = proof("alike", model, samples, [LiteRT(), Liar(TFLM, 2), Liar(C, 2)])
    assert alike.broken == ()
    assert [row.worst_lsb for row in alike.answers] == [0, 1, 1]
    assert alike.answers[1].differing == alike.values == 64 * 4
    (sentence,) = proof("apart", model, samples, [LiteRT(), Liar(TFLM, 99), Liar(C, 2)]).broken
    assert sentence.startswith("compiled C must answer as TFLM interpreter byte for byte, is up to 1 off on 64 of 64")
    assert litert.operators(model)[2] in sentence
    (sentence,) = proof("far", model, samples, [LiteRT(), Liar(TFLM, 2, off=2)]).broken
    assert "TFLM interpreter must answer as LiteRT reference to within 1 step, is up to 2 off" in sentence


def test_onnxruntime_must_decide_alike(network: tuple[Exported, Samples]) -> None:
    model, samples = network

    class Other(Liar):
        def answers(self, model: Exported, images: np.ndarray) -> np.ndarray:
            return np.roll(LiteRT().answers(model, images), 1, axis=1)

    done = proof("other", model, samples, [LiteRT(), Other(ONNX, 0)])
    (sentence,) = done.broken
    assert (
        f"must decide as {LITERT} on {LEAST_AGREEMENT:g} % of the images, does on {done.answers[1].agreement:.1f}"
        in sentence
    )


def test_a_runtime_that_does_not_run_the_file_breaks_the_proof(network: tuple[Exported, Samples]) -> None:
    model, samples = network
    done = proof("broken", model, samples, [LiteRT(), Broken(TFLM, 0)])
    assert done.broken == ("the interpreter lacks HARD_SWISH",)
    assert [row.runtime for row in done.answers] == [LITERT]


def test_numbers_decide_nothing_and_are_scored_all_the_same() -> None:
    graph, weights = TOYS["chain"]
    x = images(graph, 32)
    model = exported(graph, weights, x)
    task, targets = load_task("regression"), np.random.default_rng(0).normal(size=(32, model.output.shape[0]))
    done = proof("numbers", model, Samples(task, x, targets.astype(np.float32), x), [LiteRT(), OnnxRuntime()])
    assert [row.agreement for row in done.answers] == [None, None]
    assert all(row.accuracy is not None for row in done.answers)


@pytest.mark.parametrize("file", [b"", b"not a model", b"\x1c\0\0\0TFL3" + bytes(64)])
def test_what_is_no_tflite_file_is_refused(file: bytes) -> None:
    with pytest.raises(ModelError, match=r"the \.tflite file must be one that LiteRT can load") as caught:
        litert.exported(file)
    assert "\n" not in str(caught.value)
