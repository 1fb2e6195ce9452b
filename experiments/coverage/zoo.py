"""Which networks the coverage table tries: all torchvision classifiers, and the smallest of every timm family.

torchvision's compiled part wants the CUDA build of torch; with these two operators declared first, its models load
beside a CPU build as well.
"""

from __future__ import annotations

import torch
from torch import nn

LARGEST = 30e6  # parameters
SIDES = (32, 64, 96, 128, 160, 192, 224, 256)

_library = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    _library.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def names() -> list[str]:
    """`torchvision:<model>` and `timm:<model>`, of at most `LARGEST` parameters, without creating any weights."""
    import timm
    import torchvision
    from timm.models import _registry

    listed = torchvision.models.list_models(module=torchvision.models)
    found = [
        f"torchvision:{name}"
        for name in listed
        if size(lambda name=name: torchvision.models.get_model(name, weights=None)) <= LARGEST
    ]
    families: dict[str, tuple[float, str]] = {}
    for name in timm.list_models():
        family = _registry._model_to_module[name]
        params = size(lambda: timm.create_model(name))  # noqa: B023
        families[family] = min(families.get(family, (float("inf"), "")), (params, name))
    return found + sorted(f"timm:{name}" for params, name in families.values() if params <= LARGEST)


def size(make) -> float:
    """Parameters of a model; infinity if it cannot be made without its data."""
    try:
        with torch.device("meta"):
            return sum(p.numel() for p in make().parameters())
    except Exception:
        return float("inf")


def create(name: str) -> nn.Module:
    """A model with random weights from seed 0, in eval mode; batch norms get statistics that are not trivial."""
    import timm
    import torchvision

    torch.manual_seed(0)
    origin, _, model = name.partition(":")
    made = timm.create_model(model) if origin == "timm" else torchvision.models.get_model(model, weights=None)
    for part in made.modules():
        if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None:
            nn.init.normal_(part.running_mean, 0, 0.1)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
    return made.eval()


def smallest_side(model: nn.Module) -> int:
    """The least input side that the model runs at."""
    fixed = getattr(model, "default_cfg", {})
    sides = [fixed["input_size"][-1]] if fixed.get("fixed_input_size") else SIDES
    for side in sides:
        try:
            with torch.no_grad():
                found = model(torch.zeros(1, 3, side, side))
            if isinstance(found, torch.Tensor) and torch.isfinite(found).all():
                return side
        except Exception:
            continue
    raise ValueError("it runs at no side that was tried")
