"""The `tensorboard` logger: scalars in `tensorboard/` of the run folder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from pettingllms.config.training import TrainingConfig


class TensorboardLogger:
    """Writes every metric as a scalar of its name, flushed at every step."""

    def __init__(self, training: TrainingConfig, folder: Path, first: int) -> None:  # noqa: ARG002 - the contract
        self._writer = EventFileWriter(str(folder / "tensorboard"))
        if first:
            # TensorBoard drops what earlier files have of this step and later ones.
            start = SessionLog(status=SessionLog.START)
            self._writer.add_event(Event(wall_time=time.time(), step=first, session_log=start))

    def log(self, record: Mapping[str, float]) -> None:
        """Write `record` at its step."""
        values = [
            Summary.Value(tag=name, simple_value=value) for name, value in record.items() if name != "step"
        ]
        event = Event(wall_time=time.time(), step=int(record["step"]), summary=Summary(value=values))
        self._writer.add_event(event)
        self._writer.flush()

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()
