"""The benchmark's rows as tables for the README, losses as well as wins, and its curves as a picture.

    python -m experiments.search_bench.table [--table runs.csv] [--picture results/search-curves.png]

Nothing is filled in: what was not run has an empty cell. An interval is given from five pairs of task and seed on; a
percentile bootstrap of so few is narrower than its name. A run that found nothing counts as the worst one. Rows that
began while something else was at work are left out.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from experiments.search_bench.cells import HERE, MOST_LOAD
from nas import wording
from nas.statistics import ratio_interval

FEWEST_PAIRS = 5
TASK = ["original", "scenario", "budget"]


def against(runs: pd.DataFrame, engine: str, rival: str = "ladder") -> pd.DataFrame:
    """Pairs of the same task and seed, each task's volumes in units of its mean so that tasks can be pooled."""
    keys = [*TASK, "seed"]
    columns = [*keys, "test_hypervolume", "proven_kb"]
    pairs = runs[runs.engine == engine][columns].merge(runs[runs.engine == rival][columns], on=keys)
    both = pairs[["test_hypervolume_x", "test_hypervolume_y"]].fillna(0.0)
    unit = both.mean(axis=1).groupby([pairs[key] for key in TASK]).transform("mean").replace(0.0, 1.0)
    pairs["ours"], pairs["theirs"] = both.iloc[:, 0] / unit, both.iloc[:, 1] / unit
    # Beside a rival that never finds anything every volume is as many times as large: such a task has no ratio.
    pairs["has_ratio"] = both.iloc[:, 1].groupby([pairs[key] for key in TASK]).transform("sum") > 0
    return pairs


def compared(pairs: pd.DataFrame) -> dict[str, str]:
    """Wins, ties and losses by hypervolume on the test images, and the ratio of the means."""
    if pairs.empty:
        return {"wins / ties / losses": "", "volume ratio": "", "95 % interval": ""}
    difference = pairs.ours - pairs.theirs
    wins, ties = int((difference > 1e-9).sum()), int((difference.abs() <= 1e-9).sum())
    rated = pairs[pairs.has_ratio]
    found = {
        "wins / ties / losses": f"{wins} / {ties} / {len(pairs) - wins - ties} of {len(pairs)}",
        "volume ratio": f"{rated.ours.mean() / rated.theirs.mean():.3f}" if len(rated) else "",
        "95 % interval": "",
    }
    if len(rated) >= FEWEST_PAIRS:
        low, high = ratio_interval(rated.ours, rated.theirs, seed=0)
        found["95 % interval"] = f"{low:.3f} to {high:.3f}" + (" (includes 1)" if low <= 1 <= high else "")
    return found


def rows(runs: pd.DataFrame) -> list[dict[str, str]]:
    """A row for each task and engine, medians over the seeds."""
    found = []
    for task, group in runs.groupby(TASK, sort=False):
        for engine, part in group.groupby("engine", sort=False):
            proven = part.proven_kb.dropna()
            found.append({
                **dict(zip(TASK, task, strict=True)), "engine": engine, "runs": str(len(part)),
                "smallest proven, KB": _median(part.proven_kb.fillna(float("inf")), 1),
                "proven in": f"{len(proven)} of {len(part)}",
                "test volume": _median(part.test_hypervolume.fillna(0.0), 3),
                "first within limits, s": _median(part.first_seconds.fillna(float("inf")), 0),
                "commits": ", ".join(sorted(set(part.commit.dropna()))),
                **({} if engine == "ladder" else compared(against(group, engine))),
            })  # fmt: skip
    return found


def pooled(runs: pd.DataFrame) -> list[dict[str, str]]:
    """Ours against each other engine over all tasks of a budget."""
    return [
        {"budget": budget, "nsga2 against": engine, **compared(against(group, "nsga2", engine))}
        for budget, group in runs.groupby("budget", sort=False)
        for engine in dict.fromkeys(group.engine)
        if engine != "nsga2"
    ]


def evidence(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows that began on an idle machine; of a cell that was run again the last one."""
    return rows[rows["load"] <= MOST_LOAD].drop_duplicates([*TASK, "engine", "seed"], keep="last")


def with_best_pruning(runs: pd.DataFrame) -> pd.DataFrame:
    """With one more: the best of Torch-Pruning's three modes for each task and seed, three budgets against one."""
    modes = runs[runs.engine.str.startswith("pruning-")]
    groups = modes.groupby([*TASK, "seed"], sort=False)
    best = groups.agg(
        {"test_hypervolume": "max", "proven_kb": "min", "first_seconds": "min", "engine": "nunique"}
    ).reset_index()
    best = best[best.engine == 3].assign(engine="pruning, best of 3")
    return pd.concat([runs, best]) if len(best) else runs


def _median(values: pd.Series, digits: int) -> str:
    middle = values.median()
    return "none" if middle == float("inf") else f"{middle:.{digits}f}"


def markdown(found: list[dict[str, str]]) -> str:
    table = pd.DataFrame(found).fillna("")
    lines = [table.columns, ["---"] * len(table.columns), *table.itertuples(index=False)]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def picture(curves: pd.DataFrame, path: Path) -> None:
    """Test hypervolume over the seconds, of tasks where there is any: a line a run, an engine's median thick."""
    tasks = [(task, group) for task, group in curves.groupby(TASK, sort=False) if group.test_hypervolume.any()]
    colors = {engine: f"C{k}" for k, engine in enumerate(dict.fromkeys(curves.engine))}
    figure, every = plt.subplots(
        1, len(tasks), figsize=(max(8, 5.5 * len(tasks)), 5), squeeze=False, layout="constrained"
    )
    for axes, (task, group) in zip(every[0], tasks, strict=True):
        end = group.at_seconds.max()
        for engine, part in group.groupby("engine", sort=False):
            runs = [one.groupby("at_seconds").test_hypervolume.last() for _, one in part.groupby("seed")]
            for one in runs:
                axes.step(
                    [*one.index, end],
                    [*one, one.iloc[-1]],
                    where="post",
                    color=colors[engine],
                    linewidth=0.7,
                    alpha=0.5,
                )
            times = sorted({at for one in runs for at in one.index} | {end})
            joined = pd.DataFrame([one.reindex(times, method="ffill").fillna(0.0) for one in runs])
            label = f"{engine}, {wording.numbered(len(runs), 'run')}"
            axes.step(times, joined.median(), where="post", color=colors[engine], linewidth=2.2, label=label)
        axes.set(title=", ".join(task), xlabel="seconds since the command", ylabel="hypervolume on the test images")
        axes.legend(loc="upper left", fontsize=9)
        axes.grid(alpha=0.3)
        axes.set_xlim(left=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=HERE / "runs.csv")
    parser.add_argument("--picture", type=Path, default=Path("results/search-curves.png"))
    args = parser.parse_args()
    runs = with_best_pruning(evidence(pd.read_csv(args.table)))
    print(markdown(rows(runs)), "\n\nOver all tasks of a budget:\n")
    print(markdown(pooled(runs)))
    curves = args.table.with_name("curves.csv")
    if curves.exists():
        picture(pd.read_csv(curves), args.picture)


if __name__ == "__main__":
    main()
