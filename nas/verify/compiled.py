"""The exported C, compiled for this machine: the very sources that a firmware takes."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nas.deploy import host
from nas.deploy.export_c import export_c
from nas.verify.runner import C, Exported
from search_spaces.errors import EngineError, ModelError, TargetError


class CompiledC:
    """What `nas export --c` writes, under this machine's C compiler."""

    name = C
    needs = f"pip install '.[c]', and a C compiler: {host.INSTALL}"

    def missing(self) -> bool:
        try:
            host.compiler()
        except TargetError:
            return True
        return find_spec("bakenn") is None

    def answers(self, model: Exported, images: np.ndarray) -> np.ndarray:
        with tempfile.TemporaryDirectory(prefix="verify-") as temporary:
            folder = Path(temporary) / "c"
            try:
                export_c(model.tflite, folder)
                return host.host_answers(folder, images).reshape(len(images), -1)
            except ModelError:
                raise
            except EngineError as error:
                raise ModelError(f"{C}: {error}") from None
