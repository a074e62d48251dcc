"""Read the passes of several jobs together, each job going its own way. Knows neither Whisper nor quality."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import structlog

from voicectl.engine.jobs import JobRun
from voicectl.engine.messages import Transcribed
from voicectl.engine.stage import Job
from voicectl.engine.stt.model import Pass
from voicectl.engine.stt.quality import Reading

log = structlog.get_logger(__name__)

E = TypeVar("E")

Plan = Generator[Pass, Reading, Transcribed]
"""What one job wants to read: passes out, readings in, the result at the end."""


class ReadsPasses(Protocol[E]):
    """What is needed of a model; what it makes of a pass before decoding (`E`) is its own affair."""

    def encode(self, look: Pass) -> E:
        """Prepare one pass."""
        ...

    def decode(self, passes: Sequence[Pass], encoded: Sequence[E]) -> list[Reading]:
        """Return a reading for each pass of one group."""
        ...


@dataclass(slots=True, eq=False)
class _Work(Generic[E]):
    """A job under way: the pass that it waits for (None: there is none), and what the model made of that so far."""

    run: JobRun
    plan: Plan
    look: Pass | None = None
    encoded: E | None = None

    def advance(self, reading: Reading | None) -> None:
        """Go on with a reading (None: begin), to the next pass or to the end."""
        self.look = self.encoded = None
        with self.run.guarded():
            self.run.check()
            try:
                self.look = next(self.plan) if reading is None else self.plan.send(reading)
            except StopIteration as result:
                self.run.end(result.value)


class PassReader(Generic[E]):
    """A batch handler: rounds of passes that agree in their group, until every job has its result.

    A job that needs one pass more, such as a second look at 30 s, holds up none that is done.
    """

    def __init__(self, plan: Callable[[Job], Plan], model: ReadsPasses[E]) -> None:
        self._plan = plan
        self._model = model

    def __call__(self, batch: Sequence[JobRun]) -> None:
        """End every job of the batch."""
        works: list[_Work[E]] = [_Work(run, self._plan(run.job)) for run in batch]
        for work in works:
            work.advance(None)
        while going := [(work, work.look) for work in works if work.look is not None and not work.run.ended]:
            group = going[0][1].group
            now = [(work, look) for work, look in going if look.group == group]
            self._read(now)
            # First looks go before second ones, which are long.
            works = [work for work, look in going if look.group != group] + [work for work, _ in now]

    def _read(self, works: Sequence[tuple[_Work[E], Pass]]) -> None:
        """Read one pass of each job."""
        for work, look in works:
            with work.run.guarded():
                work.run.check()
                work.encoded = self._model.encode(look)
        for work, _ in works:
            # One that was cancelled, or is late, ends here and costs the others nothing.
            with work.run.guarded():
                work.run.check()
        ready = [(work, look, work.encoded) for work, look in works if work.encoded is not None and not work.run.ended]
        if not ready:
            return
        for (work, _, _), reading in zip(ready, self._decoded(ready), strict=True):
            if reading is not None:
                work.advance(reading)

    def _decoded(self, ready: Sequence[tuple[_Work[E], Pass, E]]) -> Sequence[Reading | None]:
        """Return the readings; None for a job that failed. Each is read alone if together they break."""
        try:
            return self._model.decode([look for _, look, _ in ready], [encoded for _, _, encoded in ready])
        except Exception:
            log.exception("batch_not_decoded", size=len(ready))
        return [self._decoded_alone(*one) for one in ready]

    def _decoded_alone(self, work: _Work[E], look: Pass, encoded: E) -> Reading | None:
        with work.run.guarded():
            (reading,) = self._model.decode([look], [encoded])
            return reading
        return None
