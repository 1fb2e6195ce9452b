"""How often pymoo's rounded polynomial mutation changes a gene, by its number of options.

python -m experiments.surrogate.rates
"""

import numpy as np
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair

GENES = 30

for options in (2, 3, 4, 8, 16, 40):
    upper, middle = np.full(GENES, options - 1), (options - 1) // 2
    problem = Problem(n_var=GENES, n_obj=2, xl=np.zeros(GENES), xu=upper, vtype=int)
    mutation = PM(prob=0.9, prob_var=3 / GENES, eta=5, repair=RoundingRepair())
    parents = Population.new(X=np.full((20_000, GENES), middle))
    found = mutation(problem, parents, random_state=np.random.default_rng(0)).get("X")
    print(f"{options:3d} options: changed in {(found != middle).mean():.4f} of {0.9 * 3 / GENES:.2f}")
