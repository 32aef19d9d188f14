"""The process that builds a trial's engine while its launcher starts, and keeps it for the next trial.

Its standard input is a listening socket. Whoever started it is the first to connect, and stays: it sends the
run folder of each trial, one JSON text per line. Then the trial's worker connects, and is served as by a
child of its own. From the second trial on the answer to a folder is one line: empty where the engine can
serve that trial too, or else why not. This process then ends, as it does when who started it hangs up.
"""

from __future__ import annotations

import json
import os
import pickle
import socket
from pathlib import Path
from typing import Any

from pettingllms.config.homes import plan_policies
from pettingllms.config.trial_file import read_trial
from pettingllms.hiding import guard_output
from pettingllms.models.folders import local_folder
from pettingllms.process import end_with_parent
from pettingllms.rollout.engine import EngineSettings
from pettingllms.rollout.engine_process import attempt, build, serve
from pettingllms.rollout.engine_settings import differences, engine_settings

KEPT = "the engine of the trial before serves this one: its weights are restored and verified"


def main(listener: socket.socket) -> None:
    """Serve one trial after the other with one engine, as long as it can."""
    owner, _ = listener.accept()
    folders = owner.makefile("r", encoding="utf-8")
    settings = _settings(Path(json.loads(folders.readline())))
    built = build(settings)
    _serve_worker(listener, built, settings)
    worked, engine = built
    while worked:
        # While the trial before is being put away, and the next one is not there yet.
        restored, failure = attempt(engine.restore)
        line = folders.readline()
        if not line:
            break
        folder = Path(json.loads(line))
        wanted = _settings(folder)
        others = ", ".join(differences(settings, wanted))
        why = f"it needs other settings: {others}" if others else "" if restored else failure
        if not why:
            _write_to(folder / "engine.log")
            print(KEPT)
        owner.sendall(json.dumps(why).encode() + b"\n")
        if why:
            break
        _serve_worker(listener, built, wanted)
    if worked:
        engine.close()


def _serve_worker(listener: socket.socket, built: tuple[bool, Any], wanted: EngineSettings) -> None:
    """Serve one connection to its end; the worker has to ask for what the engine was started for."""
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as calls, connection.makefile("wb") as answers:
        try:
            asked = pickle.load(calls)
        except EOFError:
            return
        if asked != wanted:
            built = (False, f"this engine is that of another trial; it was asked for {asked}")
        serve(built, calls, answers)


def _settings(folder: Path) -> EngineSettings:
    """The engine of the trial in `folder`, as its worker works it out."""
    config = read_trial(folder / "trial.toml")
    plans = plan_policies(config)
    model = local_folder(next(iter(plans.values())).path, print)
    return engine_settings(config, plans, model)


def _write_to(log: Path) -> None:
    """Let all output of this process, also that of libraries, go to `log` from now on."""
    with log.open("ab") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)


if __name__ == "__main__":
    guard_output()
    end_with_parent()
    main(socket.socket(fileno=os.dup(0)))
