"""The border to plug-ins: what agents and environments raise is named once, with the context they lack."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from pettingllms.errors import InfrastructureError, Interrupted, RolloutError

T = TypeVar("T")

_log = logging.getLogger(__name__)


def guarded(what: str, work: Callable[[], T]) -> T | None:
    """What `work` returns, or None where the machinery around it failed, which is logged.

    `what` begins the message, e.g. "agent 'verifier' failed on task 12". The machinery failed where
    InfrastructureError or an OSError (TimeoutError is one) is raised. Raises RolloutError for anything else.
    """
    try:
        return work()
    except (InfrastructureError, OSError) as cause:
        _log.warning("%s: %s: %s", what, type(cause).__name__, cause)
        return None
    except Interrupted:
        raise
    except (Exception, SystemExit) as cause:
        # SystemExit: a program of the model that is run in here must not end the trainer.
        raise RolloutError(f"{what}: {type(cause).__name__}: {cause}") from cause
