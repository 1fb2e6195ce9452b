"""Does a finish level off? Drop and KL on search_val of copies cooled every tenth of its steps.

    python -m experiments.search_bench.plateau KB STEPS [--seed 0]

The network is the widest uniform MobileNetV1 of at most that size, in float, trained at the constant rate. A cheap
check cools for 2 % of the steps; at half of them and twice more a copy is cooled as long as a finish of that length is.
"""

import argparse

from nas import baseline, inputs, material
from nas.config import RunConfig
from nas.data.feed import feed
from nas.data.views import Views
from nas.evaluate import FINISH_COOLDOWN, REFIT_IMAGES
from nas.judge import Judge
from nas.runtime import Session
from nas.strategies import ladder
from nas.students.candidate import Student
from nas.students.importance import importance
from nas.students.refit import Reference, refit
from nas.training.distill import Distiller, Recipe
from targets.pricing import Pricer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kb", type=int)
    parser.add_argument("steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    found = inputs.read(RunConfig())
    session = Session(found.model_path, threads=2, integer=False)
    arrays = material.gather(found, session, baseline.measure(session, found.data, seed=0), views=2, seed=0)
    task, space, weights = found.data.task, found.space, found.weights
    views = Views(arrays["view_images"], arrays["view_logits"], arrays["y_train"], task)
    judge = Judge(task, arrays["x_search"], arrays["y_search"], arrays["search_logits"])
    price = Pricer(space, found.device, "tflm").price
    genome = ladder.at_size(space, lambda g: float(price(g).size_bytes), args.kb * 1024.0)
    graph = space.apply(genome)
    reference = Reference(space.graph, weights, feed(views.images[0][:REFIT_IMAGES]))
    order = importance(space.graph, weights, space.channels, reference)
    student = Student(graph, refit(space, genome, weights, reference, order))
    student.add_norm(reference.images)
    distiller = Distiller(student, views, Recipe(), seed=args.seed)
    for tenth in range(1, 11):
        distiller.run(args.steps // 10)
        whole = round(distiller.step * FINISH_COOLDOWN / (1 - FINISH_COOLDOWN))
        for cooling in (args.steps // 50, *([whole] if tenth in (5, 6, 7) else [])):
            logits = Student(graph, distiller.cooled(cooling)).logits(judge.images(graph.input_shape))
            drop, kl = judge.original_score - judge.score(logits), task.distance(arrays["search_logits"], logits)
            print(f"step {distiller.step}, cooled {cooling}: drop {drop:.2f}, KL {kl:.4f}", flush=True)


if __name__ == "__main__":
    main()
