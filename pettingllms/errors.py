"""The exception tree: every error a user can cause, each branch with its exit code; others in one line."""


class PettingLLMsError(Exception):
    """Base of all errors of this package; `exit_code` is what the command line returns.

    The message says what happened; `help` says what to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, *, help: str | None = None) -> None:  # noqa: A002
        super().__init__(message)
        self.help = help


class RefusedError(PettingLLMsError):
    """The configuration, or this machine, does not allow the run (exit 1)."""


class UsageError(PettingLLMsError):
    """The command line is wrong or a named file cannot be read (exit 2)."""

    exit_code = 2


class StudyError(PettingLLMsError):
    """The storage of a study cannot be reached, read or written (exit 2)."""

    exit_code = 2


class LauncherError(PettingLLMsError):
    """The trial's process could not be started at all (exit 4)."""

    exit_code = 4


class RolloutError(PettingLLMsError):
    """An environment, agent or engine failed while episodes were played (exit 3)."""

    exit_code = 3


class LostEngineError(RolloutError):
    """The engine's process has ended or says nothing; the message goes on after "the engine process"."""


class InfrastructureError(RolloutError):
    """The machinery around an environment failed: what the policy did is not to blame.

    An environment or agent raises it (or any OSError, TimeoutError among them) where a sandbox, a server or
    a file let it down. The action then has no reward and trains nothing; the run goes on.
    """


class ReflectionError(PettingLLMsError):
    """The model that shall write better prompts gives no answer (exit 3)."""

    exit_code = 3


class CheckpointError(PettingLLMsError):
    """A checkpoint could not be written or read (exit 3)."""

    exit_code = 3


class Interrupted(PettingLLMsError):  # noqa: N818 - an event, not a fault
    """The user or the system asked the run to stop (exit 130, or 143 for SIGTERM)."""

    def __init__(self, signal_number: int) -> None:
        super().__init__("interrupted")
        self.exit_code = 128 + signal_number


class DivergedError(PettingLLMsError):
    """What a policy is trained with are no numbers any more, step after step (exit 3)."""

    exit_code = 3


class InvariantError(PettingLLMsError):
    """What is about to be trained is not what was sampled: a fault of this package (exit 3)."""

    exit_code = 3


class LostRankError(PettingLLMsError):
    """Another process of the run has ended, so that this one cannot go on (exit 3)."""

    exit_code = 3


def in_one_line(error: BaseException) -> str:
    """`ValueError: the first line of what it says`, of somebody else's error."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def raised_in_line(error: BaseException) -> str:
    """The same, and ` (file.py:12)` where it was raised."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename.replace("\\", "/").rpartition("/")[2]
        place, trace = f" ({file}:{trace.tb_lineno})", trace.tb_next
    return in_one_line(error) + place
