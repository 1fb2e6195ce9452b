"""What a run is asked to do: the flags of `optimize`, a TOML file with the same names, and the resolved `config.toml`.

Defaults < `--config FILE` < flags. Limits stay as the user wrote them ("256KB"); `limits` and `budget` are the parsed
forms, and a `RunConfig` exists only if they parse.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.data.augment import PRESETS
from nas.functions import FUNCTION
from nas.objectives import (
    Budget,
    Limits,
    parse_budget,
    parse_drop,
    parse_energy,
    parse_latency,
    parse_objectives,
    parse_size,
)
from nas.strategies.options import Options, load_options
from nas.tasks import Task, load_task
from search_spaces.errors import InputError, LimitError, TargetError
from search_spaces.preprocessing import Statistics, parse_normalize, parse_shape
from targets.device import Device, load_device
from targets.program import LEVELS, RUNTIMES, Runtime

CONFIG_FILE = "config.toml"

DEVICES = ("cpu", "cuda", "auto")

# Where and by how many hands a run is done; everything else defines what is found.
_CIRCUMSTANCES = frozenset({"workers", "address", "device", "out", "resume"})


@dataclass(frozen=True, slots=True)
class RunConfig:
    """One run, resolved.

    Attributes:
        model: a `.onnx`, a `.pt2` or `package.module:function`; None is the bundled quickstart.
        weights: safetensors or a `weights_only` checkpoint for a model given as a function.
        data: a folder of class folders, an `.npz`, a `.csv`, or `package.module:function`; None is the quickstart's.
        input_shape: of a model whose file leaves it open, "3x96x96"; "" = the file says.
        normalize: what the original expects of images in [0, 1], "imagenet" or "0.5/0.5"; "" = nothing.
        task: one of `nas.tasks.TASKS`.
        metric: one of the task's, or `package.module:function`; "" = the task's first.
        augment: one of `nas.data.augment.PRESETS`; "" = what suits the data.
        max_size, max_drop, max_ram, max_flash, max_latency, max_energy: limits with units; "" or "none" = no limit.
        objectives: two to four of `nas.objectives.WRITTEN`, separated by commas; the smallest proven model by the first
            of them that is not the drop is chosen.
        target: device name or TOML file.
        runtime: who executes the model on the device, one of `targets.program.RUNTIMES`.
        compiler_level: that runtime and kernels are compiled at, one of `targets.program.LEVELS`; "" = the device's.
        space: name or TOML file of the space declaration.
        budget: training time, "10m", or "2000steps".
        workers: processes that train, at least 1.
        address: a Ray cluster's address, "auto" for the one running here, "" = this machine.
        device: what students are trained on, one of `DEVICES`; whether there is a GPU is seen when the run starts.
        strategy: one of `nas.strategies.options.STRATEGIES`, or a TOML file of its options.
        seed: not negative; the same seed and step plan give the same front.
        final_seeds: trainings of the chosen network and its neighbors on the front, from 1; beyond the first they take
            part of the budget (`nas.repeats`).
        out: the run folder.
        resume: go on with the ledger in `out`.

    Raises:
        LimitError: a limit or the budget cannot be read.
        TargetError: the runtime or the compiler level is unknown.
        InputError: any other field is out of range.
    """

    model: str | None = None
    weights: str | None = None
    data: str | None = None
    input_shape: str = ""
    normalize: str = ""
    task: str = "classification"
    metric: str = ""
    augment: str = ""
    max_size: str = "256KB"
    max_drop: str = "2%"
    max_ram: str = ""
    max_flash: str = ""
    max_latency: str = ""
    max_energy: str = ""
    objectives: str = "size,drop"
    target: str = "nrf52840"
    runtime: Runtime = "tflm"
    compiler_level: str = ""
    space: str = "mcu"
    budget: str = "10m"
    workers: int = 1
    address: str = ""
    device: str = "cpu"
    strategy: str = "nsga2"
    seed: int = 0
    final_seeds: int = 1
    out: str = "results/quickstart"
    resume: bool = False

    def __post_init__(self) -> None:
        _ = self.limits, self.parsed_budget, self.parsed_input_shape, self.statistics, self.loaded_task
        _ = self.options
        if "drop" not in self.parsed_objectives and self.limits.drop is None:
            raise LimitError("objectives without the drop need a limit on it: give --max-drop, or add drop")
        if self.normalize and self.task == "anomaly":
            raise InputError("normalize is not for task anomaly, whose error is against the input; normalize the data")
        if self.runtime not in RUNTIMES:
            raise TargetError(f"runtime must be one of {', '.join(RUNTIMES)}, got {self.runtime!r}")
        if self.compiler_level and self.compiler_level not in LEVELS:
            raise TargetError(f"compiler_level must be one of {', '.join(LEVELS)}, got {self.compiler_level!r}")
        if self.augment and self.augment not in PRESETS:
            raise InputError(f"augment must be one of {', '.join(PRESETS)}, got {self.augment!r}")
        if self.workers < 1:
            raise InputError(f"workers must be at least 1, got {self.workers}")
        if self.device not in DEVICES:
            raise InputError(f"device must be one of {', '.join(DEVICES)}, got {self.device!r}")
        if self.final_seeds < 1:
            raise InputError(f"final_seeds must be at least 1, got {self.final_seeds}")
        if self.seed < 0:
            raise InputError(f"seed must not be negative, got {self.seed}")
        if self.model is None and self.data is not None:
            raise InputError("data needs a model: give --model as well, or neither for the bundled quickstart")
        if self.model is not None and self.data is None:
            raise InputError("a model needs data: give --data as well, or neither for the bundled quickstart")
        if self.weights is not None and (self.model is None or not FUNCTION.fullmatch(self.model)):
            raise InputError("weights are for a model given as package.module:function; a file holds its own")
        for name, value in dataclasses.asdict(self).items():
            if isinstance(value, str) and value.encode(errors="replace").decode() != value:
                raise InputError(f"{name} must be valid UTF-8, got {value!r}; rename the file")
        if not self.out:
            raise InputError("out must name a folder, got an empty name")

    @property
    def limits(self) -> Limits:
        """The limits parsed; None where there is none. The target's own flash and RAM are not in here."""
        return Limits(
            size_bytes=_parsed(parse_size, self.max_size),
            drop=_parsed(parse_drop, self.max_drop),
            ram_bytes=_parsed(parse_size, self.max_ram),
            flash_bytes=_parsed(parse_size, self.max_flash),
            latency_ms=_parsed(parse_latency, self.max_latency),
            energy_uj=_parsed(parse_energy, self.max_energy),
        )

    @property
    def parsed_objectives(self) -> tuple[str, ...]:
        """Names of what is minimised, in the order given."""
        return parse_objectives(self.objectives)

    @property
    def options(self) -> Options:
        """How the strategy goes about it."""
        return load_options(self.strategy)

    @property
    def parsed_budget(self) -> Budget:
        return parse_budget(self.budget)

    @property
    def parsed_input_shape(self) -> tuple[int, ...] | None:
        return parse_shape(self.input_shape) if self.input_shape else None

    @property
    def statistics(self) -> Statistics | None:
        """Mean and standard deviation that the original's images are brought to."""
        return parse_normalize(self.normalize) if self.normalize else None

    @property
    def loaded_task(self) -> Task:
        return load_task(self.task, self.metric)

    @property
    def board(self) -> Device:
        """The target, compiled for as asked.

        Raises:
            TargetError: there is no such device, or its file is wrong.
        """
        device = load_device(self.target)
        return dataclasses.replace(device, compiler_level=self.compiler_level) if self.compiler_level else device

    @property
    def folder(self) -> Path:
        return Path(self.out)

    def fingerprint(self, **digests: str) -> str:
        """16 hexadecimal digits that name what is searched for; equal for a run and its resumption.

        Args:
            digests: SHA-256 of what the paths stood for (`model=..., data=...`), so that a changed file is noticed.
        """
        kept = {key: value for key, value in dataclasses.asdict(self).items() if key not in _CIRCUMSTANCES}
        kept["strategy"] = dataclasses.asdict(self.options)
        text = json.dumps([kept, digests], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_toml(self) -> str:
        """The file that `--config` reads back as an equal config; None, and whether it was resumed, are left out."""
        lines = ["# What this run was asked to do; `optimize --config` takes this file."]
        for name, value in dataclasses.asdict(self).items():
            if value is not None and name != "resume":
                lines.append(f"{name} = {_toml_value(value)}")
        return "\n".join(lines) + "\n"


def resolve(flags: Mapping[str, Any], config_file: Path | None = None, *, cores: int | None = None) -> RunConfig:
    """Defaults, then the file, then the flags that were given.

    Args:
        flags: by field name; None means not given.
        config_file: TOML with the same names (`max_size` or `max-size`).
        cores: the default number of workers; None asks the operating system.

    Raises:
        InputError: the file cannot be read, or something is named that does not exist (the nearest name is said).
        LimitError, TargetError: see `RunConfig`.
    """
    values: dict[str, Any] = {"workers": cores or available_cores()}
    if config_file is not None:
        values |= _read(config_file)
    values |= _checked({key: value for key, value in flags.items() if value is not None}, "the call")
    if "out" not in values and values.get("model"):
        values["out"] = f"results/{_stem(values['model'])}"
    return RunConfig(**values)


def _parsed(parse: Callable[[str], Any], text: str) -> Any:
    return None if text.lower() in ("", "none") else parse(text)


def available_cores() -> int:
    """Processor cores this process may use, which a container or `taskset` may have narrowed."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def _stem(model: str) -> str:
    """A folder name for a model: the file's stem, or the function's name."""
    return model.rsplit(":", 1)[1] if FUNCTION.fullmatch(model) else Path(model).stem


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from None
    return _checked(found, str(path))


def _checked(found: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The values by field name, each of its field's type."""
    fields = {field.name: str(field.type) for field in dataclasses.fields(RunConfig)}
    values: dict[str, Any] = {}
    for written, value in found.items():
        name = written.replace("-", "_")
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(fields)}"
            raise InputError(f"{source} has the unknown key {written!r}; {advice}")
        wanted = {"int": int, "bool": bool}.get(fields[name], str)
        if type(value) is not wanted:
            form = {int: "a whole number", bool: "true or false", str: 'text in quotes, such as "256KB"'}[wanted]
            raise InputError(f"{source}: {name} must be {form}, got {value!r}")
        values[name] = value
    return values


def _toml_value(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    # A JSON string is a TOML basic string, except that TOML also wants DEL escaped.
    return str(value) if isinstance(value, int) else json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
