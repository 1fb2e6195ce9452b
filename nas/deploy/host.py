"""The exported C on this machine: compiled by the system's compiler, fed int8 images, its int8 answers read back.

CMSIS-NN then runs its plain C, which computes what its Cortex-M code does.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np

from nas.deploy.export_c import Exported, load
from search_spaces.errors import DataError, EngineError, TargetError

COMPILERS = ("cc", "gcc", "clang")
INSTALL = "apt-get install gcc"
TIMEOUT_SECONDS = 600.0
FLAGS = ("-std=c11", "-O2", "-D__GNUC_PYTHON__", "-D__RESTRICT=__restrict__")
"""The definitions make CMSIS-NN one without a Cortex-M."""

_CAUSE = re.compile("(?<!collect2: )error:|undefined |overflowed")

MAIN = """#include <stdio.h>
#include "{name}.h"
int main(void) {{
    while (fread({name}_input(), 1, {NAME}_INPUT_SIZE, stdin) == {NAME}_INPUT_SIZE) {{
        {name}_run();
        fwrite({name}_output(), 1, {NAME}_OUTPUT_SIZE, stdout);
    }}
    return 0;
}}
"""


class BuildError(EngineError):
    """The exported C cannot be compiled or does not run to its end."""


def compiler() -> str:
    """This machine's C compiler.

    Raises:
        TargetError: it has none.
    """
    found = next((path for name in COMPILERS if (path := shutil.which(name))), None)
    if found is None:
        raise TargetError(f"the exported C is checked with a C compiler, {', '.join(COMPILERS)} are missing: {INSTALL}")
    return found


def host_answers(folder: Path, images: np.ndarray) -> np.ndarray:
    """The answers of the C in an exported folder.

    Args:
        images: int8, `N x H x W x C` (or `N x F`), as the network's input is.

    Returns:
        int8, `N x` the output's shape.

    Raises:
        TargetError: there is no C compiler.
        BuildError: it fails.
        DataError: the images have another shape or type.
    """
    exported = load(folder)
    check_images(exported, images)
    with tempfile.TemporaryDirectory(prefix="host-") as temporary:
        program = build(folder, exported, Path(temporary))
        given = np.ascontiguousarray(images).tobytes()
        found = run([str(program)], given, "the compiled C")
    return answers_of(exported, found, len(images))


def check_images(exported: Exported, images: np.ndarray) -> None:
    """Raises DataError unless the images are int8 and as the network's input."""
    if images.dtype != np.int8 or images.shape[1:] != exported.input_shape:
        law = f"images must be int8, N x {' x '.join(map(str, exported.input_shape))}"
        raise DataError(f"{law}; got {images.dtype}, {' x '.join(map(str, images.shape))}")


def answers_of(exported: Exported, found: bytes, count: int) -> np.ndarray:
    """The output's bytes as an array.

    Raises:
        BuildError: there are more or fewer of them.
    """
    size = prod(exported.output_shape)
    if len(found) != count * size:
        raise BuildError(
            f"the compiled C must answer {count} images with {size} bytes each, it gave {len(found)} bytes"
        )
    return np.frombuffer(found, np.int8).reshape(count, *exported.output_shape)


def build(folder: Path, exported: Exported, out: Path) -> Path:
    """The program that answers the images on its standard input."""
    main, program = out / "main.c", out / "answers"
    main.write_text(MAIN.format(name=exported.name, NAME=exported.name.upper()))
    run([compiler(), *FLAGS, *includes(folder), *sources(folder, exported), str(main), "-o", str(program)], b"", "cc")
    return program


def sources(folder: Path, exported: Exported) -> list[str]:
    return [str(folder / name) for name in exported.sources]


def includes(folder: Path) -> list[str]:
    """Where the headers lie, as a compiler is told."""
    third = folder / "third_party"
    return [f"-I{path}" for path in (folder, third / "cmsis_nn" / "Include", third / "cmsis_core" / "Include")]


def run(
    command: list[str],
    given: bytes,
    what: str,
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> bytes:
    """Standard output of a program that goes well, run in `folder` if one is given, with more variables if they are.

    Raises:
        BuildError: it fails, or takes too long.
    """
    try:
        found = subprocess.run(
            command,
            input=given,
            capture_output=True,
            timeout=timeout_seconds,
            check=False,
            cwd=folder,
            env=os.environ | (environment or {}),
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"{what} was stopped: it must end within {timeout_seconds:g} s") from None
    except OSError as error:
        raise BuildError(f"{what} cannot be run: {error.strerror}") from None
    if found.returncode:
        lines = [line for line in found.stderr.decode(errors="replace").splitlines() if line.strip()]
        named = next((line for line in lines if _CAUSE.search(line)), lines[-1] if lines else "no message")
        raise BuildError(f"{what} failed with code {found.returncode}: {named.strip()}")
    return found.stdout
