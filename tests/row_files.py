"""Files with rows, for tests, one object a line; and an experiment that names them."""

import json
from pathlib import Path

from pettingllms.lint.engine import check_experiment

EXPERIMENT = Path(__file__).parent / "cases/valid/two_agents.toml"


def write_lines(path, rows):
    """Write `rows` as JSON lines; bytes and texts among them as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for row in rows:
            line = (
                row if isinstance(row, bytes) else (row if isinstance(row, str) else json.dumps(row)).encode()
            )
            file.write(line + b"\n")
    return path


def sums(count, first=0):
    """Rows of `math_env`, all different."""
    return [{"question": f"What is {n} + 1?", "answer": n + 1} for n in range(first, first + count)]


def experiment(**env):
    """The experiment with these values in `env`."""
    config = check_experiment(EXPERIMENT).experiment.config
    return config.model_copy(update={"env": config.env.model_copy(update=env)})
