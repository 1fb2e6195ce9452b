"""The Python door: the same names as the command's flags."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.config import RunConfig, resolve
from nas.result import Front
from search_spaces.errors import ModelError

if TYPE_CHECKING:
    from torch import nn


def optimize(
    model: str | Path | nn.Module | None = None,
    data: str | Path | Mapping[str, Any] | None = None,
    *,
    quiet: bool = False,
    **flags: Any,
) -> Front:
    """Fits a model and returns the front; what `optimize` does on the command line.

    Args:
        model: an ONNX file, `package.module:function`, or a `torch.nn.Module`; None is the bundled quickstart.
        data: what `--data` takes, or a mapping of arrays `x_train`, `y_train`, `x_val`, ... (see `nas.data`).
        quiet: show no progress.
        flags: any field of `RunConfig`: `max_size="256KB"`, `max_drop="2%"`, `target="nrf52840"`, `budget="10m"`,
            `workers=2`, `seed=0`, `out="results/mine"`, ...

    Raises:
        EngineError: its text is one line for the user; `NothingFits` where no network meets the limits.
    """
    from nas import run  # torch takes seconds to import

    arrays = data if isinstance(data, Mapping) else None
    named = str(data) if data is not None and arrays is None else None
    given: dict[str, Any] = {key: str(value) if isinstance(value, Path) else value for key, value in flags.items()}
    if model is None or isinstance(model, str | Path):
        given |= {"model": str(model) if model is not None else None, "data": named or ("arrays" if arrays else None)}
        return run.optimize(resolve(given), quiet=quiet, data=arrays)
    config: RunConfig = resolve(given | {"model": "module", "data": named or "arrays"})
    return run.optimize(config, quiet=quiet, data=arrays, model_path=_export(model, arrays, named, config))


def _export(module: nn.Module, arrays: Mapping[str, Any] | None, named: str | None, config: RunConfig) -> Path:
    """The module as ONNX in the run folder; its input shape is that of the training images."""
    import numpy as np

    from nas import data_sources, from_torch

    found = arrays if arrays is not None else data_sources.read(named, (), seed=config.seed).arrays
    if "x_train" not in found:
        raise ModelError("a module needs data that holds x_train: its images tell the input shape")
    path = config.folder / "original.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    from_torch.export(module, np.asarray(found["x_train"]).shape[1:], path)
    return path
