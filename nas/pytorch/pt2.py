"""A program of `torch.export.save` as a module: each node is one call of a known operator, and nothing is evaluated.

The expressions of symbolic sizes are not read, since the nodes compute those sizes again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.functions import first_line
from nas.pytorch import modules, pt2_archive, pt2_operators
from search_spaces.errors import EngineError, ModelError
from search_spaces.graph import Shape

LARGEST = 2**27  # numbers in the input and all activations together, 512 MB

_UNCHECKED = re.compile(r"torch\.ops\.aten\._assert_\w+\.default")
_DAMAGE = (AttributeError, LookupError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True)
class Step:
    """One call: `call(**arguments)`, where an argument that is a `Name` is looked up, also inside a list."""

    call: Callable[..., Any]
    arguments: dict[str, Any]
    outputs: tuple[str | tuple[str, ...], ...]


@dataclass(frozen=True)
class Name:
    """A value that was computed before."""

    text: str


class Program(nn.Module):
    """An exported program, computed node by node.

    Attributes:
        input_shape: of its one input without the batch axis; 0 where the file leaves a side open.
        batch: images in every batch, None where any number will do.
    """

    def __init__(self, document: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        super().__init__()
        graph, signature = document["graph_module"]["graph"], document["graph_module"]["signature"]
        self._tensors: dict[str, str] = {}
        images = []
        for number, spec in enumerate(signature["input_specs"]):
            ((kind, body),) = spec.items()
            names = [value for key, value in body.items() if key.endswith("_name")]
            if kind == "user_input":
                images.append(body["arg"]["as_tensor"]["name"])
            elif kind in ("parameter", "buffer", "tensor_constant"):
                self._tensors[body["arg"]["name"]] = f"tensor_{number}"
                self.register_buffer(f"tensor_{number}", tensors[names[0]])
            else:
                raise ModelError(f"the exported program must take tensors only, got an input of the kind {kind!r}")
        if len(images) != 1:
            raise ModelError(f"the exported program must have one input, got {len(images)}; export one input")
        self._image = images[0]
        batch, *sides = graph["tensor_values"][self._image]["sizes"]
        self.batch: int | None = batch.get("as_int")
        self.input_shape: Shape = tuple(side.get("as_int", 0) for side in sides)
        self._steps = [step for node in graph["nodes"] if (step := _step(node)) is not None]
        self._outputs = tuple(_outputs(signature["output_specs"]))

    def values(self, image: Tensor) -> Iterator[tuple[str, Any]]:
        """Every value by its name, in the order of the file."""
        known: dict[str, Any] = {name: getattr(self, attribute) for name, attribute in self._tensors.items()}
        known[self._image] = image

        def found(argument: Any) -> Any:
            if isinstance(argument, list):
                return [found(entry) for entry in argument]
            return known[argument.text] if isinstance(argument, Name) else argument

        for step in self._steps:
            results = step.call(**{key: found(argument) for key, argument in step.arguments.items()})
            results = results if len(step.outputs) > 1 else (results,)
            for output, result in zip(step.outputs, results, strict=False):
                pairs = [(output, result)] if isinstance(output, str) else zip(output, result, strict=True)
                for name, value in pairs:
                    known[name] = value
                    yield name, value

    def forward(self, image: Tensor) -> Any:
        found = {self._image: image, **dict(self.values(image))}
        outputs = tuple(found[name] for name in self._outputs)
        return outputs[0] if len(outputs) == 1 else outputs


def onnx_bytes(path: Path, input_shape: Shape | None = None) -> bytes:
    """A `.pt2` file as ONNX; see `modules.onnx_bytes`. A batch that was fixed at the export stays fixed.

    Args:
        path: what `torch.export.save` wrote of a module in eval mode.
        input_shape: without the batch axis; needed where the file leaves a side open.

    Raises:
        ModelError: the file cannot be read or was exported in train mode, or its program cannot be used.
    """
    document, tensors = pt2_archive.read(path)
    try:
        program = Program(document, tensors)
        shape = _shape(program, input_shape)
        _check_size(Program(document, {name: tensor.to("meta") for name, tensor in tensors.items()}), shape)
    except EngineError as error:
        raise ModelError(f"{path}: {error}") from None
    except _DAMAGE as error:
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:120]}"
        raise ModelError(f"{path} is not a whole exported program ({reason}); save it again") from None
    return modules.onnx_bytes(program, shape, batch=program.batch)


def _shape(program: Program, wanted: Shape | None) -> Shape:
    """The input's shape without the batch axis."""
    shape = wanted or program.input_shape
    fits = len(shape) == len(program.input_shape) and all(
        side in (0, want) for side, want in zip(program.input_shape, shape, strict=True)
    )
    if not fits or min(shape, default=0) < 1:
        got = " x ".join(str(side or "?") for side in program.input_shape)
        raise ModelError(
            f"the input is N x {got}; say with --input-shape what it leaves open, got {wanted or 'nothing'}"
        )
    return shape


