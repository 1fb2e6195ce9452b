"""Fits a trained network onto a microcontroller: `nas.optimize(model, data, max_size="256KB", max_drop="2%")`."""

from __future__ import annotations

from nas.api import optimize
from nas.result import Front, Point, RunResult, load_result
from nas.version import VERSION as __version__

__all__ = ["Front", "Point", "RunResult", "__version__", "load_result", "optimize"]
