"""Commands that train nothing: what may change in a model, what it costs, what there is to run on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.commands.guard import guarded, print_json
from nas.commands.options import (
    CompilerLevel,
    InputShape,
    Json,
    MaxEnergy,
    MaxFlash,
    MaxLatency,
    MaxRam,
    MaxSize,
    ModelFile,
    RuntimeName,
    Space,
    Target,
)
from nas.config import resolve
from search_spaces.errors import InputError


@guarded
def space_command(
    model: ModelFile = None,
    input_shape: InputShape = None,
    max_size: MaxSize = None,
    max_ram: MaxRam = None,
    max_flash: MaxFlash = None,
    max_latency: MaxLatency = None,
    max_energy: MaxEnergy = None,
    target: Target = None,
    runtime: RuntimeName = None,
    compiler_level: CompilerLevel = None,
    space: Space = None,
    as_json: Json = False,
) -> None:
    """Show what may change in a model, before and after the limits."""
    flags = {
        "max_size": max_size, "max_ram": max_ram, "max_flash": max_flash, "max_latency": max_latency,
        "max_energy": max_energy, "target": target, "runtime": runtime, "compiler_level": compiler_level,
        "space": space, "input_shape": input_shape,
    }  # fmt: skip
    config = resolve(flags)
    from nas import listing
    from nas.inputs import for_space
    from nas.listing.space import list_space
    from search_spaces.declare import load_declaration

    device = config.board
    graph = listing.original(model, config.parsed_input_shape)
    limits = for_space(config.limits, device, config.runtime, load_declaration(config.space))
    found = list_space(graph, config.space, device, config.runtime, limits)
    if as_json:
        print_json(found.record())
    else:
        typer.echo(found.text())


@guarded
def cost_command(
    model: ModelFile = None,
    input_shape: InputShape = None,
    target: Target = None,
    runtime: RuntimeName = None,
    compiler_level: CompilerLevel = None,
    all_targets: Annotated[
        bool, typer.Option("--all-targets", help="On every device instead: does it fit, and how fast is it.")
    ] = False,
    exported: Annotated[
        Path | None,
        typer.Option(help="What an NPU's own estimator is given instead: a run's model.tflite (rv1106: model.onnx)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Price a model as int8 on a device, layer by layer, without training anything."""
    flags = {"target": target, "runtime": runtime, "compiler_level": compiler_level, "input_shape": input_shape}
    config = resolve(flags)
    from nas import listing
    from nas.listing import cost, vendor

    if all_targets and (extra := f"--target {target}" if target else "--exported" if exported else ""):
        raise InputError(f"--all-targets is every device the engine brings, priced by it; leave {extra} out")
    devices = listing.all_devices(config.compiler_level) if all_targets else [config.board]
    graph, weights = listing.original_network(model, config.parsed_input_shape)
    if as_json and all_targets:
        print_json(cost.matrix_record(graph, devices, config.runtime))
    elif all_targets:
        typer.echo(cost.matrix_text(graph, devices, config.runtime))
    elif as_json:
        record = cost.cost_record(graph, devices[0], config.runtime)
        print_json(record | vendor.vendor_record(graph, weights, devices[0], exported))
    else:
        typer.echo(cost.cost_text(graph, devices[0], config.runtime))
        if vendors := vendor.vendor_text(graph, weights, devices[0], config.runtime, exported):
            typer.echo(f"\n{vendors}")


@guarded
def targets_command(as_json: Json = False) -> None:
    """List the devices; any TOML file of the same form is one too."""
    from nas import listing

    if as_json:
        print_json(listing.targets_rows())
    else:
        typer.echo(listing.targets_text())


@guarded
def calibrate_command(
    board: Annotated[str, typer.Argument(metavar="BOARD", help="The device to begin with: a name or a TOML file.")],
    table: Annotated[
        Path,
        typer.Argument(metavar="CSV", help="Measured layers or networks: op, shapes, cycles or latency_us, energy_uj."),
    ],
    out: Annotated[Path | None, typer.Option(help="The new device file. Default BOARD-calibrated.toml.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace that file.")] = False,
    runtime: RuntimeName = None,
) -> None:
    """Fit a board's own speed and power to layers or networks measured on it, and write them as a device.

    Ten layers of different kinds are enough for an error of 3 to 5 %.
    """
    config = resolve({"runtime": runtime})
    from nas import calibrating

    found = calibrating.calibrated(board, table, config.runtime)
    file = out or Path(f"{found.base.name}-calibrated.toml")
    calibrating.write(found, file, force=force)
    typer.echo(f"{found.text()}\n\nwritten to {file}; use it with --target {file}")
