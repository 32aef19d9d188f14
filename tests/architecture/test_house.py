"""The borders of the house: who imports whom, what stays light, how big a module may get."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pettingllms"
MODULES = sorted(PACKAGE.rglob("*.py"))

EVERYWHERE = {"errors", "types", "registry", "plugins", "process", "hiding", "__init__"}
MAY_IMPORT = {
    "documents": set(),
    "compose": {"documents"},
    "config": {"compose", "documents"},
    "space": {"config", "documents"},
    "foreign": {"config", "compose", "documents"},
    "lint": {
        "space",
        "config",
        "compose",
        "documents",
        "data",
        "envs",
        "agents",
        "models",
        "loggers",
        "retrieval",
    },
    "sandbox": set(),
    "retrieval": set(),
    "data": {"config"},
    "games": {"config"},
    "envs": {"config", "data", "games", "retrieval", "sandbox"},
    "agents": {"config", "envs", "sandbox"},
    "advantages": set(),
    "losses": set(),
    "loggers": {"config"},
    "models": set(),
    "rollout": {"config", "envs", "agents", "models"},
    "runs": set(),
    "training": {
        *("agents", "config", "data", "envs", "evaluation", "rollout", "advantages", "losses"),
        *("loggers", "models", "runs"),
    },
    "sweep": {"agents", "lint", "space", "config", "documents", "loggers", "models", "runs"},
    "evaluation": {"agents", "lint", "config", "compose", "envs", "models", "runs", "sweep"},
    "cli": {
        "evaluation",
        "lint",
        "space",
        "config",
        "compose",
        "documents",
        "foreign",
        "sweep",
        "data",
        "envs",
        "agents",
        "models",
        "loggers",
        "sandbox",
    },
    "__main__": {"cli"},
    "trainer": {"cli", "envs", "agents"},
    "contract": {"envs", "agents", "config"},
}
HEAVY = ("torch", "vllm", "transformers", "accelerate", "peft", "optuna", "sqlalchemy")


def part(path):
    """First folder (or module) below the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.split(".")[0] == "pettingllms" and "." in name:
                yield name.split(".")[1]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_keep_their_direction(path):
    own = part(path)
    allowed = EVERYWHERE | MAY_IMPORT.get(own, set()) | {own}
    assert set(imported_parts(path)) <= allowed


def test_every_part_has_its_row():
    assert {part(path) for path in MODULES} - EVERYWHERE == set(MAY_IMPORT)


LIGHT = [
    *(f"cli.{verb}" for verb in ("app", "lint", "show", "schema", "train", "sweep", "doctor")),
    *(f"cli.{verb}" for verb in ("convert", "new", "set", "diff", "explain", "import_")),
    *("cli.plan", "sweep.planning.plans", "lint.engine", "lint.rules", "sweep.launch", "sweep.study.outcome"),
    *("sweep.study.best", "sweep.study.writing", "space.cells", "config.load"),
    *(
        "envs",
        "envs.math",
        "agents.math",
        "envs.search",
        "agents.search",
        "advantages.grpo",
        "loggers",
        "training.events",
    ),
    *(
        "sweep.engine_keeper",
        "rollout.engine_host",
        "cli.eval",
        "cli.export",
        "cli.data",
        "data.tasks",
        "evaluation.evaluate",
    ),
    *("rollout.engine", "rollout.tree", "config.presets", "trainer.train", "documents.convert"),
    *("plugins", "contract", "trainer.multiagentssys_register"),
]


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_load_no_machine_learning_stack(module):
    code = f"import sys, pettingllms.{module}; print(sorted(set({HEAVY}) & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_modules_are_small():
    sizes = {path: len(path.read_text().splitlines()) for path in MODULES if path.name != "__init__.py"}
    assert statistics.median(sizes.values()) <= 100 + 20
    assert [path.name for path, size in sizes.items() if size > 350] == []


def test_no_module_is_a_drawer_for_leftovers():
    assert not [p for p in MODULES if p.stem in {"utils", "helpers", "common", "misc"}]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_module_opens_with_what_it_owns(path):
    assert ast.get_docstring(ast.parse(path.read_text()))
