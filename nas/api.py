"""The Python door: the same names as the command's flags."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.config import resolve
from nas.result import Front

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
        model: an `.onnx` or `.pt2` file, `package.module:function`, or a `torch.nn.Module`, which is read in eval mode
            and left as it is; None is the bundled quickstart.
        data: what `--data` takes, or a mapping of arrays `x_train`, `y_train`, `x_val`, ... (see `nas.data.dataset`).
        quiet: show no progress.
        flags: any field of `RunConfig`: `max_size="256KB"`, `max_drop="2%"`, `target="nrf52840"`, `budget="10m"`,
            `workers=2`, `seed=0`, `out="results/mine"`, ...

    Raises:
        EngineError: its text is one line for the user; `NothingFits` where no network meets the limits.
    """
    from nas import run  # torch takes seconds to import

    given: dict[str, Any] = {key: str(value) if isinstance(value, Path) else value for key, value in flags.items()}
    arrays = data if isinstance(data, Mapping) else None
    module = None if model is None or isinstance(model, str | Path) else model
    if data is not None:
        given["data"] = "arrays" if arrays is not None else str(data)
    if model is not None:
        given["model"] = "module" if module is not None else str(model)
    return run.optimize(resolve(given), quiet=quiet, data=arrays, module=module)