def _check_size(program: Program, shape: Shape) -> None:
    """Computes the shapes alone, of a program on torch's meta device: a file that asks for too much allocates nothing.

    Raises:
        ModelError: the program does not run on that shape, or its activations would fill the memory.
    """
    try:
        image = torch.zeros(program.batch or 1, *shape, device="meta")
        total = image.numel()
        for name, value in program.values(image):
            total += value.numel() if isinstance(value, Tensor) else 0
            if total > LARGEST:
                raise ModelError(
                    f"its activations may have {LARGEST} numbers, {name!r} goes beyond; export a batch of 1"
                )
    except EngineError:
        raise
    except Exception as error:  # operators raise what they like
        reason = first_line(error)[:120]
        raise ModelError(f"the program does not run on N x {' x '.join(map(str, shape))} ({reason})") from None


def _step(node: dict[str, Any]) -> Step | None:
    """A node as a call; None for one that only checks.

    Raises:
        ModelError: the operator is not known, or works as it does in training only.
    """
    target = node["target"]
    if _UNCHECKED.fullmatch(target):
        return None
    arguments = {entry["name"]: _argument(entry["arg"]) for entry in node["inputs"]}
    if arguments.get("training") is True or arguments.get("train") is True:
        law = "was exported in train mode; call module.eval() before torch.export.export"
        raise ModelError(f"node {node.get('name')!r} ({target}) {law}")
    return Step(pt2_operators.find(target), arguments, tuple(_names(node["outputs"])))


def _names(outputs: list[dict[str, Any]]) -> Iterator[str | tuple[str, ...]]:
    for output in outputs:
        ((kind, body),) = output.items()
        if kind == "as_tensors":
            yield tuple(entry["name"] for entry in body)
        elif kind == "as_tensor":
            yield body["name"]
        else:  # a size
            yield body["as_name"]


def _outputs(specs: list[dict[str, Any]]) -> Iterator[str]:
    for spec in specs:
        if "user_output" not in spec:
            law = "changes its own buffers, as in train mode; call module.eval() before torch.export.export"
            raise ModelError(f"the exported program {law}")
        yield spec["user_output"]["arg"]["as_tensor"]["name"]


def _argument(written: dict[str, Any]) -> Any:
    """A plain value, or the name of one.

    Raises:
        ModelError: it is a program of its own, or an object.
    """
    ((kind, body),) = written.items()
    if kind in ("as_none", "as_memory_format", "as_layout", "as_device"):
        return None
    if kind in ("as_int", "as_ints", "as_bool", "as_bools", "as_string"):
        return body
    if kind == "as_float":
        return float(body)  # infinity is written as text
    if kind == "as_floats":
        return [float(entry) for entry in body]
    if kind == "as_scalar_type":
        return pt2_archive.DTYPES[body]
    if kind == "as_tensor":
        return Name(body["name"])
    if kind == "as_tensors":
        return [Name(entry["name"]) for entry in body]
    if kind in ("as_sym_int", "as_sym_bool", "as_optional_tensor"):
        return _reference(body)
    if kind in ("as_sym_ints", "as_optional_tensors"):
        return [_reference(entry) for entry in body]
    raise ModelError(f"an argument of the kind {kind!r} has no rule here; {pt2_archive.ADVICE}")


def _reference(written: dict[str, Any]) -> Any:
    ((kind, body),) = written.items()
    if kind == "as_name":
        return Name(body)
    return _argument(written)
