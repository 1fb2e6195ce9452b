"""The report's section on what each number counts, what it leaves out, and how far to trust it."""

from __future__ import annotations

from nas import wording
from nas.result import RunResult


def meaning(result: RunResult) -> str:
    """What each number counts, what it leaves out, and how far to trust it."""
    sizes = result.splits
    terms = {
        "size": "Exact. Bytes of the .tflite file as written: int8 weights, int32 biases, scales and graph. Predicted "
        "before training and equal to the file to the byte. 1 KB is 1024 bytes.",
        "drop": f"The original's fp32 {result.metric} minus the exported int8 file's, on the same images, in points. "
        f"final_val: {sizes.get('final_val', 0):,} images that neither the original's training nor the search saw.",
        "verdict": "Proven: the one-sided 95 % upper bound of the drop, paired by image, is within the limit. Likely: "
        "only the point estimate is. The bound covers the choice of images, not picking this model among several.",
        "test": f"{sizes.get('test', 0):,} images, scored once at the end; they chose nothing.",
        **_on_device(result),
        "energy": f"Latency times power: {wording.energy_band(result)}.",
        "MACs": "Multiply-accumulates of convolutions and linear layers for one input; nothing else is counted.",
    }
    items = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in terms.items())
    return f"<h2>What the numbers mean</h2>\n<dl>{items}</dl>"


def _on_device(result: RunResult) -> dict[str, str]:
    """Of flash, RAM and latency: by the maker's tool, by a closed runtime's bands, or by our own counts."""
    runtime = wording.RUNTIMES[result.runtime]
    if result.told_by is not None:
        tool = result.told_by
        return {
            "flash": f"What {tool} writes for the NPU of this model: weights, compressed, and commands. Not counted: "
            "its driver, the runtime and the application.",
            "RAM": f"Memory that {tool} plans for tensors. Not counted: stack, the runtime, the application's buffers.",
            "latency": f"{tool}'s own estimate, at the clock it names above; no board was measured, so it has no band.",
        }
    if result.runtime in wording.CLOSED:
        return {
            "flash": f"Weights and biases, and the code of {runtime}. Not counted: the application.",
            "RAM": "Activations, input and output, and the runtime's own data. Not counted: stack, and the "
            "application's buffers.",
            "latency": "Cycles for each multiply-accumulate, by kind of layer, at the chip's clock. Not counted: "
            "capturing and preparing the input, reading the output.",
            "bands": f"{runtime} is closed: flash, RAM, latency and energy are the upper ends of bands over the "
            "releases and options that networks were published for; a network may need a half of it. Limits are "
            "checked against the upper ends.",
        }
    level, percent = result.compiler_level, wording.CODE_PERCENT[result.runtime]
    kept = " and the interpreter's own data" if result.runtime == "tflm" else ""
    return {
        "flash": f"The model plus the code of {runtime} and of the kernels this model uses. Not counted: the "
        f"application, start-up code and C library. Compiled at -{level}; estimated, within {percent} %.",
        "RAM": f"Tensor arena by a plan over tensor lifetimes, with kernel scratch, input and output{kept}. Not "
        "counted: stack, and the application's buffers.",
        "latency": "Cycles of every kernel call, from instruction counts and the chip's memory, at its clock: "
        f"{wording.latency_band(result)}. Not counted: capturing and preparing the input, reading the output.",
    }
