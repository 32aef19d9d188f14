"""A study without processes: an advisor that remembers what it was told, and trials that follow a script."""

import time
from dataclasses import dataclass, field

from pettingllms.sweep.ledger.in_folder import FileLedger, ledger_text
from pettingllms.sweep.ledger.rows import Proposal
from pettingllms.sweep.runner import TrialResult
from pettingllms.sweep.trial import Trial


class FakeAdvisor:
    """Remembers what it is told; proposes `values` in turn, and calls a trial hopeless below `bar`."""

    def __init__(self, values=(), bar=None):
        self.values, self.bar = list(values), bar
        self.told, self.reported, self.refused, self.count = [], [], [], 0

    def reconcile(self, rows):
        pass

    def enqueue(self, row):
        if row.advice is None:
            self.count += 1
            return self.count - 1
        return row.advice

    def propose(self, number):
        self.count += 1
        return Proposal(self.values.pop(0), ("lora_rank",), self.count - 1)

    def refuse(self, advice, reason):
        self.refused.append((advice, reason))

    def report(self, advice, step, value):
        self.reported.append((advice, step, value))
        return self.bar is not None and value < self.bar

    def tell(self, row):
        self.told.append((row.number, row.state))


class FakeCells:
    """The cells that `make_experiment` makes, by the rank in the row; `impossible` ranks are refused."""

    def __init__(self, cells, impossible=()):
        self.by_rank = {cell.values[("lora_rank",)]: cell for cell in cells}
        self.impossible = impossible

    def of(self, row):
        cell = self.by_rank[row.values["lora_rank"]]
        return type(cell)(row.number, cell.values, cell.config, cell.stored)

    def refusal(self, values, active):
        return "PLM300: no" if values["lora_rank"] in self.impossible else None


@dataclass
class ScriptedTrial:
    """A trial that takes a metric at each look, then ends with `result`; `forever`: it never does."""

    view: object
    steps: list
    result: TrialResult
    forever: bool = False
    silent_seconds: float = 0.0
    signals: list = field(default_factory=list)
    killed: bool = False

    def poll(self):
        if self.killed or self.signals:
            return TrialResult("interrupted", 143, {}, "interrupted", self.result.log_path, "/ck", 1.0)
        if self.steps:
            step, value = self.steps.pop(0)
            self.view.metrics({"step": step, "val/success_rate": value})
            return None
        if self.forever:
            self.silent_seconds = 1e9
            return None
        return self.result

    def stop(self, number, within=None):
        self.signals.append((number, within))

    def kill(self):
        self.killed = True


class ScriptedLauncher:
    """Starts what `script(number, attempt)` gives: a tuple (steps, status or result, reason)."""

    def __init__(self, script):
        self.script, self.started, self.trials, self.closed = script, [], [], False

    def start(self, cell, folder, title, view, slot, while_waiting):
        attempt = sum(number == cell.number for number, *_ in self.started)
        self.started.append((cell.number, slot.number, title))
        found = self.script(cell.number, attempt)
        if isinstance(found, Exception):
            raise found
        steps, status, *rest = found
        metrics = {"val/success_rate": steps[-1][1]} if steps else {}
        reason = rest[0] if rest else None
        result = TrialResult(status, 0, metrics, reason, folder / "log.txt", None, 1.0)
        trial = ScriptedTrial(view, list(steps), result, forever=status == "forever")
        view.begin(Trial(cell.number, folder, cell.values, cell.config, title))
        self.trials.append(trial)
        return trial

    def close(self):
        self.closed = True


def file_ledger(folder, rows=()):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.jsonl").write_text(ledger_text({}, rows))
    return FileLedger(folder)


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
