"""Where a run keeps its files, and how they get there: to a temporary name first, then renamed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """Paths inside one run's folder.

    `work/<job>.safetensors` continues a training, `work/<job>.onnx` and `.tflite` are what was scored, `work/told/`
    holds what a maker's tool said of candidates; `models/<id>/` holds the chosen few.
    """

    root: Path

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def told(self) -> Path:
        return self.work / "told"

    def checkpoint(self, job_id: str) -> Path:
        return self.work / f"{job_id}.safetensors"

    def onnx(self, job_id: str) -> Path:
        return self.work / f"{job_id}.onnx"

    def tflite(self, job_id: str) -> Path:
        return self.work / f"{job_id}.tflite"
