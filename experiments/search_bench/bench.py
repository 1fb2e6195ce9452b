"""Runs the cells of the benchmark one after the other, on two cores, and writes a row the moment each one ends.

    python -m experiments.search_bench.bench [BLOCK ...] [--list] [--budget 30s] [--seeds 2] [--table FILE]

Finished cells are skipped; one that was cut off is done again from its beginning, since every engine gets the same wall
time. Nothing else should run on the machine: the processors at work just before each cell are written down.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from statistics import median

import nas
from experiments.runs import append
from experiments.search_bench import measure
from experiments.search_bench.cells import (
    BLOCKS,
    FOLDER,
    HERE,
    MAX_DROP,
    MOST_LOAD,
    OBJECTIVES,
    ORIGINALS,
    PRUNING,
    SIZES,
    Cell,
)

OPTIMIZE = "from nas.cli import optimize_main; optimize_main()"


def read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def limit(cell: Cell, table: Path) -> str:
    """Half of the RAM or latency that the ladder's smallest passing networks of scenario S need, in the median.

    Fixed once: the value stands in `limits.csv` from then on, so that all engines and later sessions share it.
    """
    known, quantity = table.with_name("limits.csv"), {"R": "ram_bytes", "L": "latency_ms"}[cell.scenario]
    for row in read(known):
        if (row["original"], row["scenario"]) == (cell.original, cell.scenario):
            return row["limit"]
    runs = [r for r in read(table) if (r["original"], r["scenario"], r["engine"]) == (cell.original, "S", "ladder")]
    found = {
        r["budget"]: [float(o[quantity]) for o in runs if o["budget"] == r["budget"] and o[quantity]] for r in runs
    }
    found = {budget: values for budget, values in found.items() if values}
    if not found:
        raise SystemExit(
            f"scenario {cell.scenario} of {cell.original} needs a ladder run of scenario S that passes first"
        )
    budget = max(found, key=lambda text: measure.seconds_of(text))
    value = median(found[budget]) / 2
    written = f"{int(value)}B" if cell.scenario == "R" else f"{value:.4g}ms"
    append(
        known, [{"original": cell.original, "scenario": cell.scenario, "limit": written, "from": f"ladder, {budget}"}]
    )
    return written


def flags(cell: Cell, table: Path, out: Path) -> list[str]:
    """What the run is asked for, the same for every engine."""
    asked = {
        **ORIGINALS[cell.original], "max-size": SIZES[cell.original], "max-drop": f"{MAX_DROP}%",
        "objectives": OBJECTIVES[cell.scenario], "strategy": cell.strategy, "budget": cell.budget, "seed": cell.seed,
        "out": out,
    }  # fmt: skip
    if cell.scenario != "S":
        asked["max-ram" if cell.scenario == "R" else "max-latency"] = limit(cell, table)
    return [f"--{name}={value}" for name, value in asked.items()]


def busy(seconds: float = 3.0) -> float:
    """How many processors are at work, whoever works; the load average would still count the cell before."""

    def ticks() -> tuple[int, int]:
        fields = [int(text) for text in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        return sum(fields), fields[3] + fields[4]

    whole, idle = ticks()
    time.sleep(seconds)
    whole_now, idle_now = ticks()
    share = 1 - (idle_now - idle) / max(whole_now - whole, 1)
    return share * (os.cpu_count() or 1)


def commit() -> str:
    """Of the code, with a plus sign where something was changed since."""

    def git(*args: str) -> str:
        return subprocess.run(["git", *args], capture_output=True, text=True, check=False).stdout.strip()

    code = ("nas", "search_spaces", "targets", "experiments/search_bench/*.py")
    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", *code) else "")


def run(cell: Cell, table: Path) -> dict[str, object] | None:
    """Does one cell in a process of its own, on the first two cores, and returns its row; None if it fails.

    Raises:
        SystemExit: something else is at work on the machine.
    """
    if (load := busy()) > MOST_LOAD:
        raise SystemExit(f"{load:.1f} processors are at work; wait, or end what a cell that was cut off left behind")
    out = FOLDER / cell.name
    shutil.rmtree(out, ignore_errors=True)
    peer = ["-m", "experiments.search_bench.peer", f"--pruning={cell.engine.removeprefix('pruning-')}"]
    program = peer if cell.engine in PRUNING else ["-c", OPTIMIZE]
    command = [sys.executable, *program, *flags(cell, table, out), "--quiet"]
    cores = sorted(os.sched_getaffinity(0))[:2]
    code, began = commit(), time.time()
    pinned = partial(os.sched_setaffinity, 0, cores)
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=pinned)
    row: dict[str, object] = {
        **asdict(cell), "commit": code, "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime(began)),
        "load": round(load, 2), "cores": len(cores), "exit": done.returncode, "seconds": round(time.time() - began, 1),
    }  # fmt: skip
    if done.returncode not in (0, 1) or (done.returncode == 1 and "Traceback" in done.stderr):
        print(f"  {cell.name} failed: {(done.stderr or done.stdout).strip().splitlines()[-1:]}", flush=True)
        return None
    result = nas.load_result(out) if (out / "result.json").exists() else None
    row |= measure.figures(result, out, began)
    append(table, [row])
    curve = [] if result is None else [asdict(cell) | point for point in measure.curve(result, out, began)]
    append(table.with_name("curves.csv"), curve or [asdict(cell) | {"at_seconds": 0, "test_hypervolume": 0}])
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("blocks", nargs="*", choices=[*BLOCKS, []], help="by default all, in the order of their value")
    parser.add_argument("--list", action="store_true", help="what there is to do, and how long it takes")
    parser.add_argument("--budget", help="another one, to try the harness")
    parser.add_argument("--seeds", type=int, help="so many at most")
    parser.add_argument("--engines", nargs="+", help="only these")
    parser.add_argument("--scenarios", help="only these, such as SR")
    parser.add_argument("--table", type=Path, default=HERE / "runs.csv")
    args = parser.parse_args()
    args.table.parent.mkdir(parents=True, exist_ok=True)
    for name in args.blocks or BLOCKS:
        block = BLOCKS[name]
        block = replace(
            block,
            budget=args.budget or block.budget,
            seeds=min(args.seeds or 99, block.seeds),
            engines=tuple(e for e in block.engines if e in (args.engines or block.engines)),
            scenarios="".join(s for s in block.scenarios if s in (args.scenarios or block.scenarios)),
        )
        rows = [row for row in read(args.table) if float(row["load"]) <= MOST_LOAD]
        done = {tuple(row[field.name] for field in fields(Cell)) for row in rows}
        left = [cell for cell in block.cells() if tuple(map(str, asdict(cell).values())) not in done]
        print(f"{name}: {len(left)} cells left, {block.hours:.1f} hours in all", flush=True)
        for cell in [] if args.list else left:
            row = run(cell, args.table)
            if row is None:
                continue
            shown = {key: row[key] for key in ("proven_kb", "proven_test_drop", "test_hypervolume", "seconds", "load")}
            print(f"  {cell.name}: {shown}", flush=True)


if __name__ == "__main__":
    main()
