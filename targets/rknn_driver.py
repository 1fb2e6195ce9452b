"""Run by the Python of `rknn-toolkit2`'s own environment, as a program: it imports nothing of this project.

    python rknn_driver.py VERSION_FILE MODEL.onnx PLATFORM BUILT.rknn [IMAGES.npy ANSWERS.npy]

Compiles a QDQ int8 ONNX file, its scales as they are, and prints the compiler's own log; with images, N x C x H x W in
float32, writes what the toolkit's simulator answers. A step that fails raises, which is exit code 1.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Does what the arguments say."""
    import numpy as np
    from rknn.api import RKNN  # type: ignore[import-not-found]

    version_file, model, platform, built, *simulated = arguments
    Path(version_file).write_text(version("rknn-toolkit2"))
    rknn = RKNN(verbose=True)
    # 2.5.0 merges a concat into the convolution that reads it and leaves the parts in float16, which an RV1106 lacks.
    _must(rknn.config(target_platform=platform, disable_rules=["fuse_concat_conv"]), "config")
    _must(rknn.load_onnx(model=model), "load_onnx")
    _must(rknn.build(do_quantization=False), "build")
    _must(rknn.export_rknn(built), "export_rknn")
    if simulated:
        images, answers = simulated
        _must(rknn.init_runtime(), "init_runtime")
        layout = "nchw" if (given := np.load(images)).ndim == 4 else None
        found = [rknn.inference(inputs=[x[None]], data_format=layout and [layout])[0].reshape(-1) for x in given]
        np.save(answers, np.stack(found).astype(np.float32))
    rknn.release()


def _must(code: int, step: str) -> None:
    """The toolkit says 0 where all went well."""
    if code:
        raise RuntimeError(f"{step} answered {code}")


if __name__ == "__main__":
    main(sys.argv[1:])
