"""The contract between a worker process and the stages it hosts. Knows no socket and no model."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from prometheus_client import CollectorRegistry

from voicectl.core.profile import Profile
from voicectl.core.sections.hardware import Worker
from voicectl.engine.messages import Body, ReplyBody

Emit = Callable[[ReplyBody], None]
"""Sends one reply of a request to the gateway. May be called from any thread, in order."""


@dataclass(frozen=True, slots=True)
class StageSetup:
    """What a stage needs to load: the profile, where it is placed, and its verified model folder.

    What the stage measures it registers in `metrics`; the worker sends the values to the gateway.
    """

    profile: Profile
    worker: Worker
    model_root: Path
    metrics: CollectorRegistry = field(default_factory=CollectorRegistry)


@dataclass(frozen=True, slots=True)
class Job:
    """One request as a stage sees it. `deadline_at` is on this host's monotonic clock."""

    request_id: int
    priority: int
    deadline_at: float
    body: Body
    emit: Emit


class StageRuntime(Protocol):
    """A loaded stage. Its methods are called on the worker's event loop and must not block.

    A stage answers every submitted job with exactly one terminal reply, bounded queues answer
    `Failed("rejected")`, passed deadlines `Failed("deadline")`, cancelled jobs `Failed("cancelled")`.
    """

    def submit(self, job: Job) -> None:
        """Queue a job."""
        ...

    def cancel(self, request_id: int) -> None:
        """Stop a job at the next safe point; unknown ids are ignored."""
        ...

    def queued(self) -> int:
        """Return how many jobs wait or run."""
        ...

    def close(self) -> None:
        """Stop all threads; running jobs answer `Failed("cancelled")`. May block up to a second."""
        ...


@runtime_checkable
class MayBreak(Protocol):
    """A stage that can get into a state in which only another process helps."""

    def broken(self) -> str | None:
        """Return why the stage cannot go on, None while it can. The worker then ends and is replaced."""
        ...
