"""Commands over the folder of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.commands.guard import guarded, print_json
from nas.commands.options import Folder, Json, Target
from search_spaces.errors import InputError, ProofBroken

Finished = Annotated[Path, typer.Argument(metavar="MODEL", help="DIR/models/ID of a run, or a .tflite file.")]
CoreName = Annotated[str | None, typer.Option(help="m0, m3, m4, m7, m33 or m55.")]


@guarded
def report_command(folder: Folder) -> None:
    """Make a finished run's tables, pictures and report again."""
    from nas.report import page

    typer.echo(page.rewrite(folder))


@guarded
def verify_command(
    folder: Folder,
    images: Annotated[int, typer.Option(help="Test images that every runtime answers.")] = 500,
    every: Annotated[bool, typer.Option("--all", help="All finished models, not only the front's.")] = False,
    as_json: Json = False,
) -> None:
    """Check a finished run's files, and that every runtime answers as was scored.

    Exit code 1: a runtime answers otherwise than it must; 2: a file is missing or changed.
    """
    from nas.listing import verify as listing
    from nas.progress import Progress
    from nas.verify import prove, words

    with Progress(quiet=as_json) as view:
        found = prove.verify(folder, images=images, every=every, told=view.phase)
    if as_json:
        print_json(found.to_json())
    else:
        typer.echo(listing.text(found))
    if not found.holds:
        raise ProofBroken(f"{folder}: {words.verdict(found)}")


@guarded
def dashboard_command(folder: Folder) -> None:
    """Mirror a run, finished or not, for optuna-dashboard."""
    from nas import dashboard

    journal = folder / dashboard.JOURNAL_FILE
    added = dashboard.mirror(folder / "ledger.jsonl", journal)
    typer.echo(f"{added} evaluations added; now run: optuna-dashboard {journal}")


@guarded
def export_command(
    model: Finished,
    c: Annotated[bool, typer.Option("--c", help="C on CMSIS-NN: static arena, no heap, a CMake list.")] = False,
    npu: Annotated[
        str | None, typer.Option(help="For a device's NPU, by its maker's tool: ethos_u55_128, rv1106, a TOML file.")
    ] = None,
    core: CoreName = None,
    out: Annotated[Path | None, typer.Option(help="The new folder. Default: c, beside the model's file.")] = None,
    name: Annotated[str, typer.Option(help="How its functions begin.")] = "model",
    force: Annotated[bool, typer.Option("--force", help="Replace a folder that this command wrote.")] = False,
) -> None:
    """Write a finished model as sources that a firmware takes in."""
    from nas.deploy import model as deploy

    if npu and not c:
        from nas import listing, maker
        from nas.deploy.npu import export_npu

        folder = model.parent if model.is_file() else model
        file, found = export_npu(folder, listing.load_device(npu), out)
        typer.echo(f"{file}\n{maker.figures(found)} {maker.placement(found)}")
        return
    if not c or npu:
        raise InputError(
            "say what to export: --c or --npu DEVICE (the .tflite and .onnx files are in the model's folder already)"
        )
    typer.echo(deploy.export(model, out, core=core or deploy.DEFAULT_CORE, name=name, force=force))


@guarded
def emulate_command(
    model: Finished,
    core: CoreName = None,
    images: Annotated[int, typer.Option(help="How many random images are run.")] = 20,
    target: Target = None,
    emulator: Annotated[str | None, typer.Option(help="qemu or unicorn; without it the first that is there.")] = None,
    compiler: Annotated[str | None, typer.Option(help="gcc or zig; without it the first that is there.")] = None,
    as_json: Json = False,
) -> None:
    """Link a finished model's C for a Cortex-M and measure it in an emulator, beside the bill."""
    from nas import listing
    from nas.deploy import model as deploy

    device = listing.load_device(target) if target else None
    found = deploy.prove(model, core=core, count=images, device=device, emulator=emulator, compiler=compiler)
    if as_json:
        print_json(found.record())
    else:
        typer.echo(found.text())
