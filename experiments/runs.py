"""What the experiments share: two flags, going on with a run that was stopped, and rows kept as they are made."""

import argparse
import csv
import hashlib
from pathlib import Path
from typing import Any

import nas


def parser(text: str) -> argparse.ArgumentParser:
    """The flags that override a `config.toml`; `text` is the script's docstring."""
    found = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--budget")
    found.add_argument("--workers", type=int)
    return found


def record_sum(file: Path) -> str:
    """Writes a trained original's SHA-256 into `experiments/originals/SHA256SUMS`, in the form of `sha256sum`."""
    sums = Path(__file__).parent / "originals" / "SHA256SUMS"
    others = [line for line in sums.read_text().splitlines() if line.split()[1] != str(file)] if sums.exists() else []
    line = f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file}"
    sums.write_text("\n".join(sorted([*others, line])) + "\n")
    return line


def append(path: Path, rows: list[dict[str, object]]) -> None:
    """Adds rows to a CSV file; the header is written with the first.

    Raises:
        SystemExit: the file has other columns.
    """
    text = path.read_text() if path.exists() else ""
    if text and next(csv.reader([text.partition("\n")[0]])) != list(rows[0]):
        raise SystemExit(f"{path} has other columns than this version writes; move it away")
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        if not text:
            writer.writeheader()
        elif not text.endswith("\n"):  # a row that was cut off
            file.write("\n")
        writer.writerows(rows)


def fit(config: dict[str, Any], args: argparse.Namespace, **given: Any) -> None:
    """Runs or goes on, and prints the front."""
    settings = config | {key: value for key in ("budget", "workers") if (value := getattr(args, key))}
    resume = (Path(settings["out"]) / "ledger.jsonl").exists()
    print(nas.optimize(**given, **settings, resume=resume).table.to_string(index=False))
