"""The report's section on what each number counts, what it leaves out, and how far to trust it."""

from __future__ import annotations

from nas.result import RunResult


def meaning(result: RunResult) -> str:
    """What each number counts, what it leaves out, and how far to trust it."""
    sizes = result.splits
    runtime = "TensorFlow Lite Micro with CMSIS-NN" if result.runtime == "tflm" else "generated C with CMSIS-NN"
    band = _band(result.latency_band_percent)
    energy_band = _band(result.energy_band_percent)
    terms = {
        "size": "Exact. Bytes of the .tflite file as written: int8 weights, int32 biases, scales and graph. Predicted "
        "before training and equal to the file to the byte. 1 KB is 1024 bytes.",
        "drop": f"The original's fp32 {result.metric} minus the exported int8 file's, on the same images, in points. "
        f"final_val: {sizes.get('final_val', 0):,} images that neither the original's training nor the search saw.",
        "verdict": "Proven: the one-sided 95 % upper bound of the drop, paired by image, is within the limit. Likely: "
        "only the point estimate is. The bound covers the choice of images, not picking this model among several.",
        "test": f"{sizes.get('test', 0):,} images, scored once at the end; they chose nothing.",
        "flash": f"The file plus the code of {runtime} and of the kernels this model uses. Not counted: the "
        "application, start-up code and C library. Estimated, within 15 %.",
        "RAM": "Tensor arena by a plan over tensor lifetimes, with kernel scratch, input and output; "
        "for TensorFlow Lite Micro also the interpreter's own data, which is estimated. Not counted: stack, and the "
        "application's buffers.",
        "latency": f"Cycles of every kernel call, from instruction counts and the chip's memory, at its clock{band}. "
        "Not counted: capturing and preparing the input, reading the output.",
        "energy": f"Latency times the power measured while inferring{energy_band}."
        if result.energy_band_percent is not None
        else "Empty: nobody has published this device's power while inferring, and a guess is no figure.",
        "MACs": "Multiply-accumulates of convolutions and linear layers for one input; nothing else is counted.",
    }
    items = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in terms.items())
    return f"<h2>What the numbers mean</h2>\n<dl>{items}</dl>"


def _band(half_width_percent: float | None) -> str:
    return "" if half_width_percent is None else f": estimated, within {half_width_percent:g} %"
