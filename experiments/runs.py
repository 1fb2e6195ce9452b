"""What the experiments that run `nas.optimize` share: two flags, and going on with a run that was stopped."""

import argparse
from pathlib import Path
from typing import Any

import nas


def parser(text: str) -> argparse.ArgumentParser:
    """The flags that override a `config.toml`; `text` is the script's docstring."""
    found = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--budget")
    found.add_argument("--workers", type=int)
    return found


def fit(config: dict[str, Any], args: argparse.Namespace, **given: Any) -> None:
    """Runs or goes on, and prints the front."""
    settings = config | {key: value for key in ("budget", "workers") if (value := getattr(args, key))}
    resume = (Path(settings["out"]) / "ledger.jsonl").exists()
    print(nas.optimize(**given, **settings, resume=resume).table.to_string(index=False))
