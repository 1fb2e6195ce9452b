"""How a strategy goes about it: who proposes, and what may be left out. A name, or a TOML file with these keys.

What is left out leaves its share of the budget to the finishes, so that every ingredient can be measured against longer
trainings of the ladder (`experiments/search_bench`).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, get_args

from nas.plan import Plan
from search_spaces.errors import InputError

Proposing = Literal["nsga2", "nsga2-generational", "random", "tpe", "ladder"]
STRATEGIES: tuple[str, ...] = get_args(Proposing)

Fitness = Literal["look", "rung"]


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that tells strategies apart.

    Attributes:
        proposer: who proposes genomes; `ladder` is nobody.
        fitness: what the proposer hears of a genome beside its price: the KL of an untrained `look`, or that of the
            int8 network after the first `rung` of training.
        scouts: ladder networks measured first; 0 = as many as the plan says.
        search_share: of the budget, what looks may cost; 0 = no search, negative = what the plan says.
        seeded: the ladder and its neighbors are proposed first.
        promoted: the best looks are trained through the rungs before any is finished; else the best looks are finished.
        ladder_every: of so many finishes one is the ladder's; 0 = only where nothing found is ahead.
        refitted: inherited weights are solved by least squares before any training.
        tune_share: of the budget, what looking for a better recipe of distillation may cost (`nas.tuning`); 0 = none.
        screened: of eight proposals of `nsga2` only the one with the best guess of its look is tried, once guesses rank
            better than sizes do (`nas.strategies.surrogate`).

    Raises:
        InputError: a value is out of range.
    """

    proposer: Proposing = "nsga2"
    fitness: Fitness = "look"
    scouts: int = 0
    search_share: float = -1.0
    seeded: bool = True
    promoted: bool = True
    ladder_every: int = 3
    refitted: bool = True
    tune_share: float = 0.0
    screened: bool = True

    def __post_init__(self) -> None:
        for name, known in (("proposer", STRATEGIES), ("fitness", get_args(Fitness))):
            if getattr(self, name) not in known:
                raise InputError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if self.search_share > 0.5:
            raise InputError(f"search_share must be at most 0.5, got {self.search_share}: finishes keep the other half")
        if not 0 <= self.tune_share <= 0.5:
            raise InputError(f"tune_share must be from 0 to 0.5, got {self.tune_share}: the rest is for training")
        for name in ("scouts", "ladder_every"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must not be negative, got {getattr(self, name)}")

    def planned(self, plan: Plan) -> Plan:
        """The plan with the shares that these options ask for."""
        scouts = self.scouts or plan.scouts
        share = plan.search_share if self.search_share < 0 else self.search_share
        return replace(plan, scouts=scouts, search_share=share)


def load_options(name_or_path: str) -> Options:
    """The options of a strategy by name, or from a TOML file.

    Raises:
        InputError: there is no such strategy or file, or the file has an unknown key or a wrong value.
    """
    if not name_or_path.endswith(".toml"):
        if name_or_path not in STRATEGIES:
            law = f"strategy must be one of {', '.join(STRATEGIES)} or a .toml file"
            raise InputError(f"{law}, got {name_or_path!r}")
        return Options(proposer=name_or_path)  # type: ignore[arg-type]
    path = Path(name_or_path)
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from None
    defaults = {field.name: field.default for field in fields(Options)}
    for key, value in found.items():
        if key not in defaults:
            near = get_close_matches(key, defaults, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(defaults)}"
            raise InputError(f"{path} has the unknown key {key!r}; {advice}")
        wanted = type(defaults[key])
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            raise InputError(f"{path}: {key} must be of type {wanted.__name__}, got {value!r}")
    return Options(**found)
