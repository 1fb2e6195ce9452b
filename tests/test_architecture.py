"""The house: three floors with imports only downwards, one door per dependency, small files, public names."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import nas

ROOT = Path(__file__).parents[1]
FLOORS = ("search_spaces", "targets", "nas")
LONGEST = 400

MAY_IMPORT = {
    "search_spaces": {"search_spaces"},
    "targets": {"targets", "search_spaces"},
    "nas": {"nas", "targets", "search_spaces"},
}
"""Of our own packages."""

DOORS = {
    "ai_edge_litert": {"nas/verify/litert.py"},
    "bakenn": {"nas/deploy/cmsis_nn.py"},
    "elftools": {"nas/deploy/elf.py"},
    "flatbuffers": {"nas/verify/litert.py"},
    "matplotlib": {"nas/report/plots.py"},
    "moocore": {"nas/pareto.py"},
    "onnxruntime": {"nas/runtime.py"},
    "optuna": {"nas/dashboard.py", "nas/strategies/bayes.py", "nas/tuning.py"},
    "pandas": {"nas/report/tables.py"},
    "pymoo": {"nas/strategies/evolution.py"},
    "ray": {"nas/ray_pool.py"},
    "rich": {"nas/progress.py"},
    "tflite_micro": {"nas/verify/tflm.py"},
    "safetensors": {"nas/checkpoints.py", "nas/pytorch/modules.py"},
    "scipy": {"nas/statistics.py"},
    "typer": {"nas/cli.py"}
    | {f"nas/commands/{name}.py" for name in ("finished", "guard", "inspect", "optimize", "options")},
    "unicorn": {"nas/deploy/unicorn_cpu.py"},
}
"""Who may import what, so that a dependency can be replaced in one place."""


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


OURS = [path for package in FLOORS for path in modules(package)]
by_module = pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def typing_only(node: ast.AST) -> bool:
    """Is it an `if TYPE_CHECKING:`, whose body never runs?"""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(node: ast.AST, *, run: bool) -> Iterator[str]:
    """Dotted names of imported modules, those inside functions included; with `run`, not those for types alone."""
    for child in ast.iter_child_nodes(node):
        if run and typing_only(child):
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"relative import in line {child.lineno}"
            yield child.module or ""
        else:
            yield from imports(child, run=run)


def packages(path: Path, *, run: bool) -> set[str]:
    return {name.partition(".")[0] for name in imports(tree(path), run=run)}


@by_module
def test_imports_go_downwards_only(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    own = packages(path, run=False) & {*FLOORS, "experiments", "tests", "results"}
    assert own <= MAY_IMPORT[package]


@pytest.mark.parametrize("package", ["search_spaces", "targets"])
def test_the_lower_floors_know_no_torch(package: str) -> None:
    for path in modules(package):
        assert not packages(path, run=False) & {"torch", "torchvision"}, path


def test_importing_the_lower_floors_loads_neither_torch_nor_the_floors_above() -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in ("search_spaces", "targets")
        for path in modules(package)
    ]
    code = f"import importlib, sys; [importlib.import_module(name) for name in {names!r}]; " + (
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'nas', 'ray', 'optuna', 'pymoo'}))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert found.stdout.strip() == "[]", found.stderr


@pytest.mark.parametrize("dependency", DOORS)
def test_every_dependency_has_one_door(dependency: str) -> None:
    users = {str(path.relative_to(ROOT)) for path in OURS if dependency in packages(path, run=True)}
    assert users == DOORS[dependency]


def test_nothing_imports_the_experiments() -> None:
    for path in [*OURS, *modules("tests")]:
        assert "experiments" not in packages(path, run=False), path


def test_modules_import_each_other_in_no_circle() -> None:
    """Following imports that run when a module is loaded, nobody comes back to where they began."""
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in OURS}
    edges = {name: loaded(path, names) - {name} for name, path in names.items()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name not in done:
            for following in sorted(edges[name]):
                visit(following, (*way, name))
            done.add(name)

    for name in names:
        visit(name, ())


def loaded(path: Path, names: dict[str, Path]) -> set[str]:
    """Our modules that the module's top level imports, `from package import module` resolved."""
    found = set()
    for node in tree(path).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inside & names.keys()) or {node.module}
    return found & names.keys()


@by_module
def test_a_module_says_what_it_is_for_and_stays_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST
    assert ast.get_docstring(tree(path))


@by_module
def test_nothing_is_pickled(path: Path) -> None:
    assert not packages(path, run=False) & {"pickle", "joblib", "dill", "cloudpickle", "shelve"}


def test_the_public_names_are_there_and_no_others() -> None:
    public = {name for name, value in vars(nas).items() if not name.startswith("_") and not _is_module(value)}
    assert public - {"annotations"} == set(nas.__all__) - {"__version__"}
    assert all(hasattr(nas, name) for name in nas.__all__)
    assert nas.__all__ == sorted(nas.__all__)


def _is_module(value: object) -> bool:
    return type(value).__name__ == "module"
