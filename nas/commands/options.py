"""Flags and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WHAT, LIMITS, DEVICE, SEARCH, RUN = "What to fit", "Limits", "Device", "Search", "Run"

Model = Annotated[
    str | None,
    typer.Option(
        help="An .onnx or .pt2 file, or package.module:function that returns a torch module.", rich_help_panel=WHAT
    ),
]
InputShape = Annotated[str | None, typer.Option(help="3x96x96, where the file leaves it open.", rich_help_panel=WHAT)]
ModelFile = Annotated[Path | None, typer.Argument(help="An .onnx or .pt2 file; without one, the bundled quickstart.")]
MaxSize = Annotated[
    str | None, typer.Option(help="The .tflite file. 1 KB is 1024 bytes. Default 256KB.", rich_help_panel=LIMITS)
]
MaxRam = Annotated[str | None, typer.Option(help="Tensor arena and scratch, e.g. 64KB.", rich_help_panel=LIMITS)]
MaxFlash = Annotated[str | None, typer.Option(help="File, runtime and kernels, e.g. 512KB.", rich_help_panel=LIMITS)]
MaxLatency = Annotated[str | None, typer.Option(help="One inference, e.g. 50ms.", rich_help_panel=LIMITS)]
MaxEnergy = Annotated[str | None, typer.Option(help="One inference, e.g. 5mJ.", rich_help_panel=LIMITS)]
Objectives = Annotated[
    str | None,
    typer.Option(
        help="What is made small: two to four of drop, size, flash, ram, latency, energy, macs. Default size,drop.",
        rich_help_panel=LIMITS,
    ),
]
Target = Annotated[
    str | None, typer.Option(help="A device (nas targets) or a TOML file. Default nrf52840.", rich_help_panel=DEVICE)
]
RuntimeName = Annotated[str | None, typer.Option(help="tflm, c or x-cube-ai. Default tflm.", rich_help_panel=DEVICE)]
CompilerLevel = Annotated[
    str | None, typer.Option(help="O3, O2 or Os: how runtime and kernels are compiled.", rich_help_panel=DEVICE)
]
Space = Annotated[
    str | None,
    typer.Option(help="What may change: mcu, mcu-wide, width-only, npu, or a TOML file.", rich_help_panel=SEARCH),
]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A run's folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
