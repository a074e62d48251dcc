"""One call under load: connects, follows its script in real time, and ends in a `CallSample`, whatever happens."""

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from voicectl.bench.generator.evidence import SpokenTurn, TurnView, belated, sample_of
from voicectl.bench.generator.failures import CallFailed, refused, unfinished
from voicectl.bench.generator.frames import FrameBank, Timeline
from voicectl.bench.generator.hearing import Hearing
from voicectl.bench.generator.lag import Thinned
from voicectl.bench.generator.line import Line, open_line
from voicectl.bench.generator.target import CallSettings
from voicectl.bench.run_record import CallSample, TurnSample
from voicectl.bench.turns import Reply
from voicectl.bench.workload.ready import CallScript, ReadyTurn

SETTLED_S: Final = 0.4
"""A reply is over when nothing has happened for this long after it was played out."""
CUT_IN_GRACE_S: Final = 2.0
"""How long a caller who was cut in on waits for a second answer."""
MAX_REPLY_S: Final = 60.0
"""A caller listens to a reply for so long, then speaks again."""
PING_FRAMES: Final = 100
"""A round trip is measured every so many frames: two seconds."""


@dataclass(frozen=True, slots=True)
class _Marks:
    """How far the record was when a turn began."""

    num_responses: int
    num_committed: int


@dataclass(slots=True)
class _Turn:
    """A turn in progress, or one that waits to be measured. `answered_at` is the first sound of its answer."""

    spoken: SpokenTurn
    marks: _Marks
    answered_at: float | None = None
    interrupts: "_Turn | None" = None
    over_at: float | None = None
    sample: TurnSample | None = None


