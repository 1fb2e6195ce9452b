"""The only door from a PyTorch module to the engine: through ONNX, once."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from nas import atomic, functions
from nas.functions import first_line
from search_spaces.errors import ModelError
from search_spaces.graph import Shape
from search_spaces.to_onnx import OPSET


def export(module: nn.Module, example_shape: Shape, path: Path) -> None:
    """Writes what `onnx_bytes` makes of the module.

    Args:
        module, example_shape: see `onnx_bytes`.
        path: replaced as a whole, or left as it was if anything fails.

    Raises:
        ModelError: the module does not run on that shape, or ONNX has no operator for what it does.
        RunFolderError: `path` cannot be written.
    """
    atomic.write_bytes(path, onnx_bytes(module, example_shape))


def onnx_bytes(module: nn.Module, example_shape: Shape, *, batch: int | None = None) -> bytes:
    """The module as float32 ONNX with a batch axis `n`, input `image` and first output `logits`.

    The module is traced in eval mode on zeros; afterwards every submodule is in the mode it was in.

    Args:
        module: takes one float32 tensor, batch first.
        example_shape: that tensor's shape without the batch axis.
        batch: of a module that takes this many samples and no others; the axis is then fixed.

    Raises:
        ModelError: the module does not run on that shape, or ONNX has no operator for what it does.
    """
    modes = [(part, part.training) for part in module.modules()]
    first = next(module.parameters(), torch.empty(0))
    file = io.BytesIO()
    try:
        module.eval()
        with warnings.catch_warnings():
            # The TorchScript exporter is deprecated; the newer one takes 7 seconds a model instead of 0.3.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                (torch.zeros(batch or 1, *example_shape, device=first.device),),
                file,  # type: ignore[arg-type]  # this exporter takes a file object as well
                dynamo=False,
                opset_version=OPSET,
                input_names=["image"],
                output_names=["logits"],
                dynamic_axes=None if batch else {"image": {0: "n"}, "logits": {0: "n"}},
            )
    except Exception as error:  # the module is the user's code and may raise anything
        law = f"the module must run on N x {' x '.join(map(str, example_shape))} and export to ONNX"
        raise ModelError(f"{law}, got {type(error).__name__}: {first_line(error)}") from error
    finally:
        for part, mode in modes:
            part.training = mode
    return file.getvalue()


def load(spec: str, weights: Path | None = None) -> nn.Module:
    """The module that `package.module:function` returns, with the weights of a file if one is named.

    The working folder is importable, as it is for `python -m`.

    Args:
        spec: a function (or class) that is called without arguments.
        weights: `.safetensors`, or a state dict that `torch.save` wrote, also as the entry `state_dict` or `model` of
            a checkpoint. Only tensors are read from it: nothing that could run code is unpickled.

    Raises:
        ModelError: the function is not there, fails, or returns no module; the weights cannot be read or do not fit.
    """
    module = functions.load(spec, "model", ModelError)()
    if not isinstance(module, nn.Module):
        raise ModelError(f"model {spec!r} must return a torch.nn.Module, got {type(module).__name__}")
    if weights is not None:
        try:
            module.load_state_dict(_state(weights))
        except RuntimeError as error:
            # Torch's first line only says that there was an error; each further line names a reason.
            reasons = [line.strip() for line in str(error).splitlines()]
            raise ModelError(f"{weights} does not fit {spec!r}: {' '.join(reasons[1:2] or reasons)}") from error
    return module


def _state(path: Path) -> Mapping[str, Tensor]:
    """A state dict, read without running any code of the file."""
    if not path.is_file():
        raise ModelError(f"the weights must be a file, got {str(path)!r}, which is not there")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of how a file was pickled that it then refuses
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        advice = "give .safetensors, or a state dict saved by torch.save(module.state_dict(), ...)"
        raise ModelError(f"{path} must hold tensors only and be whole ({first_line(error)}); {advice}") from error
    for entry in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(entry), Mapping):
            found = found[entry]
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ModelError(f"{path} must hold a state dict, got {type(found).__name__}; save module.state_dict()")
    return found


def takes_series(module: nn.Module) -> bool:
    """Whether a module works along one axis, so that its input is N x channels x length."""
    return any(
        isinstance(part, (nn.Conv1d, nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d)) for part in module.modules()
    )
