"""`python -m pettingllms.trainer.train --config-name NAME a.b=c`: the documented way to start a trial."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pettingllms.errors import UsageError

INSTEAD = {
    "--multirun": "swept values stand in the file: `pettingllms sweep run FILE`",
    "--info": "`pettingllms explain FILE KEY` shows where a value comes from",
    "--package": "an entry of the defaults list names its package",
    "--run": "a trial is run without it",
    "--shell-completion": "`pettingllms --install-completion`",
    "--experimental-rerun": "`pettingllms train RUN_FOLDER/resolved.toml` runs it again",
}


def arguments_of(words: Sequence[str]) -> list[str]:
    """The words of the `pettingllms` command that do what Hydra's `words` ask for.

    Raises UsageError for an option of Hydra that has no counterpart, saying what to do instead.
    """
    parser = _parser()
    known, overrides = parser.parse_known_args(list(words))
    for word in overrides:
        option = "--multirun" if word == "-m" else word.partition("=")[0]
        if option.startswith("-"):
            raise UsageError(
                f"{word} is not available", help=INSTEAD.get(option, parser.format_usage().strip())
            )
        if option.lstrip("+~").startswith("hydra."):
            raise UsageError(f"{word}: this is no Hydra run", help="run folders lie below --output")
    if known.config_name is None:
        raise UsageError("--config-name is missing", help=parser.format_usage().strip())
    file = _file(known.config_name, known.config_path or known.config_dir)
    if known.cfg is not None:
        return ["show", file, *(["--resolved"] if known.resolve else []), "--as", "yaml", "--", *overrides]
    return ["train", file, "--output", known.output, "--", *overrides]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pettingllms.trainer.train",
        description="Run one trial. Overrides are key=value, as many as wanted.",
        allow_abbrev=False,
    )
    parser.add_argument("--config-name", "-cn", metavar="NAME", help="experiment, by name or file")
    parser.add_argument("--config-path", "-cp", metavar="DIR", help="folder of the experiment")
    parser.add_argument("--config-dir", "-cd", metavar="DIR", help="the same")
    parser.add_argument("--cfg", "-c", choices=["job"], help="print the configuration and do not run")
    parser.add_argument("--resolve", action="store_true", help="with --cfg: with references replaced")
    parser.add_argument("--output", metavar="DIR", default="outputs", help="folder for run folders")
    return parser


def _file(name: str, folder: str | None) -> str:
    """The file of an experiment; a relative folder is that of the caller, else the one that Hydra means."""
    if folder is None:
        return name
    if Path(folder).is_dir():
        return str(Path(folder) / name)
    beside = Path(__file__).parent / folder
    return str((beside if beside.is_dir() else Path(folder)) / name)


def main() -> None:
    """Run the command with the process's arguments and leave with its exit code."""
    from pettingllms.cli import main as run_command

    try:
        sys.argv[1:] = arguments_of(sys.argv[1:])
    except UsageError as error:
        print(f"error: {error}\nhelp: {error.help}", file=sys.stderr)
        sys.exit(error.exit_code)
    run_command()


if __name__ == "__main__":
    main()