class Conversation:
    """A call; `hold` makes it. One task and the event loop's callbacks share it, so nothing is locked."""

    def __init__(
        self,
        number: int,
        script: CallScript,
        bank: FrameBank,
        settings: CallSettings,
        lag: Thinned,
        *,
        on_turn: Callable[[TurnSample], None] = lambda turn: None,
    ) -> None:
        self._number = number
        self._script = script
        self._bank = bank
        self._settings = settings
        self._lag = lag
        self._on_turn = on_turn
        self._hearing = Hearing(self._notify, self._fail, beta=settings.beta)
        self._record = self._hearing.record
        self._timeline = Timeline(bank.between, offset=number * 37)
        self._line: Line | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self._failure: CallFailed | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._turns: list[_Turn] = []

    async def hold(self, scheduled_at: float) -> CallSample:
        """Make the call and return what became of it; `scheduled_at` is on the monotonic clock."""
        started_at = time.monotonic()
        self._lag.note(max(0.0, started_at - scheduled_at))
        connected_at: float | None = None
        failure: CallFailed | None = None
        try:
            connected_at = await self._connect()
            await self._converse(connected_at)
        except CallFailed as error:
            failure = error
        finally:
            ended_at = time.monotonic()
            await self._hang_up()
        self._conclude(ended_at)
        epoch_at = self._settings.epoch_at
        return CallSample(
            call=self._number,
            workload=self._script.conversation.name,
            scheduled_at=scheduled_at - epoch_at,
            started_at=started_at - epoch_at,
            connected_at=None if connected_at is None else connected_at - epoch_at,
            ended_at=ended_at - epoch_at,
            end="completed" if failure is None else failure.end,
            failure=None if failure is None else self._told(failure),
            turns=tuple(self._with_transcript(place) for place in range(len(self._turns))),
        )

    @property
    def server(self) -> dict[str, str]:
        """Return what the server said of itself."""
        return self._hearing.server

    def stop(self, words: str) -> None:
        """End the call at its next breath; its script is unfinished."""
        self._fail(unfinished("stopped", words))

    # --- the wire ---------------------------------------------------------------------------

    async def _connect(self) -> float:
        """Open the line and agree on the session; return when the call stood. Raises CallFailed."""
        settings = self._settings
        deadline = time.monotonic() + settings.connect_timeout_s
        opening = asyncio.ensure_future(
            open_line(
                settings.address,
                settings.headers,
                self._hearing.message,
                self._fail,
                timeout_s=settings.connect_timeout_s,
                tls=settings.tls,
            )
        )
        opening.add_done_callback(lambda _: self._notify())
        try:
            while not opening.done():
                await self._next(deadline + 1.0)
            self._line = opening.result()
        finally:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
        self._line.send(settings.greeting)
        while (connected_at := self._hearing.updated_at) is None:
            if self._record.errors:
                raise refused("session-refused", self._record.errors[-1][:300])
            if time.monotonic() >= deadline:
                raise refused("no-session", f"no session.updated within {settings.connect_timeout_s:g} s")
            await self._next(deadline)
        self._timeline.origin_at = connected_at
        self._tick()
        return connected_at

    def _tick(self) -> None:
        """Send every frame that is due, and come back for the next."""
        line, timeline = self._line, self._timeline
        if line is None or self._failure is not None:
            return
        now = time.monotonic()
        while (due_at := timeline.next_due_at) <= now:
            line.write(timeline.take())
            self._lag.note(now - due_at)
            if timeline.num_sent % PING_FRAMES == 0:
                line.ping()
        self._ticking = asyncio.get_running_loop().call_at(due_at, self._tick)

    async def _hang_up(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        if self._failure is None:
            # What the server says to the end of a call is no failure of it.
            self._failure = unfinished("stopped", "over")
        if self._line is not None:
            await self._line.close()

    # --- waiting ----------------------------------------------------------------------------

    def _fail(self, failure: CallFailed) -> None:
        if self._failure is None:
            self._failure = failure
            self._notify()

    def _notify(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _next(self, until_at: float) -> None:
        """Wait for the next event, `until_at` at the latest. Raises CallFailed once the call is down."""
        if self._failure is None:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_at(until_at, self._notify)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        if self._failure is not None:
            raise self._failure

    async def _reach(self, at: float) -> None:
        while time.monotonic() < at:
            await self._next(at)

    async def _settled(self, latest_at: float) -> None:
        """Wait until the agent was played out and nothing more has happened, `latest_at` at the latest."""
        record = self._record
        while (now := time.monotonic()) < latest_at:
            idle = record.active is None and not record.speaking
            over_at = max(record.last_event_at, record.played_until) + SETTLED_S
            if idle and now >= over_at:
                return
            await self._next(min(over_at, latest_at) if idle else latest_at)

    # --- the script -------------------------------------------------------------------------

    async def _converse(self, connected_at: float) -> None:
        """Take every turn of the script. Raises CallFailed."""
        turns = self._script.conversation.turns
        speak_at = connected_at + self._settings.workload.opening_s
        before: _Turn | None = None
        for number, turn in enumerate(turns):
            over = before if turn.after_s is not None and before is not None else None
            if over is not None and over.answered_at is not None and turn.after_s is not None:
                speak_at = over.answered_at + turn.after_s
            elif number:
                speak_at += self._script.pauses_s[number]
            current = await self._begin(number, turn, speak_at, before)
            following = turns[number + 1] if number + 1 < len(turns) else None
            speak_at = await self._until_over(current, following)
            current.over_at = speak_at
            self._measure()
            before = current

    async def _begin(self, number: int, turn: ReadyTurn, speak_at: float, before: _Turn | None) -> _Turn:
        """Place the turn's words and wait until they begin: what the agent does until then is not about them."""
        sound = None if turn.sound is None else self._settings.workload.sounds[turn.sound]
        began_at = speak_at if turn.sound is None else self._timeline.place(self._bank.sounds[turn.sound], speak_at)
        await self._reach(began_at)
        after_timeout = before is not None and before.spoken.wanted and before.answered_at is None
        spoken = SpokenTurn(number, turn, sound, began_at, self._timeline.position_s(began_at), after_timeout)
        marks = _Marks(self._record.num_responses, len(self._record.committed))
        current = _Turn(spoken, marks, interrupts=before if turn.after_s is not None else None)
        self._turns.append(current)
        return current

    async def _until_over(self, current: _Turn, following: ReadyTurn | None) -> float:
        """Wait for the answer and its end; return the instant from which the next pause counts."""
        spoken, record = current.spoken, self._record
        intended_at = spoken.intended_at
        if not spoken.wanted or intended_at is None:
            quiet_at = spoken.ends_at + self._settings.workload.listen_s
            await self._reach(quiet_at)
            if record.num_responses == current.marks.num_responses:
                return quiet_at
            await self._settled(quiet_at + MAX_REPLY_S)
            return max(quiet_at, record.played_until)
        timeout_at = intended_at + self._settings.answer_timeout_s
        while True:
            while (answered_at := self._answer(current)) is None:
                latest_at = min(timeout_at, self._cut_in_until(current, intended_at) or timeout_at)
                if time.monotonic() >= latest_at:
                    return latest_at
                await self._next(latest_at)
            current.answered_at = answered_at
            if following is not None and following.after_s is not None:
                return answered_at
            await self._settled(answered_at + MAX_REPLY_S)
            if self._answer(current) is not None:
                return max(record.played_until, answered_at)
            # Its end told that it was about words of before: the answer is still to come.
            current.answered_at = None

    def _answer(self, current: _Turn) -> float | None:
        """Return when the answer became audible: the first reply that is heard after the caller's last sound."""
        spoken = current.spoken
        for place, at in self._hearing.audible.items():
            late = place < current.marks.num_responses or at < (spoken.intended_at or 0.0)
            if not late and not belated(self._record.replies(place)[0], spoken):
                return at
        return None

    def _cut_in_until(self, current: _Turn, intended_at: float) -> float | None:
        """Return how long to wait for a second answer if one came too soon and is over; None otherwise."""
        record = self._record
        cut_in = any(place >= current.marks.num_responses for place in self._hearing.audible)
        if not cut_in or record.active is not None or record.speaking or current.spoken.after_timeout:
            return None
        return max(intended_at, record.played_until) + CUT_IN_GRACE_S

    # --- measuring --------------------------------------------------------------------------

    def _measure(self) -> None:
        """Measure the turns that are over, but for the last where it is still to be spoken over."""
        last = self._turns[-1]
        num_turns = len(self._turns)
        turns = self._script.conversation.turns
        spoken_over = num_turns < len(turns) and turns[num_turns].after_s is not None and last.answered_at is not None
        for place, turn in enumerate(self._turns):
            if turn.sample is None and not (spoken_over and turn is last):
                self._sample(place, turn, turn.over_at or time.monotonic(), call_over=False)
        if not spoken_over:
            self._record.release(self._record.num_responses)

    def _conclude(self, ended_at: float) -> None:
        """Measure what the end of the call left open."""
        for place, turn in enumerate(self._turns):
            if turn.sample is None:
                self._sample(place, turn, turn.over_at or ended_at, call_over=turn.over_at is None)

    def _sample(self, place: int, turn: _Turn, over_at: float, *, call_over: bool) -> None:
        record, marks = self._record, turn.marks
        following = self._turns[place + 1].marks if place + 1 < len(self._turns) else None
        replies = record.replies(marks.num_responses)
        committed = record.committed[marks.num_committed :]
        if following is not None:
            replies = replies[: following.num_responses - marks.num_responses]
            committed = committed[: following.num_committed - marks.num_committed]
        rtt_s = self._line.rtt_s if self._line is not None else []
        view = TurnView(
            replies=replies,
            committed_at=committed[-1] if committed else None,
            rtt_s=statistics.median(rtt_s) if rtt_s else None,
            over_at=over_at,
            call_over=call_over,
            interrupted=self._interrupted(turn),
            speech_started=tuple(self._hearing.speech_started),
        )
        turn.sample = sample_of(turn.spoken, view, self._settings.epoch_at)
        self._on_turn(turn.sample)

    def _interrupted(self, turn: _Turn) -> Reply | None:
        """Return the reply that a barge-in speaks over."""
        over = turn.interrupts
        if over is None or over.answered_at is None:
            return None
        place = next((place for place, at in self._hearing.audible.items() if at == over.answered_at), None)
        return None if place is None else self._record.replies(place)[0]

    def _with_transcript(self, place: int) -> TurnSample:
        """Return a turn's sample with what the server understood, which may have come long after the answer."""
        turn = self._turns[place]
        assert turn.sample is not None
        end = self._turns[place + 1].marks.num_committed if place + 1 < len(self._turns) else None
        items = self._record.committed_items[turn.marks.num_committed : end]
        return replace(turn.sample, transcript=self._record.heard_in(items))

    def _told(self, failure: CallFailed) -> str:
        errors = self._record.errors
        said = f"; the server said: {errors[-1][:200]}" if errors and failure.kind != "session-refused" else ""
        return f"{failure}{said}"
