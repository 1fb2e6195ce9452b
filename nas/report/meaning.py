"""The report's section on what each number counts, what it leaves out, and how far to trust it."""

from __future__ import annotations

from nas import wording
from nas.result import RunResult


def meaning(result: RunResult) -> str:
    """What each number counts, what it leaves out, and how far to trust it."""
    sizes = result.splits
    runtime, closed = wording.RUNTIMES[result.runtime], result.runtime in wording.CLOSED
    terms = {
        "size": "Exact. Bytes of the .tflite file as written: int8 weights, int32 biases, scales and graph. Predicted "
        "before training and equal to the file to the byte. 1 KB is 1024 bytes.",
        "drop": f"The original's fp32 {result.metric} minus the exported int8 file's, on the same images, in points. "
        f"final_val: {sizes.get('final_val', 0):,} images that neither the original's training nor the search saw.",
        "verdict": "Proven: the one-sided 95 % upper bound of the drop, paired by image, is within the limit. Likely: "
        "only the point estimate is. The bound covers the choice of images, not picking this model among several.",
        "test": f"{sizes.get('test', 0):,} images, scored once at the end; they chose nothing.",
        "flash": f"The file plus the code of {runtime} and of the kernels this model uses. Not counted: the "
        f"application, start-up code and C library. {_flash(result)}",
        "RAM": "Tensor arena by a plan over tensor lifetimes, with kernel scratch, input and output; "
        "for TensorFlow Lite Micro also the interpreter's own data, which is estimated. Not counted: stack, and the "
        "application's buffers.",
        "latency": f"Cycles of every kernel call, from instruction counts and the chip's memory, at its clock: "
        f"{wording.latency_band(result)}. "
        "Not counted: capturing and preparing the input, reading the output.",
        "energy": f"Latency times power: {wording.energy_band(result)}.",
        "MACs": "Multiply-accumulates of convolutions and linear layers for one input; nothing else is counted.",
    }
    if closed:
        terms["bands"] = (
            f"{runtime} is closed: flash, RAM, latency and energy are the upper ends of bands over the releases and "
            "options that networks were published for; a network may need a half of it. Limits are checked against the "
            "upper ends."
        )
    items = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in terms.items())
    return f"<h2>What the numbers mean</h2>\n<dl>{items}</dl>"


def _flash(result: RunResult) -> str:
    if result.runtime in wording.CLOSED:
        return "The upper end of a band."
    return f"Compiled at -{result.compiler_level}; estimated, within {wording.CODE_PERCENT[result.runtime]} %."
