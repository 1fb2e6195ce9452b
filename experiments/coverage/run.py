"""Which networks does the engine understand? Every torchvision classifier and the smallest of every timm family.

    python experiments/coverage/run.py [--names timm:resnet10t ...] [--seconds 240] [--workers 2] [--again]

Needs `pip install -e '.[zoo]'`. Every network is made without trained weights, exported once, and tried in a process of
its own with limits of time and memory. Resumable: rows of `coverage.csv` are kept. See the README for the columns.
"""

import argparse
import json
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
NETWORKS = HERE / "networks.txt"  # making the list takes minutes; remove it to make it again
GIGABYTES = 6


def child(script: str, name: str, seconds: int) -> dict[str, object]:
    """What a script prints about one network as JSON, or `why` it does not."""
    command = [sys.executable, str(HERE / script), name]
    limit = lambda: resource.setrlimit(resource.RLIMIT_DATA, (GIGABYTES << 30, GIGABYTES << 30))  # noqa: E731
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, preexec_fn=limit)
    except subprocess.TimeoutExpired:
        return {"why": f"more than {seconds} seconds"}
    last = (done.stdout.splitlines() or [""])[-1]
    if done.returncode or not last.startswith("{"):
        words = done.stderr.splitlines() or [f"exit code {done.returncode}"]
        return {"why": "crashed: " + words[-1][:200]}
    return json.loads(last)


def attempt(name: str, seconds: int, before: dict[str, object] | None) -> dict[str, object]:
    """One network's row, by two child processes: the engine's columns, and the peer's unless they are known."""
    if before is None:
        other = child("peer.py", name, seconds)
        before = {"torch_pruning": other.get("torch_pruning", False), "torch_pruning_why": other.get("why")}
    peer = {column: before[column] for column in ("torch_pruning", "torch_pruning_why")}
    return {"name": name} | child("one.py", name, seconds) | peer


def summary(table: pd.DataFrame) -> str:
    """How many pass, by kind, and how long reading and deriving take."""
    lines = []
    for kind, rows in table.groupby(table.kind.fillna("not exported")):
        parts = [f"{kind}: {len(rows)} networks"]
        columns = ("parsed", "output_equal", "round_trip", "cut_trains", "passes", "torch_pruning")
        parts += [f"{column} {int(rows[column].fillna(False).astype(bool).sum())}" for column in columns]
        lines.append(", ".join(parts))
    seconds = table.parse_seconds + table.derive_seconds
    deep = table.layers.between(50, 70)
    lines.append(f"parse and derive: median {seconds.median():.2f} s, longest {seconds.max():.2f} s")
    lines.append(f"{deep.sum()} networks of 50 to 70 layers: {seconds[deep].median():.2f}, {seconds[deep].max():.2f} s")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="*")
    parser.add_argument("--seconds", type=int, default=240)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="measure the engine anew; the peer's columns stay")
    parser.add_argument("--out", type=Path, default=HERE / "coverage.csv")
    args = parser.parse_args()
    if args.names is None:
        sys.path.insert(0, str(HERE))
        import zoo

        if not NETWORKS.exists():
            NETWORKS.write_text("\n".join(zoo.names()) + "\n")
        args.names = NETWORKS.read_text().split()
    rows = {row["name"]: row for row in pd.read_csv(args.out).to_dict("records")} if args.out.exists() else {}
    wanted = [name for name in args.names if args.again or name not in rows]
    with ThreadPoolExecutor(args.workers) as pool:
        for row in pool.map(lambda name: attempt(name, args.seconds, rows.get(name)), wanted):
            rows[row["name"]] = row
            pd.DataFrame(rows.values()).to_csv(args.out, index=False)
            print(row["name"], "passes" if row.get("passes") else row.get("why", ""), flush=True)
    print(summary(pd.DataFrame(rows.values())))


if __name__ == "__main__":
    main()
