"""The command line: arguments in, text out."""

from __future__ import annotations

import os
import sys

from pettingllms.hiding import guard_output


def main() -> None:
    """Run `pettingllms` with the process's arguments and leave with its exit code."""
    # A stream that the caller closed is None, which no library expects.
    closed = [name for name in ("stdout", "stderr") if getattr(sys, name) is None]
    for name in closed:
        setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
    guard_output()
    try:
        from pettingllms.cli.app import run

        code = run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Whoever read the output has gone; without this, Python would complain again at its own end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        if error.filename is not None:
            raise
        # Without a file name it is one of the standard streams, such as a full disk behind a redirection.
        print(f"error: the output cannot be written: {error.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 2
    if "stdout" in closed and code == 0:
        print("error: the output cannot be written: standard output is closed", file=sys.stderr)
        code = 2
    sys.exit(code)
