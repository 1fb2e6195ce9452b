"""The folder of C that `nas export --c` writes: sources, header, build list, licences and a memory report."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass
from importlib.resources import files
from math import prod
from pathlib import Path
from string import Template

from nas.deploy import arena, cmsis_nn
from nas.deploy.emit import Source
from nas.deploy.layers import Network, network_of
from nas.deploy.tflite_reader import read
from nas.version import VERSION
from search_spaces.errors import InputError, RunFolderError, TargetError
from targets.kernels import Extension
from targets.memory import verify_plan

CORES: dict[str, Extension] = {"m0": "scalar", "m3": "scalar", "m4": "dsp", "m7": "dsp", "m33": "dsp", "m55": "mve"}
"""Which of its code CMSIS-NN compiles; a core's scratch may be another's, so the arena is planned for one of them."""

RECORD = "export.json"
NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


@dataclass(frozen=True)
class Exported:
    """What was written; the same stands in `export.json`.

    Attributes:
        name: prefix of the C functions.
        core: the arena's scratch is this one's.
        arena_bytes: all static RAM of the network: tensors, scratch, input and output.
        live_bytes: the most that is alive at once, below which no plan can go.
        scratch_bytes: the largest kernel's.
        weights_bytes: int8 weights and int32 biases.
        constant_bytes: everything constant but the layers' structures: weights, biases, scales, tables.
        input_shape, output_shape: height, width, channels, or features.
        sources: C files, relative to the folder.
    """

    name: str
    core: str
    arena_bytes: int
    live_bytes: int
    scratch_bytes: int
    weights_bytes: int
    constant_bytes: int
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    sources: tuple[str, ...]


def export_c(tflite: bytes, folder: Path, *, core: str = "m4", name: str = "model", force: bool = False) -> Exported:
    """Writes the folder under a temporary name and renames it; an existing one is replaced with `force` alone.

    Raises:
        TargetError: an operator has no kernel, the core is unknown, or bakenn is not installed.
        RunFolderError: the folder exists, or cannot be written.
    """
    if core not in CORES:
        raise TargetError(f"core must be one of {', '.join(CORES)}, got {core!r}")
    if not NAME.match(name):
        raise InputError(f"name must be lower-case letters, digits and _, got {name!r}")
    if folder.exists() and not force:
        raise RunFolderError(f"{folder} exists; choose another --out or add --force to replace it")
    if folder.exists() and not (folder / RECORD).is_file():
        raise RunFolderError(f"{folder} was not written by nas export; --force replaces only what it wrote")
    network = network_of(read(tflite))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            made = Path(temporary) / "made"
            made.mkdir()
            exported = _write(made, network, core, name)
            if folder.exists():
                folder.rename(Path(temporary) / "old")
            made.rename(folder)
    except OSError as error:
        raise RunFolderError(f"{folder} cannot be written: {error.strerror}; choose another --out") from None
    return exported


def load(folder: Path) -> Exported:
    """The record of an exported folder.

    Raises:
        InputError: the folder is not one.
    """
    try:
        fields = json.loads((folder / RECORD).read_text())
        fields.pop("version")
        for key in ("input_shape", "output_shape", "sources"):
            fields[key] = tuple(fields[key])
        return Exported(**fields)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise InputError(f"{folder} must be a folder that nas export --c wrote; it has no {RECORD}") from None


def _write(folder: Path, network: Network, core: str, name: str) -> Exported:
    found, offsets, scratch = arena.plan(network, CORES[core])
    verify_plan(found)
    source = Source(network, CORES[core], offsets, scratch)
    ours = files("nas.deploy") / "c"
    kernels = [f"{entry}.c" for entry in sorted(source.entries)]
    for file in ("nn.h", "nn_cmsis.h", *kernels):
        (folder / file).write_text((ours / file).read_text())
    vendored = [path.as_posix() for path in cmsis_nn.copy_sources(folder, source.entries)]
    weights = sum(layer.weights.nbytes + layer.bias.nbytes for layer in network.layers
                  if layer.weights is not None and layer.bias is not None)  # fmt: skip
    exported = Exported(
        name, core, found.arena_bytes, max(found.live_bytes, default=0),
        max([arena.layer_scratch(network, layer, CORES[core]) for layer in network.layers], default=0),
        weights, source.constants, network.values[network.input].shape, network.values[network.output].shape,
        (f"{name}.c", *kernels, *vendored),
    )  # fmt: skip
    words = _words(network, exported, source, offsets)
    for template, target in (
        ("model.h.in", f"{name}.h"), ("model.c.in", f"{name}.c"), ("main.c.in", "main.c"),
        ("CMakeLists.txt.in", "CMakeLists.txt"), ("README.txt.in", "README.txt"),
    ):  # fmt: skip
        (folder / target).write_text(Template((ours / template).read_text()).substitute(words))
    shutil.copyfile(str(ours / "LICENSE.txt"), folder / "LICENSE.txt")
    (folder / RECORD).write_text(json.dumps({"version": VERSION, **asdict(exported)}, indent=2) + "\n")
    return exported


def _words(network: Network, exported: Exported, source: Source, offsets: dict[int, int]) -> dict[str, object]:
    """What the templates leave open."""
    read_, made = network.values[network.input], network.values[network.output]
    return {
        "name": exported.name, "NAME": exported.name.upper(), "version": VERSION, "core": exported.core,
        "arena_bytes": exported.arena_bytes, "live_bytes": exported.live_bytes,
        "scratch_bytes": exported.scratch_bytes, "weights_bytes": exported.weights_bytes,
        "constant_bytes": exported.constant_bytes, "layers": len(source.calls),
        "input_at": offsets[network.input], "output_at": offsets[network.holder(network.output)],
        "input_shape": " x ".join(map(str, read_.shape)), "output_shape": " x ".join(map(str, made.shape)),
        "input_size": prod(read_.shape), "output_size": prod(made.shape), "classes": made.shape[-1],
        "input_scale": _float(float(read_.scale)), "input_zero": read_.zero,
        "output_scale": _float(float(made.scale)), "output_zero": made.zero,
        "definitions": "\n\n".join(source.definitions), "calls": "\n".join(source.calls),
        "sources": "\n".join(f"  ${{CMAKE_CURRENT_LIST_DIR}}/{path}" for path in exported.sources),
        "cmsis_nn": cmsis_nn.VERSION,
    }  # fmt: skip


def _float(value: float) -> str:
    """A float32 as a C constant, to the last bit."""
    text = f"{value:.9g}"
    return text + ("f" if "." in text or "e" in text else ".0f")
