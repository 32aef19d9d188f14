"""The process that compares expressions with math-verify, and asks the scorers of reasoning-gym.

One line of JSON asks, another one answers.

It is started by the path of this file, imports nothing of this package, and leaves the work to a copy of
itself, which is killed where it takes too long: a new copy is there at once, and need not import anything.
"""

import json
import os
import resource
import signal
import socket
import sys
from typing import Any

MEMORY_BYTES = 2 << 30
"""Address space of each process."""
LONGEST_SECONDS = 60
"""Nobody waits so long: a process that computes on has lost who asked it, and ends itself."""


def main() -> None:
    """Answer what comes through the socket that standard input is, until it is closed."""
    asked = socket.socket(fileno=os.dup(0))
    sys.path += json.loads(sys.argv[1])
    limit = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, limit))
    try:
        # Whatever is imported now costs no answer its time.
        if sys.argv[2] == "score":
            import reasoning_gym  # noqa: F401
        else:
            _compared("1", "2")
        said = ""
    except ImportError as error:
        said = str(error)
    while os.fork():
        # Without more to be asked, the copy ends of its own; so does this process, then.
        if os.wait()[1] == 0:
            return
    _work(asked, said)


def _work(asked: socket.socket, said: str) -> None:
    """Say that it is there, by the number of this process, or else what is missing; then answer."""
    with asked.makefile("rwb") as lines:
        _tell(lines, said or str(os.getpid()))
        for line in lines:
            signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS)
            _tell(lines, _verdict(**json.loads(line)))
            signal.setitimer(signal.ITIMER_REAL, 0)


def _tell(lines: Any, word: str) -> None:
    lines.write(json.dumps(word).encode() + b"\n")
    lines.flush()


def _verdict(answer: str, gold: str = "", scorer: dict[str, Any] | None = None) -> str:
    try:
        return _compared(gold, answer) if scorer is None else _scored(scorer, answer)
    except MemoryError:
        return "timeout"
    except Exception:
        # Parsers raise anything for what they cannot read, RecursionError included.
        return "unparsable"


def _compared(gold: str, answer: str) -> str:
    """The verdict; the order of the arguments matters, an interval may equal an inequality one way only."""
    from math_verify import LatexExtractionConfig, parse, verify

    read = [LatexExtractionConfig(boxed_match_priority=-1)]
    both = [
        parse(f"${text}$", read, fallback_mode="no_fallback", parsing_timeout=None) for text in (gold, answer)
    ]
    if not all(both):
        return "unparsable"
    return "correct" if verify(both[0], both[1], timeout_seconds=None) else "wrong"


def _scored(scorer: dict[str, Any], answer: str) -> str:
    """Whether the task says that `answer` solves it. It is made again: its data is no JSON."""
    import reasoning_gym

    key = json.dumps(scorer, sort_keys=True)
    if key not in _tasks:
        rows = reasoning_gym.create_dataset(scorer["name"], size=scorer["size"], seed=scorer["seed"])
        _tasks.clear()
        _tasks[key] = rows, rows[scorer["place"]]
    rows, task = _tasks[key]
    return "correct" if rows.score_answer(answer, task) == 1 else "wrong"


_tasks: dict[str, Any] = {}
"""The last task that was asked about, by what it is."""


if __name__ == "__main__":
    main()
