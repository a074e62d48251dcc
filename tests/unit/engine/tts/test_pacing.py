"""First clauses at once, continuations before they run dry; nobody starves while there is capacity."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.core.ports import Priority
from voicectl.engine.tts.pacing import ASSUMED_AHEAD_S, LEISURE_S, MARGIN_S, Need, Stream, choose, reconsider_s

FINAL, CONTINUES = Priority.FINAL, Priority.SPECULATIVE

# One thread of a Xeon core, 2026-11: front end and 40 frames, then 120 frames with the flow before them.
FIRST_COST_S, FIRST_AUDIO_S = 0.055, 0.464
LATER_COST_S, LATER_AUDIO_S = 0.090, 1.393


def test_first_clauses_go_in_the_order_they_came() -> None:
    first, second = (Stream(FINAL, order, submitted_at=at).need() for order, at in ((2, 1.0), (1, 1.1)))
    assert choose([(second, "second"), (first, "first")], 2.0, background=False) == "first"


def test_a_first_clause_goes_before_continuations_that_have_audio_left() -> None:
    heard = Stream(FINAL, 1, submitted_at=0.0)
    heard.delivered(0.5, 1.0)
    new = Stream(FINAL, 2, submitted_at=1.2)
    assert choose([(heard.need(), "heard"), (new.need(), "new")], 1.3, background=False) == "new"


def test_a_stream_that_is_about_to_run_dry_goes_before_a_first_clause() -> None:
    heard = Stream(FINAL, 1, submitted_at=0.0)
    heard.delivered(0.5, 1.0)
    new = Stream(FINAL, 2, submitted_at=1.5 - MARGIN_S + 0.01)
    assert choose([(heard.need(), "heard"), (new.need(), "new")], 1.4, background=False) == "heard"


def test_of_two_continuations_the_one_with_less_audio_ahead_goes_first() -> None:
    rich, poor = Stream(FINAL, 1, submitted_at=0.0), Stream(FINAL, 2, submitted_at=0.0)
    rich.delivered(0.9, 1.0)
    poor.delivered(0.7, 1.0)
    assert choose([(rich.need(), "rich"), (poor.need(), "poor")], 1.1, background=False) == "poor"


def test_the_next_clause_of_a_reply_waits_for_first_clauses_but_not_long() -> None:
    following = Stream(CONTINUES, 1, submitted_at=1.0)
    soon, late = Stream(FINAL, 2, submitted_at=1.1), Stream(FINAL, 3, submitted_at=1.0 + ASSUMED_AHEAD_S)
    waiting = [(following.need(), "following"), (soon.need(), "soon"), (late.need(), "late")]
    assert choose(waiting, 1.6, background=False) == "soon"
    assert choose([waiting[0], waiting[2]], 1.6, background=False) == "following"


def test_what_has_audio_enough_is_left_to_the_background_until_it_has_not() -> None:
    stream = Stream(FINAL, 1, submitted_at=0.0)
    stream.delivered(3.0, 1.0)
    waiting = [(stream.need(), "stream")]
    assert choose(waiting, 1.5, background=False) is None
    assert choose(waiting, 1.5, background=True) == "stream"
    assert reconsider_s([stream.need()], 1.5) == pytest.approx(4.0 - LEISURE_S - 1.5)
    assert choose(waiting, 4.0 - LEISURE_S, background=False) == "stream"
    assert choose(waiting, 4.0 - LEISURE_S, background=True) is None


def test_a_first_clause_never_waits_for_the_background() -> None:
    assert reconsider_s([Stream(FINAL, 1, submitted_at=0.0).need()], 9.0) is None


@dataclass
class Caller:
    """One reply of a first clause and more, as `stage.SpeechHandler` would ask for it."""

    stream: Stream
    arrives_at: float
    chunks_left: int
    begun_at: float | None = None
    dry_at: float | None = None
    gap_s: float = 0.0

    def cost_s(self) -> float:
        return FIRST_COST_S if self.begun_at is None else LATER_COST_S

    def deliver(self, now: float) -> None:
        seconds = FIRST_AUDIO_S if self.dry_at is None else LATER_AUDIO_S
        if self.dry_at is None:
            self.dry_at = now
        self.gap_s = max(self.gap_s, now - self.dry_at)
        self.dry_at = max(self.dry_at, now) + seconds
        self.stream.delivered(seconds, now)
        self.chunks_left -= 1


@dataclass
class Cores:
    """A crew on one core: its urgent thread computes at once, its background one in what time is left."""

    callers: list[Caller]
    now: float = 0.0
    urgent: tuple[Caller, float] | None = None
    background: tuple[Caller, float] | None = None
    first_waits: list[tuple[float, int]] = field(default_factory=list)

    def run(self) -> None:
        while any(caller.chunks_left for caller in self.callers):
            self.urgent = self.urgent or self._pick(background=False)
            self.background = self.background or self._pick(background=True)
            self._advance()

    def _waiting(self) -> list[tuple[Need, Caller]]:
        taken = [job[0] for job in (self.urgent, self.background) if job is not None]
        return [
            (caller.stream.need(), caller)
            for caller in self.callers
            if caller.arrives_at <= self.now and caller.chunks_left and not any(caller is one for one in taken)
        ]

    def _pick(self, *, background: bool) -> tuple[Caller, float] | None:
        caller = choose(self._waiting(), self.now, background=background)
        if caller is None:
            return None
        cost_s = caller.cost_s()
        if caller.begun_at is None:
            earlier = [one for one in self.callers if one.begun_at is None and one.arrives_at <= self.now]
            self.first_waits.append((self.now - caller.arrives_at, len(earlier)))
            caller.begun_at = self.now
        return caller, cost_s

    def _advance(self) -> None:
        """Go on to the next arrival, end of a computation, or change of mind."""
        running = self.urgent or self.background
        ends = [self.now + running[1]] if running else []
        arrivals = [caller.arrives_at for caller in self.callers if caller.arrives_at > self.now]
        change_s = reconsider_s([need for need, _ in self._waiting()], self.now)
        changes = [] if change_s is None else [self.now + change_s + 1e-6]
        until = min(ends + arrivals + changes)
        if running:
            left_s = running[1] - (until - self.now)
            done = left_s <= 1e-9
            rest = None if done else (running[0], left_s)
            if self.urgent:
                self.urgent = rest
            else:
                self.background = rest
            self.now = until
            if done:
                running[0].deliver(self.now)
        self.now = until


GAPS_S = st.lists(st.floats(0.35, 3.0), min_size=1, max_size=24)


@given(arrivals=GAPS_S, lengths=st.lists(st.integers(1, 6), min_size=24, max_size=24))
def test_while_capacity_suffices_nobody_hears_a_gap_and_first_clauses_wait_for_each_other_only(
    arrivals: list[float], lengths: list[int]
) -> None:
    """A reply every 0.35 s costs at most 0.055 + 5 x 0.09 s: the core may be overbooked for a while, and the
    audio made ahead carries it."""
    at, callers = 0.0, []
    for order, (gap_s, length) in enumerate(zip(arrivals, lengths, strict=False)):
        at += gap_s
        callers.append(Caller(Stream(FINAL, order, submitted_at=at), at, length))
    cores = Cores(callers)
    cores.run()
    assert max(caller.gap_s for caller in callers) == 0.0
    for wait_s, num_first in cores.first_waits:
        assert wait_s <= LATER_COST_S + num_first * FIRST_COST_S


@given(together=st.integers(2, 12))
def test_callers_who_come_at_once_are_served_one_after_the_other(together: int) -> None:
    callers = [Caller(Stream(FINAL, order, submitted_at=1.0), 1.0, 4) for order in range(together)]
    cores = Cores(callers, now=1.0)
    cores.run()
    waits = [wait_s for wait_s, _ in cores.first_waits]
    # The first to be heard may come up for more before the last is heard at all.
    assert max(waits) <= (together - 1) * FIRST_COST_S + together * LATER_COST_S / 2
    assert sorted(waits) == waits
