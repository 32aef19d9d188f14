# The tasks of this project; `just` lists them.

env := "uv run --quiet --extra cpu --extra loggers --group dev"

# List the tasks
default:
    @just --list

# Install everything that developing needs
setup:
    uv sync --extra cpu --extra loggers --group dev

# Resolve anew and write the versions into pyproject.toml, constraints.txt and requirements-cpu.txt
pin:
    uv run --no-project --with tomlkit python benchmarks/pin.py

# Lint, format, types, architecture
check:
    {{env}} ruff check .
    {{env}} ruff format --check .
    {{env}} mypy
    {{env}} pytest -q tests/architecture

# All tests but the slow ones
test *ARGS:
    {{env}} pytest --numprocesses 2 --dist loadfile {{ARGS}}

# The slow proofs: real learning, determinism, interruption (about 75 minutes on 2 cores)
test-slow *ARGS:
    {{env}} pytest -m slow {{ARGS}}

# What policies train x how tasks are played x who shares: two steps of each on vLLM; prints a table
matrix:
    {{env}} pytest -m slow -s -q tests/slow/test_matrix.py

# The CUDA path, on a machine with a GPU: engine beside trainer, sleep and wake, a whole trial
test-gpu *ARGS:
    uv run --quiet --extra cuda --group dev pytest -m gpu -s {{ARGS}}

# Measure, all or the named ones; prints numerator, denominator, ratio (`just bench --help` lists them)
bench *ARGS:
    {{env}} python -m benchmarks {{ARGS}}

# Mutated real files through convert, show and lint; prints the counts of inputs, tracebacks and hangs
fuzz MINUTES="1" *ARGS:
    {{env}} python -m benchmarks.fuzz --minutes {{MINUTES}} {{ARGS}}

# Kills a small run anywhere, goes on with it, and compares it with one that was never stopped
chaos-resume KILLS="20" *ARGS:
    {{env}} python -m benchmarks.chaos_resume {{KILLS}} {{ARGS}}

# Kills workers of a 40-trial study at random, on its folder and on PostgreSQL; prints what was lost or doubled
chaos-sweep *ARGS:
    {{env}} --extra postgres python -m benchmarks.chaos_sweep {{ARGS}}

# Bad dataset rows of every kind, 10,000 each; prints how many were counted, why, and the seconds
bad-rows *ARGS:
    {{env}} python -m benchmarks.bad_rows {{ARGS}}

# Single faults in the shipped presets; prints how many the linter finds, at which line, by which rule
mutations *ARGS:
    {{env}} python -m benchmarks.lint_mutations {{ARGS}}

# Hostile programs as root and as an ordinary user; prints how many were contained, and what the probe found
hostile *ARGS:
    {{env}} pytest -m slow -s -q tests/sandbox/test_hostile.py {{ARGS}}

# HumanEval in the sandbox: canonical solutions, `return None`, and an object that equals everything
humaneval *ARGS:
    {{env}} pytest -m slow -s -q tests/sandbox/test_humaneval.py {{ARGS}}

# The main job
quickstart:
    uv run --extra cpu pettingllms sweep run experiments/quickstart.toml

# Write schemas/*.json from the configuration types
schemas:
    {{env}} python -m pettingllms.config.json_schema schemas

# Write docs/rules.md from the rules
rules:
    {{env}} python -m pettingllms.lint.pages docs/rules.md

# Rewrite the golden files of the tests
golden:
    GOLDEN_UPDATE=1 {{env}} pytest -q tests/lint tests/cli tests/documents tests/foreign

# What cheap strategies earn in every environment, beside honest wrong answers; fails where one pays
hacking *ARGS:
    {{env}} python -m benchmarks.hacking {{ARGS}}
