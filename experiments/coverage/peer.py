"""Does one network run after Torch-Pruning removed half of its channels? `python experiments/coverage/peer.py NAME`."""

import json
import sys
import warnings

import torch
import torch_pruning as tp
import zoo


def runs(model: torch.nn.Module, x: torch.Tensor) -> bool:
    """Half of all channels pruned, globally and by magnitude; the 1000 classes stay."""
    heads = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m.out_features == 1000]
    importance = tp.importance.MagnitudeImportance(p=1)
    tp.pruner.MagnitudePruner(
        model, x, importance=importance, pruning_ratio=0.5, global_pruning=True, ignored_layers=heads
    ).step()
    with torch.no_grad():
        model(x)
    return True


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    model = zoo.create(sys.argv[1])
    side = zoo.smallest_side(model)
    print(json.dumps({"torch_pruning": runs(model, torch.rand(2, 3, side, side))}))
