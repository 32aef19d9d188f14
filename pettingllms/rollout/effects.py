"""What an episode asks for while it is played; it knows neither the engine nor threads."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from pettingllms.types import Completion, Request

T = TypeVar("T")
Job: TypeAlias = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Generate:
    """Completions of `requests`, at least one: the answer is a list of them, in order."""

    requests: Sequence[Request]


@dataclass(frozen=True, slots=True)
class Run:
    """Work of agents and environments, at least one job: the answer is a list of what they return, in order.

    The jobs may run at the same time, in other threads.
    """

    jobs: Sequence[Job]


Script: TypeAlias = Generator[Generate | Run, Any, T]
"""Yields effects, is sent their answers, and returns its result."""


def generate(requests: Sequence[Request]) -> Script[list[Completion]]:
    """One completion per request, in order."""
    completions: list[Completion] = (yield Generate(requests)) if requests else []
    return completions


def run(jobs: Sequence[Callable[[], T]]) -> Script[list[T]]:
    """What each job returns, in order."""
    results: list[T] = (yield Run(jobs)) if jobs else []
    return results
