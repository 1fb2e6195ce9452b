"""The two commands, `optimize` and `nas`: flags in, one call, text out. It wires and decides nothing.

Exit codes: 0 a front was found, 1 nothing meets the limits, 2 bad input (one line on standard error), 130 stopped by
the user with the state kept.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer

from nas.config import CONFIG_FILE, RunConfig, resolve
from nas.version import VERSION
from search_spaces.errors import EngineError, InputError, Interrupted, NothingFits

P = ParamSpec("P")
R = TypeVar("R")

EXAMPLES = """
[bold]Examples[/bold]

optimize --max-size 256KB --max-drop 2%   [dim]the bundled quickstart, ten minutes[/dim]

optimize --model net.onnx --data plants.npz --max-size 144KB --target stm32l4r5

optimize --model zoo.nets:mobile --weights mobile.safetensors --data photos/ --max-ram 64KB --budget 1h

optimize --config results/net/config.toml --resume   [dim]goes on after Ctrl-C[/dim]
"""

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
Target = Annotated[
    str | None, typer.Option(help="A device (nas targets) or a TOML file. Default nrf52840.", rich_help_panel=DEVICE)
]
RuntimeName = Annotated[str | None, typer.Option(help="tflm or c. Default tflm.", rich_help_panel=DEVICE)]
Space = Annotated[
    str | None,
    typer.Option(help="What may change: mcu, mcu-wide, width-only, npu, or a TOML file.", rich_help_panel=SEARCH),
]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A run's folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def _guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Turns an error meant for the user into one line and its exit code; a defect keeps its traceback."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except EngineError as error:
            typer.secho(f"error: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except OSError as error:  # whatever the system refuses and no room has put into words
            what = f"{error.filename}: " if error.filename else ""
            typer.secho(f"error: {what}{error.strerror or error}", err=True)
            raise typer.Exit(EngineError.exit_code) from None
        except KeyboardInterrupt:
            typer.secho("stopped", err=True)
            raise typer.Exit(Interrupted.exit_code) from None

    return guarded


@_guarded
def optimize(
    model: Model = None,
    weights: Annotated[
        str | None, typer.Option(help="Weights of a torch model: .safetensors or a state dict.", rich_help_panel=WHAT)
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="A folder of class folders, an .npz, a .csv, or package.module:function.", rich_help_panel=WHAT
        ),
    ] = None,
    input_shape: InputShape = None,
    normalize: Annotated[
        str | None,
        typer.Option(help="What it expects of images in [0, 1]: imagenet, or MEAN/STD.", rich_help_panel=WHAT),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="classification, multilabel, regression or anomaly. Default classification.", rich_help_panel=WHAT
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="package.module:function of outputs and targets, higher is better, instead of top1, map, r2 or auc.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(help="none, image-small, image, audio or series. Default: by the data.", rich_help_panel=WHAT),
    ] = None,
    max_size: MaxSize = None,
    max_drop: Annotated[
        str | None,
        typer.Option(
            help="Points of the metric (top-1) below the original in fp32. Default 2%.", rich_help_panel=LIMITS
        ),
    ] = None,
    max_ram: MaxRam = None,
    max_flash: MaxFlash = None,
    max_latency: MaxLatency = None,
    max_energy: MaxEnergy = None,
    target: Target = None,
    runtime: RuntimeName = None,
    space: Space = None,
    budget: Annotated[
        str | None, typer.Option(help="Search time: 90s, 10m, 1h, or 2000steps. Default 10m.", rich_help_panel=SEARCH)
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="nsga2, ladder, random or tpe. Default nsga2.", rich_help_panel=SEARCH)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Same seed and step plan, same front. Default 0.", rich_help_panel=SEARCH)
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Training processes; more than one run on Ray. Default: all cores.", rich_help_panel=RUN),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="A Ray cluster; auto is the one running here.", rich_help_panel=RUN)
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="The run's folder. Default results/MODEL.", rich_help_panel=RUN)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.", rich_help_panel=RUN)] = False,
    config: Annotated[
        Path | None, typer.Option(help="TOML with these flags as keys; flags win.", rich_help_panel=RUN)
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.", rich_help_panel=RUN)] = False,
    as_json: Json = False,
) -> None:
    """Fit a trained network onto a microcontroller.

    Takes a model, its data and limits; returns a Pareto front of exported int8 models that keep the limits, the
    smallest proven one chosen, and a report. Without --model and --data it fits the bundled MobileNetV1.
    """
    flags = {
        "model": model, "weights": weights, "data": data, "input_shape": input_shape, "normalize": normalize,
        "task": task, "metric": metric, "augment": augment, "max_size": max_size, "max_drop": max_drop,
        "max_ram": max_ram, "max_flash": max_flash, "max_latency": max_latency, "max_energy": max_energy,
        "target": target, "runtime": runtime, "space": space, "budget": budget, "workers": workers,
        "address": address, "strategy": strategy, "seed": seed, "out": out, "resume": resume or None,
    }  # fmt: skip
    resolved = resolve(flags, config)
    # torch and pymoo take seconds to import; --help and bad flags need neither.
    from nas import listing, run
    from nas.report import tables

    try:
        front = run.optimize(resolved, quiet=quiet)
    except (KeyboardInterrupt, Interrupted):
        typer.secho(f"stopped; {_resume_line(resolved)}", err=True)
        raise typer.Exit(Interrupted.exit_code) from None
    if as_json:
        _print_json(tables.summary(front.result))
    else:
        typer.echo(listing.closing_text(front.result, front.folder))
    if front.chosen is None:
        raise NothingFits(front.result.binding)
    if front.chosen.verdict != "proven":
        typer.secho("The chosen model is likely to keep the drop limit, not proven to.", fg="red", err=True)


@_guarded
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
    space: Space = None,
    as_json: Json = False,
) -> None:
    """Show what may change in a model, before and after the limits."""
    flags = {
        "max_size": max_size, "max_ram": max_ram, "max_flash": max_flash, "max_latency": max_latency,
        "max_energy": max_energy, "target": target, "runtime": runtime, "space": space, "input_shape": input_shape,
    }  # fmt: skip
    config = resolve(flags)
    from nas import listing
    from nas.inputs import with_device
    from nas.listing_space import list_space

    device = listing.load_device(config.target)
    graph, limits = listing.original(model, config.parsed_input_shape), with_device(config.limits, device)
    found = list_space(graph, config.space, device, config.runtime, limits)
    if as_json:
        _print_json(found.record())
    else:
        typer.echo(found.text())


@_guarded
def cost_command(
    model: ModelFile = None,
    input_shape: InputShape = None,
    target: Target = None,
    runtime: RuntimeName = None,
    all_targets: Annotated[
        bool, typer.Option("--all-targets", help="On every device instead: does it fit, and how fast is it.")
    ] = False,
    tflite: Annotated[
        Path | None, typer.Option(help="Its exported file: what an NPU's own estimator is given, where it has one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Price a model as int8 on a device, layer by layer, without training anything."""
    config = resolve({"target": target, "runtime": runtime, "input_shape": input_shape})
    from nas import listing, listing_cost, listing_vendor

    if all_targets and (extra := f"--target {target}" if target else "--tflite" if tflite else ""):
        raise InputError(f"--all-targets is every device the engine brings, priced by it; leave {extra} out")
    devices = listing.all_devices() if all_targets else [listing.load_device(config.target)]
    graph, weights = listing.original_network(model, config.parsed_input_shape)
    if as_json and all_targets:
        _print_json(listing_cost.matrix_record(graph, devices, config.runtime))
    elif all_targets:
        typer.echo(listing_cost.matrix_text(graph, devices, config.runtime))
    elif as_json:
        record = listing_cost.cost_record(graph, devices[0], config.runtime)
        _print_json(record | listing_vendor.vendor_record(graph, weights, devices[0], tflite))
    else:
        typer.echo(listing_cost.cost_text(graph, devices[0], config.runtime))
        if vendors := listing_vendor.vendor_text(graph, weights, devices[0], config.runtime, tflite):
            typer.echo(f"\n{vendors}")


