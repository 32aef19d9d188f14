"""The border to plug-ins: what agents and environments raise costs what they were doing, and is named."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from pettingllms.errors import InfrastructureError, PettingLLMsError, in_one_line, raised_in_line

T = TypeVar("T")

_log = logging.getLogger(__name__)


class ImproperError(Exception):
    """An agent or environment gave something that its contract does not allow."""


@dataclass(frozen=True, slots=True)
class Failed:
    """In place of what an agent or environment should have given.

    `masked`: `infrastructure` where the machinery around it failed, `error` where it did itself. `reason`:
    one line.
    """

    masked: Literal["infrastructure", "error"]
    reason: str


def guarded(what: str, work: Callable[[], T]) -> T | Failed:
    """What `work` returns, or why it failed, which is logged, too.

    `what` begins the message, e.g. "agent 'verifier' failed on task 12". The machinery failed where
    InfrastructureError or an OSError (TimeoutError is one) is raised, and the agent or environment where
    anything else is. Other errors of this package go through: who raises one means the whole run.
    """
    failed: Failed
    try:
        return work()
    except (InfrastructureError, OSError) as cause:
        failed = Failed("infrastructure", in_one_line(cause))
    except PettingLLMsError:
        raise
    except ImproperError as cause:
        failed = Failed("error", str(cause))
    except (Exception, SystemExit) as cause:
        # SystemExit: a program of the model that is run in here must not end the trainer.
        failed = Failed("error", raised_in_line(cause))
    _log.warning("%s: %s", what, failed.reason)
    return failed
