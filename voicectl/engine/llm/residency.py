"""Move sessions in and out of the cache: lease, park, unpark, forget. Knows no requests and no text."""

import time
from collections.abc import Sequence
from typing import Protocol

from voicectl.engine.llm.cache import PREFIX_SEQUENCE, SequenceCache
from voicectl.engine.llm.metrics import LlmMetrics
from voicectl.engine.llm.parking import ParkedStates, State


class Memory(Protocol):
    """What moving sessions needs of a model; `runner.LlamaRunner` says what each method does."""

    def cut(self, sequence: int, length: int) -> int: ...
    def share(self, source: int, target: int, length: int) -> None: ...
    def save(self, sequence: int, start: int) -> State | None: ...
    def load(self, sequence: int, state: State) -> bool: ...


class Residency:
    """The sessions of one model, in the cache or parked beside it. Carries out what `SequenceCache` decides."""

    def __init__(self, memory: Memory, cache: SequenceCache, parked: ParkedStates, metrics: LlmMetrics) -> None:
        self._memory = memory
        self._cache = cache
        self._parked = parked
        self._metrics = metrics
        self._may_have_surplus = False

    def admit(self, session_id: str, prompt: Sequence[int], num_new: int) -> int | None:
        """Make a session busy with a prompt and `num_new` tokens of a reply; None when it must wait for room.

        Returns how many of the prompt's tokens need not run.
        """
        num_tokens = len(prompt) + num_new
        parked = self._parked.peek(session_id)
        if parked is not None and self._cache.num_useful(parked.tokens, prompt) <= 0:
            self._parked.forget(session_id)
            parked = None
        if not self._make_room(session_id, max(num_tokens, len(parked.tokens) if parked else 0)):
            return None
        if parked is not None:
            self._unpark(session_id)
        lease = self._cache.acquire(session_id, prompt, num_new)
        if lease is None:
            return None
        held = self._memory.cut(lease.sequence, lease.keep)
        if lease.share:
            self._memory.share(PREFIX_SEQUENCE, lease.sequence, lease.share)
        elif held < lease.keep:
            self._cache.cut(session_id, held)
            return held
        return lease.cached

    def release(self, session_id: str) -> None:
        """Make a session idle."""
        self._cache.release(session_id)
        self._may_have_surplus = True

    def wake(self, session_id: str) -> None:
        """Bring a parked session back if there is room, so that its next prompt need not wait for that."""
        self._cache.touch(session_id)
        parked = self._parked.peek(session_id)
        if parked is not None and self._make_room(session_id, len(parked.tokens)):
            self._unpark(session_id)
            self._may_have_surplus = True

    def num_known(self, session_id: str, prompt: Sequence[int]) -> int:
        """Return how many tokens of a prompt need not run if it comes next."""
        tenancy, parked = self._cache.tenancy(session_id), self._parked.peek(session_id)
        held = tenancy.tokens if tenancy is not None else parked.tokens if parked is not None else ()
        return self._cache.num_known(held, prompt)

    def trim(self) -> None:
        """Park the idle sessions that would slow the attention of the others."""
        if self._may_have_surplus:
            self._may_have_surplus = False
            for session_id in self._cache.surplus():
                self._park(session_id)

    def park_one(self) -> bool:
        """Park the session idle for longest; False if all are busy."""
        session_id = self._cache.longest_idle()
        if session_id is not None:
            self._park(session_id)
        return session_id is not None

    def forget(self, session_id: str) -> None:
        """Drop a session wherever it is; unknown ones are ignored."""
        self._parked.forget(session_id)
        self._empty(session_id)

    def _make_room(self, session_id: str, num_tokens: int) -> bool:
        victims = self._cache.make_room(session_id, num_tokens)
        for victim in victims or ():
            self._park(victim)
        return victims is not None

    def _park(self, session_id: str) -> None:
        tenancy = self._cache.tenancy(session_id)
        if tenancy is None:
            return
        started_at = time.perf_counter()
        state = None
        if len(tenancy.tokens) > tenancy.num_shared:
            state = self._memory.save(tenancy.sequence, tenancy.num_shared)
        self._empty(session_id)
        if state is None:
            return
        num_dropped = self._parked.put(session_id, tenancy.tokens, tenancy.num_shared, state)
        self._metrics.moved("parked", time.perf_counter() - started_at)
        self._metrics.dropped(num_dropped)

    def _unpark(self, session_id: str) -> None:
        started_at = time.perf_counter()
        parked = self._parked.take(session_id)
        sequence = self._cache.adopt(session_id, parked.tokens, parked.num_shared) if parked else None
        if parked is None or sequence is None:
            return
        if not self._memory.load(sequence, parked.state):
            self._empty(session_id)
            self._metrics.dropped(1)
            return
        if parked.num_shared:
            self._memory.share(PREFIX_SEQUENCE, sequence, parked.num_shared)
        self._metrics.moved("unparked", time.perf_counter() - started_at)

    def _empty(self, session_id: str) -> None:
        sequence = self._cache.forget(session_id)
        if sequence is not None:
            self._memory.cut(sequence, 0)