@_guarded
def calibrate_command(
    board: Annotated[str, typer.Argument(metavar="BOARD", help="The device to begin with: a name or a TOML file.")],
    table: Annotated[
        Path, typer.Argument(metavar="CSV", help="Measured layers or networks: op, shapes, cycles or latency_us.")
    ],
    out: Annotated[Path | None, typer.Option(help="The new device file. Default BOARD-calibrated.toml.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace that file.")] = False,
    runtime: RuntimeName = None,
) -> None:
    """Fit a board's own speed to layers or networks measured on it, and write it as a device.

    Ten layers of different kinds are enough for an error of about 8 %.
    """
    config = resolve({"runtime": runtime})
    from nas import calibrating

    found = calibrating.calibrated(board, table, config.runtime)
    file = out or Path(f"{found.base.name}-calibrated.toml")
    calibrating.write(found, file, force=force)
    typer.echo(f"{found.text()}\n\nwritten to {file}; use it with --target {file}")


@_guarded
def targets_command(as_json: Json = False) -> None:
    """List the devices; any TOML file of the same form is one too."""
    from nas import listing

    if as_json:
        _print_json(listing.targets_rows())
    else:
        typer.echo(listing.targets_text())


@_guarded
def report_command(folder: Folder) -> None:
    """Make a finished run's tables, pictures and report again."""
    from nas.report import page

    typer.echo(page.rewrite(folder))


@_guarded
def dashboard_command(folder: Folder) -> None:
    """Mirror a run, finished or not, for optuna-dashboard."""
    from nas import dashboard

    journal = folder / dashboard.JOURNAL_FILE
    added = dashboard.mirror(folder / "ledger.jsonl", journal)
    typer.echo(f"{added} evaluations added; now run: optuna-dashboard {journal}")


def optimize_main() -> None:
    """Entry point of `optimize`."""
    _run(optimize_app())


def main() -> None:
    """Entry point of `nas`."""
    _run(nas_app())


def optimize_app() -> typer.Typer:
    """`optimize` alone."""
    app = _app()
    app.command(epilog=EXAMPLES)(optimize)
    return app


def nas_app() -> typer.Typer:
    """`nas` with all its commands."""
    app = _app()
    app.callback()(_nas)
    app.command("optimize", epilog=EXAMPLES)(optimize)
    commands: dict[str, Callable[..., None]] = {
        "space": space_command, "cost": cost_command, "targets": targets_command,
        "calibrate": calibrate_command, "report": report_command, "dashboard": dashboard_command,
    }  # fmt: skip
    for name, command in commands.items():
        app.command(name)(command)
    return app


def _app() -> typer.Typer:
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


def _run(app: typer.Typer) -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # an arrow must not end a run in a terminal that has none
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(VERSION)
        raise typer.Exit()


def _nas(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and leave."),
    ] = False,
) -> None:
    """Fit trained neural networks onto microcontrollers."""


def _resume_line(config: RunConfig) -> str:
    """What to type to go on."""
    file = config.folder / CONFIG_FILE
    if not file.exists():
        return "nothing had begun"
    return f"go on with: optimize --config {file} --resume"


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2))
