"""`optimize`: the search itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.commands.guard import guarded, print_json
from nas.commands.options import (
    LIMITS,
    RUN,
    SEARCH,
    WHAT,
    CompilerLevel,
    InputShape,
    Json,
    MaxEnergy,
    MaxFlash,
    MaxLatency,
    MaxRam,
    MaxSize,
    Model,
    Objectives,
    RuntimeName,
    Space,
    Target,
)
from nas.config import CONFIG_FILE, RunConfig, resolve
from search_spaces.errors import Interrupted, NothingFits

EXAMPLES = """
[bold]Examples[/bold]

optimize --max-size 256KB --max-drop 2%   [dim]the bundled quickstart, ten minutes[/dim]

optimize --model net.onnx --data plants.npz --max-size 144KB --target stm32l4r5

optimize --model zoo.nets:mobile --weights mobile.safetensors --data photos/ --max-ram 64KB --budget 1h

optimize --config results/net/config.toml --resume   [dim]goes on after Ctrl-C[/dim]
"""


@guarded
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
    objectives: Objectives = None,
    target: Target = None,
    runtime: RuntimeName = None,
    compiler_level: CompilerLevel = None,
    space: Space = None,
    budget: Annotated[
        str | None, typer.Option(help="Search time: 90s, 10m, 1h, or 2000steps. Default 10m.", rich_help_panel=SEARCH)
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="nsga2, nsga2-generational, random, tpe, ladder, or a TOML file of options. Default nsga2.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Same seed and step plan, same front. Default 0.", rich_help_panel=SEARCH)
    ] = None,
    final_seeds: Annotated[
        int | None,
        typer.Option(
            help="Train the chosen model and its neighbors with so many seeds, for mean and deviation. Default 1.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Training processes; more than one run on Ray. Default: all cores.", rich_help_panel=RUN),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="A Ray cluster; auto is the one running here.", rich_help_panel=RUN)
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Trains on cpu, cuda, or auto: a GPU if there is one. Default cpu.", rich_help_panel=RUN),
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
        "objectives": objectives, "target": target, "runtime": runtime, "compiler_level": compiler_level,
        "space": space, "budget": budget, "workers": workers, "address": address, "device": device,
        "strategy": strategy, "seed": seed, "final_seeds": final_seeds, "out": out, "resume": resume or None,
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
        print_json(tables.summary(front.result))
    else:
        typer.echo(listing.closing_text(front.result, front.folder))
    if front.chosen is None:
        raise NothingFits(front.result.binding)
    if front.chosen.verdict != "proven":
        typer.secho("The chosen model is likely to keep the drop limit, not proven to.", fg="red", err=True)


def _resume_line(config: RunConfig) -> str:
    """What to type to go on."""
    file = config.folder / CONFIG_FILE
    if not file.exists():
        return "nothing had begun"
    return f"go on with: optimize --config {file} --resume"
