"""The process that builds a trial's engine while its launcher starts, and keeps it for the next trial.

Its standard input is a listening socket. Whoever started it is the first to connect, and stays: it sends a
token, then the run folder of each trial, one JSON text per line. The trial's worker connects, says the
token, and is served as by a child of its own. From the second trial on the answer to a folder is one line:
empty where the engine can serve that trial too, or else why not. This process then ends, as it does when
who started it hangs up.
"""

from __future__ import annotations

import hmac
import json
import os
import pickle
import select
import socket
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pettingllms.config.homes import engine_groups, plan_policies
from pettingllms.config.trial_file import read_trial
from pettingllms.hiding import guard_output
from pettingllms.models.folders import local_folder
from pettingllms.process import end_with_parent
from pettingllms.rollout.engine import Engine, EngineSettings
from pettingllms.rollout.engine_server import HUNG_UP, attempt, build, serve
from pettingllms.rollout.engine_settings import differences, engine_settings

KEPT = "the engine of the trial before serves this one: its weights are restored"
TOKEN_SECONDS = 5.0
"""How long the token of who connects may take."""


def main() -> None:
    """Serve one trial after the other with one engine, as long as it can."""
    listener = socket.socket(fileno=os.dup(0))
    with Path(os.devnull).open("rb") as nothing:
        # What the engine starts inherits standard input.
        os.dup2(nothing.fileno(), 0)
    owner, _ = listener.accept()
    # Unbuffered: a line that was not asked for stays in the socket, where `select` sees it.
    lines = owner.makefile("rb", buffering=0)
    token: bytes = json.loads(lines.readline()).encode()
    configured = _configured(Path(json.loads(lines.readline())))
    settings = _found(configured)
    built = worked, engine = build(settings)
    _serve_workers(listener, owner, token, built, settings)
    while worked and (line := lines.readline()):
        folder = Path(json.loads(line))
        wanted = _configured(folder)
        # Whoever needs another model does not wait here until it is fetched.
        others = differences(configured, wanted) or differences(settings, _found(wanted))
        why = f"it needs other settings: {', '.join(others)}" if others else _cannot_restore(engine)
        if not why:
            _write_to(folder / "engine.log")
            print(KEPT)
        owner.sendall(json.dumps(why).encode() + b"\n")
        if why:
            break
        _serve_workers(listener, owner, token, built, settings)
    if worked:
        engine.close()


def _serve_workers(
    listener: socket.socket,
    owner: socket.socket,
    token: bytes,
    built: tuple[bool, Any],
    settings: EngineSettings,
) -> None:
    """Serve who knows the token, and asks for what was built, until `owner` says more or hangs up."""
    while owner not in select.select([owner, listener], [], [])[0]:
        connection, _ = listener.accept()
        with suppress(*HUNG_UP), connection:
            if not _knows(connection, token):
                continue
            with connection.makefile("rb") as calls, connection.makefile("wb") as answers:
                others = ", ".join(differences(settings, pickle.load(calls)))
                refused = (
                    False,
                    f"this engine is that of another trial; other settings were asked for: {others}",
                )
                serve(refused if others else built, calls, answers)


def _knows(connection: socket.socket, token: bytes) -> bool:
    """Whether `token` is what the other side says first.

    Programs that a model writes may run as the same user, and what is read after this is unpickled.
    """
    connection.settimeout(TOKEN_SECONDS)
    try:
        # Sent in one piece, so short enough to be received as one.
        said = connection.recv(len(token))
    except OSError:
        return False
    connection.settimeout(None)
    return hmac.compare_digest(said, token)


def _cannot_restore(engine: Engine) -> str:
    """Restore the engine; why that failed, or nothing."""
    restored, failure = attempt(engine.restore)
    return "" if restored else str(failure)


def _configured(folder: Path) -> EngineSettings:
    """The engine of the trial in `folder`, which has one; its model is named as it is configured."""
    config = read_trial(folder / "trial.toml")
    (asked,) = engine_groups(config, plan_policies(config))
    return engine_settings(config, asked, Path(asked[0].path))


def _found(configured: EngineSettings) -> EngineSettings:
    """The same with the model's folder, as the trial's worker works it out."""
    return replace(configured, model_folder=local_folder(str(configured.model_folder), print))


def _write_to(log: Path) -> None:
    """Let all output of this process, also that of libraries, go to `log` from now on."""
    with log.open("ab") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)


if __name__ == "__main__":
    guard_output()
    end_with_parent()
    main()
