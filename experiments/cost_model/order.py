"""What do the order of calls and the order of tensors save? The planned part with the scratch of a Cortex-M4, in bytes.

python experiments/cost_model/order.py [--genomes 30]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from branching import graphs

from nas import quickstart
from search_spaces.declare import load_declaration
from search_spaces.from_onnx import load_model
from search_spaces.graph import Graph
from search_spaces.space import derive
from targets.core import call_costs, load_core
from targets.lower import lower, lowered
from targets.memory import plan
from targets.program import Program


def arena(program: Program) -> int:
    return plan(program, call_costs(program, load_core("cortex_m4"))).arena_bytes


def saved(graph: Graph) -> tuple[int, int, float]:
    """The arena in the graph's order, the one in the order chosen, and the milliseconds that lowering takes."""
    given = arena(lowered(graph, "tflm").program())
    start = time.process_time()
    program = lower(graph)
    return given, arena(program), 1e3 * (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genomes", type=int, default=30)
    count, rng = parser.parse_args().genomes, np.random.default_rng(0)
    print(f"{'network':34}{'given':>10}{'chosen':>10}{'saved':>9}{'lowering':>12}   random genomes: mean, most, share")
    for name, graph in {"quickstart": load_model(quickstart.MODEL_PATH)[0], **graphs()}.items():
        given, chosen, took = saved(graph)
        space = derive(graph, load_declaration("mcu"))
        found = np.array([saved(space.apply(space.sample(rng=rng)))[:2] for _ in range(count)])
        part = 100 * (1 - found[:, 1] / found[:, 0])
        print(
            f"{name:34}{given:10}{chosen:10}{100 * (1 - chosen / given):8.1f} %{took:9.1f} ms"
            f"   {part.mean():5.1f} %, {part.max():5.1f} %, {100 * (part > 0).mean():.0f} %"
        )


if __name__ == "__main__":
    main()
