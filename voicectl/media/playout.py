"""Pace a reply as it should be played, and know how much of it, in seconds and in words, was heard."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from voicectl.core.audio import BYTES_PER_SAMPLE, FRAME_S, float_to_pcm16, pcm16_to_float
from voicectl.core.clock import Clock
from voicectl.core.ports import WordMark
from voicectl.media.resample import Resampler

Send = Callable[[bytes], Awaitable[None]]
Sleep = Callable[[float], Awaitable[None]]
OnSent = Callable[[float], None]
"""Told for each frame how late it was sent, seconds. Must not wait or raise."""

MAX_QUEUED_S: Final = 20.0
"""Audio that waits to be played; who brings more waits too."""


class PlayoutSchedule:
    """When audio is due, on absolute deadlines: late sending never adds up.

    The listener is taken to play the first piece when it is sent and everything after it without a
    gap. If all that was sent is played before more is there, the rest of the schedule moves by the gap.
    """

    def __init__(self, lead_s: float) -> None:
        self._lead_s = lead_s
        self._starts_at: float | None = None
        self._anchored_at: float | None = None
        self.sent_s = 0.0

    def lateness_s(self, fed_at: float, now: float) -> float:
        """Return how late a piece is sent now that could be sent from `fed_at` on.

        The lead is filled at once, at first and after a gap: what is due before that is due then.
        """
        if self._anchored_at is None:
            return max(0.0, now - fed_at)
        return max(0.0, now - max(self.due_at(now), self._anchored_at, fed_at))

    def due_at(self, now: float) -> float:
        """Return when the next piece may be sent: `now` at first, then `lead_s` before it is played."""
        return now if self._starts_at is None else self._starts_at + self.sent_s - self._lead_s

    def note_sent(self, duration_s: float, now: float) -> None:
        """A piece of this length was sent."""
        if self._starts_at is None or now > self._starts_at + self.sent_s:
            self._starts_at = now - self.sent_s
            self._anchored_at = now
        self.sent_s += duration_s

    def heard_s(self, now: float) -> float:
        """Return how much of the audio can have been played by then."""
        if self._starts_at is None:
            return 0.0
        return min(self.sent_s, max(0.0, now - self._starts_at))

    def ends_at(self, now: float) -> float:
        """Return when all that was sent is played."""
        return now if self._starts_at is None else self._starts_at + self.sent_s


class Playout:
    """Sends one reply, frame by frame, once it is released. Its owner runs `run` as a task."""

    def __init__(
        self,
        send: Send,
        *,
        output_rate: int,
        lead_ms: int,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
        max_queued_s: float = MAX_QUEUED_S,
        on_sent: OnSent | None = None,
    ) -> None:
        """`sleep` waits so many seconds of `clock`."""
        self._send = send
        self._on_sent = on_sent
        self._output_rate = output_rate
        self._frame_bytes = round(output_rate * FRAME_S) * BYTES_PER_SAMPLE
        self._clock = clock
        self._sleep = sleep
        self._schedule = PlayoutSchedule(lead_ms / 1000)
        self._max_queued_bytes = round(max_queued_s * output_rate) * BYTES_PER_SAMPLE
        self._queued = bytearray()
        self._fed_at = 0.0
        self._resampler: Resampler | None = None
        self._released = False
        self._finished = False
        self._stopped = False
        self._held = False
        self._drained = asyncio.Event()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def audio_s(self) -> float:
        """Return how much audio was queued so far, played or not."""
        return self._schedule.sent_s + self._seconds(len(self._queued))

    async def play(self, pcm: bytes, sample_rate: int) -> None:
        """Queue 16-bit PCM. Waits while the queue is full; what comes after a stop is dropped."""
        while len(self._queued) >= self._max_queued_bytes and not self._stopped:
            self._room.clear()
            await self._room.wait()
        if self._stopped or self._finished:
            return
        if len(self._queued) < self._frame_bytes:
            self._fed_at = self._clock.now()
        self._queue(pcm, sample_rate)
        self._wake.set()

    def release(self) -> None:
        """Let the queued audio play, and all that follows."""
        self._released = True
        self._fed_at = self._clock.now()
        self._wake.set()

    def finish(self) -> None:
        """No more audio will come."""
        if not self._finished:
            self._finished = True
            if len(self._queued) < self._frame_bytes:
                self._fed_at = self._clock.now()
            self._flush()
            self._wake.set()

    def hold(self) -> None:
        """Send nothing more for now. What was sent plays on, which is the lead at most."""
        self._held = True

    def resume(self) -> None:
        """Go on with the first sample that was not sent; nothing is made up for but the lead."""
        if self._held:
            self._held = False
            self._fed_at = self._clock.now()
            self._wake.set()

    def stop(self) -> float:
        """Send nothing more, and return how many seconds were heard."""
        self._stopped = True
        self._queued.clear()
        self._wake.set()
        self._room.set()
        self._drained.set()
        return self.heard_s()

    def heard_s(self) -> float:
        """Return how many seconds the listener can have heard by now."""
        return self._schedule.heard_s(self._clock.now())

    async def drained(self) -> None:
        """Wait until everything was played, or the playout was stopped."""
        await self._drained.wait()

    async def run(self) -> None:
        """Send frames as they are due, until all is played or `stop` was called."""
        while not self._stopped:
            frame = self._next_frame()
            if frame is not None:
                await self._send_when_due(frame)
            elif self._released and self._finished and not self._queued:
                break
            else:
                self._wake.clear()
                await self._wake.wait()
        if not self._stopped:
            await self._wait_until(self._schedule.ends_at(self._clock.now()))
        self._drained.set()

    async def _send_when_due(self, frame: bytes) -> None:
        await self._wait_until(self._schedule.due_at(self._clock.now()))
        if self._stopped or self._held:
            return
        del self._queued[: len(frame)]
        self._room.set()
        sent_at = self._clock.now()
        if self._on_sent is not None:
            # What was not there in time is the voice's lateness and not that of sending.
            self._on_sent(self._schedule.lateness_s(self._fed_at, sent_at))
        self._schedule.note_sent(self._seconds(len(frame)), sent_at)
        await self._send(frame)

    async def _wait_until(self, at: float) -> None:
        delay_s = at - self._clock.now()
        if delay_s > 0:
            await self._sleep(delay_s)

    def _next_frame(self) -> bytes | None:
        """Return the next whole frame, or the short one that ends the reply."""
        if not self._released or self._held or not self._queued:
            return None
        if len(self._queued) < self._frame_bytes and not self._finished:
            return None
        return bytes(self._queued[: self._frame_bytes])

    def _queue(self, pcm: bytes, sample_rate: int) -> None:
        if self._resampler is None or self._resampler.source_hz != sample_rate:
            self._flush()
            self._resampler = Resampler(sample_rate, self._output_rate)
        if sample_rate == self._output_rate:
            self._queued += pcm
        else:
            self._queued += float_to_pcm16(self._resampler.push(pcm16_to_float(pcm)))

    def _flush(self) -> None:
        if self._resampler is not None and not self._stopped:
            self._queued += float_to_pcm16(self._resampler.flush())

    def _seconds(self, num_bytes: int) -> float:
        return num_bytes / (BYTES_PER_SAMPLE * self._output_rate)


@dataclass(slots=True)
class _Clause:
    """What is said from `offset_s` of a reply."""

    text: str
    offset_s: float
    duration_s: float
    marks: list[WordMark] = field(default_factory=list)


class HeardMap:
    """Which words of a reply stand where in its audio."""

    def __init__(self) -> None:
        self._clauses: list[_Clause] = []

    def add(self, clause_text: str, marks: Sequence[WordMark], offset_s: float, duration_s: float = 0.0) -> None:
        """Add a clause whose audio begins `offset_s` into the reply, or more marks of the last one.

        `duration_s` is the audio that these marks came with; without marks, words are spread over it.
        """
        last = self._clauses[-1] if self._clauses else None
        if last is None or (last.text, last.offset_s) != (clause_text, offset_s):
            last = _Clause(clause_text, offset_s, 0.0)
            self._clauses.append(last)
        last.marks.extend(marks)
        last.duration_s += duration_s

    def heard(self, heard_s: float) -> str:
        """Return the text up to and including the last word whose midpoint was played."""
        heard = ""
        for clause in self._clauses:
            text = _heard(clause, heard_s - clause.offset_s)
            if heard and text and not (heard[-1].isspace() or text[0].isspace()):
                heard += " "
            heard += text
            if text != clause.text:
                break
        return heard.strip()


def _heard(clause: _Clause, heard_s: float) -> str:
    marks = clause.marks or _spread(clause)
    end = max((mark.end for mark in marks if (mark.start_s + mark.end_s) / 2 <= heard_s), default=0)
    # Punctuation is not spoken: it belongs to the word before it once nothing but it is left.
    return clause.text if end and not re.search(r"\w", clause.text[end:]) else clause.text[:end]


def _spread(clause: _Clause) -> list[WordMark]:
    """Return marks for a voice that gives none: each word gets a share of the time by its letters."""
    if clause.duration_s <= 0 or not clause.text:
        return []
    pace = clause.duration_s / len(clause.text)
    words = re.finditer(r"\S+", clause.text)
    return [WordMark(word.start(), word.end(), word.start() * pace, word.end() * pace) for word in words]
