"""What a study knows of its cells: one row each, and what every part of a sweep asks of the others."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

State = Literal["waiting", "running", "complete", "pruned", "failed"]
Cause = Literal["oom", "port", "preempted", "stalled", "no_objective", "impossible", "error"]
"""Why an attempt ended without a result. `preempted`: a signal from outside, or the worker has gone."""

ENDED: frozenset[State] = frozenset({"complete", "pruned", "failed"})


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of a study. An ended one is never claimed again, unless `sweep retry` says so.

    `number`: of the cell, and of its folder. `values`: of each axis by dotted path, as they are in the file
    (no labels); `active`: the dotted paths of those that are swept here. `attempt` counts the claims and
    tells a worker whose lease has run out from the one that has the cell now. `lease_until` and
    `not_before` are Unix seconds. `failures` counts attempts that ended by a cause after which the cell is
    tried again. `objectives`: in the order of `[sweep] objectives`. `reason`: why there are none, for
    people. `seconds` are of all attempts, `gpu_seconds` the same times GPUs. `advice`: the number of the
    Optuna trial. `outside`: the cell has ended, and the space does not have it any more.
    """

    number: int
    values: Mapping[str, Any]
    active: tuple[str, ...] = ()
    state: State = "waiting"
    attempt: int = 0
    failures: int = 0
    worker: str | None = None
    lease_until: float = 0.0
    not_before: float = 0.0
    folder: str | None = None
    step: int = 0
    total_steps: int = 0
    objectives: tuple[float, ...] | None = None
    reason: str | None = None
    cause: Cause | None = None
    seconds: float = 0.0
    gpu_seconds: float = 0.0
    advice: int | None = None
    outside: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def swept(self) -> dict[str, Any]:
        """The values of the axes that are swept here."""
        return {name: value for name, value in self.values.items() if name in self.active}


class Table(Protocol):
    """The rows of one study while nobody else can look at them or change them."""

    @property
    def header(self) -> Mapping[str, Any]:
        """What the study is: its space, sampler, objectives and source. JSON values."""
        ...

    @property
    def rows(self) -> Mapping[int, Row]:
        """All rows by number."""
        ...

    def put(self, row: Row) -> None:
        """Add a row, or write one anew."""
        ...

    def drop(self, number: int) -> None:
        """Take a row out; its number is free again."""
        ...

    def set_header(self, header: Mapping[str, Any]) -> None:
        """Write the header anew."""
        ...


class Ledger(Protocol):
    """Who runs what, for all workers of a study on all machines."""

    def transaction(self) -> AbstractContextManager[Table]:
        """Exclusive among all processes; the changes last when it is left, and none do where it raises.

        What a killed process held is free at once. Raises StudyError where the storage cannot be reached.
        """
        ...


@dataclass(frozen=True, slots=True)
class Proposal:
    """A point of the space that a sampler proposes: values by dotted path, and the Optuna trial's number."""

    values: Mapping[str, Any]
    active: tuple[str, ...]
    advice: int


class Advisor(Protocol):
    """What Optuna says. All of it is called inside a transaction of the ledger, which is the truth.

    Where Optuna knows less than the rows (a worker was killed between two writes), `reconcile` mends it.
    """

    def reconcile(self, rows: Mapping[int, Row]) -> None:
        """Tell Optuna what it has missed: rows that ended, and trials that no row knows of."""
        ...

    def enqueue(self, row: Row) -> int:
        """The Optuna trial of a row whose values are given: of a grid, and of the defaults."""
        ...

    def propose(self, number: int) -> Proposal:
        """Sample values for the row `number` that fulfil the conditions and constraints of the space.

        Raises RefusedError where none are found.
        """
        ...

    def refuse(self, advice: int, reason: str) -> None:
        """The proposal cannot run; it is no row."""
        ...

    def report(self, advice: int, step: int, value: float) -> bool:
        """Take in the objective at `step`; True where the trial is hopeless."""
        ...

    def tell(self, row: Row) -> None:
        """The row has ended."""
        ...
